//! leftoff keeps people's place: a replicated store for playback progress.
//!
//! Every regional server and every device holds a *replica*: a map from (profile, title) to a *register*, on disk. A register is a
//! conflict-free value, so replicas accept writes while they are cut off from each other, and hold the same when they meet again; no resume
//! point goes back. It is not a general database: it knows registers of playback progress and nothing else, and it does not store media,
//! accounts or preferences.
//!
//! # The nouns
//!
//! A player's report is an [`Event`](progress::Event). The [`Playhead`](progress::Playhead) of one device in one title turns events into
//! deltas; a delta is a [`Progress`](progress::Progress) with little in it, and joining deltas gives the register. A
//! [`Store`](store::Store) keeps registers durably; a [`Core`](replica::Core) is a store with the playheads, the clock and the watchers of
//! one replica; a `Link` joins two replicas.
//!
//! # Where to start
//!
//! In a device: `embedded::Replica`. On a server: the `leftoff` binary. To understand it: `docs/architecture.md` and `docs/semantics.md`.
//!
//! # Layers
//!
//! `limits`, `time` < `progress` < `store` < `replica` < `sync` < `net`, `gateway` < `embedded`, `daemon` < `cli`. Up to `sync`, nothing starts
//! a thread, awaits, reads a clock or draws a random number: the time and the bytes come in as arguments.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | none | registers, store, replica and replication logic, without any I/O of their own but files |
//! | `embedded` | the replica for devices: threads, QUIC |
//! | `server` (default) | the regional node and the command line |
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::pedantic,
        reason = "a test that cannot go on says so, and pedantry is for what ships"
    )
)]

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod daemon;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod ephemeral;
#[cfg(feature = "server")]
pub mod gateway;
pub mod limits;
#[cfg(feature = "embedded")]
pub mod net;
#[cfg(leftoff_planted)]
pub mod planted;
pub mod progress;
pub mod replica;
pub mod store;
pub mod sync;
pub mod time;

#[cfg(feature = "embedded")]
pub use embedded::{PlaybackReporter, Replica, ReplicaConfig};
#[cfg(feature = "embedded")]
pub use net::Credentials;
pub use progress::{PlaybackEvent, Policy};

// The README's example is a promise too: it must compile.
#[cfg(all(doctest, feature = "embedded"))]
#[doc = include_str!("../README.md")]
struct Readme;
