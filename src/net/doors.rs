//! Who may come in. Connections of which nothing is known yet are bounded, and so are devices; nodes are neither, or strangers could part a cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Places for those who come in.
#[derive(Debug)]
pub(super) struct Doors {
    state: Mutex<State>,
    strangers_count_max: usize,
    devices_count_max: usize,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Those who have not greeted, in the order in which they came.
    strangers: BTreeMap<u64, Arc<Notify>>,
    devices_count: usize,
}

/// The place of one connection. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    doors: Arc<Doors>,
    number: u64,
    leaves: Arc<Notify>,
    is_device: bool,
}

impl Doors {
    pub(super) fn new(strangers_count_max: usize, devices_count_max: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), strangers_count_max, devices_count_max })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of which nothing is known. There always is one: among too many, whoever has been unknown for longest leaves. A node
    /// needs a round trip to be known, so that only who comes in at that rate keeps it out.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let mut state = self.state();
        if state.strangers.len() >= self.strangers_count_max
            && let Some((_, leaves)) = state.strangers.pop_first()
        {
            leaves.notify_one();
        }
        state.next += 1;
        let number = state.next;
        let leaves = Arc::new(Notify::new());
        state.strangers.insert(number, Arc::clone(&leaves));
        Place { doors: Arc::clone(self), number, leaves, is_device: false }
    }

    /// Whether another device may come in.
    pub(super) fn has_room(&self) -> bool {
        self.state().devices_count < self.devices_count_max
    }
}

impl Place {
    /// It is a node.
    pub(super) fn know_node(&self) {
        self.doors.state().strangers.remove(&self.number);
    }

    /// It is a device. Whether there is room for it.
    pub(super) fn know_device(&mut self) -> bool {
        let mut state = self.doors.state();
        state.strangers.remove(&self.number);
        if !self.is_device && state.devices_count >= self.doors.devices_count_max {
            return false;
        }
        state.devices_count += usize::from(!self.is_device);
        self.is_device = true;
        true
    }

    /// Waits until it has to leave, which who is known never has to.
    pub(super) async fn must_leave(&self) {
        self.leaves.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.doors.state();
        state.strangers.remove(&self.number);
        state.devices_count -= usize::from(self.is_device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_unknown_for_longest_makes_room_and_nodes_are_never_too_many() {
        let doors = Doors::new(2, 1);
        let is_leaving = |place: &Place| !doors.state().strangers.contains_key(&place.number);
        let mut places: Vec<Place> = (0..3).map(|_| doors.enter()).collect();
        assert_eq!(places.iter().map(is_leaving).collect::<Vec<_>>(), [true, false, false]);
        places[1].know_node();
        assert!(places[2].know_device() && !doors.has_room());
        let mut another = doors.enter();
        assert!(!another.know_device(), "one device only");
        places.truncate(2);
        assert!(doors.has_room() && another.know_device());
        drop((another, places));
        assert!(doors.state().strangers.is_empty() && doors.has_room());
    }
}
