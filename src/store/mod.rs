//! The store: a log, a table of changed registers, and an engine that it is folded into.
//!
//! [`Store`] starts no thread and reads no clock. Its shell calls [`Store::flush`] from one thread (the committer) and [`Store::fold_step`]
//! from another; everything else may be called from anywhere. What is read is durable: a record becomes visible when the flush that synced
//! it has returned.

mod cache;
#[cfg(test)]
mod conformance;
pub mod engine;
mod error;
mod feed;
mod fingerprint;
mod fold;
mod folder;
mod forgetting;
mod front;
mod intake;
mod interner;
mod key;
mod leaves;
mod left_out;
mod lives;
pub mod log;
mod meta;
mod opening;
mod options;
mod packed;
mod present;
mod reading;
mod record;
mod registers;
mod report;
mod ring;
mod table;
#[cfg(test)]
mod tests;
mod verify;
mod view;

pub use error::{AppendError, CloseError, FlushError, FoldError, OpenError, ReadError};
pub use feed::{Feed, FeedStep};
pub use fingerprint::{Fingerprint, Fingerprints, LEAF_COUNT};
pub use front::{Store, day_of};
pub use key::{KeyHasher, KeyRange, RegisterKey, SLOT_COUNT, Slot};
pub use left_out::LeftOut;
pub use lives::Lives;
pub use options::{FoldBudget, FoldStep, Fresh, StoreOptions};
pub use reading::Visitor;
pub use record::{Batch, Epoch, Origin, PeerCursor, Record, ReplicaId, Seq};
pub use report::{Damage, OpenReport, StoreFigures, StoreFill};
pub(crate) use ring::first_from_back;
pub use verify::{VerifyReport, verify_folder};
pub use view::{Appended, Applied, ScanItem, Stored, StoredProfile};

use cache::{CachedProfile, ProfileCache};
