//! Who is linked with whom: the links, the addresses to dial, and which of two links between the same replicas stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::status::{LinkStatus, TargetStatus};
use crate::limits::PEERS_PER_FRAME_COUNT_MAX;
use crate::store::ReplicaId;
use crate::sync::message::{KnownPeer, Role};
use crate::sync::{Rival, newer_stays};

/// Addresses that are dialed, seeds and learned ones. Further ones are not learned.
const TARGETS_COUNT_MAX: usize = PEERS_PER_FRAME_COUNT_MAX;

/// Peers of which it is remembered that records were left unsettled. Beyond it the next scrub finds them.
const UNSETTLED_COUNT_MAX: usize = 65_536;

/// One link in the registry.
#[derive(Debug)]
pub(super) struct Entry {
    /// The run of the peer's program.
    pub(super) run: OnceLock<u64>,
    pub(super) status: Mutex<LinkStatus>,
    /// Rung when the link is to give way to another.
    pub(super) give_way: Notify,
}

/// An address to dial.
#[derive(Clone, Debug, Default)]
struct Target {
    seed: bool,
    replica: Option<ReplicaId>,
    last_error: Option<String>,
}

#[derive(Default)]
struct State {
    next: u64,
    links: BTreeMap<u64, Arc<Entry>>,
    by_peer: BTreeMap<ReplicaId, u64>,
    targets: BTreeMap<String, Target>,
    addresses: BTreeMap<ReplicaId, String>,
    unsettled: BTreeSet<ReplicaId>,
}

/// What a peer's greeting says of its link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting {
    pub(super) role: Role,
    /// Whether this side dialed.
    pub(super) dialed: bool,
    pub(super) run: u64,
}

/// What is to become of a link whose peer has just greeted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It stays.
    Stays,
    /// Another link with the same peer stays.
    GivesWay,
}

/// Links and addresses of one network.
#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
}

impl Registry {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a link that was just connected.
    pub(super) fn enter(&self, status: LinkStatus) -> (u64, Arc<Entry>) {
        let mut state = self.state();
        state.next += 1;
        let link = state.next;
        let entry = Arc::new(Entry { run: OnceLock::new(), status: Mutex::new(LinkStatus { link, ..status }), give_way: Notify::new() });
        state.links.insert(link, Arc::clone(&entry));
        (link, entry)
    }

    /// The link's peer has said who it is: of two links between the same replicas, one gives way.
    pub(super) fn greet(&self, own: ReplicaId, link: u64, peer: ReplicaId, greeting: Greeting) -> Verdict {
        let Greeting { role, dialed, run } = greeting;
        let mut state = self.state();
        let before = state.by_peer.get(&peer).and_then(|before| Some((*before, state.links.get(before)?.clone())));
        if let Some((before, entry)) = before
            && before != link
        {
            let older = Rival { dialed: entry.status.lock().unwrap_or_else(PoisonError::into_inner).dialed, run: entry.run.get().copied() };
            let newer = Rival { dialed, run: Some(run) };
            if !newer_stays(own, peer, role, older, newer) {
                return Verdict::GivesWay;
            }
            entry.give_way.notify_one();
        }
        state.by_peer.insert(peer, link);
        Verdict::Stays
    }

    /// Removes a link that has ended; whether it was the one with its peer.
    pub(super) fn leave(&self, link: u64, peer: Option<ReplicaId>) -> bool {
        let mut state = self.state();
        state.links.remove(&link);
        match peer {
            Some(peer) if state.by_peer.get(&peer) == Some(&link) => {
                state.by_peer.remove(&peer);
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_linked(&self, peer: ReplicaId) -> bool {
        self.state().by_peer.contains_key(&peer)
    }

    pub(super) fn links(&self) -> Vec<LinkStatus> {
        let state = self.state();
        state.links.values().map(|entry| entry.status.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Takes an address to dial; whether it is new.
    pub(super) fn add_target(&self, address: &str, seed: bool, replica: Option<ReplicaId>) -> bool {
        let mut state = self.state();
        if state.targets.contains_key(address) || state.targets.len() >= TARGETS_COUNT_MAX {
            return false;
        }
        state.targets.insert(address.to_owned(), Target { seed, replica, last_error: None });
        true
    }

    pub(super) fn target_replica(&self, address: &str) -> Option<ReplicaId> {
        self.state().targets.get(address)?.replica
    }

    pub(super) fn note_target(&self, address: &str, replica: Option<ReplicaId>, error: Option<String>) {
        if let Some(target) = self.state().targets.get_mut(address) {
            target.replica = replica.or(target.replica);
            target.last_error = error;
        }
    }

    pub(super) fn targets(&self) -> Vec<TargetStatus> {
        let state = self.state();
        let status = |(address, target): (&String, &Target)| TargetStatus {
            address: address.clone(),
            seed: target.seed,
            replica: target.replica,
            linked: target.replica.is_some_and(|replica| state.by_peer.contains_key(&replica)),
            last_error: target.last_error.clone(),
        };
        state.targets.iter().map(status).collect()
    }

    /// Notes where a node says it is reached; whether that is news.
    pub(super) fn learn(&self, peer: ReplicaId, address: &str) -> bool {
        let mut state = self.state();
        if address.is_empty() || (state.addresses.len() >= PEERS_PER_FRAME_COUNT_MAX && !state.addresses.contains_key(&peer)) {
            return false;
        }
        state.addresses.insert(peer, address.to_owned()).as_deref() != Some(address)
    }

    /// The nodes that are known, for others.
    pub(super) fn known_peers(&self) -> Vec<KnownPeer> {
        let state = self.state();
        state.addresses.iter().map(|(replica, address)| KnownPeer { replica: *replica, address: address.clone() }).collect()
    }

    pub(super) fn note_unsettled(&self, peer: ReplicaId) {
        let mut state = self.state();
        if state.unsettled.len() < UNSETTLED_COUNT_MAX {
            state.unsettled.insert(peer);
        }
    }

    /// Peers with which a reconciliation is owed.
    pub(super) fn unsettled(&self) -> BTreeSet<ReplicaId> {
        self.state().unsettled.clone()
    }

    /// Whether a reconciliation with the peer is owed; not any more after this.
    pub(super) fn take_unsettled(&self, peer: ReplicaId) -> bool {
        self.state().unsettled.remove(&peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{LinkFigures, LinkState};

    const SMALL: ReplicaId = ReplicaId([1; 16]);
    const LARGE: ReplicaId = ReplicaId([2; 16]);

    fn enter(registry: &Registry, dialed: bool, run: u64) -> u64 {
        let (link, entry) = registry.enter(LinkStatus {
            link: 0,
            dialed,
            address: String::new(),
            peer: None,
            role: None,
            name: String::new(),
            region: String::new(),
            state: LinkState::Greeting,
            rtt: std::time::Duration::ZERO,
            clock_offset_ms: None,
            figures: LinkFigures::default(),
        });
        entry.run.set(run).unwrap();
        link
    }

    /// Whether the second of two links stays, as `own` sees it.
    fn second_stays(own: ReplicaId, peer: ReplicaId, first: (bool, u64), second: (bool, u64)) -> bool {
        let registry = Registry::default();
        let greet = |link, (dialed, run)| registry.greet(own, link, peer, Greeting { role: Role::Node, dialed, run });
        assert_eq!(greet(enter(&registry, first.0, first.1), first), Verdict::Stays);
        greet(enter(&registry, second.0, second.1), second) == Verdict::Stays
    }

    #[test]
    fn both_sides_keep_the_link_that_the_smaller_id_dialed_whichever_came_first() {
        assert!(second_stays(SMALL, LARGE, (false, 1), (true, 1)));
        assert!(second_stays(LARGE, SMALL, (true, 1), (false, 1)));
        assert!(!second_stays(SMALL, LARGE, (true, 1), (false, 1)));
        assert!(!second_stays(LARGE, SMALL, (false, 1), (true, 1)));
    }

    #[test]
    fn of_two_in_one_direction_the_dialer_keeps_the_older_and_the_other_the_newer() {
        assert!(!second_stays(SMALL, LARGE, (true, 1), (true, 1)));
        assert!(second_stays(LARGE, SMALL, (false, 1), (false, 1)));
    }

    #[test]
    fn a_link_of_an_earlier_run_gives_way_at_once() {
        assert!(second_stays(SMALL, LARGE, (true, 1), (false, 2)));
        assert!(second_stays(LARGE, SMALL, (false, 1), (true, 2)));
    }

    #[test]
    fn addresses_are_bounded_and_a_node_that_moves_is_news() {
        let registry = Registry::default();
        assert!(registry.learn(SMALL, "a:1") && !registry.learn(SMALL, "a:1") && registry.learn(SMALL, "a:2"));
        for number in 0..2 * TARGETS_COUNT_MAX {
            registry.add_target(&format!("host:{number}"), false, None);
            registry.learn(ReplicaId([number as u8; 16]), "b:1");
        }
        assert_eq!(registry.targets().len(), TARGETS_COUNT_MAX);
        assert!(registry.known_peers().len() <= PEERS_PER_FRAME_COUNT_MAX);
    }
}
