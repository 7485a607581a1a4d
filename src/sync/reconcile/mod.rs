//! Reconciliation: finding and exchanging only the records that differ, when no cursor tells which they are.
//!
//! Two sides take turns. A turn holds fingerprints of the parts of ranges, lists of short ids in small ranges, and wants; the other answers
//! each, and sends the records that it now knows to be missing. Two turns in a row that ask nothing end a pass. After a pass that found
//! differences a second one, under another salt, verifies: a collision of the short hashes of one is found by the other.
//!
//! After Meyer, "Range-Based Set Reconciliation" (SRDS 2023), with kept fingerprints at the top and scans below.

mod fingerprint;
mod list;
mod range;
mod session;
mod source;

pub use range::{FANOUT, Prefix};
pub use session::{Produced, Session, SessionError};
pub use source::{Scope, Source};

/// A range in which this side has at most so many records is listed instead of divided: a list then costs about as much as another round.
pub const LIST_COUNT_MAX: u64 = 48;

/// Passes before a reconciliation is taken as done: the second, under another salt, verifies the first.
pub const PASSES_COUNT_MAX: u8 = 2;
