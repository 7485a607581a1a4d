//! The page on which a node, or the demo's three, can be tried in a browser. Only where no tokens are asked for: it signs nobody in.
//!
//! Plain HTML, CSS and ES modules in `page/`, served as they are. What is different between a single node and the demo is told by
//! [`World`], which the page reads first.

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::{File, with_files};

/// Whose film it is.
pub(crate) const PROFILE: &str = "viewer";
/// The film: the clip that `scripts/clip` makes.
pub(crate) const TITLE: &str = "night-train-clip";
/// How long that is, in milliseconds.
pub(crate) const DURATION_MS: u64 = 300_000;

const INDEX: &str = include_str!("page/index.html");
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// What the page loads beside its HTML and the client library.
const FILES: &[File] = &[
    BASE_STYLE,
    ICON,
    File { path: "/page/page.css", content_type: CSS, bytes: include_bytes!("page/page.css") },
    File { path: "/page/page.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/page.js") },
    DOM,
    File { path: "/page/graph.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/graph.js") },
    File { path: "/page/line.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/line.js") },
    File { path: "/page/party.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/party.js") },
    File { path: "/page/player.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/player.js") },
    File { path: "/page/tour.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/tour.js") },
    File { path: "/page/why.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/why.js") },
    File { path: "/page/night-train.webm", content_type: "video/webm", bytes: include_bytes!("page/night-train.webm") },
];

/// Colours, type and the parts that the program's pages share.
pub(crate) const BASE_STYLE: File = File { path: "/page/base.css", content_type: CSS, bytes: include_bytes!("page/base.css") };
/// How the program's pages make elements.
pub(crate) const DOM: File = File { path: "/page/dom.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/dom.js") };
/// The program's mark.
pub(crate) const ICON: File = File { path: "/page/icon.svg", content_type: "image/svg+xml", bytes: include_bytes!("page/icon.svg") };

/// What the page is of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct World {
    /// Whether lines can be cut and everybody's belief be followed: three regions. Else one node.
    pub(crate) demo: bool,
    profile_id: &'static str,
    title_id: &'static str,
    duration_ms: u64,
    regions: Vec<Region>,
}

/// A node that players of the page talk to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Region {
    /// Its name.
    pub(crate) name: String,
    /// Its gateway, `http://..`; empty for the page's own origin.
    pub(crate) url: String,
    /// Where its operator looks, if the page may say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_url: Option<String>,
}

impl World {
    /// One node: the one that serves the page.
    pub(crate) fn node() -> Self {
        Self::of(false, vec![Region { name: "this node".to_owned(), url: String::new(), admin_url: None }])
    }

    /// The regions of a demo.
    pub(crate) fn demo(regions: Vec<Region>) -> Self {
        Self::of(true, regions)
    }

    fn of(demo: bool, regions: Vec<Region>) -> Self {
        Self { demo, profile_id: PROFILE, title_id: TITLE, duration_ms: DURATION_MS, regions }
    }

    // The page reaches each gateway by HTTP and by WebSocket.
    fn origins(&self) -> Vec<String> {
        let urls = self.regions.iter().map(|region| region.url.as_str()).filter(|url| !url.is_empty());
        urls.flat_map(|url| [url.to_owned(), url.replacen("http", "ws", 1)]).collect()
    }
}

/// Adds `/` and what belongs to it under `/page/`. The client library is another's.
pub(crate) fn with_page(routes: Router, world: World) -> Router {
    let origins = world.origins();
    let routes = routes
        .route("/", get(move || std::future::ready(html(INDEX, &origins))))
        .route("/page/world.json", get(move || std::future::ready(Json(world.clone()))));
    with_files(routes, FILES)
}

/// HTML, with what it may load and reach: its own origin, and these besides.
pub(crate) fn html(text: &'static str, connect: &[String]) -> Response {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ["'self'"].into_iter().chain(connect.iter().map(String::as_str)).collect::<Vec<_>>().join(" "),
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, Bytes::from_static(text.as_bytes())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_what_is_served_and_nothing_from_elsewhere() {
        let texts = FILES.iter().filter(|file| file.content_type != "video/webm");
        let texts = texts.map(|file| (file.path, std::str::from_utf8(file.bytes).unwrap())).chain([("/", INDEX)]);
        for (name, text) in texts {
            // A namespace is a name; nothing is fetched by it.
            let reached = text.replace("http://www.w3.org/", "");
            assert!(!reached.contains("src=\"http") && !reached.contains("url(http") && !reached.contains("from 'http"), "{name}");
            for rest in text.split("/page/").skip(1) {
                let path = rest.split(['"', '\'', '`', ')']).next().unwrap_or_default();
                assert!(path == "world.json" || FILES.iter().any(|file| file.path == format!("/page/{path}")), "{name} asks for {path}");
            }
        }
        assert!(
            !INDEX.contains("style=") && !INDEX.contains("onclick=") && !INDEX.contains("<style"),
            "its policy forbids what stands inline"
        );
    }

    #[test]
    fn the_clip_stays_small() {
        let clip = FILES.iter().find(|file| file.content_type == "video/webm").unwrap();
        assert!(clip.bytes.len() < 600_000);
    }

    #[test]
    fn a_demo_reaches_its_regions_by_both_ways() {
        let region = |name: &str, port| Region { name: name.to_owned(), url: format!("http://127.0.0.1:{port}"), admin_url: None };
        assert_eq!(World::demo(vec![region("eu", 7400)]).origins(), ["http://127.0.0.1:7400", "ws://127.0.0.1:7400"]);
        assert_eq!(World::node().origins(), [""; 0]);
    }
}
