//! Faults strike, and are over.

use leftoff::progress::{EventKind, PlaybackEvent, ProfileId};
use leftoff::store::log::Fault as DiskStrike;
use leftoff::time::Hlc;

use super::World;
use super::host::{Kind, Up};
use super::people::Errand;
use super::plan::{Planner, Step};
use super::queue::{Event, Micros};
use crate::observation::{DiskFault, HostId, Observation};
use crate::scenario::FaultKind;

/// How long an armed crash waits for an I/O call to strike between.
const ARMED_US: Micros = 3_000_000;
/// I/O calls among which an armed crash is drawn.
const ARMED_CALLS: u64 = 24;
/// How long a process is down that is only restarted.
const RESTART_US: Micros = 500_000;
/// Within which time all those who come back at once do so.
const HERD_US: Micros = 1_000_000;

/// What faults of one kind do to a host until the last of them ends.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Lasting {
    Pause,
    Stuck,
    Clock,
    Full,
    Held,
}

impl World<'_> {
    pub(super) fn plan_faults(&mut self) {
        let places = self.paths.spots().iter().map(|spot| spot.place).collect();
        let mut planner = Planner {
            scenario: self.scenario,
            seed: self.seed,
            places,
            hosts: self.stage.hosts.len(),
            nodes: self.stage.nodes,
            steps: Vec::new(),
            backups: Vec::new(),
            struck: Vec::new(),
        };
        planner.plan();
        let Planner { steps, backups, struck, .. } = planner;
        self.struck = struck;
        for (slot, (at, host, copy)) in backups.into_iter().enumerate() {
            self.backups.push(None);
            self.plan_errand(at, Errand::Backup { host, slot, copy });
        }
        for (number, (at, step)) in steps.into_iter().enumerate() {
            self.plan.push(step);
            self.stage.queue.at(at, Event::Fault { step: number as u32 });
        }
    }

    pub(super) fn step(&mut self, number: u32) {
        let Some(step) = self.plan.get(number as usize).cloned() else { return };
        let now = self.stage.now();
        match step {
            Step::Begins(index) => {
                let devices = self.struck.get(index).map(|struck| struck.devices.clone());
                self.watch.measure.divergence.fault_begins(index, devices.unwrap_or_default());
                self.see(&Observation::Fault { index, begins: true });
            }
            Step::Ends(index) => {
                self.ending.push(index);
                self.end_faults();
            }
            Step::Rule(rule) => {
                self.paths.add(rule);
                self.review_all();
            }
            Step::Lift { fault, part } => {
                self.paths.remove(fault, part);
                self.review_all();
            }
            Step::Stuck { host, stuck } if self.changes(Lasting::Stuck, host, stuck) => self.set_stuck(host, stuck),
            Step::Clock { host, wrong } => {
                self.changes(Lasting::Clock, host, true);
                self.stage.hosts[host].clock.disturb(now, wrong);
            }
            Step::ClockRight { host, .. } if self.changes(Lasting::Clock, host, false) => self.stage.hosts[host].clock.put_right(),
            // Another fault goes on making it wrong, by its own part.
            Step::ClockRight { host, fault } => self.stage.hosts[host].clock.give_back(now, fault),
            Step::Crash { host, down } => self.arm_crash(host, down),
            Step::Stop { host, down } => self.stop(host, Some(down)),
            Step::Pause { host } if self.changes(Lasting::Pause, host, true) => self.pause(host),
            Step::Resume { host } if self.changes(Lasting::Pause, host, false) => self.resume(host),
            Step::LoseDisk { host, down } => self.lose_disk(host, down),
            Step::Restore { host, slot, down } => self.restore(host, slot, down),
            Step::FailSync { host, down } => {
                self.stage.hosts[host].disk.files.arm(2, DiskStrike::FailedSync);
                // Restarted when the fault is over.
                self.stage.hosts[host].down_next = Some(RESTART_US);
                let life = self.stage.hosts[host].life;
                self.stage.queue.after(down, Event::Strike { host: host as u32, life });
            }
            Step::Full { host, full } if self.changes(Lasting::Full, host, full) => {
                self.stage.hosts[host].disk.files.set_full(full);
                if full {
                    self.see(&Observation::Disk { host: HostId(host as u32), fault: DiskFault::Full });
                } else if self.has_closed(host) {
                    self.crash(host, Some(RESTART_US));
                }
            }
            Step::HurtLog { host, hurt, count, down } => {
                self.crash(host, Some(down));
                for fault in self.stage.hosts[host].disk.hurt_log(hurt, count) {
                    self.see(&Observation::Disk { host: HostId(host as u32), fault });
                }
                self.watch.measure.divergence.note_everything(&self.stage);
            }
            Step::Poison { host, ahead_ms } => self.poison(host, ahead_ms),
            Step::Erase { host, profile } => self.erase(host, profile),
            Step::Hold { place, holds } if self.changes(Lasting::Held, place, holds) => self.hold_place(place, holds),
            // Another fault of the kind holds on.
            Step::Stuck { .. } | Step::Pause { .. } | Step::Resume { .. } | Step::Full { .. } | Step::Hold { .. } => {}
        }
    }

    /// Counts the faults of a kind that hold a host, or a region's viewers, now: whether the first has begun or the last has ended.
    fn changes(&mut self, kind: Lasting, whom: usize, begins: bool) -> bool {
        let held = self.lasting.entry((kind, whom)).or_default();
        let others = if begins { *held } else { held.saturating_sub(1) };
        *held = others + u32::from(begins);
        others == 0
    }

    /// Of the faults whose time is over, those end whose hosts run again.
    pub(super) fn end_faults(&mut self) {
        if self.ending.is_empty() {
            return;
        }
        let over = |index: &usize| {
            // An erasure strikes when it is durable somewhere, unless nobody took it.
            if let Some(FaultKind::Erase { profile, .. }) = self.scenario.faults.get(*index).map(|fault| &fault.kind)
                && let Ok(profile) = ProfileId::new(super::workload::profile_name(*profile))
            {
                let mut nodes = self.stage.hosts[..self.stage.nodes].iter().filter_map(|host| host.core.as_deref()).peekable();
                return self.healed || nodes.peek().is_none() || nodes.any(|core| core.store().erased(&profile) > Hlc::ZERO);
            }
            let mut stopped = self.struck.get(*index).into_iter().flat_map(|struck| &struck.stopped);
            stopped.all(|host| self.stage.hosts[*host].is_up() && self.stage.hosts[*host].down_next.is_none())
        };
        let (over, ending) = std::mem::take(&mut self.ending).into_iter().partition(over);
        self.ending = ending;
        let over: Vec<usize> = over;
        for index in over {
            self.fault_ends(index);
        }
    }

    fn fault_ends(&mut self, index: usize) {
        if self.watch.measure.divergence.fault_ends(index, &self.stage) {
            self.look();
        }
        self.see(&Observation::Fault { index, begins: false });
    }

    pub(super) fn review_all(&mut self) {
        for index in self.stage.conns.indexes() {
            self.review(index);
        }
    }

    /// Whether a host's store has closed itself.
    fn has_closed(&self, host: usize) -> bool {
        self.stage.hosts[host].core.as_deref().is_some_and(|core| core.store().figures().closed)
    }

    pub(super) fn set_stuck(&mut self, host: usize, stuck: bool) {
        self.stage.hosts[host].stuck = stuck;
        if stuck {
            return;
        }
        for index in self.stage.hosts[host].links.clone() {
            if let Some(conn) = self.stage.conns.get_mut(index) {
                let from = usize::from(conn.sides[0].host == host);
                if !conn.wires[from].planned && !conn.wires[from].chunks.is_empty() {
                    conn.wires[from].planned = true;
                    let event = Event::Arrive { conn: index, generation: conn.generation, from: from as u8 };
                    self.stage.queue.after(0, event);
                }
            }
        }
    }

    /// Arms a crash for one of the next I/O calls; if none comes, it strikes by itself.
    fn arm_crash(&mut self, host: usize, down: Micros) {
        let at = &mut self.stage.hosts[host];
        if at.up == Up::No {
            return;
        }
        at.down_next = Some(down);
        let nth = 1 + at.disk.random.below(ARMED_CALLS);
        at.disk.files.arm(nth, DiskStrike::Crash);
        let life = at.life;
        self.stage.queue.after(ARMED_US, Event::Strike { host: host as u32, life });
    }

    /// What was armed strikes now, unless it has struck.
    pub(super) fn strike(&mut self, host: u32, life: u32) {
        let number = host as usize;
        if self.stage.hosts[number].life == life && self.stage.hosts[number].down_next.is_some() {
            if self.stage.hosts[number].up == Up::Paused {
                self.stage.hosts[number].deferred.push(Event::Strike { host, life });
                return;
            }
            self.crash(number, None);
        }
    }

    fn lose_disk(&mut self, host: usize, down: Micros) {
        self.crash(host, Some(down));
        self.stage.hosts[host].disk.lose_everything();
        self.see(&Observation::Disk { host: HostId(host as u32), fault: DiskFault::Lost });
        self.watch.measure.divergence.note_everything(&self.stage);
    }

    fn restore(&mut self, host: usize, slot: usize, down: Micros) {
        self.crash(host, Some(down));
        let Some(backup) = self.backups.get_mut(slot).and_then(Option::take) else { return };
        // Files in memory that are not struck do not fail.
        let _ = self.stage.hosts[host].disk.restore(&backup);
        self.see(&Observation::Disk { host: HostId(host as u32), fault: DiskFault::Restored });
        self.watch.measure.divergence.note_everything(&self.stage);
    }

    /// A hostile device makes progress far in the future and sends it on.
    fn poison(&mut self, host: usize, ahead_ms: u64) {
        let now = self.stage.now();
        let at = &mut self.stage.hosts[host];
        at.hostile = true;
        let (Some(core), Kind::Device { profile, .. }) = (at.core.as_deref(), &at.kind) else { return };
        let ahead = at.clock.wall(now).shifted(ahead_ms.cast_signed());
        for title in 0..3 {
            let event = PlaybackEvent::new(profile.as_str(), super::workload::title_name(title), "hostile", EventKind::Seek, 600_000);
            // A device that cannot record now does no harm.
            let _ = core.record(ahead, None, &[event]);
        }
        self.flush_if_woken(host);
    }

    /// The viewers of a region hold back what they have to say, or say all of it.
    fn hold_place(&mut self, place: usize, holds: bool) {
        self.held_places[place] = holds;
        if holds {
            return;
        }
        for viewer in 0..self.audience.viewers.len() as u32 {
            let who = &mut self.audience.viewers[viewer as usize];
            if usize::from(who.place) == place && !who.held.is_empty() && !who.retry_planned {
                who.retry_planned = true;
                let wait = who.random.below(HERD_US);
                self.stage.queue.after(wait, Event::Retry(viewer));
            }
        }
    }

    /// A device has no line until then.
    pub(super) fn take_offline(&mut self, host: usize, until: Micros) {
        let now = self.stage.now();
        self.stage.hosts[host].offline_until = until;
        for index in self.stage.hosts[host].links.clone() {
            self.review(index);
        }
        self.plan_errand(until.saturating_sub(now), Errand::Online { host });
    }

    /// All faults are over: everything is up, online and right.
    pub(super) fn heal(&mut self) {
        self.paths.clear();
        for place in 0..self.held_places.len() {
            self.hold_place(place, false);
        }
        for host in 0..self.stage.hosts.len() {
            self.stage.hosts[host].offline_until = 0;
            self.stage.hosts[host].clock.put_right();
            self.stage.hosts[host].disk.files.set_full(false);
            self.set_stuck(host, false);
            self.resume(host);
            if self.stage.hosts[host].up == Up::Yes && (self.has_closed(host) || self.stage.hosts[host].down_next.is_some()) {
                self.crash(host, None);
            }
            self.stage.hosts[host].down_next = None;
            self.start(host);
        }
        self.review_all();
        for viewer in 0..self.audience.viewers.len() as u32 {
            let who = &mut self.audience.viewers[viewer as usize];
            who.offline_until = 0;
            if !who.held.is_empty() {
                // One may be planned for when the viewer would have come back by itself, long after the end.
                who.retry_planned = false;
                self.plan_retry(viewer);
            }
        }
        self.healed = true;
        self.end_faults();
        self.see(&Observation::Healed);
    }
}
