//! A device with a replica of its own: offline, connected, away for long, with a wrong clock, with a token that does not hold everything.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so, and says its seed first"
)]

#[path = "../support/mod.rs"]
mod support;

mod app;
mod bad_line;
mod clocks;
mod entitlement;
mod offline;
