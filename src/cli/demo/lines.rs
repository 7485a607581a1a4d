//! The lines between replicas, and which of them are cut.
//!
//! Nodes know nothing of this: a [relay](super::relay) in front of each asks here for every datagram.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::party::Party;

/// Which parties are cut off, and from which address each of them sends.
#[derive(Debug, Default)]
pub(super) struct Lines {
    cut: [AtomicBool; Party::ALL.len()],
    senders: RwLock<BTreeMap<SocketAddr, Party>>,
}

impl Lines {
    /// Cuts a party off from all others.
    pub(super) fn cut(&self, party: Party) {
        self.cut[party.index()].store(true, Ordering::Release);
    }

    /// Lets a party reach the others again.
    pub(super) fn heal(&self, party: Party) {
        self.cut[party.index()].store(false, Ordering::Release);
    }

    /// Whether a party is cut off.
    pub(super) fn is_cut(&self, party: Party) -> bool {
        self.cut[party.index()].load(Ordering::Acquire)
    }

    /// Notes the address that a party sends from: its node's one UDP socket.
    pub(super) fn note_sender(&self, address: SocketAddr, party: Party) {
        self.senders.write().unwrap_or_else(PoisonError::into_inner).insert(address, party);
    }

    /// Who sends from an address.
    pub(super) fn sender(&self, address: SocketAddr) -> Option<Party> {
        self.senders.read().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
    }

    /// Whether datagrams pass between two parties. The phone stands in region eu: cutting eu off leaves the two together.
    pub(super) fn passes(&self, one: Party, other: Party) -> bool {
        match (one, other) {
            (Party::Phone, Party::Eu) | (Party::Eu, Party::Phone) => !self.is_cut(Party::Phone),
            _ => !self.is_cut(one) && !self.is_cut(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_is_cut_off_reaches_no_other_and_keeps_its_phone() {
        let lines = Lines::default();
        lines.cut(Party::Eu);
        assert!(!lines.passes(Party::Eu, Party::Us));
        assert!(!lines.passes(Party::Ap, Party::Eu));
        assert!(lines.passes(Party::Us, Party::Ap));
        assert!(lines.passes(Party::Phone, Party::Eu));
        lines.cut(Party::Phone);
        assert!(!lines.passes(Party::Phone, Party::Eu));
        lines.heal(Party::Eu);
        lines.heal(Party::Phone);
        assert!(Party::ALL.iter().all(|one| Party::ALL.iter().all(|other| lines.passes(*one, *other))));
    }
}
