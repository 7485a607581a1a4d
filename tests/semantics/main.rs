//! The meaning of progress, tested where it is made: playheads, registers and their reading, without store, network or clock.
//!
//! Each rule is a story with its counter-story, one rule a file. `model` answers every read a second time, by definition, from all deltas ever
//! made; `histories` holds the two against each other on random evenings.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

mod model;
mod node;

mod clocks;
mod erasure;
mod histories;
mod late;
mod moves;
mod reading;
mod repeats;
mod start;
mod steps;
mod streams;
mod table;
mod take_over;
