//! What the shell of a replica does: start, flush with group commit, acknowledge, fold, stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leftoff::replica::Change;
use leftoff::store::{FoldBudget, FoldStep, Origin, Seq};

use super::World;
use super::host::{Dialing, Kind, Up};
use super::links::End;
use super::queue::{Event, Micros};
use crate::observation::{DiskFault, HostId, Observation, Stop};

/// How long an idle fold waits before it looks again whether there is something to fold.
const FOLD_IDLE_US: Micros = 500_000;
/// After a flush, links that it does not concern are polled so much later; twice as much, if they were polled shortly before.
const POLL_LATE_US: Micros = 100_000;
/// Between two steps of a fold.
const FOLD_STEP_US: Micros = 20_000;
/// Slots folded in one step.
const FOLD_SLOTS: usize = 32;
/// How often the expiry floor is looked at.
const EXPIRY_US: Micros = 600_000_000;
/// How long a host that cannot open its store waits before it tries again.
const REOPEN_US: Micros = 1_000_000;

impl World<'_> {
    /// A process starts: it opens its store, and dials.
    pub(super) fn start(&mut self, host: usize) {
        let at = &mut self.stage.hosts[host];
        if at.up != Up::No {
            return;
        }
        at.forget_process();
        at.life += 1;
        at.run = at.random.bits();
        let life = at.life;
        let begun = self.watch.measure.begin_part();
        let opened = at.disk.open();
        self.watch.measure.end_part("replicas: opening", begun);
        let Ok((core, report)) = opened else {
            // Struck while opening: whoever watches over the process starts it again.
            at.disk.lose_power();
            self.stage.queue.after(REOPEN_US, Event::Start { host: host as u32, life });
            return;
        };
        let woken = Arc::clone(&at.woken);
        core.set_waker(Box::new(move || woken.store(true, Ordering::Relaxed)));
        if let Kind::Device { profile, .. } = &at.kind {
            let reset = Arc::clone(&at.reset);
            core.watch(profile, Arc::new(move |change| _ = reset.fetch_or(*change == Change::Reset, Ordering::Relaxed)));
        }
        let mut damage: Vec<String> = report.damage.iter().map(|damage| format!("{}: {}", damage.file, damage.what)).collect();
        if core.store().needs_reconciliation() {
            damage.push("something acknowledged may be missing here".to_owned());
        }
        let damage = damage.join("; ");
        let replica = core.store().id();
        if at.is_node() {
            self.stage.node_ids.insert(replica);
        }
        let at = &mut self.stage.hosts[host];
        if at.is_node() && core.store().needs_reconciliation() {
            if self.stage.nodes > 1 {
                core.set_not_ready("reconciliation", "waiting to reconcile with a peer".to_owned());
            } else {
                core.store().set_reconciled();
            }
        }
        at.core = Some(Box::new(core));
        at.up = Up::Yes;
        let dialers = at.dialers.len();
        for dialer in 0..dialers {
            self.stage.queue.after(0, Event::Dial { host: host as u32, life, dialer: dialer as u32 });
        }
        if self.scenario.replicas.ttl_days.is_some() {
            self.stage.queue.after(0, Event::Expire { host: host as u32, life });
        }
        self.see(&Observation::Started { host: HostId(host as u32), replica, damage: &damage });
        self.watch.measure.divergence.note_started(&self.stage);
        self.end_faults();
        self.flush_if_woken(host);
    }

    pub(super) fn start_again(&mut self, host: u32, life: u32) {
        if self.stage.hosts[host as usize].life == life {
            self.start(host as usize);
        }
    }

    /// Takes what was appended as the next group and begins to sync it, unless one is being synced.
    pub(super) fn flush_if_woken(&mut self, host: usize) {
        let at = &mut self.stage.hosts[host];
        if at.syncing || at.up != Up::Yes || !at.take_woken() {
            return;
        }
        let Some(core) = at.core.as_deref() else { return };
        self.watch.measure.flushes(core);
        self.watch.flushing(&self.stage, host);
        let at = &mut self.stage.hosts[host];
        let Some(core) = at.core.as_deref() else { return };
        let begun = self.watch.measure.begin_part();
        let flushes = core.begin_flush();
        self.watch.measure.end_part("replicas: writing the log", begun);
        if let Ok(true) = flushes {
            at.syncing = true;
            let event = Event::Synced { host: host as u32, life: at.life };
            let took = at.disk.sync_time(self.scenario.replicas.sync_ms);
            self.stage.queue.after(took, event);
        }
    }

    /// A group is synced: it is visible, acknowledged, and on its way to the peers.
    pub(super) fn synced(&mut self, host: u32, life: u32) {
        let number = host as usize;
        let at = &mut self.stage.hosts[number];
        if at.life != life || at.up == Up::No {
            return;
        }
        if at.up == Up::Paused {
            at.deferred.push(Event::Synced { host, life });
            return;
        }
        at.syncing = false;
        let mut concerned = std::mem::take(&mut at.concerned);
        concerned.clear();
        concerned.append(&mut at.owing);
        let at = &self.stage.hosts[number];
        let Some(core) = at.core.as_deref() else { return };
        let mut news = !at.is_node();
        let begun = self.watch.measure.begin_part();
        let flushed = core.finish_flush_observed(&mut |applied| {
            self.watch.applied(&self.stage, number, applied);
            if let Some(links) = at.by_profile.get(&applied.key.profile_hash()) {
                concerned.extend(links);
            }
            news |= !matches!(applied.origin, Origin::Peer(peer) if self.stage.node_ids.contains(&peer));
        });
        self.watch.measure.end_part("replicas: applying what is synced", begun);
        match flushed {
            Ok(_) => self.flushed(number, news, concerned),
            Err(_) if self.stage.hosts[number].disk.files.has_crashed() => self.crash(number, None),
            Err(_) => {
                self.see(&Observation::Disk { host: HostId(host), fault: DiskFault::FailedSync });
                self.poll_links(number);
            }
        }
    }

    /// What follows a flush. `news`: something was made here, or came from a device, which all nodes want; `concerned`: links that have something to
    /// acknowledge or whose profile has changed.
    fn flushed(&mut self, host: usize, news: bool, mut concerned: Vec<u32>) {
        self.acknowledge(host);
        let at = &mut self.stage.hosts[host];
        at.flushes += 1;
        if news {
            concerned.extend(&at.node_links);
        }
        concerned.sort_unstable();
        concerned.dedup();
        if concerned.len() < at.links.len() && !at.poll_planned {
            at.poll_planned = true;
            let event = Event::Poll { host: host as u32, life: at.life };
            self.stage.queue.after(POLL_LATE_US, event);
        }
        for index in &concerned {
            self.poll_link(host, *index);
        }
        self.stage.hosts[host].concerned = concerned;
        self.end_faults();
        self.flush_if_woken(host);
        let at = &mut self.stage.hosts[host];
        if !at.fold_planned {
            at.fold_planned = true;
            let event = Event::Fold { host: host as u32, life: at.life };
            self.stage.queue.after(FOLD_IDLE_US, event);
        }
    }

    /// Tells those who wait that their reports are kept.
    pub(super) fn acknowledge(&mut self, host: usize) {
        let at = &mut self.stage.hosts[host];
        let kept = Seq(at.kept.load(Ordering::Relaxed));
        let mut told = None;
        while let Some(first) = at.waiting.front()
            && first.seq <= kept
        {
            told = Some(first.seq);
            at.waiting.pop_front();
        }
        if let Some(seq) = told {
            self.see(&Observation::Acknowledged { host: HostId(host as u32), seq });
        }
    }

    fn poll_link(&mut self, host: usize, index: u32) {
        self.with_any_conn(index, |world, conn| {
            let side = usize::from(conn.sides[0].host != host);
            world.turn(index, conn, side);
        });
    }

    /// Polls the links with nodes that were not polled since the last flush: one that brought nothing but what other nodes had sent has left them
    /// alone, for most of it is never passed on. What came or went over a link has polled it meanwhile, and then it has time again. Links with devices
    /// whose profile did not change have nothing to say until their next timer.
    pub(super) fn poll_late(&mut self, host: u32, life: u32) {
        let now = self.stage.now();
        let at = &mut self.stage.hosts[host as usize];
        if at.life != life || at.up == Up::No {
            return;
        }
        if at.up == Up::Paused {
            at.deferred.push(Event::Poll { host, life });
            return;
        }
        at.poll_planned = false;
        let mut again = false;
        for index in at.node_links.clone() {
            let at = &self.stage.hosts[host as usize];
            let Some(conn) = self.stage.conns.get(index) else { continue };
            let (flushes, polled) = conn.sides[usize::from(conn.sides[0].host != host as usize)].polled;
            if flushes == at.flushes {
                continue;
            }
            if polled + POLL_LATE_US > now {
                again = true;
            } else {
                self.poll_link(host as usize, index);
            }
        }
        let at = &mut self.stage.hosts[host as usize];
        if again && !at.poll_planned {
            at.poll_planned = true;
            self.stage.queue.after(POLL_LATE_US, Event::Poll { host, life });
        }
    }

    pub(super) fn poll_links(&mut self, host: usize) {
        let mut at = 0;
        // Ends of links shorten the list while it is gone through.
        while let Some(index) = self.stage.hosts[host].links.get(at).copied() {
            self.with_any_conn(index, |world, conn| {
                let side = usize::from(conn.sides[0].host != host);
                world.turn(index, conn, side);
            });
            if self.stage.hosts[host].links.get(at) == Some(&index) {
                at += 1;
            }
        }
    }

    /// A step of folding.
    pub(super) fn fold(&mut self, host: u32, life: u32) {
        let at = &mut self.stage.hosts[host as usize];
        if at.life != life || at.up == Up::No {
            return;
        }
        if at.up == Up::Paused {
            at.deferred.push(Event::Fold { host, life });
            return;
        }
        at.fold_planned = false;
        let Some(core) = at.core.as_deref() else { return };
        match core.fold_step(FoldBudget { slots: FOLD_SLOTS, force: false }) {
            Ok(FoldStep::Idle | FoldStep::Finished { .. }) => {}
            Ok(FoldStep::Worked { .. }) => {
                at.fold_planned = true;
                self.stage.queue.after(FOLD_STEP_US, Event::Fold { host, life });
            }
            Err(_) if at.disk.files.has_crashed() => self.crash(host as usize, None),
            Err(_) => {
                at.fold_planned = true;
                self.stage.queue.after(FOLD_IDLE_US, Event::Fold { host, life });
            }
        }
    }

    pub(super) fn expire(&mut self, host: u32, life: u32) {
        let now = self.stage.now();
        let at = &mut self.stage.hosts[host as usize];
        if at.life != life || at.up == Up::No {
            return;
        }
        if let Some(core) = at.core.as_deref() {
            core.note_clock(at.clock.wall(now), super::clock::monotonic(now));
            // A store that takes nothing now is asked again in an hour.
            let _ = core.expire(at.clock.wall(now));
        }
        self.stage.queue.after(EXPIRY_US, Event::Expire { host, life });
        self.flush_if_woken(host as usize);
    }

    /// What the peers' clocks say of a node's own.
    pub(super) fn judge_clock(&mut self, host: usize) {
        let at = &self.stage.hosts[host];
        let Some(core) = at.core.as_deref().filter(|_| at.is_node()) else { return };
        let stamps_ahead_ms = core.stamps_ahead_ms(at.clock.wall(self.stage.now()));
        core.set_clock_agrees(at.clocks.agree(core.options().drift_ms_max));
        match at.clocks.fault(stamps_ahead_ms, core.options().drift_ms_max) {
            Some(reason) => core.set_not_ready("clock", reason),
            None => core.set_ready("clock"),
        }
    }

    /// A reconciliation is settled: a replica that waited for one answers again.
    pub(super) fn reconciled(&mut self, host: usize) {
        let at = &self.stage.hosts[host];
        if let Some(core) = at.core.as_deref().filter(|core| at.is_node() && !core.store().needs_reconciliation()) {
            core.set_ready("reconciliation");
        }
    }

    /// The process is killed. `down`: for how long; none: until somebody starts it.
    pub(super) fn crash(&mut self, host: usize, down: Option<Micros>) {
        let down = down.or(self.stage.hosts[host].down_next.take());
        if self.stage.hosts[host].up == Up::No {
            return;
        }
        self.see(&Observation::Stopped { host: HostId(host as u32), how: Stop::Crash });
        for index in self.stage.hosts[host].links.clone() {
            self.vanish(index, host);
        }
        self.give_back(host);
        let at = &mut self.stage.hosts[host];
        at.forget_process();
        at.up = Up::No;
        at.disk.lose_power();
        let life = at.life;
        if let Some(down) = down {
            self.stage.queue.after(down, Event::Start { host: host as u32, life });
        }
    }

    /// The process ends in good order.
    pub(super) fn stop(&mut self, host: usize, down: Option<Micros>) {
        if self.stage.hosts[host].up != Up::Yes {
            return;
        }
        for dialer in &mut self.stage.hosts[host].dialers {
            dialer.dialing = Dialing::Attempts;
        }
        for index in self.stage.hosts[host].links.clone() {
            self.with_any_conn(index, |world, conn| {
                let side = usize::from(conn.sides[0].host != host);
                world.end(index, conn, side, End::Shutdown);
            });
        }
        let at = &self.stage.hosts[host];
        if let Some(core) = at.core.as_deref() {
            // Closing flushes too; done here, so that those who look on see it. What fails only makes the next opening longer.
            let _ = core.flush_observed(&mut |applied| self.watch.applied(&self.stage, host, applied));
        }
        self.acknowledge(host);
        if let Some(core) = self.stage.hosts[host].core.as_deref() {
            let _ = core.store().close();
        }
        self.see(&Observation::Stopped { host: HostId(host as u32), how: Stop::Graceful });
        self.give_back(host);
        let at = &mut self.stage.hosts[host];
        let crashed = at.disk.files.has_crashed();
        at.forget_process();
        at.up = Up::No;
        if crashed {
            at.disk.lose_power();
        }
        let life = at.life;
        if let Some(down) = down {
            self.stage.queue.after(down, Event::Start { host: host as u32, life });
        }
    }

    pub(super) fn pause(&mut self, host: usize) {
        if self.stage.hosts[host].up != Up::Yes {
            return;
        }
        self.stage.hosts[host].up = Up::Paused;
        self.see(&Observation::Stopped { host: HostId(host as u32), how: Stop::Pause });
        for index in self.stage.hosts[host].links.clone() {
            self.review(index);
        }
    }

    pub(super) fn resume(&mut self, host: usize) {
        if self.stage.hosts[host].up != Up::Paused {
            return;
        }
        let at = &mut self.stage.hosts[host];
        at.up = Up::Yes;
        let deferred = std::mem::take(&mut at.deferred);
        let now = self.stage.now();
        self.see(&Observation::Resumed { host: HostId(host as u32) });
        for event in deferred {
            if let Event::Timer { conn, generation, side } = event
                && let Some(conn) = self.stage.conns.get_mut(conn)
                && conn.generation == generation
            {
                conn.sides[usize::from(side)].timer = Some(now);
            }
            self.stage.queue.after(0, event);
        }
        for index in self.stage.hosts[host].links.clone() {
            self.review(index);
        }
        self.end_faults();
        self.flush_if_woken(host);
    }
}
