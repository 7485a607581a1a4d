//! The client library, as a node serves it.

use crate::support::TestNode;

#[test]
fn the_library_is_served_to_every_page_and_asked_for_again_only_if_it_changed() {
    let node = TestNode::start();
    let plain = node.http.get("/leftoff.js");
    assert_eq!((plain.status, plain.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!((plain.header("cache-control"), plain.header("access-control-allow-origin")), ("no-cache", "*"));
    assert_eq!(plain.text, include_str!("../../src/gateway/web/leftoff.js"));
    let tag = plain.header("etag").to_owned();
    assert_eq!(node.http.send("GET", "/leftoff.js", &[("if-none-match", &tag)], b"").status, 304);
    assert_eq!(node.http.send("GET", "/leftoff.js", &[("if-none-match", "\"another\"")], b"").status, 200);

    let types = node.http.get("/leftoff.d.ts");
    assert_eq!((types.status, types.text.as_str()), (200, include_str!("../../src/gateway/web/leftoff.d.ts")));
}

#[test]
fn the_address_with_the_hash_in_it_is_kept_for_a_year() {
    let node = TestNode::start();
    let lasting = node.http.get("/leftoff.js").header("content-location").to_owned();
    assert!(lasting.starts_with(concat!("/leftoff-", env!("CARGO_PKG_VERSION"), "-")), "{lasting}");
    let kept = node.http.get(&lasting);
    assert_eq!((kept.status, kept.header("cache-control")), (200, "public, max-age=31536000, immutable"));
    assert_eq!(kept.text, include_str!("../../src/gateway/web/leftoff.js"));
    node.http.get("/leftoff-0.0.0-00000000.js").assert_problem(404, "not_found");
}
