//! Who is linked with whom: the links, the addresses to dial, and which of two links between the same replicas stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::status::{LinkStatus, TargetStatus};
use crate::limits::PEERS_PER_FRAME_COUNT_MAX;
use crate::store::ReplicaId;
use crate::sync::message::{KnownPeer, Role};
use crate::sync::{Rival, newer_stays};
use crate::time::MonotonicTime;

/// Addresses that are dialed, seeds and learned ones. Further ones are not learned.
const TARGETS_COUNT_MAX: usize = PEERS_PER_FRAME_COUNT_MAX;

/// Peers of which it is remembered that records were left unsettled. Beyond it the next scrub finds them.
const UNSETTLED_COUNT_MAX: usize = 65_536;

/// How long a node may be silent before its addresses are forgotten, unless they are seeds.
const SILENCE_MAX: Duration = Duration::from_hours(24);

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
    /// Tells it from an earlier target of the same address.
    number: u64,
    seed: bool,
    replica: Option<ReplicaId>,
    last_error: Option<String>,
}

/// Where a node is reached.
#[derive(Clone, Debug)]
struct Known {
    address: String,
    /// When it was last heard of, or linked with; none for this replica's own.
    heard: Option<MonotonicTime>,
}

#[derive(Default)]
struct State {
    next: u64,
    links: BTreeMap<u64, Arc<Entry>>,
    by_peer: BTreeMap<ReplicaId, u64>,
    targets: BTreeMap<String, Target>,
    addresses: BTreeMap<ReplicaId, Known>,
    /// Nodes that were silent for too long: others may go on telling of them for a while.
    gone: BTreeSet<ReplicaId>,
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

/// What a node's own word of its address changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Heard {
    /// Other nodes are to be told.
    pub(super) news: bool,
    /// It was dialed elsewhere, and is to be dialed here instead.
    pub(super) moved: bool,
}

impl State {
    fn has_room_for(&self, peer: ReplicaId) -> bool {
        self.addresses.len() < PEERS_PER_FRAME_COUNT_MAX || self.addresses.contains_key(&peer)
    }
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
    pub(super) fn leave(&self, mono: MonotonicTime, link: u64, peer: Option<ReplicaId>) -> bool {
        let mut state = self.state();
        state.links.remove(&link);
        if let Some(known) = peer.and_then(|peer| state.addresses.get_mut(&peer)) {
            known.heard = Some(mono);
        }
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

    /// Takes an address to dial; its number if it is new.
    pub(super) fn add_target(&self, address: &str, seed: bool, replica: Option<ReplicaId>) -> Option<u64> {
        let mut state = self.state();
        if state.targets.contains_key(address) || state.targets.len() >= TARGETS_COUNT_MAX {
            return None;
        }
        state.next += 1;
        let number = state.next;
        state.targets.insert(address.to_owned(), Target { number, seed, replica, last_error: None });
        Some(number)
    }

    /// Whether an address is still to be dialed by whoever began to with this number.
    pub(super) fn is_target(&self, address: &str, number: u64) -> bool {
        self.state().targets.get(address).is_some_and(|target| target.number == number)
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

    /// Notes where this replica itself is reached; not forgotten.
    pub(super) fn know_own(&self, own: ReplicaId, address: &str) {
        if !address.is_empty() {
            self.state().addresses.insert(own, Known { address: address.to_owned(), heard: None });
        }
    }

    /// Notes where a node itself says that it is reached. Other addresses that were learned of it are not dialed any more.
    pub(super) fn hear(&self, mono: MonotonicTime, peer: ReplicaId, address: &str) -> Heard {
        let mut state = self.state();
        state.gone.remove(&peer);
        if address.is_empty() || !state.has_room_for(peer) {
            return Heard::default();
        }
        let before = state.addresses.insert(peer, Known { address: address.to_owned(), heard: Some(mono) });
        let count = state.targets.len();
        state.targets.retain(|other, target| target.seed || target.replica != Some(peer) || other == address);
        Heard { news: before.is_none_or(|before| before.address != address), moved: state.targets.len() < count }
    }

    /// Notes where others say that a node is reached: only itself is believed against what is known. Whether it is to be dialed there, and whether it
    /// was not known before.
    pub(super) fn hear_of(&self, mono: MonotonicTime, peer: ReplicaId, address: &str) -> (bool, bool) {
        let mut state = self.state();
        if state.gone.contains(&peer) || !state.has_room_for(peer) {
            return (false, false);
        }
        let is_new = !state.addresses.contains_key(&peer);
        if is_new {
            state.addresses.insert(peer, Known { address: address.to_owned(), heard: Some(mono) });
        }
        (true, is_new)
    }

    /// Forgets nodes that were silent for long, and their addresses but for seeds. Whether there were any.
    pub(super) fn forget_silent(&self, mono: MonotonicTime) -> bool {
        let mut state = self.state();
        let is_silent = |known: &Known| known.heard.is_some_and(|heard| heard + SILENCE_MAX <= mono);
        let silent: BTreeSet<ReplicaId> = state
            .addresses
            .iter()
            .filter(|(peer, known)| is_silent(known) && !state.by_peer.contains_key(peer))
            .map(|(peer, _)| *peer)
            .collect();
        state.addresses.retain(|peer, _| !silent.contains(peer));
        state.targets.retain(|_, target| target.seed || target.replica.is_none_or(|replica| !silent.contains(&replica)));
        let any = !silent.is_empty();
        state.gone.extend(silent);
        while state.gone.len() > PEERS_PER_FRAME_COUNT_MAX {
            state.gone.pop_first();
        }
        any
    }

    /// The nodes that are known, for others.
    pub(super) fn known_peers(&self) -> Vec<KnownPeer> {
        let state = self.state();
        state.addresses.iter().map(|(replica, known)| KnownPeer { replica: *replica, address: known.address.clone() }).collect()
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
        let hear = |address| registry.hear(MonotonicTime::ZERO, SMALL, address).news;
        assert!(hear("a:1") && !hear("a:1") && hear("a:2"));
        for number in 0..2 * TARGETS_COUNT_MAX {
            registry.add_target(&format!("host:{number}"), false, None);
            let mut peer = LARGE;
            peer.0[1] = number as u8;
            peer.0[2] = (number >> 8) as u8;
            registry.hear_of(MonotonicTime::ZERO, peer, "b:1");
        }
        assert_eq!(registry.targets().len(), TARGETS_COUNT_MAX);
        assert_eq!(registry.known_peers().len(), PEERS_PER_FRAME_COUNT_MAX);
    }

    #[test]
    fn a_node_that_has_moved_is_dialed_where_it_says_and_one_that_is_silent_for_a_day_no_more() {
        let registry = Registry::default();
        let after = |hours| MonotonicTime::ZERO + Duration::from_hours(hours);
        registry.know_own(ReplicaId([9; 16]), "own:1");
        let seed = registry.add_target("seed:1", true, Some(SMALL)).unwrap();
        assert_eq!(registry.hear_of(after(0), SMALL, "old:1"), (true, true));
        let old = registry.add_target("old:1", false, Some(SMALL)).unwrap();
        assert_eq!(registry.hear_of(after(1), SMALL, "other:1"), (true, false), "it may be there, and is not said to be");
        assert_eq!(registry.hear(after(2), SMALL, "new:1"), Heard { news: true, moved: true });
        let new = registry.add_target("new:1", false, Some(SMALL)).unwrap();
        assert!(!registry.is_target("old:1", old) && registry.is_target("new:1", new));
        let link = enter(&registry, true, 1);
        registry.greet(LARGE, link, SMALL, Greeting { role: Role::Node, dialed: true, run: 1 });
        assert!(!registry.forget_silent(after(30)), "it is linked");
        registry.leave(after(30), link, Some(SMALL));
        assert!(!registry.forget_silent(after(53)) && registry.forget_silent(after(54)));
        assert!(!registry.is_target("new:1", new) && registry.is_target("seed:1", seed));
        assert_eq!(registry.known_peers().iter().map(|peer| peer.address.as_str()).collect::<Vec<_>>(), ["own:1"]);
        assert_eq!(registry.hear_of(after(55), SMALL, "new:1"), (false, false), "others have not forgotten it yet");
        assert!(registry.hear(after(56), SMALL, "new:1").news, "it is back");
    }
}
