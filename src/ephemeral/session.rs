//! Sessions: one run of a player each, counted by account.
//!
//! A node holds the leases of the sessions whose players speak to it. While regions cannot reach each other each counts what it knows; when
//! they can again, every node comes to the same verdict, and the node that holds a session too many ends it.

use std::collections::{BTreeMap, BTreeSet};

use super::deadlines::Due;
use super::node::NodeId;
use super::presence::{PresenceState, PresentDevice};
use super::slot::{Join, Key, Slot};
use super::turn::Turn;
use super::watchers::{EphemeralChange, Topic};
use crate::limits::{SESSIONS_COUNT_MAX, SESSIONS_PER_ACCOUNT_COUNT_MAX};
use crate::progress::{AccountId, DeviceId, EventKind, ProfileId, SessionId, TitleId};
use crate::time::{Hlc, MonotonicTime};

/// What the player of a session last reported.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum SessionState {
    /// Nothing yet.
    Started = 0,
    /// It plays: its heartbeats come.
    Playing = 1,
    /// It stands still.
    Paused = 2,
    /// The title was closed or has ended; the session goes on until it is ended.
    Stopped = 3,
}

impl SessionState {
    /// The state's name, for clients.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Playing => "playing",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// What a report of the player says; a jump says nothing.
    pub const fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::Play | EventKind::Heartbeat => Some(Self::Playing),
            EventKind::Pause => Some(Self::Paused),
            EventKind::Stop | EventKind::End => Some(Self::Stopped),
            EventKind::Seek => None,
        }
    }

    pub(super) const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Started,
            1 => Self::Playing,
            2 => Self::Paused,
            3 => Self::Stopped,
            _ => return None,
        })
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum EndReason {
    /// Its player said so.
    Ended = 1,
    /// It was not renewed.
    Expired = 2,
    /// Others of its account, started earlier, take up all the streams there are.
    TooManyStreams = 3,
    /// Its profile was erased.
    Erased = 4,
}

impl EndReason {
    /// A stable word for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ended => "session_ended",
            Self::Expired => "session_expired",
            Self::TooManyStreams => "too_many_streams",
            Self::Erased => "erased",
        }
    }

    pub(super) const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Ended,
            2 => Self::Expired,
            3 => Self::TooManyStreams,
            4 => Self::Erased,
            _ => return None,
        })
    }
}

/// A session to start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewSession {
    /// Its id; a start with the id of a session that lives, by the same device, renews it.
    pub id: SessionId,
    /// The account that it counts for.
    pub account: AccountId,
    /// Who watches.
    pub profile: ProfileId,
    /// On which device.
    pub device: DeviceId,
    /// What.
    pub title: TitleId,
}

/// A session, as it is known here.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Session {
    /// When this was last changed; the newer word wins.
    pub stamp: Hlc,
    /// The node that holds its lease.
    pub node: NodeId,
    /// Why it ended, if it did.
    pub ended: Option<EndReason>,
    /// When it was started: of too many, the earliest stay.
    pub started: Hlc,
    /// The account that it counts for.
    pub account: AccountId,
    /// Who watches.
    pub profile: ProfileId,
    /// On which device.
    pub device: DeviceId,
    /// What.
    pub title: TitleId,
    /// What its player last reported.
    pub state: SessionState,
}

impl Join for Session {
    fn join(&mut self, other: Self) -> bool {
        let newer = other > *self;
        if newer {
            *self = other;
        }
        newer
    }
}

/// Why a session was not started.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartSessionError {
    /// The account has as many streams as it may.
    #[error("the account has {limit} streams, more are not allowed at once")]
    TooManyStreams {
        /// How many it may have.
        limit: usize,
    },
    /// The id is another's, or that of a session that has ended.
    #[error("the session id is taken; leave it out to be given a fresh one")]
    Taken,
    /// This node holds no more.
    #[error("this node holds no more sessions")]
    Full,
}

/// Why a session was not renewed: it is over, or was never known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no such session")]
pub struct SessionGone {
    /// Why it ended, if that is known.
    pub reason: Option<EndReason>,
}

/// All that is known of sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: BTreeMap<SessionId, Slot<Session>>,
    accounts: BTreeMap<AccountId, BTreeSet<SessionId>>,
    profiles: BTreeMap<ProfileId, BTreeSet<SessionId>>,
    /// The leases that this node holds.
    held: BTreeMap<SessionId, MonotonicTime>,
}

impl Sessions {
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<&Slot<Session>> {
        self.known.get(id)
    }

    pub(super) fn is_live(&self, turn: &Turn<'_>, session: &Session, id: &SessionId) -> bool {
        session.ended.is_none() && if session.node == turn.me { self.held.contains_key(id) } else { turn.is_alive(&session.node) }
    }

    /// The sessions of an account that live, the earliest first.
    fn live(&self, turn: &Turn<'_>, account: &AccountId) -> Vec<(Hlc, SessionId)> {
        let ids = self.accounts.get(account).into_iter().flatten();
        let known = ids.filter_map(|id| self.known.get(id).map(|slot| (id, &slot.value)));
        let mut live: Vec<_> =
            known.filter(|(id, session)| self.is_live(turn, session, id)).map(|(id, session)| (session.started, id.clone())).collect();
        live.sort_unstable();
        live
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, new: NewSession, limit: usize) -> Result<Session, StartSessionError> {
        if let Some(known) = self.known.get(&new.id).map(|slot| slot.value.clone()) {
            // Asked again, after an answer that was lost.
            let same = known.profile == new.profile && known.device == new.device && known.account == new.account;
            if !same || !self.is_live(turn, &known, &new.id) {
                return Err(StartSessionError::Taken);
            }
            let renewed = self.renew(turn, &new.id, &new.profile, Some(new.title), None, limit);
            return renewed.map_err(|gone| match gone.reason {
                Some(EndReason::TooManyStreams) => StartSessionError::TooManyStreams { limit },
                _ => StartSessionError::Taken,
            });
        }
        if self.live(turn, &new.account).len() >= limit {
            return Err(StartSessionError::TooManyStreams { limit });
        }
        if !self.has_room(&new.account) {
            return Err(StartSessionError::Full);
        }
        let NewSession { id, account, profile, device, title } = new;
        let stamp = turn.stamp_after(Hlc::ZERO);
        let state = SessionState::Started;
        let session = Session { stamp, node: turn.me, ended: None, started: stamp, account, profile, device, title, state };
        self.join(turn, &id, session.clone(), None);
        self.hold(turn, &id);
        Ok(session)
    }

    fn has_room(&self, account: &AccountId) -> bool {
        self.known.len() < SESSIONS_COUNT_MAX && self.accounts.get(account).is_none_or(|own| own.len() < SESSIONS_PER_ACCOUNT_COUNT_MAX)
    }

    /// Takes or moves the lease of a session to its full length.
    fn hold(&mut self, turn: &mut Turn<'_>, id: &SessionId) {
        let deadline = turn.lease_end();
        if let Some(earlier) = self.held.insert(id.clone(), deadline) {
            turn.deadlines.cancel(earlier, Due::Session(id.clone()));
        }
        turn.deadlines.set(deadline, Due::Session(id.clone()));
    }

    fn let_go(&mut self, turn: &mut Turn<'_>, id: &SessionId) {
        if let Some(deadline) = self.held.remove(id) {
            turn.deadlines.cancel(deadline, Due::Session(id.clone()));
        }
    }

    /// Renews a session of a profile, also one that another node held until now. News only if that changed anything but the lease.
    pub(super) fn renew(
        &mut self,
        turn: &mut Turn<'_>,
        id: &SessionId,
        profile: &ProfileId,
        title: Option<TitleId>,
        state: Option<SessionState>,
        limit: usize,
    ) -> Result<Session, SessionGone> {
        let known = self.known.get(id).map(|slot| &slot.value).filter(|session| session.profile == *profile);
        let known = known.cloned().ok_or(SessionGone { reason: None })?;
        if !self.is_live(turn, &known, id) {
            return Err(SessionGone { reason: known.ended });
        }
        let mut renewed = known.clone();
        renewed.node = turn.me;
        renewed.title = title.unwrap_or(renewed.title);
        renewed.state = state.unwrap_or(renewed.state);
        if renewed != known {
            renewed.stamp = turn.stamp_after(known.stamp);
            self.join(turn, id, renewed.clone(), None);
        }
        self.hold(turn, id);
        if known.node != turn.me {
            // Only who holds a session ends it, and who held this one may not have known the account's others.
            self.enforce(turn, &renewed.account, limit);
            if let Some(reason) = self.known.get(id).and_then(|slot| slot.value.ended) {
                return Err(SessionGone { reason: Some(reason) });
            }
        }
        Ok(renewed)
    }

    /// Ends a session, whoever holds it. An end repeated is no news.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>, id: &SessionId, reason: EndReason) -> bool {
        self.let_go(turn, id);
        let Some(known) = self.known.get(id).map(|slot| &slot.value).filter(|session| session.ended.is_none()) else { return false };
        // That a player was silent here is no word against one that was heard elsewhere since.
        let stamp = if reason == EndReason::Expired { known.stamp.next() } else { turn.stamp_after(known.stamp) };
        let ended = Session { stamp, node: turn.me, ended: Some(reason), ..known.clone() };
        self.join(turn, id, ended, None)
    }

    /// Ends what this node holds of a profile.
    pub(super) fn forget_profile(&mut self, turn: &mut Turn<'_>, profile: &ProfileId) {
        for id in self.profiles.get(profile).cloned().unwrap_or_default() {
            if self.held.contains_key(&id) {
                self.end(turn, &id, EndReason::Erased);
            }
        }
    }

    /// Ends the sessions held here that an account has too many of. Of those that know each other the earliest stay, at every node alike.
    pub(super) fn enforce(&mut self, turn: &mut Turn<'_>, account: &AccountId, limit: usize) {
        for (_, id) in self.live(turn, account).split_off_at(limit) {
            if self.held.contains_key(&id) {
                self.end(turn, &id, EndReason::TooManyStreams);
            }
        }
    }

    /// Joins what a node says of a session. Whether it is news.
    pub(super) fn join(&mut self, turn: &mut Turn<'_>, id: &SessionId, session: Session, from: Option<NodeId>) -> bool {
        if let Some(held) = self.held_against(turn, id, &session) {
            return self.join(turn, id, held, None);
        }
        let (ended, profile, account) = (session.ended, session.profile.clone(), session.account.clone());
        let is_mine = session.node == turn.me;
        if let Some(slot) = self.known.get_mut(id) {
            // Who watches is settled when a session starts; another's word with the same id is not about it.
            if slot.value.profile != profile || slot.value.account != account || !slot.join(session, from) {
                return false;
            }
            turn.journal.note(&mut slot.seq, Key::Session(id.clone()));
        } else {
            if !self.has_room(&account) {
                return false;
            }
            let mut slot = Slot { value: session, seq: 0, from };
            turn.journal.note(&mut slot.seq, Key::Session(id.clone()));
            self.known.insert(id.clone(), slot);
            self.accounts.entry(account).or_default().insert(id.clone());
            self.profiles.entry(profile.clone()).or_default().insert(id.clone());
        }
        if let Some(reason) = ended {
            self.let_go(turn, id);
            let seq = self.known.get(id).map_or(0, |slot| slot.seq);
            turn.deadlines.set(turn.forget_at(), Due::Forget(Key::Session(id.clone()), seq));
            turn.tell(Topic::Session(id.clone()), EphemeralChange::SessionEnded(reason));
        } else if !is_mine {
            self.let_go(turn, id);
        }
        turn.tell(Topic::Profile(profile), EphemeralChange::Devices);
        true
    }

    /// What is said when another node lets a session lapse whose player is heard here: two nodes may each have thought that they held it.
    fn held_against(&self, turn: &Turn<'_>, id: &SessionId, lapsed: &Session) -> Option<Session> {
        let known = self.known.get(id).map(|slot| &slot.value)?;
        let is_held = self.held.contains_key(id) && known.ended.is_none();
        let is_lapsed = lapsed.ended == Some(EndReason::Expired) && lapsed.node != turn.me && lapsed.stamp > known.stamp;
        (is_held && is_lapsed).then(|| Session { stamp: turn.stamp_after(lapsed.stamp), node: turn.me, ..known.clone() })
    }

    /// Takes up a session that this node held in an earlier run: its player is given the time of a lease to be heard.
    pub(super) fn adopt(&mut self, turn: &mut Turn<'_>, id: &SessionId) {
        if !self.held.contains_key(id) {
            self.hold(turn, id);
        }
    }

    /// Ends a session whose lease lapsed.
    pub(super) fn lapse(&mut self, turn: &mut Turn<'_>, id: &SessionId) {
        self.held.remove(id);
        self.end(turn, id, EndReason::Expired);
    }

    /// Forgets a session that ended, if nothing was said of it since.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_>, id: &SessionId, seq: u64) {
        if self.known.get(id).is_some_and(|slot| slot.seq == seq) {
            self.remove(turn, id);
        }
    }

    fn remove(&mut self, turn: &mut Turn<'_>, id: &SessionId) {
        let Some(slot) = self.known.remove(id) else { return };
        turn.journal.remove(slot.seq);
        remove_from(&mut self.accounts, &slot.value.account, id);
        remove_from(&mut self.profiles, &slot.value.profile, id);
    }

    /// Forgets the sessions that a node held.
    pub(super) fn forget_node(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        let gone: Vec<_> = self.known.iter().filter(|(_, slot)| slot.value.node == node).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(turn, &id);
        }
    }

    /// Tells the watchers of every profile that a node holds a session of.
    pub(super) fn tell_of_node(&self, turn: &mut Turn<'_>, node: NodeId) {
        for slot in self.known.values().filter(|slot| slot.value.node == node && slot.value.ended.is_none()) {
            turn.tell(Topic::Profile(slot.value.profile.clone()), EphemeralChange::Devices);
        }
    }

    /// Says anew what a node said that is heard of again.
    pub(super) fn rise(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        for (id, slot) in self.known.iter_mut().filter(|(_, slot)| slot.value.node == node) {
            turn.journal.note(&mut slot.seq, Key::Session(id.clone()));
            if slot.value.ended.is_some() {
                turn.deadlines.set(turn.forget_at(), Due::Forget(Key::Session(id.clone()), slot.seq));
            }
            turn.tell(Topic::Profile(slot.value.profile.clone()), EphemeralChange::Devices);
        }
    }

    /// Every account that has a session.
    pub(super) fn accounts(&self) -> Vec<AccountId> {
        self.accounts.keys().cloned().collect()
    }

    /// What the sessions of a profile show of its devices.
    pub(super) fn devices(&self, turn: &Turn<'_>, profile: &ProfileId) -> Vec<PresentDevice> {
        let ids = self.profiles.get(profile).into_iter().flatten();
        let known = ids.filter_map(|id| self.known.get(id).map(|slot| (id, &slot.value)));
        let live = known.filter(|(id, session)| self.is_live(turn, session, id));
        live.map(|(_, session)| PresentDevice {
            device: session.device.clone(),
            state: if session.state == SessionState::Playing { PresenceState::Playing } else { PresenceState::Paused },
            title: Some(session.title.clone()),
            node: session.node,
        })
        .collect()
    }
}

fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<SessionId>>, key: &K, id: &SessionId) {
    if let Some(own) = index.get_mut(key) {
        own.remove(id);
        if own.is_empty() {
            index.remove(key);
        }
    }
}

trait SplitOffAt {
    fn split_off_at(self, at: usize) -> Self;
}

impl SplitOffAt for Vec<(Hlc, SessionId)> {
    /// What stands from `at` on; nothing if there is less.
    fn split_off_at(mut self, at: usize) -> Self {
        let at = at.min(self.len());
        self.split_off(at)
    }
}
