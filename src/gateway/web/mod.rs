//! Files for browsers, part of the binary: the client library and its types, and the [page] to try a node on.
//!
//! A file has a plain address, which is asked for again each time and answered 304 while nothing has changed, and may have one with a hash of
//! its bytes in it, which never changes and is kept for a year. They need no token, and every origin may import them.

pub(crate) mod page;

use std::hash::Hasher;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use siphasher::sip::SipHasher13;

/// A year: what never changes is not asked for again.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// The client library, at `/leftoff.js` and at `/leftoff-VERSION-HASH.js`.
const LIBRARY: File = File { path: "/leftoff.js", content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("leftoff.js") };
/// Its types.
const TYPES: File = File { path: "/leftoff.d.ts", content_type: "text/plain; charset=utf-8", bytes: include_bytes!("leftoff.d.ts") };

/// One file that is served as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Where, from the root: `/leftoff.js`.
    pub(crate) path: &'static str,
    /// Its media type.
    pub(crate) content_type: &'static str,
    /// What is in it.
    pub(crate) bytes: &'static [u8],
}

impl File {
    /// Its address with the package's version and a hash of its bytes: `/leftoff-0.1.0-89abcdef.js`.
    pub(crate) fn lasting_path(&self) -> String {
        let (stem, extension) = self.path.split_once('.').unwrap_or((self.path, ""));
        format!("{stem}-{}-{:08x}.{extension}", env!("CARGO_PKG_VERSION"), self.hash() as u32)
    }

    fn hash(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write(self.bytes);
        hasher.finish()
    }
}

/// Adds the library's routes.
pub(crate) fn with_library(routes: Router) -> Router {
    with_files(with_lasting_file(routes, LIBRARY), &[TYPES])
}

/// Adds files at their plain addresses.
pub(crate) fn with_files(routes: Router, files: &[File]) -> Router {
    files.iter().fold(routes, |routes, file| add(routes, file.path, *file, ASK_AGAIN, None))
}

/// Adds a file at its plain address, which names the lasting one, and at that.
pub(crate) fn with_lasting_file(routes: Router, file: File) -> Router {
    let lasting = file.lasting_path();
    let named = HeaderValue::from_str(&lasting).ok();
    add(add(routes, file.path, file, ASK_AGAIN, named), &lasting, file, IMMUTABLE, None)
}

fn add(routes: Router, path: &str, file: File, cache: &'static str, location: Option<HeaderValue>) -> Router {
    let etag = HeaderValue::from_str(&format!("\"{:016x}\"", file.hash())).ok();
    routes.route(path, get(move |headers: HeaderMap| std::future::ready(answer(file, cache, etag.as_ref(), location.as_ref(), &headers))))
}

fn answer(file: File, cache: &'static str, etag: Option<&HeaderValue>, location: Option<&HeaderValue>, asked: &HeaderMap) -> Response {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &'static str| drop(headers.insert(name, HeaderValue::from_static(value)));
    set(CACHE_CONTROL, cache);
    set(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(CONTENT_TYPE, file.content_type);
    set(ACCEPT_RANGES, "bytes");
    headers.extend(etag.map(|etag| (ETAG, etag.clone())));
    headers.extend(location.map(|location| (CONTENT_LOCATION, location.clone())));
    if etag.is_some_and(|etag| asked.get_all(IF_NONE_MATCH).iter().any(|known| holds(known, etag))) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let bytes = Bytes::from_static(file.bytes);
    // Players ask for a part of a video and go on from there.
    let Some((from, until)) = asked.get(RANGE).and_then(|range| part(range, bytes.len())) else {
        return (headers, bytes).into_response();
    };
    if let Ok(range) = HeaderValue::from_str(&format!("bytes {from}-{}/{}", until - 1, bytes.len())) {
        headers.insert(CONTENT_RANGE, range);
    }
    (StatusCode::PARTIAL_CONTENT, headers, bytes.slice(from..until)).into_response()
}

fn holds(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let matches = |known: &str| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes();
    known.to_str().is_ok_and(|known| known.split(',').map(str::trim).any(matches))
}

// The range that was asked for, its end excluded. What is no single range within the file is answered with all of it, as RFC 9110 allows.
fn part(range: &HeaderValue, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let count = last.parse::<usize>().ok()?.min(length);
        return (count > 0).then_some((length - count, length));
    }
    let from = first.parse::<usize>().ok()?;
    let until = if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1).min(length) };
    (from < until).then_some((from, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_within_the_file_or_is_all_of_it() {
        let part = |range: &'static str| part(&HeaderValue::from_static(range), 100);
        assert_eq!(part("bytes=0-"), Some((0, 100)));
        assert_eq!(part("bytes=10-19"), Some((10, 20)));
        assert_eq!(part("bytes=90-200"), Some((90, 100)));
        assert_eq!(part("bytes=-5"), Some((95, 100)));
        for none in ["bytes=100-", "bytes=20-10", "bytes=-0", "bytes=a-b", "bytes=0-1,5-6", "items=0-1", "bytes=18446744073709551615-"] {
            assert_eq!(part(none), None, "{none}");
        }
    }

    #[test]
    fn the_lasting_address_changes_with_the_bytes() {
        let other = File { bytes: b"x", ..LIBRARY };
        let path = LIBRARY.lasting_path();
        assert_ne!(path, other.lasting_path());
        assert!(path.starts_with(concat!("/leftoff-", env!("CARGO_PKG_VERSION"), "-")) && path.strip_suffix(".js").is_some(), "{path}");
    }
}
