//! What a store is opened with.

use super::{Epoch, ReplicaId};

/// The store's bounds and its key secret. `Default` suits a regional node; [`StoreOptions::small`] a device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Secret of the key hash. Nodes of one cluster share it; a device has its own. A folder keeps the secret that it was made with:
    /// opening it with another fails.
    pub key_secret: [u8; 16],
    /// Registers that were changed and not yet folded, in bytes, keys and overhead included. Above it writers are refused with a retry time.
    pub table_bytes_max: usize,
    /// Appended bytes that wait for a flush. Above it writers are refused with a retry time.
    pub pending_bytes_max: usize,
    /// Decoded profiles kept for reading, in bytes.
    pub cache_bytes: usize,
    /// Changes that a live peer may lag behind before it reads by `arrived` instead.
    pub ring_count_max: usize,
    /// A log segment is closed when it has grown to this many bytes.
    pub segment_bytes: u64,
    /// Folded log kept nevertheless, in bytes: what a damaged database is rebuilt from before peers are asked.
    pub log_retention_bytes: u64,
    /// Folded log kept nevertheless, in segments.
    pub log_retention_segments: usize,
    /// Sled's page cache, in bytes. Soft: sled may take more.
    pub engine_cache_bytes: u64,
    /// Folding starts when this many bytes are in the table.
    pub fold_table_bytes: usize,
    /// Folding starts when this many bytes are in the log since the last fold: it bounds the time that opening takes after a crash.
    pub fold_log_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            key_secret: [0; 16],
            table_bytes_max: 512 << 20,
            pending_bytes_max: 16 << 20,
            cache_bytes: 32 << 20,
            ring_count_max: 1 << 20,
            segment_bytes: 32 << 20,
            log_retention_bytes: 64 << 20,
            log_retention_segments: 2,
            engine_cache_bytes: 64 << 20,
            fold_table_bytes: 192 << 20,
            fold_log_bytes: 512 << 20,
        }
    }
}

impl StoreOptions {
    /// Bounds for a device: a few thousand registers, a few megabytes.
    pub fn small() -> Self {
        Self {
            table_bytes_max: 16 << 20,
            pending_bytes_max: 1 << 20,
            cache_bytes: 1 << 20,
            ring_count_max: 1 << 14,
            segment_bytes: 1 << 20,
            log_retention_bytes: 0,
            log_retention_segments: 0,
            engine_cache_bytes: 2 << 20,
            fold_table_bytes: 1 << 20,
            fold_log_bytes: 2 << 20,
            ..Self::default()
        }
    }
}

/// Randomness from the caller: who a new folder is, and the life that begins when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Identity of a folder that has none.
    pub id: ReplicaId,
    /// The epoch that begins. One that comes twice is taken for the same life going on.
    pub epoch: Epoch,
}

/// How much one step of a fold may do.
#[derive(Clone, Copy, Debug)]
pub struct FoldBudget {
    /// Slots folded at most, of 1,024.
    pub slots: usize,
    /// Whether to fold though neither the table nor the log asks for it.
    pub force: bool,
}

impl Default for FoldBudget {
    fn default() -> Self {
        Self { slots: 1, force: false }
    }
}

/// What one step of a fold did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FoldStep {
    /// Nothing to do.
    Idle,
    /// Some slots were folded; more remain in this round.
    Worked {
        /// Registers written to the engine.
        registers: usize,
        /// How much of the round is done, in thousandths.
        done_permille: u16,
    },
    /// The round ended: everything that was durable when it began is in the engine, synced, and its log may go.
    Finished {
        /// Registers written to the engine in this step.
        registers: usize,
    },
}
