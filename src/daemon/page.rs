//! The operator's page at the root of the admin listener. Plain HTML, CSS and ES modules; it reads the endpoints beside it.

use axum::Router;
use axum::routing::get;

use crate::gateway::web::page::{BASE_STYLE, DOM, ICON, html};
use crate::gateway::web::{File, with_files};

const INDEX: &str = include_str!("page/index.html");
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: &[File] = &[
    BASE_STYLE,
    DOM,
    ICON,
    File { path: "/page/admin.css", content_type: "text/css; charset=utf-8", bytes: include_bytes!("page/admin.css") },
    File { path: "/page/admin.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/admin.js") },
    File { path: "/page/figures.js", content_type: JAVASCRIPT, bytes: include_bytes!("page/figures.js") },
];

/// Adds `/` and what it loads.
pub(super) fn with_page(routes: Router) -> Router {
    with_files(routes.route("/", get(|| std::future::ready(html(INDEX, &[])))), FILES)
}
