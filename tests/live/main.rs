//! Presence, sessions and watch parties over regions as real processes, with lines between them that are cut and nodes that are killed.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "a test that cannot go on says so, and says its seed first"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "nobody links against a test, and each area uses its part of what they share")]

mod parties;
mod presence;
mod sessions;
#[path = "../ws/socket.rs"]
mod socket;
#[path = "../support/mod.rs"]
mod support;
mod viewer;
