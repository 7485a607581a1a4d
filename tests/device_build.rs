//! What a device embeds: the build with the embedded features alone has no HTTP server, no command line and no token library in its tree.
//!
//! Asked of cargo itself, for this manifest, so that a dependency of a dependency is found too.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::process::Command;

/// Crates by which an HTTP server, a command line, or what only a node needs would show.
const NODES_ONLY: [&str; 16] = [
    "axum",
    "hyper",
    "http",
    "tower-http",
    "tower",
    "jsonwebtoken",
    "rcgen",
    "clap",
    "config",
    "indicatif",
    "crossterm",
    "metrics",
    "tracing-subscriber",
    "csv",
    "ureq",
    "hdrhistogram",
];

fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", "leftoff", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
}

fn found(tree: &[String]) -> Vec<&str> {
    NODES_ONLY.into_iter().filter(|name| tree.iter().any(|found| found == name)).collect()
}

#[test]
fn a_device_build_has_no_http_server_and_no_command_line() {
    let device = tree(&["--no-default-features", "--features", "embedded"]);
    assert_eq!(found(&device), Vec::<&str>::new());
    for needed in ["leftoff", "quinn", "sled"] {
        assert!(device.iter().any(|name| name == needed), "the tree was not read: {needed} is missing");
    }
}

#[test]
fn the_names_looked_for_are_those_of_the_node_build() {
    // Guards the list above: a crate that was replaced by another would otherwise be looked for in vain, for ever.
    assert_eq!(found(&tree(&[])).len(), NODES_ONLY.len(), "of {NODES_ONLY:?} the node build has {:?}", found(&tree(&[])));
}
