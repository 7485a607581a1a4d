//! What viewers tell of other programs, one story a test, told to real regions over HTTP and to real devices over QUIC.
//!
//! A file is a row of complaints; beside each story stands its counter-story, so that the cure of one is not the illness of the other.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so, and says its seed first"
)]

#[path = "../support/mod.rs"]
mod support;

mod evening;
mod platform;

mod a2_fresh_stamps;
mod a_idle_screens;
mod b_lost_offline;
mod c_wrong_clocks;
mod d_jumps_back;
mod e_too_sticky;
mod f_come_back;
mod g_other_profiles;
mod h_not_in_time;
mod i_under_load;
mod j_other_cuts;
