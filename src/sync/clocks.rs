//! What the peers' clocks say about this node's own, and whether its stamps can be taken by anybody.

use std::collections::BTreeMap;

use crate::store::ReplicaId;

/// Peers that must agree before a node takes its own clock for wrong: with one peer nobody knows which of the two is.
const AGREEING_COUNT_MIN: usize = 2;

/// The last offset measured to each node that is connected.
#[derive(Debug, Default)]
pub struct Clocks {
    offsets: BTreeMap<ReplicaId, i64>,
}

impl Clocks {
    /// Takes note of a comparison.
    pub fn note(&mut self, peer: ReplicaId, offset_ms: i64) {
        self.offsets.insert(peer, offset_ms);
    }

    /// The peer is not connected any more.
    pub fn forget(&mut self, peer: ReplicaId) {
        self.offsets.remove(&peer);
    }

    /// Why this node must not acknowledge, if its clock is the reason: most of its peers find it wrong, or it was ahead and its stamps still are, so
    /// that every peer would refuse what is recorded here until they are due. A node that is alone is its own measure.
    pub fn fault(&self, stamps_ahead_ms: i64, drift_ms_max: u64) -> Option<String> {
        if let Some(off_ms) = self.own_error_ms(drift_ms_max) {
            let way = if off_ms > 0 { "behind" } else { "ahead" };
            return Some(format!("this node's clock is {} ms {way} of most of its peers'", off_ms.unsigned_abs()));
        }
        let refused = !self.offsets.is_empty() && stamps_ahead_ms.unsigned_abs() > drift_ms_max;
        refused.then(|| format!("this node's clock was ahead: its stamps still are, by {stamps_ahead_ms} ms, and peers would refuse them"))
    }

    /// Whether the clock of some peer is within `drift_ms_max` of this node's, and most do not find this node's wrong.
    pub fn agree(&self, drift_ms_max: u64) -> bool {
        self.offsets.values().any(|offset_ms| offset_ms.unsigned_abs() <= drift_ms_max) && self.own_error_ms(drift_ms_max).is_none()
    }

    /// How far this node's clock is off, if most of its peers find it off by more than `drift_ms_max`, all in the same direction.
    fn own_error_ms(&self, drift_ms_max: u64) -> Option<i64> {
        let beyond =
            |sign: i64| self.offsets.values().filter(move |offset| offset.signum() == sign && offset.unsigned_abs() > drift_ms_max);
        [1, -1].into_iter().find_map(|sign| {
            let count = beyond(sign).count();
            let most = count >= AGREEING_COUNT_MIN && count * 2 > self.offsets.len();
            most.then(|| beyond(sign).copied().min_by_key(|offset| offset.unsigned_abs())).flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(offsets: &[i64]) -> Clocks {
        let mut clocks = Clocks::default();
        for (index, offset) in offsets.iter().enumerate() {
            clocks.note(ReplicaId([index as u8; 16]), *offset);
        }
        clocks
    }

    #[test]
    fn stamps_that_every_peer_would_refuse_are_not_made() {
        assert_eq!(clocks(&[5]).fault(60_000, 60_000), None);
        assert!(clocks(&[5]).fault(60_001, 60_000).is_some_and(|reason| reason.contains("was ahead")));
        assert_eq!(clocks(&[]).fault(86_400_000, 60_000), None, "alone, nobody refuses them");
        assert!(clocks(&[90_000, 91_000]).fault(0, 60_000).is_some_and(|reason| reason.contains("behind")));
    }

    #[test]
    fn clocks_agree_with_one_that_is_near_unless_most_are_far() {
        assert!(!clocks(&[]).agree(60_000) && !clocks(&[90_000]).agree(60_000), "of two that differ nobody knows which is wrong");
        assert!(clocks(&[-60_000]).agree(60_000) && clocks(&[5, 90_000]).agree(60_000));
        assert!(!clocks(&[5, 90_000, 91_000]).agree(60_000));
    }

    #[test]
    fn most_peers_and_at_least_two_make_a_clock_wrong() {
        assert_eq!(clocks(&[]).own_error_ms(60_000), None);
        assert_eq!(clocks(&[90_000]).own_error_ms(60_000), None, "with one peer nobody knows which of the two is wrong");
        assert_eq!(clocks(&[90_000, 91_000]).own_error_ms(60_000), Some(90_000));
        assert_eq!(clocks(&[-90_000, -91_000, 5]).own_error_ms(60_000), Some(-90_000));
        assert_eq!(clocks(&[90_000, 5, 7]).own_error_ms(60_000), None);
        assert_eq!(clocks(&[90_000, -90_000, 7]).own_error_ms(60_000), None, "peers that disagree with each other say nothing");
    }
}
