//! Every key that a scenario file may have, with its unit, default and bounds: the reader goes by this table, and `docs/simulation.md` shows it.

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Words.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number, not negative.
    Count,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A part of a whole: `5 %` or 0.05.
    Share,
    /// A time with its unit.
    Time,
    /// A time with its unit, possibly with a minus before it.
    Offset,
    /// Bytes.
    Size,
    /// Bytes or bits a second.
    Bandwidth,
    /// One selector or a list of them.
    Hosts,
    /// The selector of one host.
    Host,
    /// Something with a shape of its own, told in its meaning.
    Special,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table it stands in; empty: the file itself.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds where it is not written; empty: it must be written.
    pub default: &'static str,
    /// The word for "no value", where there may be none.
    pub none: &'static str,
    /// Least and most; empty: not bounded.
    pub bounds: (&'static str, &'static str),
    /// What it means.
    pub about: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    bounds: (&'static str, &'static str),
    about: &'static str,
) -> Key {
    Key { section, name, kind, default, none: "", bounds, about }
}

const fn or(mut key: Key, none: &'static str) -> Key {
    key.none = none;
    key
}

const ALL: (&str, &str) = ("0", "1");
const WEIGHT: (&str, &str) = ("0", "1000");
const FREE: (&str, &str) = ("", "");

/// Every key outside the faults, section by section.
pub const KEYS: &[Key] = &[
    key("", "about", Kind::Text, "", FREE, "what the scenario asks, in a sentence or two"),
    key("", "duration", Kind::Time, "10min", ("1s", "1000d"), "how long viewers watch and faults strike"),
    key(
        "",
        "settle",
        Kind::Time,
        "10min",
        ("1s", "30d"),
        "how long the world may take, after everything is healed, until all replicas are equal; added to it is how far clocks were set ahead in all, because what they stamped is refused until it is due",
    ),
    key("", "regions", Kind::Special, "", ("1", "32"), "the regions: a list of names, or `[[regions]]` tables as below"),
    key("", "nodes", Kind::Count, "1", ("1", "64"), "nodes of each region that does not say how many it has"),
    key(
        "regions",
        "name",
        Kind::Text,
        "",
        FREE,
        "its name: letters, digits, `-`. Cloud regions (`eu-central-1`, `us-west2`) have a place and measured latencies",
    ),
    key("regions", "nodes", Kind::Count, "nodes", ("1", "64"), "how many nodes it has: `NAME/0`, `NAME/1`, …"),
    key(
        "regions",
        "at",
        Kind::Special,
        "known of cloud regions",
        FREE,
        "latitude and longitude in degrees, as `[50.1, 8.7]`, where latencies come from the distance",
    ),
    key(
        "network",
        "latency",
        Kind::Special,
        "distance",
        FREE,
        "between regions: `\"distance\"` (light in glass, a third longer way, and 1 ms), `\"measured\"` (AWS, from a file), a round trip such as `\"80ms\"`, or a table as below",
    ),
    key("network", "local_rtt", Kind::Time, "0.5ms", ("0", "1s"), "round trip inside a region"),
    key("network", "device_rtt", Kind::Time, "30ms", ("0", "10s"), "round trip of a device to the nearest region: the last mile"),
    key("network", "loss", Kind::Share, "0", ("0", "0.9"), "part of the packets that are lost, which is felt as delay"),
    key("network", "duplicate", Kind::Share, "0", ALL, "part of the packets that arrive twice"),
    key("network", "reorder", Kind::Share, "0", ALL, "part of the packets that are held back by up to one more round trip"),
    or(key("network", "bandwidth", Kind::Bandwidth, "unlimited", ("1 kB/s", "10 GB/s"), "of each link, each way"), "unlimited"),
    key("network.latency", "rtt", Kind::Time, "80ms", ("0", "10s"), "the same mean round trip between all regions"),
    key("network.latency", "jitter", Kind::Time, "0", ("0", "10s"), "its mean deviation"),
    key("network.latency", "provider", Kind::Text, "aws", FREE, "of measured round trips: `aws` or `gcp`"),
    or(
        key(
            "network.latency",
            "measured",
            Kind::Text,
            "latest",
            FREE,
            "the day of the measurement, as in the file; `latest`: the latest that has all regions",
        ),
        "latest",
    ),
    key(
        "network.latency",
        "file",
        Kind::Text,
        "that of `--latency`",
        FREE,
        "the CSV file, relative to the scenario's; columns `provider, measured, src, dst, rtt_min_ms, rtt_avg_ms, rtt_max_ms, rtt_mdev_ms`",
    ),
    key("workload", "viewers", Kind::Count, "100", ("1", "10000000"), "viewers, spread over the regions"),
    key("workload", "viewers_per_profile", Kind::Count, "1", ("1", "1000"), "viewers that share a profile"),
    key("workload", "devices_per_viewer", Kind::Count, "2", ("1", "20"), "devices of each viewer"),
    key(
        "workload",
        "replicas_share",
        Kind::Share,
        "5 %",
        ALL,
        "part of the devices that embed a replica; the others are thin clients that report to the nearest node",
    ),
    key("workload", "titles", Kind::Count, "200", ("1", "10000000"), "titles there are"),
    key("workload", "title_length", Kind::Time, "45min", ("10s", "24h"), "length of a title, mean"),
    key("workload", "watch", Kind::Time, "5min", ("1s", "1000h"), "how long a viewer watches in all, mean, spread over the duration"),
    key("workload", "heartbeat", Kind::Time, "10s", ("1s", "10min"), "a player reports where it is this often"),
    key("workload", "retries", Kind::Share, "2 %", ALL, "reports that arrive twice or late"),
    key("workload", "reads", Kind::Share, "5 %", ALL, "how often viewers read their row and resume points, for each report"),
    key("workload", "hot_share", Kind::Share, "0", ALL, "part of all reports that goes to one profile"),
    key("workload", "erasures", Kind::Count, "0", ("0", "100000"), "profiles erased over the duration"),
    key("workload", "hides", Kind::Count, "0", ("0", "100000"), "titles hidden over the duration"),
    key("workload.habits", "watch", Kind::Number, "60", WEIGHT, "goes on"),
    key("workload.habits", "pause", Kind::Number, "10", WEIGHT, "pauses for a while"),
    key("workload.habits", "skip", Kind::Number, "5", WEIGHT, "jumps forward by more than a minute"),
    key("workload.habits", "back", Kind::Number, "5", WEIGHT, "jumps back by more than a minute"),
    key("workload.habits", "tap", Kind::Number, "5", WEIGHT, "taps ten seconds back"),
    key("workload.habits", "restart", Kind::Number, "1", WEIGHT, "starts from the beginning"),
    key("workload.habits", "next", Kind::Number, "5", WEIGHT, "goes on with the next title"),
    key("workload.habits", "switch", Kind::Number, "5", WEIGHT, "goes on on another device"),
    key("workload.habits", "sleep", Kind::Number, "1", WEIGHT, "falls asleep: it plays on to the end"),
    key("workload.habits", "idle", Kind::Number, "1", WEIGHT, "leaves the screen on, which repeats its last report"),
    key("workload.habits", "rewatch", Kind::Number, "1", WEIGHT, "watches a completed title again"),
    key(
        "workload.habits",
        "offline",
        Kind::Number,
        "1",
        WEIGHT,
        "takes the device offline for a while; a thin one keeps its reports and sends them late",
    ),
    or(
        key("replicas", "ttl", Kind::Time, "never", ("1d", "36500d"), "how long a register lives after its newest stamp, in whole days"),
        "never",
    ),
    key("replicas", "sync", Kind::Time, "1ms", ("0", "10s"), "how long a sync of a disk takes, mean"),
    key("replicas", "table", Kind::Size, "4 MiB", ("64 KiB", "16 GiB"), "the table of changed registers; a small one folds often"),
    key("replicas", "ring", Kind::Count, "4096", ("16", "16777216"), "changes in the ring; a small one sends peers that lag to catch-up"),
    key("replicas", "segment", Kind::Size, "1 MiB", ("64 KiB", "1 GiB"), "a segment of the log"),
    or(
        key(
            "replicas",
            "scrub",
            Kind::Time,
            "never",
            ("1s", "100d"),
            "how often everything is compared though nothing seems to be missing",
        ),
        "never",
    ),
    key("replicas", "drift_max", Kind::Time, "1min", ("1s", "1h"), "the stated bound of clock drift: stamps further ahead are refused"),
    or(
        key(
            "checks",
            "bytes_per_update_max",
            Kind::Number,
            "none",
            ("1", "1000000"),
            "bytes on all links for each change that is made, at most",
        ),
        "none",
    ),
    or(
        key(
            "checks",
            "exchanges_max",
            Kind::Count,
            "none",
            ("1", "1000000"),
            "frames of records and reconciliation that a link may carry each way after faults until what they left is repaired, besides one for each change made meanwhile, at most",
        ),
        "none",
    ),
    or(
        key(
            "checks",
            "bytes_per_repaired_max",
            Kind::Number,
            "none",
            ("1", "1000000"),
            "bytes between nodes after faults until what they left is repaired, for each register that a node lacked something of, at most",
        ),
        "none",
    ),
    key(
        "checks",
        "one_profile_in",
        Kind::Count,
        "1",
        ("1", "1000000"),
        "the dearest checkers look at one profile in so many; 1: at all of them",
    ),
    or(
        key(
            "checks",
            "propagation_over_max",
            Kind::Time,
            "none",
            ("0", "1h"),
            "99 of 100 changes are in another region at most so long beyond one way of the pair; for scenarios without faults",
        ),
        "none",
    ),
];

/// The keys of faults; which fault takes which is in [`FAULTS`].
pub const FAULT_KEYS: &[Key] = &[
    key("faults", "kind", Kind::Text, "", FREE, "what breaks: one of the kinds below"),
    key("faults", "at", Kind::Time, "0", ("0", "1000d"), "when it begins; with `lasts`, it must end within the scenario's duration"),
    key("faults", "lasts", Kind::Time, "0", ("0", "1000d"), "how long it lasts"),
    key("faults", "hosts", Kind::Hosts, "", FREE, "which hosts: a selector or a list of them"),
    key("faults", "host", Kind::Host, "", FREE, "which host: a selector of one"),
    key(
        "faults",
        "to",
        Kind::Hosts,
        "everyone else",
        FREE,
        "the other side; where `hosts` are everybody, it is everybody too: each from each",
    ),
    key("faults", "one_way", Kind::Flag, "false", FREE, "only what `hosts` send is lost; what they are sent arrives"),
    key(
        "faults",
        "every",
        Kind::Time,
        "10s",
        ("10ms", "1000d"),
        "`flap`: cut for so long, then open for so long; `poison`: strikes so often",
    ),
    key("faults", "loss", Kind::Share, "0", ("0", "0.9"), "part of the packets that are lost"),
    key("faults", "duplicate", Kind::Share, "0", ALL, "part of the packets that arrive twice"),
    key("faults", "reorder", Kind::Share, "0", ALL, "part of the packets that are held back"),
    or(key("faults", "bandwidth", Kind::Bandwidth, "unlimited", ("1 kB/s", "10 GB/s"), "of each link, each way"), "unlimited"),
    key("faults", "slower", Kind::Number, "1", ("1", "1000"), "round trips so many times as long"),
    key("faults", "offset", Kind::Offset, "0", ("-36500d", "36500d"), "how far the clock is ahead; with a minus: behind"),
    key("faults", "drift_ppm", Kind::Integer, "0", ("-100000", "100000"), "parts per million that the clock runs fast (slow with a minus)"),
    key("faults", "frozen", Kind::Flag, "false", FREE, "the clock stands still"),
    key("faults", "times", Kind::Count, "1", ("1", "10000"), "so many crashes, spread over the fault's time"),
    key("faults", "down", Kind::Time, "10s", ("0", "1d"), "down for so long each time"),
    key("faults", "age", Kind::Time, "1min", ("0", "1000d"), "how old the backup is; at most what has passed since the beginning"),
    key("faults", "copy", Kind::Flag, "false", FREE, "the folder itself comes back, identity and all, as from a snapshot of the disk"),
    key("faults", "count", Kind::Count, "1", ("1", "1000"), "how many bits, or files of the log"),
    key("faults", "ahead", Kind::Time, "1d", ("1ms", "36500d"), "how far in the future the stamps are"),
    key("faults", "profile", Kind::Count, "0", ("0", "10000000"), "which profile, by number; there must be so many"),
];

/// A kind of fault: what it takes besides `kind` and `at`.
#[derive(Clone, Copy, Debug)]
pub struct FaultKey {
    /// Its kind, as written.
    pub kind: &'static str,
    /// Its keys.
    pub keys: &'static [&'static str],
    /// Whether `lasts` must be more than nothing.
    pub must_last: bool,
    /// What it does.
    pub about: &'static str,
}

const fn fault(kind: &'static str, keys: &'static [&'static str], must_last: bool, about: &'static str) -> FaultKey {
    FaultKey { kind, keys, must_last, about }
}

/// Every kind of fault.
pub const FAULTS: &[FaultKey] = &[
    fault("cut", &["lasts", "hosts", "to", "one_way"], true, "nothing passes between `hosts` and `to`"),
    fault("flap", &["lasts", "hosts", "to", "every"], true, "a cut that comes and goes"),
    fault(
        "swizzle",
        &["lasts", "hosts"],
        true,
        "the hosts stop hearing the others, one after the other, and hear them again in another order",
    ),
    fault("bridge", &["lasts", "host"], true, "only this host can talk to everybody; all others only to it"),
    fault("degrade", &["lasts", "hosts", "to", "loss", "duplicate", "reorder", "bandwidth", "slower"], true, "links get worse"),
    fault("stuck", &["lasts", "hosts"], true, "the hosts read nothing from their links, but keep them open"),
    fault(
        "clock",
        &["lasts", "hosts", "offset", "drift_ppm", "frozen"],
        true,
        "clocks are wrong, at once or creeping, or stand still; when the last fault of a clock ends it is put right, and each before gives back its own part",
    ),
    fault("crash", &["lasts", "hosts", "times", "down"], false, "killed between two I/O calls, and started again; many times: a storm"),
    fault("rolling-restart", &["lasts", "hosts", "down"], true, "stopped in good order and started again, one after the other"),
    fault("pause", &["lasts", "hosts"], true, "stopped in their tracks, then they go on"),
    fault("lose-disk", &["lasts", "hosts"], false, "disks lose everything: the hosts begin empty, under new identities"),
    fault(
        "restore-backup",
        &["lasts", "hosts", "age", "copy"],
        false,
        "folders are set back to a backup, under new identities; or to a copy, identity and all",
    ),
    fault(
        "fail-sync",
        &["lasts", "hosts"],
        false,
        "a sync fails, once: the hosts stop acknowledging, and are restarted when the fault is over",
    ),
    fault("full-disk", &["lasts", "hosts"], true, "no space is left"),
    fault("flip-bits", &["lasts", "hosts", "count"], false, "bits of the log flip, and the hosts are restarted"),
    fault("offline", &["lasts", "hosts"], true, "devices with a replica have no line"),
    fault("poison", &["lasts", "host", "ahead", "every"], true, "a hostile device sends stamps from the future, again and again"),
    fault("erase", &["host", "profile"], false, "a profile is erased at a host, while its devices go on"),
    fault(
        "herd",
        &["lasts", "hosts"],
        false,
        "viewers of the regions have no line, then they come back all at once: everything that they held back is reported in a moment",
    ),
    fault("truncate-log", &["lasts", "hosts", "count"], false, "files of the log end early, and the hosts are restarted"),
    fault("zero-log", &["lasts", "hosts", "count"], false, "files of the log are zeros from some place on, and the hosts are restarted"),
];

/// The key of that section and name.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    let keys = if section == "faults" { FAULT_KEYS } else { KEYS };
    keys.iter().find(|key| key.section == section && key.name == name)
}

/// The names of a section's keys.
pub fn names(section: &str) -> Vec<&'static str> {
    KEYS.iter().chain(FAULT_KEYS).filter(|key| key.section == section).map(|key| key.name).collect()
}

impl Key {
    /// A row of the table in the documentation.
    pub fn row(&self) -> String {
        let default = match self.default {
            "" => "must be written".to_owned(),
            default => format!("`{default}`"),
        };
        let bounds = match self.bounds {
            ("", _) => String::new(),
            (least, most) => format!("{least} to {most}"),
        };
        format!("| `{}` | {} | {default} | {bounds} |", self.name, self.about)
    }
}

impl FaultKey {
    /// A row of the table in the documentation.
    pub fn row(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("`{key}`")).collect();
        format!("| `{}` | {} | {} |", self.kind, self.about, keys.join(", "))
    }
}
