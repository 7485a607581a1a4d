//! The reconciliations of one link: when one begins, its passes, and when both sides may call it settled.

use std::collections::VecDeque;
use std::time::Duration;

use super::LinkEvent;
use crate::store::{Seq, Store};
use crate::sync::frame::{self, FrameType};
use crate::sync::inbox::Inbox;
use crate::sync::message::{Start, Turn};
use crate::sync::outbox::Outbox;
use crate::sync::reconcile::{PASSES_COUNT_MAX, Produced, Scope, Session, SessionError};
use crate::time::MonotonicTime;

/// Passes of one reconciliation, those included that could not ask everything.
const ALL_PASSES_COUNT_MAX: u8 = 200;

/// How long after the expiry floor rose here everything is compared: by then it has risen at the peer too, which looks at its clock every ten minutes.
/// What one of them forgot, and the other had joined with a change before its own floor rose, is found then.
const FLOOR_REST: Duration = Duration::from_mins(12);
/// And up to so much later, so that not all links compare at once.
const FLOOR_SPREAD_S: u64 = 180;

/// Waits between passes: what was exchanged must be durable on both sides before it is compared again.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    acked: u64,
    durable: Seq,
}

/// Reconciliation on one link.
#[derive(Debug)]
pub(super) struct Reconciler {
    scope: Option<Scope>,
    leads: bool,
    seed: u64,
    session: Option<Session>,
    produced: VecDeque<Produced>,
    waiting: Option<Waiting>,
    due: Option<MonotonicTime>,
    interval: Option<Duration>,
    /// The expiry floor by which everything was compared on this link, or will be.
    floor_day: u32,
    floor_due: Option<MonotonicTime>,
    passes: u8,
    /// Passes that the other side began, over the life of the link.
    joined: u8,
    whole_passes: u8,
    differed: bool,
}

impl Reconciler {
    /// `leads`: this side begins passes. `seed`: random. `due`: when the first reconciliation begins.
    pub(super) const fn new(scope: Option<Scope>, leads: bool, seed: u64, due: Option<MonotonicTime>, interval: Option<Duration>) -> Self {
        let due = if leads && scope.is_some() { due } else { None };
        Self {
            scope,
            leads,
            seed,
            session: None,
            produced: VecDeque::new(),
            waiting: None,
            due,
            interval,
            floor_day: 0,
            floor_due: None,
            passes: 0,
            joined: 0,
            whole_passes: 0,
            differed: false,
        }
    }

    /// Whether a pass is under way.
    pub(super) const fn is_active(&self) -> bool {
        self.session.is_some() || self.waiting.is_some()
    }

    /// Whether the next frame or poll may read much.
    pub(super) fn is_heavy(&self, mono: MonotonicTime) -> bool {
        self.is_active() || self.is_due(mono)
    }

    /// When the next one begins.
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        if self.is_active() { None } else { self.due.into_iter().chain(self.floor_due).min() }
    }

    fn is_due(&self, mono: MonotonicTime) -> bool {
        self.due.into_iter().chain(self.floor_due).any(|due| due <= mono)
    }

    /// Plans a comparison for each floor: of what was exchanged while the two had different ones.
    fn mind_floor(&mut self, mono: MonotonicTime, floor_day: u32) {
        if self.scope.is_some() && floor_day > self.floor_day {
            self.floor_day = floor_day;
            self.floor_due = Some(mono + FLOOR_REST + Duration::from_secs(self.seed % FLOOR_SPREAD_S));
        }
    }

    /// Takes a frame; an event when the other side, which leads, says that the reconciliation is settled.
    pub(super) fn handle(&mut self, store: &Store, kind: FrameType, body: &[u8]) -> Result<Option<LinkEvent>, SessionError> {
        let Some(scope) = &self.scope else { return Err(SessionError::OutOfTurn) };
        match (kind, &mut self.session) {
            (FrameType::Start, Some(session)) if !session.is_complete() => session.handle_start(&Start::decode(body)?)?,
            (FrameType::Start, _) if !self.leads => {
                // Each pass reads all that is compared. A device needs one reconciliation a link: its passes are counted over all.
                let passes = if matches!(scope, Scope::Everything) { self.passes } else { self.joined };
                if passes >= ALL_PASSES_COUNT_MAX {
                    return Err(SessionError::Budget { what: "passes", bound: usize::from(ALL_PASSES_COUNT_MAX) });
                }
                self.joined = self.joined.saturating_add(1);
                let start = Start::decode(body)?;
                self.session = Some(Session::join(store, scope, &start)?);
                self.passes = self.passes.saturating_add(1);
            }
            (FrameType::Turn, Some(session)) => {
                let turn = Turn::decode(body)?;
                if turn.settled {
                    if self.leads || !session.is_complete() {
                        return Err(SessionError::OutOfTurn);
                    }
                    self.differed |= session.differs();
                    return Ok(Some(self.settle()));
                }
                session.handle_turn(turn)?;
            }
            (_, Some(session)) => session.handle(store, kind, body)?,
            (_, None) => return Err(SessionError::OutOfTurn),
        }
        Ok(None)
    }

    fn settle(&mut self) -> LinkEvent {
        let event = LinkEvent::Reconciled { passes: self.passes, differed: self.differed };
        self.session = None;
        self.passes = 0;
        self.whole_passes = 0;
        self.differed = false;
        event
    }

    /// Appends what is to be sent next; whether there was anything, and an event when this side finds the reconciliation settled.
    pub(super) fn poll(
        &mut self,
        mono: MonotonicTime,
        store: &Store,
        inbox: &Inbox,
        outbox: &mut Outbox,
        out: &mut Vec<u8>,
    ) -> Result<(bool, Option<LinkEvent>), SessionError> {
        if let Some(produced) = self.produced.pop_front() {
            match produced {
                Produced::Frame(kind, body) => frame::put(out, kind, &body),
                Produced::Records { count, bytes } => outbox.put(count, &bytes, out),
            }
            return Ok((true, None));
        }
        if self.leads {
            let event = self.lead(mono, store, inbox, outbox, out)?;
            if event.is_some() {
                return Ok((true, event));
            }
        }
        let Some(session) = &mut self.session else { return Ok((false, None)) };
        // Records that were found missing are in flight like any others, and bounded like them.
        if !session.is_my_turn() || !outbox.has_room() {
            return Ok((false, None));
        }
        self.produced.extend(session.poll(store)?);
        if self.produced.is_empty() { Ok((false, None)) } else { self.poll(mono, store, inbox, outbox, out) }
    }

    fn lead(
        &mut self,
        mono: MonotonicTime,
        store: &Store,
        inbox: &Inbox,
        outbox: &Outbox,
        out: &mut Vec<u8>,
    ) -> Result<Option<LinkEvent>, SessionError> {
        self.mind_floor(mono, store.floor_day());
        if let Some(session) = self.session.take_if(|session| session.is_complete()) {
            self.differed |= session.differs();
            self.whole_passes += u8::from(!session.truncated());
            if !session.truncated() && (!session.differs() || self.whole_passes >= PASSES_COUNT_MAX) {
                let mut body = Vec::new();
                Turn { quiet: true, settled: true, ..Turn::default() }.encode(&mut body);
                frame::put(out, FrameType::Turn, &body);
                self.due = self.interval.map(|interval| mono + interval);
                return Ok(Some(self.settle()));
            }
            self.waiting = Some(Waiting { acked: outbox.sent(), durable: inbox.last() });
        }
        let begins = match self.waiting {
            Some(waiting) => outbox.acked() >= waiting.acked && store.durable() >= waiting.durable,
            None => self.session.is_none() && self.is_due(mono),
        };
        if begins && self.passes == 0 && self.floor_due.is_some_and(|due| due <= mono) {
            self.floor_due = None;
        }
        if begins && let Some(scope) = &self.scope {
            self.waiting = None;
            self.due = None;
            if self.passes >= ALL_PASSES_COUNT_MAX {
                return Err(SessionError::Budget { what: "passes", bound: usize::from(ALL_PASSES_COUNT_MAX) });
            }
            self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            self.session = Some(Session::begin(store, scope, self.passes, self.seed)?);
            self.passes += 1;
        }
        Ok(None)
    }
}
