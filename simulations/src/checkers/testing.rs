//! Hosts for the tests of checkers: real replicas in memory, observed by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use leftoff::progress::{EventKind, PlaybackEvent, ProfileId, TitleId};
use leftoff::replica::{Core, CoreOptions, PeerRecords};
use leftoff::store::{Epoch, Fresh, Record, ReplicaId, Seq, Store, StoreOptions};
use leftoff::sync::LinkFigures;
use leftoff::time::{Hlc, WallTime};

use super::{Panel, Violation};
use crate::observation::{HostId, Observation, Same, View};
use crate::scenario::{Checks, Habits, Latency, Network, Quality, Replicas, Scenario, Workload};

pub(crate) const NOW: WallTime = WallTime::from_millis(1_790_000_000_000);

/// A node in memory.
pub(crate) fn node(id: u8) -> Core {
    let fresh = Fresh { id: ReplicaId([id; 16]), epoch: Epoch(u64::from(id)) };
    Core::new(Store::in_memory(StoreOptions::small(), fresh), CoreOptions { playheads_count_max: 10_000, ..CoreOptions::default() })
}

/// A scenario that asks for nothing.
pub(crate) fn scenario() -> Scenario {
    let habits = Habits {
        watch: 1.0,
        pause: 0.0,
        skip: 0.0,
        back: 0.0,
        tap: 0.0,
        restart: 0.0,
        next: 0.0,
        switch: 0.0,
        sleep: 0.0,
        idle: 0.0,
        rewatch: 0.0,
        offline: 0.0,
    };
    let latency = Latency::Given { rtt_ms: 10.0, jitter_ms: 0.0 };
    let checks = Checks {
        bytes_per_update_max: None,
        exchanges_max: None,
        bytes_per_repaired_max: None,
        one_profile_in: 1,
        propagation_over_ms_max: None,
    };
    Scenario {
        name: "by hand".into(),
        about: "Hosts moved by a test.".into(),
        duration: Duration::from_mins(1),
        settle: Duration::from_mins(1),
        regions: Vec::new(),
        network: Network { latency, local_rtt_ms: 1.0, device_rtt_ms: 20.0, quality: Quality::default() },
        workload: Workload {
            viewers: 1,
            viewers_per_profile: 1,
            devices_per_viewer: 1,
            replicas_share: 0.0,
            titles: 1,
            title_minutes: 90.0,
            watch_minutes: 1.0,
            heartbeat: Duration::from_secs(10),
            retries: 0.0,
            reads: 0.0,
            habits,
            hot_share: 0.0,
            erasures: 0,
            hides: 0,
        },
        faults: Vec::new(),
        replicas: Replicas {
            ttl_days: None,
            sync_ms: 1.0,
            table_bytes_max: 1 << 20,
            ring_count_max: 1 << 10,
            segment_bytes: 1 << 20,
            scrub_interval: None,
            drift_ms_max: 60_000,
        },
        checks,
    }
}

/// A few hosts and the checkers that look at them.
pub(crate) struct Hosts {
    pub(crate) cores: BTreeMap<u32, Core>,
    pub(crate) now: WallTime,
    /// How far clocks are ahead, in milliseconds, where they are.
    pub(crate) clock_errors_ms: BTreeMap<u32, i64>,
    /// Hosts that have gone hostile.
    pub(crate) hostile: Vec<u32>,
    /// Profiles of the hosts that are devices.
    pub(crate) devices: BTreeMap<u32, Vec<&'static str>>,
    /// Figures of links, if a test has something to say of them.
    pub(crate) links: BTreeMap<u32, Vec<LinkFigures>>,
    pub(crate) panel: Option<Panel>,
}

impl View for Hosts {
    fn hosts(&self) -> Vec<HostId> {
        self.cores.keys().copied().map(HostId).collect()
    }

    fn name(&self, host: HostId) -> String {
        format!("host {}", host.0)
    }

    fn is_node(&self, host: HostId) -> bool {
        !self.devices.contains_key(&host.0)
    }

    fn is_up(&self, host: HostId) -> bool {
        self.cores.contains_key(&host.0)
    }

    fn core(&self, host: HostId) -> Option<&Core> {
        self.cores.get(&host.0)
    }

    fn holds(&self, host: HostId, profile: &ProfileId) -> bool {
        self.devices.get(&host.0).is_none_or(|profiles| profiles.contains(&profile.as_str()))
    }

    fn clock_error_ms(&self, host: HostId) -> i64 {
        self.clock_errors_ms.get(&host.0).copied().unwrap_or(0)
    }

    fn is_hostile(&self, host: HostId) -> bool {
        self.hostile.contains(&host.0)
    }

    fn true_stamp(&self) -> Hlc {
        Hlc::from_wall(self.now)
    }

    fn links(&self, host: HostId) -> Vec<LinkFigures> {
        self.links.get(&host.0).cloned().unwrap_or_default()
    }
}

impl Hosts {
    /// So many nodes, watched by all checkers.
    pub(crate) fn nodes(count: u32) -> Self {
        Self::of(&scenario(), count)
    }

    pub(crate) fn of(scenario: &Scenario, count: u32) -> Self {
        let cores = (0..count).map(|id| (id, node(id as u8 + 1))).collect();
        let mut hosts = Self {
            cores,
            now: NOW,
            clock_errors_ms: BTreeMap::new(),
            hostile: Vec::new(),
            devices: BTreeMap::new(),
            links: BTreeMap::new(),
            panel: Some(Panel::of(scenario)),
        };
        for id in 0..count {
            let replica = hosts.cores[&id].store().id();
            hosts.see(&Observation::Started { host: HostId(id), replica, damage: "" });
        }
        hosts
    }

    pub(crate) fn see(&mut self, seen: &Observation<'_>) {
        let mut panel = self.panel.take().unwrap();
        panel.observe(Duration::from_millis(self.now.millis_since(NOW).unsigned_abs()), seen, self);
        self.panel = Some(panel);
    }

    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now = self.now.shifted(seconds * 1_000);
    }

    /// Reports, without making anything durable.
    pub(crate) fn report(&mut self, host: u32, event: &PlaybackEvent) {
        let recorded = self.cores[&host].record(self.now, None, std::slice::from_ref(event)).unwrap();
        let outcome = recorded.outcomes[0].clone().map_err(|refusal| format!("{}: {refusal}", refusal.code()));
        self.see(&Observation::Reported {
            host: HostId(host),
            event,
            sent_at: None,
            outcome: outcome.as_ref().copied().map_err(String::as_str),
        });
    }

    /// Makes durable what was recorded, as the world does.
    pub(crate) fn flush(&mut self, host: u32) {
        let mut applied: Vec<(Seq, Option<ReplicaId>, Record, bool)> = Vec::new();
        self.cores[&host]
            .flush_observed(&mut |one| {
                applied.push((one.seq, one.origin.replica(), one.record().unwrap(), one.changed));
            })
            .unwrap();
        for (seq, from, record, changed) in applied {
            self.see(&Observation::Applied {
                host: HostId(host),
                seq,
                from,
                record: &record,
                unshared: false,
                changed,
                same: Same::UNKNOWN,
            });
        }
    }

    /// A viewer watches at a host.
    pub(crate) fn watch(&mut self, host: u32, profile: &str, kind: EventKind, seconds: u64) {
        self.wait(10);
        self.report(host, &PlaybackEvent::new(profile, "film", "tv", kind, seconds * 1_000));
        self.flush(host);
    }

    /// All that one host has reaches another.
    pub(crate) fn send(&mut self, from: u32, to: u32) {
        let mut out = Vec::new();
        let source = self.cores[&from].store();
        let mut feed = leftoff::store::Feed::after(Seq(0));
        let step = source.next_changes(&mut feed, self.cores[&to].store().id(), 1 << 20, &|_| true, &mut [], &mut out).unwrap();
        let id = source.id();
        let records = PeerRecords { bytes: &out, count: step.count, ..PeerRecords::default() };
        self.cores[&to].apply(self.now, id, records, None).unwrap();
        self.flush(to);
    }

    /// A record of a peer becomes durable at a host: seen by the checkers, whatever the host's replica holds.
    pub(crate) fn take(&mut self, host: u32, record: &Record) {
        let seen = Observation::Applied {
            host: HostId(host),
            seq: Seq(1),
            from: Some(ReplicaId([0xff; 16])),
            record,
            unshared: false,
            changed: true,
            same: Same::UNKNOWN,
        };
        self.see(&seen);
    }

    /// A viewer reads what the host shows.
    pub(crate) fn read(&mut self, host: u32, profile: &str) {
        let (profile, title) = ids(profile);
        let register = self.cores[&host].store().register(&profile, &title).unwrap().map(|stored| stored.progress);
        self.see(&Observation::Read { host: HostId(host), profile: &profile, title: &title, register: register.as_ref() });
    }

    /// Comes to rest and says what was found, by the checkers' names.
    pub(crate) fn rest(&mut self) -> Vec<&'static str> {
        let mut panel = self.panel.take().unwrap();
        panel.at_rest(Duration::ZERO, true, self);
        self.panel = Some(panel);
        self.found()
    }

    pub(crate) fn found(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.violations().iter().map(|violation| violation.checker).collect();
        names.dedup();
        names
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        self.panel.as_ref().unwrap().found()
    }
}

pub(crate) fn ids(profile: &str) -> (ProfileId, TitleId) {
    (ProfileId::new(profile).unwrap(), TitleId::new("film").unwrap())
}
