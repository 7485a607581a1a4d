//! How links begin and end: dialing, handshakes, silence, goodbyes, as the shell around the shipped network has it.

use std::time::Duration;

use leftoff::sync::message::{Bye, ByeCode, Role};
use leftoff::sync::{Link, LinkConfig, LinkError};

use super::World;
use super::clock::monotonic;
use super::conn::{Conn, Side};
use super::host::{Dialing, Kind, Up};
use super::measure::Passed;
use super::queue::{Event, Micros};
use super::wire::Wire;
use crate::observation::{HostId, Observation};

/// After how long without a packet a connection is given up, and an attempt with it.
const IDLE_US: Micros = 15_000_000;
/// How often an idle connection shows that it lives.
const KEEP_ALIVE_US: Micros = 5_000_000;
/// A link that lived so long counts as a success.
const LIVED_US: Micros = 3_000_000;

/// Comparisons of clocks on one link, over the duration, about.
const PINGS_COUNT_MAX: u32 = 10_000;

/// How one side of a link ends.
pub(super) enum End {
    Error(LinkError),
    Transport(&'static str),
    GivesWay,
    Shutdown,
}

impl World<'_> {
    /// A dialer tries again, unless there is a link with the replica at its address.
    pub(super) fn dial(&mut self, host: u32, life: u32, dialer: usize) {
        let now = self.stage.now();
        let at = &mut self.stage.hosts[host as usize];
        if at.life != life || at.up == Up::No {
            return;
        }
        if at.up == Up::Paused {
            at.deferred.push(Event::Dial { host, life, dialer: dialer as u32 });
            return;
        }
        let linked = at.dialers[dialer].replica.is_some_and(|replica| at.by_peer.contains_key(&replica));
        let own = &mut at.dialers[dialer];
        if own.dialing == Dialing::Attempts {
            return;
        }
        if linked {
            own.dialing = Dialing::Rests;
            return;
        }
        own.dialing = Dialing::Attempts;
        let target = own.targets[own.next % own.targets.len()];
        let (me, generation_life) = (host as usize, at.life);
        let answers = self.stage.hosts[target].is_up() && !self.is_cut(me, target) && !self.is_cut(target, me);
        let ways = [self.paths.way(me, target), self.paths.way(target, me)];
        let conditions = [self.condition(me, target), self.condition(target, me)];
        let target_life = self.stage.hosts[target].life;
        let (index, generation) = self.stage.conns.insert(|id, generation| {
            let [there, back] = [0, 1].map(|way| Wire::new(ways[way], conditions[way]));
            Conn {
                id,
                generation,
                sides: [Side::new(me, generation_life), Side::new(target, target_life)],
                wires: [there, back],
                dialer,
                established: false,
                sent: [(0, 0); 2],
            }
        });
        let round_trip: Micros = (0..2).map(|way| (ways[way].draw(&mut self.weather) as f64 * conditions[way].slower) as Micros).sum();
        let event = if answers { Event::Connected { conn: index, generation } } else { Event::Unanswered { conn: index, generation } };
        self.stage.queue.at(now + if answers { round_trip } else { IDLE_US }, event);
    }

    /// A handshake is done: both sides have a link.
    pub(super) fn connected(&mut self, index: u32, generation: u32) {
        let Some(mut conn) = self.stage.conns.take(index, generation) else { return };
        let hosts = [0, 1].map(|side| conn.sides[side].host);
        let lives = |world: &Self, side: usize| {
            let host = &world.stage.hosts[hosts[side]];
            host.is_up() && host.life == conn.sides[side].life
        };
        if !lives(self, 0) || !lives(self, 1) || self.is_cut(hosts[0], hosts[1]) || self.is_cut(hosts[1], hosts[0]) {
            self.stage.conns.put_back(index, conn);
            self.stage.queue.after(IDLE_US, Event::Unanswered { conn: index, generation });
            return;
        }
        let now = self.stage.now();
        let profile_hashes = hosts.map(|host| match &self.stage.hosts[host].kind {
            Kind::Node => None,
            Kind::Device { profile_hash, .. } => Some(*profile_hash),
        });
        for side in 0..2 {
            let config = self.link_config(hosts[side], hosts[1 - side], side == 0);
            let host = &mut self.stage.hosts[hosts[side]];
            let Some(core) = host.core.as_deref() else { continue };
            conn.sides[side].link = Some(Link::new(host.clock.wall(now), monotonic(now), core, config));
            conn.sides[side].began = now;
            host.enter_link(index, profile_hashes[1 - side]);
            let condition = self.condition(hosts[side], hosts[1 - side]);
            conn.wires[side].condition = condition;
            let (host, peer) = (HostId(hosts[side] as u32), HostId(hosts[1 - side] as u32));
            self.watch.measure.passed.entry((host.0, peer.0)).or_default().links += u64::from(side == 0);
            self.watch.see(&self.stage, &Observation::LinkStarted { link: conn.id, host, peer });
        }
        conn.established = true;
        self.stage.conns.put_back(index, conn);
        self.with_any_conn(index, |world, conn| {
            world.turn(index, conn, 0);
            world.turn(index, conn, 1);
        });
    }

    fn link_config(&mut self, host: usize, peer: usize, dialed: bool) -> LinkConfig {
        let peer_is_node = self.stage.hosts[peer].is_node();
        let at = &mut self.stage.hosts[host];
        let (role, token) = match &at.kind {
            Kind::Node => (Role::Node, String::new()),
            Kind::Device { profile, .. } => (Role::Device, profile.as_str().to_owned()),
        };
        LinkConfig {
            role,
            name: at.name.clone(),
            region: at.region.clone(),
            // Every node dials every other: nobody learns of anybody.
            advertise: String::new(),
            token,
            dialed,
            peer_is_node,
            authority: at.is_node().then(|| self.authority.clone()),
            run: at.run,
            salt: at.random.bytes(),
            unsettled: at.unsettled.clone(),
            // Over months, comparing clocks every ten seconds would be all that is ever simulated.
            ping_interval: (self.scenario.duration / PINGS_COUNT_MAX).max(Duration::from_secs(10)),
            scrub_interval: self.scenario.replicas.scrub_interval.filter(|_| at.is_node()),
            ..LinkConfig::default()
        }
    }

    /// Nobody has answered an attempt.
    pub(super) fn unanswered(&mut self, index: u32, generation: u32) {
        let Some(conn) = self.stage.conns.take(index, generation) else { return };
        self.stage.conns.put_back(index, conn);
        let Some(conn) = self.stage.conns.take_any(index) else { return };
        self.stage.conns.free(index);
        let (host, life) = (conn.sides[0].host, conn.sides[0].life);
        if self.stage.hosts[host].life == life {
            self.redial(host, conn.dialer, false, 0, Duration::ZERO);
        }
    }

    /// Plans a dialer's next attempt, after a wait.
    fn redial(&mut self, host: usize, dialer: usize, opened: bool, lived: Micros, retry: Duration) {
        let at = &mut self.stage.hosts[host];
        let Some(own) = at.dialers.get_mut(dialer) else { return };
        if opened && lived >= LIVED_US {
            own.backoff.reset();
        }
        if !opened {
            own.next = (own.next + 1) % own.targets.len();
        }
        own.dialing = Dialing::Waits;
        let wait = own.backoff.next(at.random.fraction()).max(retry);
        let event = Event::Dial { host: host as u32, life: at.life, dialer: dialer as u32 };
        self.stage.queue.after(super::micros(wait), event);
    }

    /// Nothing has been heard for the idle timeout, unless something was.
    pub(super) fn idle(&mut self, index: u32, generation: u32, side: usize, silence: u16) {
        self.with_conn(index, generation, |world, conn| {
            let host = conn.sides[side].host;
            if conn.sides[side].link.is_none() || conn.sides[side].silence != silence {
                return;
            }
            if world.stage.hosts[host].up == Up::Paused {
                world.stage.hosts[host].deferred.push(Event::Idle { conn: index, generation, side: side as u8, silence });
                return;
            }
            world.end(index, conn, side, End::Transport("timed out"));
        });
    }

    /// Whether a side of a connection hears the other one's transport.
    fn hears(&self, conn: &Conn, side: usize) -> bool {
        let other = &conn.sides[1 - side];
        let host = &self.stage.hosts[other.host];
        other.link.is_some() && host.life == other.life && host.up == Up::Yes && !conn.wires[1 - side].condition.blocked
    }

    /// Looks anew at how a connection's wires are, and whether its sides hear each other.
    pub(super) fn review(&mut self, index: u32) {
        self.with_any_conn(index, |world, conn| {
            if !conn.established {
                return;
            }
            for side in 0..2 {
                let (from, to) = (conn.sides[side].host, conn.sides[1 - side].host);
                conn.wires[side].condition = world.condition(from, to);
            }
            for side in 0..2 {
                world.listen(index, conn, side);
            }
        });
    }

    /// Sets or forgets the deadline of a silence.
    pub(super) fn listen(&mut self, index: u32, conn: &mut Conn, side: usize) {
        if conn.sides[side].link.is_none() {
            return;
        }
        if self.hears(conn, side) {
            conn.sides[side].silence = conn.sides[side].silence.wrapping_add(1) & !1;
        } else if conn.sides[side].silence.is_multiple_of(2) {
            // Odd while it is silent: the deadline is set once.
            conn.sides[side].silence = conn.sides[side].silence.wrapping_add(1);
            let silence = conn.sides[side].silence;
            let left = IDLE_US - self.weather.below(KEEP_ALIVE_US);
            self.stage.queue.after(left, Event::Idle { conn: index, generation: conn.generation, side: side as u8, silence });
        }
    }

    /// Ends one side of a link: it says goodbye, if it can, and the shell does what it does then.
    pub(super) fn end(&mut self, index: u32, conn: &mut Conn, side: usize, end: End) {
        let now = self.stage.now();
        let at = &self.stage.hosts[conn.sides[side].host];
        let Some(mut link) = conn.sides[side].link.take() else { return };
        let (bye, code, reason, retry) = match end {
            End::Error(LinkError::Bye { code, reason, retry_ms }) => {
                (None, code, format!("the peer ended the link: {reason}"), Duration::from_millis(retry_ms))
            }
            End::Error(error) => (Some(error.bye()), error.code(), error.to_string(), Duration::ZERO),
            End::Transport(reason) => (None, ByeCode::Done, reason.to_owned(), Duration::ZERO),
            End::GivesWay => {
                let reason = "another link between the two replicas stays".to_owned();
                (Some(Bye { code: ByeCode::Duplicate, reason: reason.clone(), retry_ms: 0 }), ByeCode::Duplicate, reason, Duration::ZERO)
            }
            End::Shutdown => {
                let reason = "the replica stops".to_owned();
                (Some(Bye { code: ByeCode::Done, reason: reason.clone(), retry_ms: 0 }), ByeCode::Done, reason, Duration::ZERO)
            }
        };
        let mut farewell = Vec::new();
        if let (Some(bye), Some(core)) = (&bye, at.core.as_deref()) {
            link.say_bye(bye);
            // What cannot be polled any more is not sent: the peer sees the connection close.
            let _ = link.poll_frame(monotonic(now), core, &mut farewell);
        }
        let unsettled = link.is_unsettled();
        self.send(index, conn, side, farewell, true);
        self.left(index, conn, side, unsettled, code, &reason, retry);
        // What the peer has sent and nobody reads any more is lost; and it may never hear the goodbye.
        conn.wires[1 - side].clear();
        self.listen(index, conn, 1 - side);
    }

    /// What a shell does when a link of its has ended.
    #[expect(clippy::too_many_arguments, reason = "what the shipped shell knows at that point")]
    fn left(&mut self, index: u32, conn: &Conn, side: usize, unsettled: bool, code: ByeCode, reason: &str, retry: Duration) {
        let end = &conn.sides[side];
        let host = end.host;
        let lived = self.stage.now() - end.began;
        let at = &mut self.stage.hosts[host];
        at.remove_link(index);
        if let Some(peer) = end.peer {
            if unsettled {
                at.unsettled.insert(peer);
            }
            if at.by_peer.get(&peer) == Some(&index) {
                at.by_peer.remove(&peer);
                at.clocks.forget(peer);
            }
        }
        if end.opened {
            at.open_count = at.open_count.saturating_sub(1);
        }
        if at.open_count == 0
            && let Some(core) = at.core.as_deref()
        {
            core.stop_sharing();
        }
        // Those who rest because there was a link dial now.
        let (life, resting): (u32, Vec<usize>) = (
            at.life,
            (0..at.dialers.len())
                .filter(|dialer| {
                    let dialer = &at.dialers[*dialer];
                    dialer.dialing == Dialing::Rests && dialer.replica.is_none_or(|replica| !at.by_peer.contains_key(&replica))
                })
                .collect(),
        );
        for dialer in resting {
            self.stage.queue.after(0, Event::Dial { host: host as u32, life, dialer: dialer as u32 });
        }
        if side == 0 && code != ByeCode::Myself {
            self.redial(host, conn.dialer, end.opened, lived, retry);
        }
        self.judge_clock(host);
        let seen =
            Observation::LinkEnded { link: conn.id, host: HostId(host as u32), peer: HostId(conn.sides[1 - side].host as u32), reason };
        self.watch.see(&self.stage, &seen);
    }

    /// A process is gone, and its side of a connection with it, without a word.
    pub(super) fn vanish(&mut self, index: u32, host: usize) {
        self.with_any_conn(index, |world, conn| {
            for side in 0..2 {
                if conn.sides[side].host == host && conn.sides[side].link.take().is_some() {
                    conn.wires[1 - side].clear();
                    let (id, peer) = (HostId(host as u32), HostId(conn.sides[1 - side].host as u32));
                    world.watch.see(&world.stage, &Observation::LinkEnded { link: conn.id, host: id, peer, reason: "the process is gone" });
                    world.listen(index, conn, 1 - side);
                }
            }
        });
    }

    /// Adds what passed over a connection to the figures.
    pub(super) fn account(&mut self, conn: &Conn) {
        for side in 0..2 {
            let key = (conn.sides[side].host as u32, conn.sides[1 - side].host as u32);
            let (bytes, frames) = conn.sent[side];
            let passed: &mut Passed = self.watch.measure.passed.entry(key).or_default();
            passed.bytes += bytes;
            passed.frames += frames;
        }
    }
}
