//! The world itself: one seed is one history, faults do what they say, and what heals becomes equal.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so")]

mod faults;
mod same;
mod scenes;
