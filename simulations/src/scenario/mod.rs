//! A scenario: topology, workload, timeline of faults, what to check.
//!
//! Read from TOML by `parse`, which refuses what makes no sense with the line, the key and the bound; what is here has been checked. Everything
//! that a seed may vary is a plain value here, so that a drawn or shrunk scenario is a scenario like any other and can be written out again.

pub mod hosts;
pub mod keys;
pub mod latency;
pub mod library;
pub mod places;
pub mod quantity;

mod describe;
mod faults;
mod parse;
mod reach;
mod reader;
mod syntax;
mod write;

use std::time::Duration;

pub use parse::{parse, read};
pub use reader::{Problem, ScenarioError};
use serde::{Deserialize, Serialize};

/// A whole scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name: that of its file.
    pub name: String,
    /// What it asks, in a sentence or two.
    pub about: String,
    /// How long viewers watch and faults strike.
    pub duration: Duration,
    /// How long the world may take, after everything is healed, until all replicas are equal.
    pub settle: Duration,
    /// The cluster's regions, with their nodes.
    pub regions: Vec<Region>,
    /// How the network is without faults.
    pub network: Network,
    /// Who watches what.
    pub workload: Workload,
    /// What breaks, in order of time.
    pub faults: Vec<Fault>,
    /// Settings of all replicas.
    pub replicas: Replicas,
    /// What is checked beyond what always is.
    pub checks: Checks,
}

/// A region of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its name; of a cloud region, where latencies come from a file (`eu-central-1`).
    pub name: String,
    /// How many nodes it has; they are called `NAME/0`, `NAME/1`, …
    pub nodes: u32,
    /// Latitude and longitude in degrees, where latencies come from the distance.
    pub at: Option<(f64, f64)>,
}

/// How long a packet takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Latency {
    /// The same between all regions: round trip.
    Given {
        /// Mean round trip, in milliseconds.
        rtt_ms: f64,
        /// Mean deviation, in milliseconds.
        jitter_ms: f64,
    },
    /// Measured round trips between cloud regions, from a CSV file (provider, measured, src, dst, rtt_min_ms, rtt_avg_ms, rtt_max_ms, rtt_mdev_ms).
    Measured {
        /// The file, relative to the scenario's; empty: that of the command line, or of the default place.
        file: String,
        /// `aws` or `gcp`.
        provider: String,
        /// The day of the measurement, as in the file; none: the latest that has all regions.
        measured: Option<String>,
        /// The measured values of the pairs of this scenario's regions, filled in when the file is read.
        pairs: Vec<Measured>,
    },
    /// From the distance between the regions: light in glass, a third longer way, and 1 ms.
    Distance,
}

/// A measured round trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From this region.
    pub from: String,
    /// To that.
    pub to: String,
    /// Least, mean, most and mean deviation, in milliseconds.
    pub rtt_ms: [f64; 4],
}

/// The network without faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Between regions.
    pub latency: Latency,
    /// Round trip inside a region, in milliseconds.
    pub local_rtt_ms: f64,
    /// Round trip of a device to its node's region, in milliseconds: the last mile.
    pub device_rtt_ms: f64,
    /// What each packet is exposed to.
    pub quality: Quality,
}

/// What packets of a link are exposed to. The transport below a link is a stream as QUIC gives it: a lost packet comes later, a repeated one
/// once; so loss is felt as delay, and a link that gets nothing through breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Part of the packets that are lost, 0 to 1.
    pub loss: f64,
    /// Part of the packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Part of the packets that are held back by up to one more round trip, 0 to 1.
    pub reorder: f64,
    /// Bytes a second; none: as many as there are.
    pub bytes_per_s: Option<u64>,
}

/// Settings of all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replicas {
    /// How long a register lives after its newest stamp, in days; none: for ever.
    pub ttl_days: Option<u32>,
    /// How long a sync of a disk takes, in milliseconds, mean.
    pub sync_ms: f64,
    /// The table of changed registers, in bytes; small ones fold often.
    pub table_bytes_max: usize,
    /// Changes in the ring; small ones send peers to catch-up.
    pub ring_count_max: usize,
    /// A log segment, in bytes.
    pub segment_bytes: u64,
    /// How often everything is compared though nothing seems to be missing; none: never.
    pub scrub_interval: Option<Duration>,
    /// The stated bound of clock drift, in milliseconds.
    pub drift_ms_max: u64,
}

/// Who watches what. Viewers have one profile or share it, own one or more devices, and switch between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Viewers.
    pub viewers: u32,
    /// Viewers that share a profile, at least 1.
    pub viewers_per_profile: u32,
    /// Devices of each viewer, at least 1.
    pub devices_per_viewer: u32,
    /// Part of the devices that embed a replica, 0 to 1; the others are thin clients that report to the nearest node.
    pub replicas_share: f64,
    /// Titles there are.
    pub titles: u32,
    /// Length of a title, in minutes, mean.
    pub title_minutes: f64,
    /// How long a viewer watches in all, in minutes, mean, spread over the duration.
    pub watch_minutes: f64,
    /// A heartbeat every so often.
    pub heartbeat: Duration,
    /// Reports that arrive twice or late, 0 to 1: retries.
    pub retries: f64,
    /// How often viewers read their row and resume points, for each report; 0 to 1.
    pub reads: f64,
    /// What viewers do besides watching; weights.
    pub habits: Habits,
    /// A profile that so large a part of all reports goes to, 0 to 1.
    pub hot_share: f64,
    /// Profiles erased over the duration.
    pub erasures: u32,
    /// Titles hidden over the duration.
    pub hides: u32,
}

/// Weights of what a viewer does at the end of a stretch of watching (some minutes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    /// Goes on.
    pub watch: f64,
    /// Pauses for a while.
    pub pause: f64,
    /// Jumps forward by more than a minute.
    pub skip: f64,
    /// Jumps back by more than a minute.
    pub back: f64,
    /// Taps ten seconds back.
    pub tap: f64,
    /// Starts from the beginning.
    pub restart: f64,
    /// Goes on with the next title (a binge).
    pub next: f64,
    /// Goes on on another of the devices.
    pub switch: f64,
    /// Falls asleep: it plays on to the end.
    pub sleep: f64,
    /// Leaves the screen on, idle, which repeats its last report.
    pub idle: f64,
    /// Watches a completed title again.
    pub rewatch: f64,
    /// Takes the device offline for a while (a device with a replica), or loses reports (a thin one queues them).
    pub offline: f64,
}

impl Habits {
    /// The weights with their names.
    pub fn weights(&self) -> [(&'static str, f64); 12] {
        [
            ("watch", self.watch),
            ("pause", self.pause),
            ("skip", self.skip),
            ("back", self.back),
            ("tap", self.tap),
            ("restart", self.restart),
            ("next", self.next),
            ("switch", self.switch),
            ("sleep", self.sleep),
            ("idle", self.idle),
            ("rewatch", self.rewatch),
            ("offline", self.offline),
        ]
    }
}

/// Hosts by name: a region (all its nodes), a node (`NAME/0`), `devices` (all with a replica), `device/3`, or `all`.
pub type Selector = String;

/// One fault of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; zero for what happens at once.
    pub lasts: Duration,
    /// What.
    pub kind: FaultKind,
}

/// What breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Nothing passes between one set of hosts and another (everyone else, if `to` is empty).
    Cut {
        /// These hosts.
        hosts: Vec<Selector>,
        /// Those; empty: all others.
        to: Vec<Selector>,
        /// Only what `hosts` send is lost; what they are sent arrives.
        one_way: bool,
    },
    /// A cut that comes and goes.
    Flap {
        /// These hosts.
        hosts: Vec<Selector>,
        /// Those; empty: all others.
        to: Vec<Selector>,
        /// Cut for so long, then open for so long.
        every: Duration,
    },
    /// Every host stops hearing the others, one after the other, and hears them again in another order.
    Swizzle {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// Only one host can talk to everybody; the others only to it.
    Bridge {
        /// The one.
        host: Selector,
    },
    /// Links get worse.
    Degrade {
        /// These hosts.
        hosts: Vec<Selector>,
        /// Those; empty: all others.
        to: Vec<Selector>,
        /// How they are.
        quality: Quality,
        /// Round trips this many times as long.
        slower: f64,
    },
    /// A host reads nothing from its links, but keeps them open.
    Stuck {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// A clock is set wrong, at once or creeping.
    Clock {
        /// Whose.
        hosts: Vec<Selector>,
        /// By how much, in milliseconds; put right when the fault ends.
        offset_ms: i64,
        /// Parts per million that it runs fast or slow while the fault lasts.
        drift_ppm: i64,
        /// It stands still while the fault lasts, whatever its drift.
        frozen: bool,
    },
    /// Killed between two I/O calls, started again after the fault's time. Repeated: a storm.
    Crash {
        /// Which.
        hosts: Vec<Selector>,
        /// So many crashes, spread over the fault's time.
        times: u32,
        /// Down for so long each time.
        down: Duration,
    },
    /// Stopped in good order and started again, one after the other.
    RollingRestart {
        /// Which.
        hosts: Vec<Selector>,
        /// Down for so long each.
        down: Duration,
    },
    /// Stopped in its tracks, then goes on.
    Pause {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// Disks lose everything: the host begins empty under a new identity.
    LoseDisk {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// The folder is set back to a backup taken `age` before.
    RestoreBackup {
        /// Which.
        hosts: Vec<Selector>,
        /// How old the backup is.
        age: Duration,
        /// It is a copy of the folder, identity and all, as of a disk's snapshot; not what `leftoff restore` makes, which is a new replica.
        copy: bool,
    },
    /// A sync fails, once: the host stops acknowledging, and is restarted after the fault's time.
    FailSync {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// No space is left for the fault's time.
    FullDisk {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// Bits of the log flip, and the host is restarted.
    FlipBits {
        /// Which.
        hosts: Vec<Selector>,
        /// How many.
        count: u32,
    },
    /// Files of the log end early, and the host is restarted.
    TruncateLog {
        /// Which.
        hosts: Vec<Selector>,
        /// How many files, at most.
        count: u32,
    },
    /// Files of the log are zeros from some place on, and the host is restarted.
    ZeroLog {
        /// Which.
        hosts: Vec<Selector>,
        /// How many files, at most.
        count: u32,
    },
    /// Devices with a replica have no line.
    Offline {
        /// Which.
        hosts: Vec<Selector>,
    },
    /// A hostile device sends stamps this far in the future.
    Poison {
        /// Through which device.
        host: Selector,
        /// How far, in milliseconds.
        ahead_ms: u64,
        /// Once at its beginning, and then so often while it lasts.
        every: Duration,
    },
    /// A profile is erased at a host, while its devices go on.
    Erase {
        /// At which.
        host: Selector,
        /// Which profile, by number.
        profile: u32,
    },
    /// Viewers come back all at once: everything that they held back is reported in a moment.
    Herd {
        /// From which regions.
        hosts: Vec<Selector>,
    },
}

impl FaultKind {
    /// Its kind, as a scenario file writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Flap { .. } => "flap",
            Self::Swizzle { .. } => "swizzle",
            Self::Bridge { .. } => "bridge",
            Self::Degrade { .. } => "degrade",
            Self::Stuck { .. } => "stuck",
            Self::Clock { .. } => "clock",
            Self::Crash { .. } => "crash",
            Self::RollingRestart { .. } => "rolling-restart",
            Self::Pause { .. } => "pause",
            Self::LoseDisk { .. } => "lose-disk",
            Self::RestoreBackup { .. } => "restore-backup",
            Self::FailSync { .. } => "fail-sync",
            Self::FullDisk { .. } => "full-disk",
            Self::FlipBits { .. } => "flip-bits",
            Self::TruncateLog { .. } => "truncate-log",
            Self::ZeroLog { .. } => "zero-log",
            Self::Offline { .. } => "offline",
            Self::Poison { .. } => "poison",
            Self::Erase { .. } => "erase",
            Self::Herd { .. } => "herd",
        }
    }
}

/// What is checked beyond what always is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// Bytes on all links for each change that is made, at most; none: not checked.
    pub bytes_per_update_max: Option<f64>,
    /// Frames of records and reconciliation that a link may carry each way after faults until what they left is repaired, besides one for each change.
    pub exchanges_max: Option<u32>,
    /// Bytes between nodes after faults until what they left is repaired, for each register that a node lacked something of; none: not checked.
    pub bytes_per_repaired_max: Option<f64>,
    /// The dearest checkers look at one profile in so many, chosen by a hash of its id. 1: at all of them.
    pub one_profile_in: u32,
    /// Propagation between regions without faults: 99 of 100 at most this many milliseconds beyond one way of the pair.
    pub propagation_over_ms_max: Option<f64>,
}
