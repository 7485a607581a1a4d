//! Killed without warning, out of disk, damaged on disk: what was acknowledged is there when it opens again, and what is wrong is said.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so, and says its seed first"
)]

#[path = "../support/mod.rs"]
mod support;

mod recorder;

mod device;
mod flipped_bit;
mod full_disk;
mod node;
mod signals;
mod synchronising;
