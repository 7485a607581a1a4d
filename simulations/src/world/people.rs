//! How reports reach a replica, and what operators do: the way between viewers and hosts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leftoff::progress::{EventKind, PlaybackEvent, ProfileId, TitleId};
use leftoff::replica::RecordError;

use super::World;
use super::clock::true_wall;
use super::disk::Backup;
use super::host::Waiting;
use super::latency::Latencies;
use super::paths::Condition;
use super::queue::{Event, Micros};
use super::random::Random;
use super::workload::{Report, profile_name, thin_clock_error_ms, title_name, write_event};
use crate::observation::{HostId, Observation};

/// How long a thin client waits for an answer before it asks another node: the least and the most.
const PATIENCE_US: (Micros, Micros) = (2_000_000, 10_000_000);
/// Reports in one batch.
const BATCH_COUNT_MAX: usize = 500;

/// Something rare that people do.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// A viewer hides the title that it last watched.
    Hide { viewer: u32 },
    /// A profile is erased at a node.
    Erase { host: usize, profile: u32 },
    /// A backup is taken of a host.
    Backup { host: usize, slot: usize, copy: bool },
    /// A device has its line back.
    Online { host: usize },
    /// A report is sent once more.
    Again { viewer: u32, report: Report },
}

/// The nodes by their distance from a place; those equally near in an order that spreads `number`s over them.
pub(super) fn nearest(latencies: &Latencies, node_places: &[usize], place: usize, number: usize) -> Vec<usize> {
    let count = node_places.len().max(1);
    let mut nodes: Vec<usize> = (0..node_places.len()).collect();
    let distance = |node: usize| latencies.one_way(place, node_places[node], 1).mean_us() as u64;
    nodes.sort_by_key(|node| (distance(*node), (*node + number) % count));
    nodes
}

impl World<'_> {
    /// The spot of a host on the network.
    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.is_offline(from) || self.is_offline(to) || self.paths.is_blocked(from, to)
    }

    fn is_offline(&self, spot: usize) -> bool {
        self.stage.hosts.get(spot).is_some_and(|host| host.offline_until > self.stage.now())
    }

    pub(super) fn condition(&self, from: usize, to: usize) -> Condition {
        let mut condition = self.paths.condition(from, to);
        condition.blocked |= self.is_offline(from) || self.is_offline(to);
        condition
    }

    /// Hands in what a player reports, or keeps it until that can be done.
    pub(super) fn report(&mut self, viewer: u32, report: Report) {
        let who = &mut self.audience.viewers[viewer as usize];
        if let Some(host) = self.device_hosts[report.device as usize] {
            self.hand_in(host as usize, viewer, &[report]);
            return;
        }
        let waits = !who.held.is_empty() || who.offline_until > self.stage.queue.now() || self.held_places[usize::from(who.place)];
        if !waits && self.reach(viewer).is_some_and(|node| self.hand_in(node, viewer, &[report])) {
            let retries = self.scenario.workload.retries;
            let who = &mut self.audience.viewers[viewer as usize];
            if who.random.chance(retries) {
                let later = 200_000 + who.random.below(30_000_000);
                self.plan_errand(later, Errand::Again { viewer, report });
            }
            return;
        }
        self.audience.viewers[viewer as usize].hold(report);
        self.plan_retry(viewer);
    }

    /// The node that a viewer's thin clients talk to, if it answers.
    pub(super) fn reach(&mut self, viewer: u32) -> Option<usize> {
        let who = &self.audience.viewers[viewer as usize];
        let node = who.node as usize;
        let clients = self.stage.hosts.len() + usize::from(who.place);
        let reachable = self.stage.hosts[node].is_up() && !self.paths.is_blocked(clients, node) && !self.paths.is_blocked(node, clients);
        reachable.then_some(node)
    }

    /// Plans the next attempt of a thin client to hand in what it holds.
    pub(super) fn plan_retry(&mut self, viewer: u32) {
        let now = self.stage.now();
        let who = &mut self.audience.viewers[viewer as usize];
        if who.retry_planned || self.held_places[usize::from(who.place)] {
            return;
        }
        who.retry_planned = true;
        let bound = (PATIENCE_US.0 << who.attempts.min(3)).min(PATIENCE_US.1);
        let wait = PATIENCE_US.0 / 2 + who.random.below(bound);
        let at = (now + wait).max(who.offline_until);
        self.stage.queue.at(at, Event::Retry(viewer));
    }

    /// A thin client tries again to hand in what it holds, at the next node if one has not answered.
    pub(super) fn retry(&mut self, viewer: u32) {
        let who = &mut self.audience.viewers[viewer as usize];
        who.retry_planned = false;
        if who.held.is_empty() || self.held_places[usize::from(who.place)] {
            return;
        }
        let batch: Vec<Report> = who.held.iter().take(BATCH_COUNT_MAX).copied().collect();
        if let Some(node) = self.reach(viewer)
            && self.hand_in(node, viewer, &batch)
        {
            let who = &mut self.audience.viewers[viewer as usize];
            // What has just been handed in may have come back, if the host died of it: those stand behind.
            who.held.drain(..batch.len().min(who.held.len()));
            who.attempts = 0;
            if !who.held.is_empty() {
                who.retry_planned = true;
                self.stage.queue.after(50_000, Event::Retry(viewer));
            }
            return;
        }
        let who = &mut self.audience.viewers[viewer as usize];
        who.attempts += 1;
        self.choose_node(viewer);
        self.plan_retry(viewer);
    }

    /// Chooses the nearest node; further ones after attempts that nobody answered.
    pub(super) fn choose_node(&mut self, viewer: u32) {
        let who = &mut self.audience.viewers[viewer as usize];
        let nodes = &self.nearest_nodes[usize::from(who.place)];
        let near = nodes.iter().take_while(|node| node.1 == nodes[0].1).count().max(1);
        let attempts = who.attempts as usize;
        // Those of the region first, each viewer from another one on; then the others, by distance; then from the beginning.
        let index = attempts % nodes.len().max(1);
        let index = if index < near { (index + viewer as usize) % near } else { index };
        who.node = nodes[index].0 as u32;
    }

    /// Hands reports to a replica. Whether it took them; those that it refused one by one are done with.
    pub(super) fn hand_in(&mut self, host: usize, viewer: u32, reports: &[Report]) -> bool {
        let now = self.stage.now();
        let is_device = !self.stage.hosts[host].is_node();
        if !self.stage.hosts[host].is_up() {
            return false;
        }
        let who = &self.audience.viewers[viewer as usize];
        let profile = who.profile;
        let sent_at = if is_device {
            self.stage.hosts[host].clock.wall(now)
        } else {
            true_wall(now).shifted(thin_clock_error_ms(reports.first().map_or(0, |report| report.device)))
        };
        while self.events.len() < reports.len() {
            self.events.push(PlaybackEvent::new("", "", "", EventKind::Play, 0));
        }
        for (event, report) in self.events.iter_mut().zip(reports) {
            write_event(event, profile, report, self.audience.length_ms(report.title));
        }
        let at = &self.stage.hosts[host];
        let Some(core) = at.core.as_deref() else { return false };
        core.note_clock(at.clock.wall(now), super::clock::monotonic(now));
        let events = &self.events[..reports.len()];
        let begun = self.watch.measure.begin_part();
        let recorded = core.record(at.clock.wall(now), Some(sent_at), events);
        self.watch.measure.end_part("replicas: recording", begun);
        self.watch.measure.reports += events.len() as u64;
        let id = HostId(host as u32);
        let taken = match recorded {
            Ok(recorded) => {
                for (event, outcome) in events.iter().zip(&recorded.outcomes) {
                    let refused;
                    let outcome = match outcome {
                        Ok(version) => {
                            self.watch.measure.accepted += 1;
                            Ok(*version)
                        }
                        Err(refusal) => {
                            *self.watch.measure.refused.entry(refusal.code().to_owned()).or_default() += 1;
                            refused = format!("{}: {refusal}", refusal.code());
                            Err(refused.as_str())
                        }
                    };
                    self.watch.see(&self.stage, &Observation::Reported { host: id, event, sent_at: Some(sent_at), outcome });
                }
                if let Some(seq) = recorded.last {
                    let waiting = reports.iter().map(|report| Waiting { seq, viewer, report: *report });
                    let at = &mut self.stage.hosts[host];
                    at.waiting.extend(waiting);
                    let kept = Arc::clone(&at.kept);
                    if let Some(core) = at.core.as_deref() {
                        let tell = move |result: Result<(), leftoff::replica::NotDurable>| {
                            if result.is_ok() {
                                kept.fetch_max(seq.0, Ordering::Relaxed);
                            }
                        };
                        core.when_durable(seq, Box::new(tell));
                    }
                    // What only repeats may be kept already.
                    self.acknowledge(host);
                }
                true
            }
            Err(error) => {
                let (kind, text) = match &error {
                    RecordError::NotReady { .. } => ("not_ready", format!("not ready: {error}")),
                    _ => ("append", format!("append: {error}")),
                };
                *self.watch.measure.refused.entry(kind.to_owned()).or_default() += events.len() as u64;
                for event in events {
                    self.watch.see(&self.stage, &Observation::Reported { host: id, event, sent_at: Some(sent_at), outcome: Err(&text) });
                }
                false
            }
        };
        self.flush_if_woken(host);
        taken
    }

    /// A process is gone: reports that it has not acknowledged go back to those who sent them.
    pub(super) fn give_back(&mut self, host: usize) {
        let waiting = std::mem::take(&mut self.stage.hosts[host].waiting);
        if !self.stage.hosts[host].is_node() {
            return;
        }
        for Waiting { viewer, report, .. } in waiting {
            self.audience.viewers[viewer as usize].hold(report);
            self.plan_retry(viewer);
        }
    }

    pub(super) fn plan_errand(&mut self, after: Micros, errand: Errand) {
        let number = self.errands.len() as u32;
        self.errands.push(errand);
        self.stage.queue.after(after, Event::Errand(number));
    }

    /// Spreads over the duration what viewers do now and then.
    pub(super) fn plan_errands(&mut self) {
        let mut random = Random::of(self.seed, "errands", 0);
        let workload = &self.scenario.workload;
        let (hides, erasures) = (workload.hides, workload.erasures);
        for _ in 0..hides {
            let viewer = random.below(self.audience.viewers.len() as u64) as u32;
            self.plan_errand(random.below(self.duration), Errand::Hide { viewer });
        }
        for _ in 0..erasures {
            let host = random.below(self.stage.nodes as u64) as usize;
            let profile = random.below(u64::from(self.audience.profiles)) as u32;
            self.plan_errand(random.below(self.duration), Errand::Erase { host, profile });
        }
    }

    pub(super) fn errand(&mut self, number: u32) {
        let Some(errand) = self.errands.get(number as usize).cloned() else { return };
        match errand {
            Errand::Hide { viewer } => self.hide(viewer),
            Errand::Erase { host, profile } => self.erase(host, profile),
            Errand::Backup { host, slot, copy: true } => self.backups[slot] = Some(self.stage.hosts[host].disk.copy()),
            Errand::Backup { host, slot, copy: false } => {
                if let Some(core) = self.stage.hosts[host].core.as_deref() {
                    self.backups[slot] = Some(Backup::of(core));
                }
            }
            Errand::Online { host } => {
                for index in self.stage.hosts[host].links.clone() {
                    self.review(index);
                }
            }
            Errand::Again { viewer, report } => {
                if let Some(node) = self.reach(viewer) {
                    self.hand_in(node, viewer, &[report]);
                }
            }
        }
    }

    fn hide(&mut self, viewer: u32) {
        let who = &self.audience.viewers[viewer as usize];
        let (profile, title, device) = (who.profile, who.title, who.device);
        let host = match self.device_hosts[device as usize] {
            Some(host) => host as usize,
            None => match self.reach(viewer) {
                Some(node) => node,
                None => return,
            },
        };
        let (Ok(profile), Ok(title)) = (ProfileId::new(profile_name(profile)), TitleId::new(title_name(title))) else { return };
        let at = &self.stage.hosts[host];
        if !at.is_up() {
            return;
        }
        let Some(core) = at.core.as_deref() else { return };
        let now = self.stage.now();
        core.note_clock(at.clock.wall(now), super::clock::monotonic(now));
        if core.hide(at.clock.wall(now), &profile, &title).is_ok() {
            self.see(&Observation::Hid { host: HostId(host as u32), profile: &profile, title: &title });
        }
        self.flush_if_woken(host);
    }

    pub(super) fn erase(&mut self, host: usize, profile: u32) {
        let Ok(profile) = ProfileId::new(profile_name(profile)) else { return };
        let up: Vec<usize> = (0..self.stage.nodes).filter(|node| self.stage.hosts[*node].is_up()).collect();
        // Somebody who wants a profile erased goes where an answer comes from.
        let host = if self.stage.hosts[host].is_up() { host } else { up.first().copied().unwrap_or(host) };
        let at = &self.stage.hosts[host];
        let Some(core) = at.core.as_deref().filter(|_| at.is_up()) else { return };
        let now = self.stage.now();
        core.note_clock(at.clock.wall(now), super::clock::monotonic(now));
        if core.erase(at.clock.wall(now), &profile).is_ok() {
            self.see(&Observation::Erased { host: HostId(host as u32), profile: &profile });
        }
        self.flush_if_woken(host);
    }
}
