//! Replication between two replicas, without I/O: bytes, time and a [`Core`](crate::replica::Core) come in, bytes and events go out.
//!
//! A [`Link`] is one side of a connection. It is symmetric: any replica speaks it with any other. Three layers get a change across: the live
//! feed, catch-up by cursor after a cut, and reconciliation where no cursor says what is missing. `docs/protocol.md` has every byte.

pub mod frame;
pub mod message;
pub mod reconcile;
