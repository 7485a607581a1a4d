//! Regions as real processes on loopback, with lines between them that fail as lines do.
//!
//! In every scenario people write at all nodes, and somebody watches from outside that no register ever goes back at any node.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so, and says its seed first"
)]

#[path = "../support/mod.rs"]
mod support;

mod line;

mod acknowledgement;
mod backup;
mod certificates;
mod chain;
mod erasure;
mod lost_disk;
mod partition;
mod restarts;
mod stranger;
