//! What people write for the simulator and what it writes for them: scenario files, latencies, summaries, reports, the command line.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

mod command;
mod deeds;
mod docs;
mod example;
mod latencies;
mod mistakes;
mod report;
mod scenarios;
mod swarm;
