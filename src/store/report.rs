//! What a store says about itself: how opening went, and figures while it runs.

use super::Seq;

/// How opening went.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// The folder was new.
    pub created: bool,
    /// The store had been closed cleanly, so nothing had to be replayed.
    pub clean: bool,
    /// Records replayed from the log.
    pub replayed: u64,
    /// Bytes of a write that a crash had cut, removed from the end of the log. None of it had been acknowledged.
    pub torn_bytes: u64,
    /// Damage found in the middle of the log.
    pub damage: Vec<Damage>,
    /// Where the database was moved to because it would not open.
    pub engine_moved_to: Option<String>,
    /// Something acknowledged may be missing here, so the replica must reconcile with a peer before it answers.
    pub needs_reconciliation: bool,
    /// Sequence numbers skipped so that none is used twice.
    pub skipped: u64,
}

/// A place in a file that does not read back as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The file, relative to the store's folder.
    pub file: String,
    /// Where in the file it begins, in bytes; for a page of the engine, zero.
    pub offset: u64,
    /// How much was skipped, in bytes.
    pub bytes: u64,
    /// The key of the page, for a page of the engine.
    pub key: Option<u128>,
    /// What is wrong.
    pub what: String,
}

/// How full is what fills between flushes: a part of [`StoreFigures`] that may be asked for at each.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StoreFill {
    /// Changed registers not yet folded, in bytes, keys and overhead included.
    pub table_bytes: usize,
    /// Appended bytes that wait for a flush.
    pub pending_bytes: usize,
    /// Changes in the ring.
    pub ring_count: usize,
}

/// Figures of a running store.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StoreFigures {
    /// Changed registers not yet folded.
    pub table_count: usize,
    /// The same in bytes, keys and overhead included.
    pub table_bytes: usize,
    /// Appended bytes that wait for a flush.
    pub pending_bytes: usize,
    /// Changes in the ring.
    pub ring_count: usize,
    /// Log segments.
    pub log_segments: usize,
    /// Log in bytes.
    pub log_bytes: u64,
    /// Log since the last finished fold, in bytes.
    pub unfolded_bytes: u64,
    /// The last durable sequence number.
    pub durable: Seq,
    /// Everything up to here is in the engine.
    pub folded: Seq,
    /// Finished folds since opening.
    pub folds: u64,
    /// Registers written to the engine since opening.
    pub folded_registers: u64,
    /// Whether the store closed itself after a failed write.
    pub closed: bool,
    /// Deltas shared with nobody.
    pub unshared_count: usize,
    /// Registers and profiles looked up since opening, wherever they were found.
    pub reads: u64,
}
