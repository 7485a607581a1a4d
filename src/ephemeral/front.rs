//! [`Ephemeral`]: all of it behind one lock that is held for moments, and never while anybody is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deadlines::{Deadlines, Due};
use super::error::{EphemeralError, PartyError};
use super::node::{NodeId, Nodes};
use super::party::{Command, Control, Invite, NewParty, Parties, PartyView};
use super::presence::{Presence, Presences, PresentDevice};
use super::session::{EndReason, NewSession, Session, SessionGone, SessionState, Sessions, StartSessionError};
use super::slot::{Journal, Key};
use super::turn::{Told, Turn};
use super::watchers::{EphemeralChange, EphemeralNotify, EphemeralWatchId, Topic, Watchers};
use crate::limits::LEASE_MS;
use crate::progress::{DeviceId, PartyId, ProfileId, SessionId, TitleId};
use crate::time::{Hlc, MonotonicTime};

/// How the ephemeral state of a node behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EphemeralOptions {
    /// How long presence, a session or a viewer lasts without being renewed. Default 30 s.
    pub lease: Duration,
    /// How many sessions an account may have at once. Default 100, the most that can be set.
    pub streams_count_max: usize,
}

impl Default for EphemeralOptions {
    fn default() -> Self {
        Self { lease: Duration::from_millis(LEASE_MS), streams_count_max: crate::limits::STREAMS_PER_ACCOUNT_COUNT_MAX }
    }
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EphemeralFigures {
    /// Other nodes that hold a lease here.
    pub nodes: usize,
    /// Devices, those of other nodes and those just gone included.
    pub devices: usize,
    /// Sessions, those of other nodes and those just ended included.
    pub sessions: usize,
    /// Parties.
    pub parties: usize,
    /// Viewers of parties at this node.
    pub viewers: usize,
    /// Watches of all of these.
    pub watches: usize,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) me: NodeId,
    pub(super) options: EphemeralOptions,
    pub(super) journal: Journal,
    pub(super) deadlines: Deadlines,
    pub(super) nodes: Nodes,
    pub(super) presences: Presences,
    pub(super) sessions: Sessions,
    pub(super) parties: Parties,
    /// Up to when leases of nodes were looked at.
    pub(super) looked: MonotonicTime,
    /// This node's own lease: when it was last renewed, by its clock and by ours, and where it stands in the order.
    pub(super) own: Option<(Hlc, MonotonicTime)>,
    /// The stamp of its first renewal: which run of the node this is.
    pub(super) since: Hlc,
    pub(super) own_seq: u64,
}

/// A split borrow: the tables, and what an operation has at hand.
macro_rules! turn {
    ($inner:expr, $now:expr, $stamp:expr, $told:expr) => {
        Turn {
            now: $now,
            stamp: $stamp,
            me: $inner.me,
            lease: $inner.options.lease,
            journal: &mut $inner.journal,
            deadlines: &mut $inner.deadlines,
            nodes: &$inner.nodes,
            told: $told,
        }
    };
}

pub(super) use turn;

/// Presence, sessions and watch parties of this node and of those it hears of.
///
/// In memory, and gone when not renewed. Nothing here is needed to serve a resume point. Each operation is given the time; the shell calls
/// [`Ephemeral::expire`] when [`Ephemeral::next_expiry`] has come, or every now and then.
#[derive(Debug)]
pub struct Ephemeral {
    inner: Mutex<Inner>,
    /// The last number of the order of changes, for those who only want to know whether there is news.
    last_change: AtomicU64,
    watchers: Watchers,
}

impl Ephemeral {
    /// Nothing, for the node `me`.
    pub fn new(me: NodeId, options: EphemeralOptions) -> Self {
        let inner = Inner {
            me,
            options,
            journal: Journal::default(),
            deadlines: Deadlines::default(),
            nodes: Nodes::default(),
            presences: Presences::default(),
            sessions: Sessions::default(),
            parties: Parties::default(),
            looked: MonotonicTime::ZERO,
            own: None,
            since: Hlc::ZERO,
            own_seq: 0,
        };
        Self { inner: Mutex::new(inner), last_change: AtomicU64::new(0), watchers: Watchers::default() }
    }

    /// Takes other options from here on. Leases given keep their length.
    pub fn set_options(&self, options: EphemeralOptions) {
        self.lock().options = options;
    }

    /// The options in force.
    pub fn options(&self) -> EphemeralOptions {
        self.lock().options
    }

    pub(super) fn last_change(&self) -> u64 {
        self.last_change.load(Ordering::Acquire)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, after what has lapsed has gone, and tells of it when the lock is free again.
    pub(super) fn act<T>(&self, now: MonotonicTime, stamp: Hlc, work: impl FnOnce(&mut Inner, &mut Told) -> T) -> T {
        let mut told = Told::default();
        let (result, news) = {
            let mut inner = self.lock();
            let before = inner.journal.last();
            inner.lapse(now, stamp, &mut told);
            let result = work(&mut inner, &mut told);
            // The first thing that is said brings the lease that it stands by.
            if inner.own.is_none() {
                inner.renew_own(now, stamp);
            }
            let last = inner.journal.last();
            self.last_change.store(last, Ordering::Release);
            (result, last != before)
        };
        for (topic, change) in told.into_iter() {
            self.watchers.tell(&topic, change);
        }
        if news {
            self.watchers.tell(&Topic::Peers, EphemeralChange::News);
        }
        result
    }

    fn look<T>(&self, now: MonotonicTime, look: impl FnOnce(&Inner, &Turn<'_>) -> T) -> T {
        let mut inner = self.lock();
        let inner = &mut *inner;
        // A view needs no stamp and writes nothing; what it would write to is thrown away.
        let (mut journal, mut deadlines, mut told) = (Journal::default(), Deadlines::default(), Told::default());
        let turn = Turn {
            now,
            stamp: Hlc::ZERO,
            me: inner.me,
            lease: inner.options.lease,
            journal: &mut journal,
            deadlines: &mut deadlines,
            nodes: &inner.nodes,
            told: &mut told,
        };
        look(inner, &turn)
    }

    /// Notes that a device is connected, and what it does. To be repeated within a third of the lease for as long as the connection lasts.
    ///
    /// # Errors
    ///
    /// A table is full; nothing has changed.
    pub fn present(&self, now: MonotonicTime, stamp: Hlc, who: &Presence) -> Result<(), EphemeralError> {
        self.act(now, stamp, |inner, told| inner.presences.present(&mut turn!(inner, now, stamp, told), who))
    }

    /// Notes that a connection has ended.
    pub fn absent(&self, now: MonotonicTime, stamp: Hlc, profile: &ProfileId, device: &DeviceId, connection: u64) {
        self.act(now, stamp, |inner, told| inner.presences.absent(&mut turn!(inner, now, stamp, told), profile, device, connection));
    }

    /// The devices of a profile that are connected anywhere, or have a session, in the order of their ids.
    pub fn devices(&self, now: MonotonicTime, profile: &ProfileId) -> Vec<PresentDevice> {
        self.look(now, |inner, turn| {
            let mut devices = inner.presences.devices(profile, |node| turn.is_alive(node));
            for device in inner.sessions.devices(turn, profile) {
                let known = devices.entry(device.device.clone()).or_insert_with(|| device.clone());
                if device.state > known.state || known.title.is_none() {
                    known.title.clone_from(&device.title);
                }
                known.state = known.state.max(device.state);
            }
            devices.into_values().collect()
        })
    }

    /// Starts a session, if its account has a stream left as far as is known here. A repeated start renews.
    pub fn start_session(&self, now: MonotonicTime, stamp: Hlc, new: NewSession) -> Result<Session, StartSessionError> {
        self.act(now, stamp, |inner, told| {
            let limit = inner.options.streams_count_max;
            inner.sessions.start(&mut turn!(inner, now, stamp, told), new, limit)
        })
    }

    /// Renews a session of `profile`, also one that another node held until now; with what its player says of itself. One that is taken over so may
    /// turn out to be one too many of its account.
    pub fn renew_session(
        &self,
        now: MonotonicTime,
        stamp: Hlc,
        id: &SessionId,
        profile: &ProfileId,
        title: Option<TitleId>,
        state: Option<SessionState>,
    ) -> Result<Session, SessionGone> {
        self.act(now, stamp, |inner, told| {
            let limit = inner.options.streams_count_max;
            inner.sessions.renew(&mut turn!(inner, now, stamp, told), id, profile, title, state, limit)
        })
    }

    /// Ends a session. Whether it was not over already.
    pub fn end_session(&self, now: MonotonicTime, stamp: Hlc, id: &SessionId) -> bool {
        self.act(now, stamp, |inner, told| inner.sessions.end(&mut turn!(inner, now, stamp, told), id, EndReason::Ended))
    }

    /// A session, as it is known here; also one that has ended, for a while. [`Session::ended`] does not tell of a node that was lost.
    pub fn session(&self, id: &SessionId) -> Option<Session> {
        self.lock().sessions.find(id).map(|slot| slot.value.clone())
    }

    /// Makes a party; whoever makes it has joined it. Asked again with the same id and invitation, it joins.
    pub fn create_party(&self, now: MonotonicTime, stamp: Hlc, new: NewParty) -> Result<PartyView, PartyError> {
        self.act(now, stamp, |inner, told| inner.parties.create(&mut turn!(inner, now, stamp, told), new))
    }

    /// Joins a party, with its invitation or as somebody who was let in before. Repeated, it renews the lease.
    pub fn join_party(
        &self,
        now: MonotonicTime,
        stamp: Hlc,
        id: &PartyId,
        profile: &ProfileId,
        device: &DeviceId,
        invite: Option<&Invite>,
    ) -> Result<PartyView, PartyError> {
        self.act(now, stamp, |inner, told| inner.parties.join(&mut turn!(inner, now, stamp, told), id, profile, device, invite))
    }

    /// Renews the lease of a viewer who joined at this node. Whether there was one.
    pub fn renew_viewer(&self, now: MonotonicTime, stamp: Hlc, id: &PartyId, profile: &ProfileId, device: &DeviceId) -> bool {
        self.act(now, stamp, |inner, told| inner.parties.renew(&mut turn!(inner, now, stamp, told), id, profile, device))
    }

    /// Leaves a party. Whether that changed anything.
    pub fn leave_party(&self, now: MonotonicTime, stamp: Hlc, id: &PartyId, profile: &ProfileId, device: &DeviceId) -> bool {
        self.act(now, stamp, |inner, told| inner.parties.leave(&mut turn!(inner, now, stamp, told), id, profile, device))
    }

    /// Puts everybody in a place. Repeated with the same number, it changes nothing.
    pub fn control_party(&self, now: MonotonicTime, stamp: Hlc, id: &PartyId, command: Command) -> Result<PartyView, PartyError> {
        self.act(now, stamp, |inner, told| inner.parties.command(&mut turn!(inner, now, stamp, told), id, command))
    }

    /// Says who may steer: only the host may.
    pub fn set_party_control(
        &self,
        now: MonotonicTime,
        stamp: Hlc,
        id: &PartyId,
        profile: &ProfileId,
        control: Control,
    ) -> Result<PartyView, PartyError> {
        self.act(now, stamp, |inner, told| inner.parties.set_control(&mut turn!(inner, now, stamp, told), id, profile, control))
    }

    /// A party as it is known here, for whoever may see it: see [`Ephemeral::admits`].
    pub fn party(&self, now: MonotonicTime, id: &PartyId) -> Option<PartyView> {
        self.look(now, |inner, turn| inner.parties.view(turn, id))
    }

    /// Whether a profile may see and join a party: it is in it, or brings its invitation.
    pub fn admits(&self, id: &PartyId, profile: &ProfileId, invite: Option<&Invite>) -> bool {
        self.lock().parties.admits(id, profile, invite)
    }

    /// Drops what this node holds of a profile: it was erased. At the time that was last seen here.
    pub fn forget_profile(&self, stamp: Hlc, profile: &ProfileId) {
        let now = self.lock().looked;
        self.act(now, stamp, |inner, told| {
            let turn = &mut turn!(inner, now, stamp, told);
            inner.presences.forget_profile(turn, profile);
            inner.sessions.forget_profile(turn, profile);
            inner.parties.forget_profile(turn, profile);
        });
    }

    /// Lets what was not renewed go, and renews this node's own lease when a third of it has passed.
    pub fn expire(&self, now: MonotonicTime, stamp: Hlc) {
        self.act(now, stamp, |inner, _| inner.renew_own(now, stamp));
    }

    /// When [`Ephemeral::expire`] has something to do; none while there is nothing at all.
    pub fn next_expiry(&self, now: MonotonicTime) -> Option<MonotonicTime> {
        let inner = self.lock();
        let own = inner.own.map(|(_, renewed)| renewed + inner.options.lease / 3);
        let nodes = inner.nodes.next_deadline(now, inner.hidden());
        [inner.deadlines.next(), nodes, own].into_iter().flatten().min()
    }

    /// Calls `notify` with each change from now on.
    pub fn watch(&self, topic: Topic, notify: EphemeralNotify) -> EphemeralWatchId {
        self.watchers.watch(topic, notify)
    }

    /// Ends a watch. A call under way may still arrive.
    pub fn unwatch(&self, id: EphemeralWatchId) {
        self.watchers.unwatch(id);
    }

    /// How much is held.
    pub fn figures(&self) -> EphemeralFigures {
        let inner = self.lock();
        EphemeralFigures {
            nodes: inner.nodes.count(),
            devices: inner.presences.count(),
            sessions: inner.sessions.count(),
            parties: inner.parties.count(),
            viewers: inner.parties.viewers_count(),
            watches: self.watchers.count(),
        }
    }
}

impl Inner {
    /// How long what a lost node said is kept hidden.
    pub(super) fn hidden(&self) -> Duration {
        self.options.lease
    }

    /// Renews this node's own lease when a third of it has passed; nothing while there is nothing that it could say.
    pub(super) fn renew_own(&mut self, now: MonotonicTime, stamp: Hlc) {
        let last = self.own.map_or(Hlc::ZERO, |(last, _)| last);
        let is_due = self.own.is_none_or(|(_, renewed)| renewed + self.options.lease / 3 <= now);
        if is_due && self.journal.last() > 0 {
            let renewed = stamp.max(last.next());
            if self.own.is_none() {
                self.since = renewed;
            }
            self.own = Some((renewed, now));
            self.journal.note(&mut self.own_seq, Key::Node(self.me));
        }
    }

    /// Lets go what has lapsed up to `now`.
    fn lapse(&mut self, now: MonotonicTime, stamp: Hlc, told: &mut Told) {
        while let Some(due) = self.deadlines.pop(now) {
            let turn = &mut turn!(self, now, stamp, told);
            match due {
                Due::Connection(profile, device, connection) => self.presences.absent(turn, &profile, &device, connection),
                Due::Session(id) => self.sessions.lapse(turn, &id),
                Due::Viewer(id, profile, device) => self.parties.lapse(turn, &id, &profile, &device),
                Due::Party(id) => self.parties.look(turn, &id),
                Due::Count(id) => self.parties.tell_count(turn, &id),
                Due::Forget(Key::Presence(profile, device, node), seq) => self.presences.forget(turn, &profile, &device, node, seq),
                Due::Forget(Key::Session(id), seq) => self.sessions.forget(turn, &id, seq),
                Due::Forget(Key::Seats(id, node), seq) => self.parties.forget_seats(turn, &id, node, seq),
                Due::Forget(Key::Node(_) | Key::Party(_) | Key::Anchor(_), _) => {}
            }
        }
        for node in self.nodes.lapsed(self.looked, now) {
            let turn = &mut turn!(self, now, stamp, told);
            self.presences.tell_of_node(turn, node);
            self.sessions.tell_of_node(turn, node);
            self.parties.tell_of_node(turn, node);
        }
        self.looked = self.looked.max(now);
        for (node, lease) in self.nodes.forget(now, self.hidden()) {
            self.journal.remove(lease.seq);
            self.forget_words(now, stamp, told, node);
        }
    }

    /// Forgets what a node said.
    pub(super) fn forget_words(&mut self, now: MonotonicTime, stamp: Hlc, told: &mut Told, node: NodeId) {
        let turn = &mut turn!(self, now, stamp, told);
        self.presences.forget_node(turn, node);
        self.sessions.forget_node(turn, node);
        self.parties.forget_node(turn, node);
    }
}
