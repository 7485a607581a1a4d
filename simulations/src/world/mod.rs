//! The world: hosts, a network between them, viewers before them and faults upon them, in one thread and in virtual time.
//!
//! Everything that happens is an event in a queue, and every choice is drawn from a stream of the seed, one for each concern; so the same
//! scenario and seed give the same history, which the trace's hash shows. What hosts do is done by the code that ships: stores, replicas and
//! links. What is here stands for the clock, the network, the disk's timing, the processes and the people.

mod clock;
mod conn;
mod disk;
mod divergence;
mod faults;
mod host;
mod latency;
mod links;
mod measure;
mod memory;
mod outcome;
mod paths;
mod people;
mod plan;
mod propagation;
mod queue;
mod random;
mod settle;
mod shell;
mod stage;
mod tokens;
mod trace;
mod turns;
mod viewer;
mod watch;
mod wire;
mod workload;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use leftoff::progress::{EventKind, PlaybackEvent, ProfileId};
use leftoff::replica::Authority;
use leftoff::time::MonotonicTime;

pub use self::trace::{TRACE_COLUMNS, TRACE_EVENTS, TraceEvent};

use self::conn::Conns;
use self::disk::{Backup, Disk};
use self::host::{Dialer, Host, Kind, Up};
use self::latency::Latencies;
use self::measure::Measure;
use self::paths::{Paths, Spot};
use self::plan::{Step, Struck};
use self::propagation::Propagation;
use self::queue::{Event, Micros, Queue};
use self::random::Random;
use self::stage::Stage;
use self::tokens::Tokens;
use self::trace::Trace;
use self::watch::Watch;
use self::workload::{Audience, profile_name};
use crate::checkers::{Checker, Panel};
use crate::observation::Observation;
use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// Reports of which propagation is measured, about; of more, one register in so many is.
const MEASURED_COUNT: f64 = 5e5;

/// How a run is watched.
#[derive(Default)]
pub struct Options {
    /// Where the trace goes, one line an event, in the columns of [`TRACE_COLUMNS`]. None: only its hash is computed.
    pub trace: Option<Box<dyn Write>>,
    /// What is checked; none: everything that there is.
    pub checkers: Option<Vec<Box<dyn Checker>>>,
    /// A clock of the real time, for [`Outcome::where_time_goes`]. It decides nothing.
    pub clock: Option<fn() -> MonotonicTime>,
}

/// Runs a scenario from a seed until the world has settled, or its time to settle is over.
pub fn run(scenario: &Scenario, seed: u64, options: Options) -> Outcome {
    World::new(scenario, seed, options).run()
}

/// A world.
pub struct World<'a> {
    scenario: &'a Scenario,
    seed: u64,
    duration: Micros,
    stage: Stage,
    watch: Watch,
    paths: Paths,
    /// What the network draws from.
    weather: Random,
    audience: Audience,
    /// The host of each device that embeds a replica, by the device's number.
    device_hosts: Vec<Option<u32>>,
    /// The nodes by their distance from each region, with that distance.
    nearest_nodes: Vec<Vec<(usize, u64)>>,
    /// Regions whose clients hold everything back.
    held_places: Vec<bool>,
    plan: Vec<Step>,
    /// Whom each fault strikes.
    struck: Vec<Struck>,
    /// How many faults of a kind hold a host, or a region's viewers, now.
    lasting: BTreeMap<(faults::Lasting, usize), u32>,
    /// Faults whose time is over, and not all of whose hosts run again.
    ending: Vec<usize>,
    errands: Vec<people::Errand>,
    backups: Vec<Option<Backup>>,
    authority: Arc<dyn Authority>,
    /// Used again and again.
    events: Vec<PlaybackEvent>,
    spare: Vec<Vec<u8>>,
    healed: bool,
    look_planned: bool,
    settled: bool,
    /// What was still unequal when the time was over.
    unsettled: Option<String>,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("now", &self.stage.at()).finish_non_exhaustive()
    }
}

fn micros(duration: std::time::Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl<'a> World<'a> {
    /// A world at its beginning.
    pub fn new(scenario: &'a Scenario, seed: u64, options: Options) -> Self {
        let duration = micros(scenario.duration);
        let audience = Audience::new(&scenario.workload, duration, scenario.regions.len(), seed);
        let (device_hosts, devices) = device_hosts(scenario);
        let hosts = hosts(scenario, seed, &audience, &devices);
        let nodes = scenario.node_count() as usize;
        let mut spots: Vec<Spot> = hosts.iter().map(|host| Spot { place: host.place, last_mile: !host.is_node() }).collect();
        spots.extend((0..scenario.regions.len()).map(|place| Spot { place, last_mile: true }));
        let latencies = Latencies::new(&scenario.network, &scenario.regions);
        let node_places: Vec<usize> = hosts[..nodes].iter().map(|host| host.place).collect();
        let nearest_nodes = (0..scenario.regions.len())
            .map(|place| {
                let distance = |node: usize| latencies.one_way(place, node_places[node], 1).mean_us() as u64;
                people::nearest(&latencies, &node_places, place, 0).into_iter().map(|node| (node, distance(node))).collect()
            })
            .collect();
        let paths = Paths::new(latencies, scenario.network.quality, spots);
        let names = hosts.iter().map(|host| host.name.clone()).collect();
        let heartbeats = f64::from(scenario.workload.viewers) * scenario.workload.watch_minutes * 60.0;
        let one_in = (heartbeats / scenario.workload.heartbeat.as_secs_f64().max(0.1) / MEASURED_COUNT).ceil() as u64;
        let propagation = Propagation::new(scenario.regions.len(), one_in);
        let panel = options.checkers.map_or_else(|| Panel::of(scenario), Panel::new);
        let watch =
            Watch::new(Trace::new(options.trace, names), Measure::new(propagation, options.clock), panel, scenario.checks.one_profile_in);
        Self {
            scenario,
            seed,
            duration,
            stage: Stage { queue: Queue::default(), hosts, conns: Conns::default(), nodes, node_ids: std::collections::BTreeSet::new() },
            watch,
            paths,
            weather: Random::of(seed, "weather", 0),
            audience,
            device_hosts,
            nearest_nodes,
            held_places: vec![false; scenario.regions.len()],
            plan: Vec::new(),
            struck: Vec::new(),
            lasting: BTreeMap::new(),
            ending: Vec::new(),
            errands: Vec::new(),
            backups: Vec::new(),
            authority: Arc::new(Tokens),
            events: vec![PlaybackEvent::new("", "", "", EventKind::Play, 0)],
            spare: Vec::new(),
            healed: false,
            look_planned: false,
            settled: false,
            unsettled: None,
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> Outcome {
        self.begin();
        while let Some(event) = self.stage.queue.pop(self.duration) {
            self.happen(event);
        }
        self.stage.queue.advance(self.duration);
        self.heal();
        self.settle();
        self.outcome()
    }

    /// Plans what happens by itself: hosts start, viewers begin, faults strike, figures are taken.
    fn begin(&mut self) {
        for host in 0..self.stage.hosts.len() {
            self.start(host);
        }
        self.plan_viewers();
        self.plan_faults();
        self.plan_errands();
        self.stage.queue.at(0, Event::Sample);
    }

    /// A sample reads every register that changed at every node: many viewers before many nodes are looked at half as often.
    fn sample_interval(&self) -> Micros {
        let is_large = self.scenario.workload.viewers as usize * self.stage.nodes > 10_000;
        // Of a year, every few hours.
        let most = (self.duration / 2_400).max(360_000_000);
        (self.duration / if is_large { 120 } else { 240 }).clamp(250_000, most)
    }

    /// One event.
    fn happen(&mut self, event: Event) {
        let (kind, part) = name_of(&event);
        let begun = self.watch.measure.begin(matches!(kind, 0..=3 | 8 | 17));
        self.watch.trace.step(self.stage.now(), kind);
        match event {
            Event::Viewer(viewer) => self.viewer(viewer),
            Event::Retry(viewer) => self.retry(viewer),
            Event::Arrive { conn, generation, from } => self.arrive(conn, generation, usize::from(from)),
            Event::Timer { conn, generation, side } => self.timer(conn, generation, usize::from(side)),
            Event::Connected { conn, generation } => self.connected(conn, generation),
            Event::Unanswered { conn, generation } => self.unanswered(conn, generation),
            Event::Idle { conn, generation, side, silence } => self.idle(conn, generation, usize::from(side), silence),
            Event::Dial { host, life, dialer } => self.dial(host, life, dialer as usize),
            Event::Synced { host, life } => self.synced(host, life),
            Event::Fold { host, life } => self.fold(host, life),
            Event::Expire { host, life } => self.expire(host, life),
            Event::Poll { host, life } => self.poll_late(host, life),
            Event::Start { host, life } => self.start_again(host, life),
            Event::Strike { host, life } => self.strike(host, life),
            Event::Fault { step } => self.step(step),
            Event::Errand(errand) => self.errand(errand),
            Event::Sample => {
                self.watch.measure.sample(&self.stage);
                if !self.healed {
                    self.stage.queue.after(self.sample_interval(), Event::Sample);
                }
            }
            Event::Look => {
                self.look_planned = false;
                self.look();
            }
        }
        self.watch.measure.end_part(part, begun);
    }

    /// Looks whether what faults left behind is gone, and plans the next look.
    fn look(&mut self) {
        let next = self.watch.measure.divergence.look(&self.stage);
        if let Some(next) = next
            && !self.look_planned
        {
            self.look_planned = true;
            self.stage.queue.after(next, Event::Look);
        }
    }

    fn see(&mut self, seen: &Observation<'_>) {
        self.watch.see(&self.stage, seen);
    }
}

const fn name_of(event: &Event) -> (u8, &'static str) {
    match event {
        Event::Viewer(_) => (0, "viewers"),
        Event::Retry(_) => (1, "viewers"),
        Event::Arrive { .. } => (2, "the network: frames arriving"),
        Event::Timer { .. } => (3, "the network: links' timers"),
        Event::Connected { .. } => (4, "the network: handshakes"),
        Event::Unanswered { .. } => (5, "the network: handshakes"),
        Event::Idle { .. } => (6, "the network: handshakes"),
        Event::Dial { .. } => (7, "the network: handshakes"),
        Event::Synced { .. } => (8, "shells: flushes"),
        Event::Fold { .. } => (9, "shells: folds"),
        Event::Expire { .. } => (10, "shells: folds"),
        Event::Poll { .. } => (17, "shells: flushes"),
        Event::Start { .. } => (11, "faults, restarts"),
        Event::Strike { .. } => (12, "faults, restarts"),
        Event::Fault { .. } => (13, "faults, restarts"),
        Event::Errand(_) => (14, "viewers"),
        Event::Sample => (15, "figures"),
        Event::Look => (16, "figures"),
    }
}

/// A device that embeds a replica: its number among all devices, and its viewer.
#[derive(Clone, Copy, Debug)]
struct Embedded {
    viewer: u32,
}

/// Which of all devices embed a replica: evenly spread. The host of each device, and the devices in the order of their hosts.
fn device_hosts(scenario: &Scenario) -> (Vec<Option<u32>>, Vec<Embedded>) {
    let per_viewer = scenario.workload.devices_per_viewer.max(1);
    let all = u64::from(scenario.workload.viewers) * u64::from(per_viewer);
    let embedded = u64::from(scenario.device_count()).min(all);
    let nodes = scenario.node_count();
    let (mut hosts, mut devices) = (vec![None; all as usize], Vec::new());
    for (number, host) in hosts.iter_mut().enumerate() {
        let number = number as u64;
        if (number + 1) * embedded / all > number * embedded / all {
            *host = Some(nodes + devices.len() as u32);
            devices.push(Embedded { viewer: number as u32 / per_viewer });
        }
    }
    (hosts, devices)
}

fn hosts(scenario: &Scenario, seed: u64, audience: &Audience, devices: &[Embedded]) -> Vec<Host> {
    let names = scenario.host_names();
    let node_places: Vec<usize> =
        scenario.regions.iter().enumerate().flat_map(|(place, region)| (0..region.nodes).map(move |_| place)).collect();
    let latencies = Latencies::new(&scenario.network, &scenario.regions);
    let mut hosts = Vec::with_capacity(names.len());
    for (index, name) in names.into_iter().enumerate() {
        let number = index as u64;
        let mut random = Random::of(seed, "host", number);
        let device = index.checked_sub(node_places.len()).and_then(|device| devices.get(device));
        let (place, kind, dialers) = match device {
            None => {
                let others = (0..node_places.len()).filter(|other| *other != index);
                (node_places[index], Kind::Node, others.map(|other| Dialer::new(vec![other])).collect())
            }
            Some(device) => {
                let viewer = &audience.viewers[device.viewer as usize];
                let place = usize::from(viewer.place);
                let nearest = people::nearest(&latencies, &node_places, place, index);
                // Names of profiles are valid ids.
                let Ok(profile) = ProfileId::new(profile_name(viewer.profile)) else { continue };
                let profile_hash = disk::cluster_hasher().profile(&profile);
                (place, Kind::Device { profile, profile_hash }, vec![Dialer::new(nearest)])
            }
        };
        let is_device = device.is_some();
        let skew_ms = if is_device { 1_500 } else { 10 };
        let clock = clock::HostClock::skewed(random.below(2 * skew_ms).cast_signed() - skew_ms.cast_signed());
        hosts.push(Host {
            name,
            region: scenario.regions[place].name.clone(),
            place,
            kind,
            disk: Disk::new(&scenario.replicas, is_device, scenario.node_count(), Random::of(seed, "disk", number)),
            clock,
            core: None,
            up: Up::No,
            life: 0,
            run: 0,
            hostile: false,
            down_next: None,
            offline_until: 0,
            stuck: false,
            deferred: Vec::new(),
            syncing: false,
            fold_planned: false,
            waiting: std::collections::VecDeque::new(),
            links: Vec::new(),
            node_links: Vec::new(),
            by_profile: std::collections::HashMap::default(),
            owing: Vec::new(),
            concerned: Vec::new(),
            poll_planned: false,
            flushes: 0,
            by_peer: std::collections::BTreeMap::new(),
            unsettled: std::collections::BTreeSet::new(),
            clocks: leftoff::sync::Clocks::default(),
            open_count: 0,
            dialers,
            random,
            woken: Arc::default(),
            reset: Arc::default(),
            kept: Arc::default(),
        });
    }
    hosts
}
