//! Replication between two replicas, without I/O: bytes, time and a [`Core`](crate::replica::Core) come in, bytes and events go out.
//!
//! A [`Link`] is one side of a connection. It is symmetric: any replica speaks it with any other. Three layers get a change across: the live
//! feed, catch-up by cursor after a cut, and reconciliation where no cursor says what is missing. `docs/protocol.md` has every byte.

mod backoff;
mod catch_up;
mod clock;
mod clocks;
mod duplicates;
mod elsewhere;
pub mod frame;
mod inbox;
mod leases;
mod link;
pub mod message;
mod offers;
mod outbox;
pub mod reconcile;

pub use backoff::Backoff;
pub use clock::Comparison;
pub use clocks::Clocks;
pub use duplicates::{Rival, newer_stays};
pub use link::{Handled, Link, LinkConfig, LinkError, LinkEvent, LinkFigures, LinkState};

use crate::time::MonotonicTime;

/// The earlier of two moments, if there is any.
fn earlier(one: Option<MonotonicTime>, other: Option<MonotonicTime>) -> Option<MonotonicTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}
