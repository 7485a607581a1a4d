//! Leases of peers: what nodes tell each other of what is ephemeral, held to this replica's clock.

use super::Core;
use crate::ephemeral::{Joined, NodeId};
use crate::progress::DecodeError;
use crate::store::ReplicaId;
use crate::time::{Hlc, MonotonicTime, WallTime};

impl Core {
    /// Joins a peer's frame of leases. What is stamped too far ahead of this replica's clock is refused, word by word.
    ///
    /// # Errors
    ///
    /// The bytes are no such frame; nothing was joined.
    pub fn join_leases(&self, now: WallTime, mono: MonotonicTime, from: ReplicaId, body: &[u8]) -> Result<Joined, DecodeError> {
        let ahead_ms = i64::try_from(self.options.drift_ms_max).unwrap_or(i64::MAX);
        let stamp_max = Hlc::from_wall_with_low_bits(self.corrected(now).shifted(ahead_ms), u64::MAX);
        let joined = self.ephemeral.join_news(mono, self.tick(now), stamp_max, NodeId(from.0), body)?;
        // What this node says next is newer than what it has heard.
        self.clock.observe(joined.highest);
        Ok(joined)
    }
}
