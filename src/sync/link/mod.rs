//! One side of a link between two replicas, without I/O.
//!
//! A link is driven by four calls: [`Link::handle_frame`] with what arrived, [`Link::handle_timeout`] when [`Link::poll_timeout`] has come, and
//! then [`Link::poll_frame`] until there is nothing, [`Link::poll_event`] until there is none. It wants to be polled again after each flush of
//! its replica. `docs/protocol.md` has the state machine.
//!
//! Frames leave in this order: greeting and answers, acknowledgements, leases that have waited long, reconciliation, records refused
//! earlier and now due, the feed, leases.

mod config;
mod error;
mod greeting;
mod reconciler;
mod status;
mod taking;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use config::{LinkConfig, LinkEvent};
pub use error::LinkError;
pub use status::{LinkFigures, LinkState};

use self::greeting::{Narrow, Peer, Way, hello_of, narrowed, scope_of, way};
use self::reconciler::Reconciler;
use super::clock::ClockMeter;
use super::earlier;
use super::elsewhere::Telling;
use super::frame::{self, FrameType};
use super::inbox::Inbox;
use super::leases;
use super::message::{Ack, Bye, Granted, Heard, Hello, KnownPeer, Peers, Ping, Pong, Records, Resume, Role};
use super::outbox::Outbox;
use crate::limits::BYE_RETRY_MS_MAX;
use crate::replica::Core;
use crate::store::{AppendError, Applied, ReplicaId, Seq};
use crate::time::{MonotonicTime, WallTime};

/// Answers that wait to be sent. A peer that asks for more does not read them.
const CONTROL_COUNT_MAX: usize = 64;

/// Events that wait for the shell, which takes them after every call.
const EVENTS_COUNT_MAX: usize = 1_024;

/// What became of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handled {
    /// It was taken.
    Done,
    /// This replica is overloaded: nothing was taken. Hand the same frame in again after the pause, and nothing else before it.
    Busy(Duration),
}

/// One side of a link.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    ours: Hello,
    peer: Option<Peer>,
    narrow: Option<Narrow>,
    state: LinkState,
    /// Whether what is recorded here may be sent: a device must know the peer's clock first.
    may_send: bool,
    /// An earlier link with this peer left records unsettled, or something acknowledged may be missing here.
    owes_reconciliation: bool,
    /// The latter, and this link is to find it.
    repairs: bool,
    /// It does so by being sent everything: up to this number of the peer's.
    filled_at: Option<Seq>,
    control: VecDeque<Vec<u8>>,
    events: VecDeque<LinkEvent>,
    inbox: Inbox,
    outbox: Outbox,
    telling: Telling,
    /// Between nodes, once the link is open.
    leases: Option<leases::Telling>,
    reconciler: Reconciler,
    clock: ClockMeter,
    next_ping: MonotonicTime,
    greeting_due: MonotonicTime,
    expires: Option<MonotonicTime>,
    figures: LinkFigures,
}

impl Link {
    /// A new link; its hello is the first frame to be polled.
    pub fn new(now: WallTime, mono: MonotonicTime, core: &Core, config: LinkConfig) -> Self {
        let ours = hello_of(now, core, &config);
        let mut link = Self {
            greeting_due: mono + config.patience,
            next_ping: mono,
            ours,
            config,
            peer: None,
            narrow: None,
            state: LinkState::Greeting,
            may_send: !core.keeps_apart(),
            owes_reconciliation: false,
            repairs: false,
            filled_at: None,
            control: VecDeque::new(),
            events: VecDeque::new(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            telling: Telling::default(),
            leases: None,
            reconciler: Reconciler::new(None, false, 0, None, None),
            clock: ClockMeter::default(),
            expires: None,
            figures: LinkFigures::default(),
        };
        let mut body = Vec::with_capacity(128);
        link.ours.encode(&mut body);
        link.queue(FrameType::Hello, &body);
        link.ping(now, mono, core);
        link
    }

    /// The peer's id, once it has greeted. A device's is bound to its account.
    pub fn peer(&self) -> Option<ReplicaId> {
        self.peer.as_ref().map(|peer| peer.id)
    }

    /// How far the link is.
    pub const fn state(&self) -> LinkState {
        match self.state {
            LinkState::Open if self.reconciler.is_active() => LinkState::Reconciling,
            state => state,
        }
    }

    /// Whether the next call may read much of the store: a shell with other work on its thread moves it elsewhere.
    pub fn is_heavy(&self, mono: MonotonicTime) -> bool {
        !self.may_send || self.outbox.is_heavy() || self.reconciler.is_heavy(mono)
    }

    /// Figures.
    pub fn figures(&self, core: &Core) -> LinkFigures {
        let synced = self.outbox.synced();
        LinkFigures {
            records_frames_out: self.outbox.sent(),
            records_frames_acked: self.outbox.acked(),
            in_flight_bytes: self.outbox.in_flight_bytes(),
            refused_in: self.inbox.refused_count(),
            waiting_out: self.outbox.offers_count(),
            synced,
            lag: core.store().durable().0.saturating_sub(self.outbox.synced_made().0),
            ..self.figures
        }
    }

    /// Whether records were refused on this link, by either side, that its end leaves unsettled: give it to the next link with this peer.
    pub fn is_unsettled(&self) -> bool {
        self.inbox.has_refused_for_later() || self.outbox.is_unsettled() || self.still_owes_reconciliation()
    }

    /// Whether a reconciliation is owed and not yet settled.
    const fn still_owes_reconciliation(&self) -> bool {
        self.owes_reconciliation && self.figures.reconciled == 0
    }

    /// The round trip and clock of the peer, when last compared.
    pub fn clock(&self) -> Option<super::clock::Comparison> {
        self.clock.last()
    }

    /// Tells the peer of other nodes.
    pub fn send_peers(&mut self, peers: Vec<KnownPeer>) {
        let mut body = Vec::new();
        Peers { peers }.encode(&mut body);
        self.queue(FrameType::Peers, &body);
    }

    /// Ends the link in good order: the last frame.
    pub fn say_bye(&mut self, bye: &Bye) {
        let mut body = Vec::new();
        bye.encode(&mut body);
        self.control.clear();
        self.queue(FrameType::Bye, &body);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// When [`Link::handle_timeout`] and then [`Link::poll_frame`] are to be called at the latest.
    pub fn poll_timeout(&self) -> Option<MonotonicTime> {
        let greeting = (self.state != LinkState::Open).then_some(self.greeting_due);
        let answer = self.clock.open_since().map(|asked| asked + self.config.patience);
        let ping = self.clock.open_since().is_none().then_some(self.next_ping);
        let leases = self.leases.as_ref().and_then(leases::Telling::next_timeout);
        let link = earlier(earlier(greeting, answer), earlier(ping, self.expires));
        // What may not yet be sent has no time.
        if !self.may_send {
            return link;
        }
        let feed = earlier(self.outbox.next_timeout(), self.telling.next_timeout());
        earlier(earlier(link, feed), earlier(leases, self.reconciler.next_timeout()))
    }

    /// Notes that time has passed.
    ///
    /// # Errors
    ///
    /// The link has ended.
    pub fn handle_timeout(&mut self, now: WallTime, mono: MonotonicTime, core: &Core) -> Result<(), LinkError> {
        if self.expires.is_some_and(|expires| expires <= mono) {
            return Err(LinkError::TokenExpired);
        }
        if self.state != LinkState::Open && self.greeting_due <= mono {
            return Err(LinkError::Timeout { what: "its greeting" });
        }
        if self.clock.open_since().is_some_and(|asked| asked + self.config.patience <= mono) {
            return Err(LinkError::Timeout { what: "the answer to a ping" });
        }
        // Damage was found since the two greeted, and what both remember of each other is not true any more.
        if self.state == LinkState::Open && !self.repairs && core.store().needs_reconciliation() {
            return Err(LinkError::Damaged);
        }
        if self.clock.open_since().is_none() && self.next_ping <= mono {
            self.ping(now, mono, core);
        }
        Ok(())
    }

    /// Takes a frame of the peer's.
    ///
    /// # Errors
    ///
    /// The link has ended; nothing of the frame was taken.
    pub fn handle_frame(&mut self, now: WallTime, mono: MonotonicTime, core: &Core, number: u8, body: &[u8]) -> Result<Handled, LinkError> {
        self.handle_frame_observed(now, mono, core, number, body, &mut |_| ())
    }

    /// Like [`Link::handle_frame`], and shows each record that the frame made durable by itself: a device shares its work when it learns of its
    /// peer's clock.
    ///
    /// # Errors
    ///
    /// Those of [`Link::handle_frame`].
    pub fn handle_frame_observed(
        &mut self,
        now: WallTime,
        mono: MonotonicTime,
        core: &Core,
        number: u8,
        body: &[u8],
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<Handled, LinkError> {
        let Some(kind) = FrameType::from_u8(number) else {
            if frame::is_skippable(number) {
                self.count_in(body);
                return Ok(Handled::Done);
            }
            return Err(LinkError::UnknownType { number });
        };
        let handled = match self.take(now, mono, core, kind, body, observe) {
            Err(LinkError::Append(AppendError::Overloaded { retry_ms, .. })) => Handled::Busy(Duration::from_millis(retry_ms)),
            other => {
                other?;
                Handled::Done
            }
        };
        if handled == Handled::Done {
            self.count_in(body);
        }
        Ok(handled)
    }

    fn count_in(&mut self, body: &[u8]) {
        self.figures.frames_in += 1;
        self.figures.bytes_in += body.len() as u64 + 1 + 1 + u64::from(body.len() >= 127) + u64::from(body.len() >= 16_383);
    }

    fn take(
        &mut self,
        now: WallTime,
        mono: MonotonicTime,
        core: &Core,
        kind: FrameType,
        body: &[u8],
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<(), LinkError> {
        let message = |source| LinkError::Message { number: kind as u8, source };
        let in_order = |allowed: bool| if allowed { Ok(()) } else { Err(LinkError::OutOfOrder { number: kind as u8 }) };
        match kind {
            FrameType::Hello => {
                in_order(self.state == LinkState::Greeting)?;
                match Hello::decode(body).map_err(message)? {
                    Ok(hello) => self.take_hello(now, mono, core, hello),
                    Err((min, max)) => Err(LinkError::Version { min, max }),
                }
            }
            FrameType::Bye => {
                let Bye { code, reason, retry_ms } = Bye::decode(body).map_err(message)?;
                // No peer silences a dialer for good.
                let retry_ms = retry_ms.min(BYE_RETRY_MS_MAX);
                self.push_event(LinkEvent::Parted { code, reason: reason.clone() });
                Err(LinkError::Bye { code, reason, retry_ms })
            }
            FrameType::Granted => {
                in_order(self.state == LinkState::Granting)?;
                let granted = Granted::decode(body).map_err(message)?;
                self.take_granted(now, mono, core, granted);
                Ok(())
            }
            FrameType::Resume => {
                in_order(self.state == LinkState::Resuming)?;
                let resume = Resume::decode(body).map_err(message)?;
                self.open(mono, core, &resume);
                Ok(())
            }
            FrameType::Ping => {
                in_order(self.state != LinkState::Greeting)?;
                let ping = Ping::decode(body).map_err(message)?;
                if self.control.len() >= CONTROL_COUNT_MAX {
                    return Err(LinkError::Flooded);
                }
                let mut answer = Vec::new();
                Pong { token: ping.token, clock: core.corrected(now) }.encode(&mut answer);
                self.queue(FrameType::Pong, &answer);
                Ok(())
            }
            FrameType::Pong => {
                let pong = Pong::decode(body).map_err(message)?;
                self.take_pong(now, mono, core, pong, observe)
            }
            FrameType::Peers => {
                in_order(self.state != LinkState::Greeting && !self.is_from_device())?;
                let peers = Peers::decode(body).map_err(message)?;
                if self.is_to_node() {
                    self.push_event(LinkEvent::PeersLearned(peers.peers));
                }
                Ok(())
            }
            FrameType::Leases => {
                in_order(self.state == LinkState::Open && !self.is_from_device())?;
                match &self.peer {
                    Some(peer) if self.leases.is_some() => core.join_leases(now, mono, peer.id, body).map(|_| ()).map_err(message),
                    _ => Ok(()),
                }
            }
            FrameType::Heard => {
                in_order(self.state != LinkState::Greeting && !self.is_from_device())?;
                let heard = Heard::decode(body).map_err(message)?;
                if self.is_to_node() {
                    self.outbox.heard(mono, core, &heard.cursors);
                }
                Ok(())
            }
            FrameType::Records => {
                in_order(self.state == LinkState::Open)?;
                let records = Records::decode(body).map_err(message)?;
                self.take_records(now, core, &records)
            }
            FrameType::Ack => {
                in_order(self.state == LinkState::Open)?;
                let ack = Ack::decode(body).map_err(message)?;
                self.take_ack(mono, core, ack)
            }
            FrameType::Start | FrameType::Fps | FrameType::List | FrameType::Want | FrameType::Turn => {
                in_order(self.state == LinkState::Open && self.may_send)?;
                if let Some(event) = self.reconciler.handle(core.store(), kind, body)? {
                    self.settled(mono, core, event);
                }
                Ok(())
            }
            FrameType::Sketch => Err(LinkError::UnknownType { number: kind as u8 }),
        }
    }

    fn take_hello(&mut self, now: WallTime, mono: MonotonicTime, core: &Core, hello: Hello) -> Result<(), LinkError> {
        greeting::check(&self.ours, &hello, &self.config)?;
        let narrow = match (&self.config.authority, hello.role) {
            (Some(authority), Role::Device) => {
                let grant = authority.verify(now, &hello.token).map_err(|error| LinkError::Unauthorized { reason: error.to_string() })?;
                Some(Narrow::of_grant(grant))
            }
            _ => None,
        };
        // The floor is joined before any record is, and this is the last step that may have to be repeated. What a device says of it is not heard:
        // it would end other accounts' registers.
        if hello.role == Role::Node {
            core.raise_floor(now, hello.floor_day).map_err(LinkError::Append)?;
        }
        let waits_for_grant = self.config.role == Role::Device;
        self.peer = Some(Peer::new(core, hello, narrow.as_ref()));
        if let Some(narrow) = narrow {
            let mut body = Vec::new();
            narrow.granted().encode(&mut body);
            self.queue(FrameType::Granted, &body);
            self.narrow_to(now, mono, narrow);
        }
        if let Some(greeted) = self.peer.as_ref().map(Peer::greeted) {
            self.push_event(greeted);
        }
        if waits_for_grant {
            self.state = LinkState::Granting;
        } else {
            self.resume(core);
        }
        Ok(())
    }

    fn take_granted(&mut self, now: WallTime, mono: MonotonicTime, core: &Core, granted: Granted) {
        self.push_event(LinkEvent::Granted { profiles: granted.profiles.clone(), expires: granted.expires });
        let narrow = Narrow::of_granted(granted);
        self.peer = self.peer.take().map(|peer| Peer::new(core, peer.hello, Some(&narrow)));
        self.narrow_to(now, mono, narrow);
        self.resume(core);
    }

    fn narrow_to(&mut self, now: WallTime, mono: MonotonicTime, narrow: Narrow) {
        if narrow.grant.is_some() {
            let left_ms = narrow.expires.millis_since(now).max(0).unsigned_abs();
            self.expires = Some(mono + Duration::from_millis(left_ms));
        }
        self.narrow = Some(narrow);
    }

    /// Says what this replica remembers of the peer's changes, and waits for the same.
    fn resume(&mut self, core: &Core) {
        let Some(peer) = &self.peer else { return };
        let mut body = Vec::new();
        self.repairs = core.store().needs_reconciliation();
        self.owes_reconciliation = self.repairs || self.config.unsettled.contains(&peer.id);
        peer.resume(core, self.owes_reconciliation).encode(&mut body);
        self.queue(FrameType::Resume, &body);
        self.state = LinkState::Resuming;
    }

    /// Both sides know what the other remembers: decides how each one's changes reach the other. The peer comes to the same decision.
    fn open(&mut self, mono: MonotonicTime, core: &Core, theirs: &Resume) {
        let Some(peer) = &self.peer else { return };
        let narrow = self.narrow.as_ref();
        let scope = scope_of(&self.ours, &peer.hello, narrow, self.config.dialed);
        let ours = peer.resume(core, self.owes_reconciliation);
        let out = way(&self.ours, &narrowed(&self.ours.lives, narrow), theirs, (peer.hello.seq, &ours), scope.as_ref());
        let back = way(&peer.hello, &peer.lives, &ours, (self.ours.seq, theirs), scope.as_ref());
        // One of the two begins; which does not matter, as long as both know.
        let leads = self.ours.replica < peer.claimed;
        let required = out == Way::Reconcile || back == Way::Reconcile;
        let interval = self.config.scrub_interval;
        let is_filled = self.repairs && back == Way::Everything && peer.hello.seq > Seq(0);
        self.filled_at = is_filled.then_some(peer.hello.seq);
        let due = if required { Some(mono) } else { interval.map(|interval| mono + interval) };
        let seed = u64::from_le_bytes(self.config.salt.first_chunk().copied().unwrap_or_default());
        self.reconciler = Reconciler::new(scope, leads, seed, due, interval);
        // What this side sends on a narrow link: nothing, if the device may not read.
        let at_node = narrow.filter(|narrow| narrow.grant.is_some()).map(Narrow::sent_profiles);
        if let Some(profiles) = &at_node {
            self.outbox.set_only(core.store(), profiles);
        }
        match (out, at_node) {
            (Way::After(seq), Some(profiles)) => self.outbox.start_narrow(core.store(), profiles, seq),
            (Way::Everything, Some(profiles)) => self.outbox.start_narrow(core.store(), profiles, Seq(0)),
            (Way::After(seq), None) => self.outbox.start(seq),
            (Way::Everything, None) => self.outbox.start(Seq(0)),
            (Way::Reconcile, _) => self.outbox.start_withheld(self.ours.seq),
        }
        if self.is_to_node() {
            if self.owes_reconciliation {
                core.doubt_neighbour(peer.id);
            }
            self.outbox.set_to_node();
            self.leases = Some(leases::Telling::new(mono, core, peer.id));
        }
        self.state = LinkState::Open;
        // The neighbour may have synced what it could not acknowledge before the last link broke.
        self.credit(core);
        self.push_event(LinkEvent::Opened);
    }

    /// Appends the next frame or frames to `out`; whether there was one.
    ///
    /// # Errors
    ///
    /// The link has ended.
    pub fn poll_frame(&mut self, mono: MonotonicTime, core: &Core, out: &mut Vec<u8>) -> Result<bool, LinkError> {
        let start = out.len();
        let polled = self.put_next(mono, core, out)?;
        if polled {
            self.figures.frames_out += 1;
            self.figures.bytes_out += (out.len() - start) as u64;
        }
        Ok(polled)
    }

    fn put_next(&mut self, mono: MonotonicTime, core: &Core, out: &mut Vec<u8>) -> Result<bool, LinkError> {
        if let Some(frame) = self.control.pop_front() {
            out.extend_from_slice(&frame);
            return Ok(true);
        }
        if self.state != LinkState::Open {
            return Ok(false);
        }
        let store = core.store();
        if let Some(ack) = self.inbox.poll_ack(store.durable()) {
            let mut body = Vec::new();
            ack.encode(&mut body);
            frame::put(out, FrameType::Ack, &body);
            return Ok(true);
        }
        if !self.may_send {
            return Ok(false);
        }
        if self.leases.as_mut().is_some_and(|leases| leases.poll(mono, core, true, out)) {
            return Ok(true);
        }
        let (polled, event) = self.reconciler.poll(mono, store, &self.inbox, &mut self.outbox, out)?;
        if let Some(event) = event {
            self.settled(mono, core, event);
        }
        if polled {
            return Ok(true);
        }
        let Some(peer) = &self.peer else { return Ok(false) };
        let narrow = self.narrow.as_ref();
        let wants = |profile: &str| narrow.is_none_or(|narrow| narrow.sends(profile));
        if self.outbox.poll(mono, core, peer.id, &wants, out)? {
            return Ok(true);
        }
        let to = peer.id;
        Ok((self.is_to_node() && self.telling.poll(mono, core, to, out))
            || self.leases.as_mut().is_some_and(|leases| leases.poll(mono, core, false, out)))
    }

    /// Whether the peer is a device: it has no part in what nodes tell each other. It is sent none of it, skips it, and may not send any.
    fn is_from_device(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.role == Role::Device)
    }

    /// Whether both sides are nodes.
    fn is_to_node(&self) -> bool {
        self.config.role == Role::Node && self.peer.as_ref().is_some_and(|peer| peer.role == Role::Node)
    }

    fn ping(&mut self, now: WallTime, mono: MonotonicTime, core: &Core) {
        core.note_clock(now, mono);
        let token = self.clock.ask(mono);
        let mut body = Vec::new();
        Ping { token }.encode(&mut body);
        self.queue(FrameType::Ping, &body);
    }

    fn queue(&mut self, kind: FrameType, body: &[u8]) {
        let mut bytes = Vec::with_capacity(body.len() + 4);
        frame::put(&mut bytes, kind, body);
        self.control.push_back(bytes);
    }

    fn push_event(&mut self, event: LinkEvent) {
        if self.events.len() < EVENTS_COUNT_MAX {
            self.events.push_back(event);
        }
    }
}
