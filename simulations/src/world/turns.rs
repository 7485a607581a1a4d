//! Turns of links: what has arrived is taken, what is to be sent is polled, what they tell is acted on.

use std::sync::atomic::Ordering;

use leftoff::limits::IN_FLIGHT_BYTES_MAX;
use leftoff::progress::ProfileId;
use leftoff::replica::Core;
use leftoff::store::{Applied, Origin, Record, ReplicaId, Seq};
use leftoff::sync::frame::{self, FrameType};
use leftoff::sync::message::Role;
use leftoff::sync::{Handled, LinkError, LinkEvent, Rival, newer_stays};

use super::World;
use super::clock::monotonic;
use super::conn::Conn;
use super::links::End;
use super::measure::Fill;
use super::queue::Event;
use crate::observation::{HostId, Observation, Same, Traffic};

/// Bytes polled at once: then they are sent, and the rest follows.
const CHUNK_BYTES: usize = 64 << 10;
/// Buffers kept to be used again.
const SPARE_COUNT_MAX: usize = 256;

/// What a device's sharing made durable, kept until the offset is known.
struct Shown {
    seq: Seq,
    origin: Origin,
    record: Record,
    unshared: bool,
    changed: bool,
}

impl World<'_> {
    /// Takes a connection out, works on it and puts it back, or lets it go when both of its sides have ended.
    pub(super) fn with_conn(&mut self, index: u32, generation: u32, work: impl FnOnce(&mut Self, &mut Conn)) {
        if let Some(conn) = self.stage.conns.take(index, generation) {
            self.work_on(index, conn, work);
        }
    }

    pub(super) fn with_any_conn(&mut self, index: u32, work: impl FnOnce(&mut Self, &mut Conn)) {
        if let Some(conn) = self.stage.conns.take_any(index) {
            self.work_on(index, conn, work);
        }
    }

    fn work_on(&mut self, index: u32, mut conn: Box<Conn>, work: impl FnOnce(&mut Self, &mut Conn)) {
        work(self, &mut conn);
        if conn.established && conn.sides.iter().all(|side| side.link.is_none()) {
            self.account(&conn);
            self.stage.conns.put_back(index, conn);
            let _ = self.stage.conns.take_any(index);
            self.stage.conns.free(index);
        } else {
            self.stage.conns.put_back(index, conn);
        }
    }

    /// Bytes have arrived at the far end of a wire.
    pub(super) fn arrive(&mut self, index: u32, generation: u32, from: usize) {
        self.with_conn(index, generation, |world, conn| world.take_arrived(index, conn, from));
    }

    fn take_arrived(&mut self, index: u32, conn: &mut Conn, from: usize) {
        let to = 1 - from;
        let now = self.stage.now();
        let host = conn.sides[to].host;
        let again = Event::Arrive { conn: index, generation: conn.generation, from: from as u8 };
        conn.wires[from].planned = false;
        if conn.sides[to].link.is_none() {
            conn.wires[from].clear();
            return;
        }
        if self.stage.hosts[host].up == super::host::Up::Paused {
            conn.wires[from].planned = true;
            self.stage.hosts[host].deferred.push(again);
            return;
        }
        if conn.wires[from].condition.blocked {
            if conn.sides[from].link.is_none() {
                // The sender's transport is gone too: nothing is sent again.
                conn.wires[from].clear();
                return;
            }
            let due = conn.wires[from].put_off(now, &mut self.weather);
            conn.wires[from].planned = true;
            self.stage.queue.at(due, again);
            return;
        }
        conn.wires[from].passed();
        while let Some(chunk) = conn.wires[from].chunks.front() {
            let due = conn.sides[to].busy_until.map_or(chunk.due, |busy| busy.max(chunk.due));
            if due > now {
                conn.wires[from].planned = true;
                self.stage.queue.at(due, again);
                break;
            }
            conn.sides[to].busy_until = None;
            if self.stage.hosts[host].stuck {
                break;
            }
            if !self.take_chunk(index, conn, from) {
                break;
            }
        }
        if conn.sides[to].link.is_some() {
            self.turn(index, conn, to);
            if std::mem::take(&mut conn.sides[to].owes) {
                let owing = &mut self.stage.hosts[host].owing;
                if owing.last() != Some(&index) {
                    owing.push(index);
                }
            }
        }
        self.flush_if_woken(host);
    }

    /// Takes the first chunk of a wire; whether to go on with the next.
    fn take_chunk(&mut self, index: u32, conn: &mut Conn, from: usize) -> bool {
        let to = 1 - from;
        let Some(chunk) = conn.wires[from].chunks.front_mut() else { return false };
        let bytes = std::mem::take(&mut chunk.bytes);
        let (mut taken, end) = (chunk.taken, chunk.end);
        let mut failed = None;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.take_frame(conn, from, rest) {
                Ok((Handled::Done, length)) => taken += length,
                Ok((Handled::Busy(pause), _)) => {
                    conn.sides[to].busy_until = Some(self.stage.now() + super::micros(pause).max(1_000));
                    break;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let length = bytes.len();
        if let Some(chunk) = conn.wires[from].chunks.front_mut() {
            (chunk.bytes, chunk.taken) = (bytes, taken);
        }
        if let Some(error) = failed {
            self.take_events(index, conn, to);
            self.end(index, conn, to, End::Error(error));
            return false;
        }
        if taken < length {
            return true;
        }
        let (chunk, wakes) = conn.wires[from].read();
        if let Some(chunk) = chunk {
            self.keep_spare(chunk.bytes);
        }
        self.take_events(index, conn, to);
        if wakes && conn.sides[from].link.is_some() {
            self.turn(index, conn, from);
        }
        if end && conn.sides[to].link.is_some() {
            self.end(index, conn, to, End::Transport("the peer closed the connection"));
            return false;
        }
        conn.sides[to].link.is_some()
    }

    /// Hands a frame to its link. What became of it, and its length.
    fn take_frame(&mut self, conn: &mut Conn, from: usize, rest: &[u8]) -> Result<(Handled, usize), LinkError> {
        let to = 1 - from;
        let now = self.stage.now();
        let found = frame::split(rest)?.ok_or(LinkError::UnknownType { number: 0 })?;
        let (host, peer) = (id(conn, to), id(conn, from));
        let (number, body) = (found.number, found.body);
        self.watch.see(&self.stage, &Observation::FrameArrived { link: conn.id, host, peer, number, body });
        let at = &self.stage.hosts[conn.sides[to].host];
        let (Some(core), Some(link)) = (at.core.as_deref(), conn.sides[to].link.as_mut()) else { return Ok((Handled::Done, found.bytes)) };
        let (wall, mono) = (at.clock.wall(now), monotonic(now));
        let takes_records = number == FrameType::Records as u8;
        if number != FrameType::Pong as u8 || at.is_node() {
            let begun = self.watch.measure.begin_part();
            let handled = link.handle_frame(wall, mono, core, number, body);
            self.watch.measure.end_part("replicas: taking frames", begun);
            let handled = handled?;
            if takes_records && matches!(handled, Handled::Busy(_)) {
                self.watch.put_off(&self.stage, conn.id, host);
            }
            conn.sides[to].owes |= takes_records;
            return Ok((handled, found.bytes));
        }
        // A device learns of its node's clock: it may move its work to right time and share it.
        let appended = core.store().appended();
        let offset_ms = core.clock_offset_ms();
        let mut shown = Vec::new();
        let handled = link.handle_frame_observed(wall, mono, core, number, body, &mut |applied: &Applied<'_>| {
            if applied.seq <= appended {
                self.watch.applied(&self.stage, host.0 as usize, applied);
            } else if let Ok(record) = applied.record() {
                let (unshared, changed) = (applied.unshared, applied.changed);
                shown.push(Shown { seq: applied.seq, origin: applied.origin, record, unshared, changed });
            }
        })?;
        let moved_ms = core.clock_offset_ms() - offset_ms;
        if at.reset.swap(false, Ordering::Relaxed) {
            self.watch.see(&self.stage, &Observation::Restamped { host, offset_ms: moved_ms });
        }
        for Shown { seq, origin, record, unshared, changed } in shown {
            let from = origin.replica();
            self.watch.see(&self.stage, &Observation::Applied { host, seq, from, record: &record, unshared, changed, same: Same::UNKNOWN });
        }
        self.acknowledge(host.0 as usize);
        Ok((handled, found.bytes))
    }

    /// A link asked to be called.
    pub(super) fn timer(&mut self, index: u32, generation: u32, side: usize) {
        self.with_conn(index, generation, |world, conn| {
            let host = conn.sides[side].host;
            let now = world.stage.now();
            conn.sides[side].planned.retain(|planned| *planned != now);
            if conn.sides[side].timer != Some(now) {
                return;
            }
            if world.stage.hosts[host].up == super::host::Up::Paused {
                // Called again when the host goes on.
                world.stage.hosts[host].deferred.push(Event::Timer { conn: index, generation, side: side as u8 });
                return;
            }
            conn.sides[side].timer = None;
            world.turn(index, conn, side);
            world.flush_if_woken(host);
        });
    }

    /// One turn of a link: the time is noted, and what is to be sent is polled.
    pub(super) fn turn(&mut self, index: u32, conn: &mut Conn, side: usize) {
        let now = self.stage.now();
        let mono = monotonic(now);
        let (host, peer) = (id(conn, side), id(conn, 1 - side));
        let at = &self.stage.hosts[conn.sides[side].host];
        let Some(core) = at.core.as_deref() else { return };
        let wall = at.clock.wall(now);
        conn.sides[side].polled = (at.flushes, now);
        let Some(link) = conn.sides[side].link.as_mut() else { return };
        let mut failed = link.handle_timeout(wall, mono, core).err();
        while failed.is_none() {
            if !conn.wires[side].has_room() {
                conn.wires[side].full = true;
                break;
            }
            let Some(link) = conn.sides[side].link.as_mut() else { return };
            let Some(core) = self.stage.hosts[conn.sides[side].host].core.as_deref() else { return };
            let mut buffer = self.spare.pop().unwrap_or_default();
            while buffer.len() < CHUNK_BYTES {
                let before = buffer.len();
                let begun = self.watch.measure.begin_part();
                let polled = link.poll_frame(mono, core, &mut buffer);
                self.watch.measure.end_part("replicas: polling frames", begun);
                match polled {
                    Ok(true) => {
                        let mut rest = buffer.get(before..).unwrap_or_default();
                        while let Ok(Some(found)) = frame::split(rest) {
                            let traffic = traffic_of(found.number);
                            let bytes = found.bytes;
                            self.watch.measure.sent(traffic, bytes);
                            conn.sent[side].0 += bytes as u64;
                            conn.sent[side].1 += 1;
                            self.watch.see(&self.stage, &Observation::FrameSent { link: conn.id, host, peer, traffic, bytes });
                            if traffic == Traffic::Acks {
                                self.watch.show_refused(&self.stage, conn.id, (host, peer), found.body);
                            }
                            rest = &rest[bytes..];
                        }
                    }
                    Ok(false) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if buffer.is_empty() {
                self.keep_spare(buffer);
                break;
            }
            let in_flight = link.figures(core).in_flight_bytes;
            self.watch.measure.fill(Fill::InFlight, in_flight, IN_FLIGHT_BYTES_MAX);
            self.send(index, conn, side, buffer, false);
        }
        self.take_events(index, conn, side);
        if let Some(error) = failed {
            self.end(index, conn, side, End::Error(error));
        }
        self.plan_timer(index, conn, side);
    }

    pub(super) fn send(&mut self, index: u32, conn: &mut Conn, side: usize, bytes: Vec<u8>, end: bool) {
        let now = self.stage.now();
        let planned = conn.wires[side].send(now, bytes, end, &mut self.weather);
        let (fill, window) = conn.wires[side].fill();
        self.watch.measure.fill(Fill::Stream, fill, window);
        if let Some(due) = planned {
            self.stage.queue.at(due, Event::Arrive { conn: index, generation: conn.generation, from: side as u8 });
        }
    }

    fn keep_spare(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_COUNT_MAX && buffer.capacity() <= 2 * CHUNK_BYTES {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    fn plan_timer(&mut self, index: u32, conn: &mut Conn, side: usize) {
        let Some(due) = conn.sides[side].link.as_ref().and_then(leftoff::sync::Link::poll_timeout) else {
            conn.sides[side].timer = None;
            return;
        };
        // A moment later than asked never hurts; a moment earlier would ask again and again.
        let due = (super::micros(due.since_start()) + 1).max(self.stage.now() + 1);
        let end = &mut conn.sides[side];
        end.timer = Some(due);
        if !end.planned.contains(&due) {
            end.planned.push(due);
            self.stage.queue.at(due, Event::Timer { conn: index, generation: conn.generation, side: side as u8 });
        }
    }

    /// Acts on what a link tells.
    pub(super) fn take_events(&mut self, index: u32, conn: &mut Conn, side: usize) {
        while let Some(event) = conn.sides[side].link.as_mut().and_then(leftoff::sync::Link::poll_event) {
            self.take_event(index, conn, side, &event);
        }
    }

    fn take_event(&mut self, index: u32, conn: &mut Conn, side: usize, event: &LinkEvent) {
        let host = conn.sides[side].host;
        match event {
            LinkEvent::Greeted { peer, role, run, .. } => self.greeted(index, conn, side, (*peer, *role, *run)),
            LinkEvent::Opened => {
                conn.sides[side].opened = true;
                let at = &mut self.stage.hosts[host];
                at.open_count += 1;
                if let Some(peer) = conn.sides[side].peer {
                    at.unsettled.remove(&peer);
                }
            }
            LinkEvent::ClockCompared(comparison) => {
                if let (Some(peer), Some(Role::Node)) = (conn.sides[side].peer, conn.sides[side].role) {
                    self.stage.hosts[host].clocks.note(peer, comparison.offset_ms);
                    self.judge_clock(host);
                }
            }
            LinkEvent::Shared { clock_offset_ms } => self.stage.hosts[host].disk.clock_offset_ms = *clock_offset_ms,
            LinkEvent::Reconciled { .. } => self.reconciled(host),
            _ => {}
        }
    }

    /// The peer has said who it is: of two links between the same replicas, one gives way.
    fn greeted(&mut self, index: u32, conn: &mut Conn, side: usize, (peer, role, run): (ReplicaId, Role, u64)) {
        let host = conn.sides[side].host;
        let end = &mut conn.sides[side];
        (end.peer, end.role, end.run) = (Some(peer), Some(role), Some(run));
        let dialed = side == 0;
        let Some(own) = self.stage.hosts[host].core.as_deref().map(|core| core.store().id()) else { return };
        if dialed && let Some(dialer) = self.stage.hosts[host].dialers.get_mut(conn.dialer) {
            dialer.replica = Some(peer);
        }
        let before = self.stage.hosts[host].by_peer.get(&peer).copied().filter(|before| *before != index);
        let older = before.and_then(|before| {
            let other = self.stage.conns.get(before)?;
            let older_side = usize::from(other.sides[0].host != host);
            Some((before, older_side, Rival { dialed: older_side == 0, run: other.sides[older_side].run }))
        });
        if let Some((before, older_side, older)) = older {
            if !newer_stays(own, peer, role, older, Rival { dialed, run: Some(run) }) {
                self.end(index, conn, side, End::GivesWay);
                return;
            }
            self.stage.hosts[host].by_peer.insert(peer, index);
            self.with_any_conn(before, |world, other| world.end(before, other, older_side, End::GivesWay));
            return;
        }
        self.stage.hosts[host].by_peer.insert(peer, index);
    }

    /// Shows reads of a replica to those who look on.
    pub(super) fn show_read(&mut self, host: usize, profile: &ProfileId, title: &leftoff::progress::TitleId) -> Option<u64> {
        let core: &Core = self.stage.hosts[host].core.as_deref()?;
        let answer = core.resume_point(profile, title, leftoff::progress::Policy::Continue).ok()?;
        let seen = Observation::Read { host: HostId(host as u32), profile, title, register: answer.register.as_ref() };
        self.watch.see(&self.stage, &seen);
        answer.register.is_some().then(|| answer.point.position.as_millis())
    }
}

fn id(conn: &Conn, side: usize) -> HostId {
    HostId(conn.sides[side].host as u32)
}

fn traffic_of(number: u8) -> Traffic {
    match FrameType::from_u8(number) {
        Some(FrameType::Records) => Traffic::Records,
        Some(FrameType::Ack) => Traffic::Acks,
        Some(FrameType::Start | FrameType::Fps | FrameType::List | FrameType::Want | FrameType::Turn | FrameType::Sketch) => {
            Traffic::Reconciliation
        }
        _ => Traffic::Control,
    }
}
