//! leftoff keeps people's place.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so"))]

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "server")]
pub mod gateway;
pub mod limits;
pub mod progress;
pub mod replica;
pub mod store;
pub mod time;
