//! The shape of the source, checked by reading it: the order of layers, the purity of the core, the size of files.
//!
//! Layers may only use what lies below them. Below `net` and `gateway` nothing starts a thread, awaits, reads the clocks of the operating system or
//! draws random numbers: that is what lets a simulation run the very code that ships. Test code is exempt from purity, not from the order.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest.
const LAYERS: [&[&str]; 9] = [
    &["limits", "time", "planted"],
    &["progress"],
    &["ephemeral"],
    &["store"],
    &["replica"],
    &["sync"],
    &["net", "gateway"],
    &["embedded", "daemon"],
    &["cli"],
];

/// Neighbours in one layer of which one may use the other: stamps are bounded by limits, and a node is a replica with a gateway.
const NEIGHBOURS: [(&str, &str); 2] = [("time", "limits"), ("daemon", "embedded")];

/// Layers without thread, async, clock and chance.
const PURE: [&str; 5] = ["progress", "ephemeral", "store", "replica", "sync"];

const IMPURE_WORDS: [&str; 12] = [
    "tokio",
    "std::thread",
    "thread::spawn",
    "thread::sleep",
    "async fn",
    "async move",
    ".await",
    "SystemTime",
    "Instant",
    "getrandom",
    "rand::",
    "RandomState",
];

const FILE_LINES_MAX: usize = 600;

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The text without comments and without what stands between quotes.
fn code(text: &str) -> String {
    text.lines().map(|line| without_strings(line.split("//").next().unwrap_or_default())).collect::<Vec<_>>().join("\n")
}

fn without_strings(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// The part of a file that ships: its tests stand at its end.
fn shipped(code: &str) -> &str {
    code.find("#[cfg(test)]\nmod tests {").map_or(code, |tests| &code[..tests])
}

/// The modules of a file, from the top: `src/store/log/mod.rs` is `store`, `log`.
fn modules(path: &str) -> Vec<&str> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inner.split('/').filter(|module| !["lib", "main"].contains(module)).collect()
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The first segments of the paths that begin here: one, or those of a group in braces.
fn first_segments(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let mut depth = 0;
    let mut segments = vec![identifier(group.trim_start())];
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => segments.push(identifier(group[index + 1..].trim_start())),
            _ => {}
        }
    }
    segments
}

/// The top modules that a file names, by `crate::` or by climbing there with `super::`.
fn used(path: &str, code: &str) -> Vec<String> {
    let up = "super::".repeat(modules(path).len());
    let mut found: Vec<String> = Vec::new();
    for root in ["crate::", up.as_str()] {
        for (index, _) in code.match_indices(root).filter(|_| !root.is_empty()) {
            // A longer climb ends elsewhere.
            if !code[..index].ends_with("super::") {
                found.extend(first_segments(&code[index + root.len()..]).into_iter().map(str::to_owned));
            }
        }
    }
    found.retain(|module| layer(module).is_some());
    found
}

/// Whether a word stands in code, and not only at the beginning of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    let is_whole = |end: usize| !word.ends_with(char::is_alphanumeric) || identifier(&code[end..]).is_empty();
    code.match_indices(word).any(|(index, _)| is_whole(index + word.len()))
}

fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{path}: does not open with `//!`"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
    }
    let Some(own) = path.strip_prefix("src/").and_then(|_| modules(path).first().copied()) else { return found };
    let Some(own_layer) = layer(own) else { return found };
    let code = code(text);
    for module in used(path, &code) {
        let allowed = module == own || layer(&module) < Some(own_layer) || NEIGHBOURS.contains(&(own, &module));
        if !allowed {
            found.push(format!("{path}: `{own}` must not use `{module}`"));
        }
    }
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/laws") || path.ends_with("/conformance.rs");
    if PURE.contains(&own) && !is_test {
        let shipped = shipped(&code);
        found.extend(IMPURE_WORDS.iter().filter(|word| has_word(shipped, word)).map(|word| format!("{path}: `{word}` in `{own}`")));
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_source_file_keeps_to_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "simulations"] {
        sources(&root.join(folder), &mut files);
    }
    files.sort();
    assert!(files.len() > 30, "the sources were found");
    let check = |file: &PathBuf| violations(file.strip_prefix(root).unwrap().to_str().unwrap(), &fs::read_to_string(file).unwrap());
    let found: Vec<String> = files.iter().flat_map(check).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_folder_of_the_library_has_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(["lib", "main"].contains(&module) || layer(module).is_some(), "{name} stands in no layer");
    }
}

#[test]
fn planted_violations_are_found() {
    let one = |path: &str, body: &str| violations(path, &format!("//! A file.\n{body}")).len();
    assert_eq!(one("src/store/log/mod.rs", "use crate::progress::Progress;"), 0);
    assert_eq!(one("src/store/log/mod.rs", "use crate::sync::Link;"), 1);
    assert_eq!(one("src/store/log/mod.rs", "fn link() -> crate::replica::Core {}"), 1);
    assert_eq!(one("src/progress/id.rs", "use crate::{limits::{ID_BYTES_MAX, MORE}, time::Hlc, store::Store};"), 1);
    assert_eq!(one("src/store/log/mod.rs", "use super::super::net::Network;"), 1);
    assert_eq!(one("src/store/log/mod.rs", "use super::net::Network;"), 0, "a module of its own");
    assert_eq!(one("src/net/mod.rs", "use crate::gateway::Router;"), 1, "neighbours keep apart");
    assert_eq!(one("src/daemon/mod.rs", "use crate::embedded::Replica;"), 0);
    assert_eq!(one("src/embedded/mod.rs", "use crate::daemon::run;"), 1);
    assert_eq!(one("src/limits.rs", "use crate::time::Hlc;"), 1);
    assert_eq!(one("src/cli/demo.rs", "use crate::daemon::run;\nuse crate::net::Network;"), 0);

    assert_eq!(one("src/sync/link.rs", "async fn run() {}"), 1);
    assert_eq!(one("src/sync/link.rs", "fn run() { self.ready().await }"), 1);
    assert_eq!(one("src/sync/link.rs", "fn run() { self.awaits_reconciliation() }"), 0);
    assert_eq!(one("src/replica/core.rs", "let now = SystemTime::now();"), 1);
    assert_eq!(one("src/store/fold.rs", "std::thread::yield_now();"), 1);
    assert_eq!(one("src/store/fold.rs", "// std::thread is for the shell\nlet word = \"tokio\";"), 0);
    assert_eq!(
        one("src/store/fold.rs", "#[cfg(test)]\nmod tests {\n    use std::thread;\n    fn t() { std::thread::scope(|_| {}) }\n}"),
        0
    );
    assert_eq!(one("src/net/driver.rs", "async fn run() { tokio::task::yield_now().await }"), 0);

    assert_eq!(violations("src/net/mod.rs", "use std::fmt;").len(), 1, "no `//!`");
    assert_eq!(violations("tests/long.rs", &"//! long\n".repeat(601)).len(), 1);
    assert_eq!(violations("tests/long.rs", &"//! long\n".repeat(600)).len(), 0);
}

#[test]
fn every_figure_is_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let figures = fs::read_to_string(root.join("daemon/figures.rs")).unwrap();
    let (describing, _) = figures.split_once("/// Gathers samples").unwrap();
    let mut files = Vec::new();
    for module in ["daemon", "gateway", "net"] {
        sources(&root.join(module), &mut files);
    }
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let names = texts.iter().flat_map(|text| text.match_indices("\"leftoff_").map(|(index, _)| identifier(&text[index + 1..])));
    let undescribed: Vec<&str> = names.filter(|name| !describing.contains(&format!("\"{name}\""))).collect();
    assert!(undescribed.is_empty(), "{undescribed:?}");
}
