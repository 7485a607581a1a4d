//! Pushes from outside: real nodes on loopback, real WebSockets, event streams and polls.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so, and says its seed first"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "nobody links against a test, and each area uses its part of what they share")]

mod company;
mod dialects;
mod hostile;
#[path = "../gateway/issuer.rs"]
mod issuer;
#[path = "../support/mod.rs"]
mod processes;
mod rates;
mod regions;
mod resuming;
mod slow;
mod socket;
mod streams;
#[path = "../gateway/support.rs"]
mod support;
mod talking;
mod tokens;
mod watching;
