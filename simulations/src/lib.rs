//! The partition simulator: the code that ships, under faults, in virtual time.
//!
//! A [`scenario`] says who there is, what viewers do, what breaks and when, and what must hold. A world runs it in one thread, from one seed:
//! the same seed is the same history, byte for byte. Real are registers, playheads, stores, logs, links; replaced are clock, network, disk and
//! randomness. The [`checkers`] look on at every step; what came of it is an [`outcome::Outcome`], for terminals, programs and design reviews.
//!
//! `docs/simulation.md` tells how to run it, write a scenario and read a report.

#![allow(clippy::cast_sign_loss, reason = "shares, times and figures are not negative, and their casts end at 0")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::pedantic,
        reason = "a test that cannot go on says so, and pedantry is for what ships"
    )
)]

pub mod checkers;
pub mod command;
pub mod model;
pub mod observation;
pub mod outcome;
pub mod report;
pub mod scenario;
pub mod summary;
pub mod swarm;
pub mod world;
