//! Regions as real processes on loopback, with lines between them that fail as lines do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so, and says its seed first"
)]

#[path = "../support/mod.rs"]
mod support;

mod line;
