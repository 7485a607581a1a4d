//! The store: a log, a table of changed registers, and an engine that it is folded into.
//!
//! [`Store`] starts no thread and reads no clock. Its shell calls [`Store::flush`] from one thread (the committer) and [`Store::fold_step`]
//! from another; everything else may be called from anywhere. What is read is durable: a record becomes visible when the flush that synced
//! it has returned.

mod key;
mod record;

pub use key::{KeyHasher, RegisterKey, SLOT_COUNT, Slot};
pub use record::{Batch, Epoch, Origin, PeerCursor, Record, ReplicaId, Seq};
