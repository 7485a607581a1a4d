//! Scenarios and faults in a line, for people.

use std::fmt;
use std::time::Duration;

use super::quantity::{show_count, show_duration, trimmed, write_share};
use super::{FaultKind, Latency, Quality, Scenario, Selector};

fn list(selectors: &[Selector]) -> String {
    match selectors {
        [] => "everyone else".into(),
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        [one, ..] => one.clone(),
    }
}

/// The other side, where it is not everyone else.
fn from(to: &[Selector]) -> String {
    if to.is_empty() { String::new() } else { format!(" from {}", list(to)) }
}

/// `a file of the log cut off`, `3 files of the log zeroed`.
fn files(count: u32, hurt: &str) -> String {
    if count == 1 { format!("a file of the log {hurt}") } else { format!("{count} files of the log {hurt}") }
}

impl fmt::Display for FaultKind {
    /// What breaks and where, without when: `cut of eu-central-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |millis: u64| show_duration(Duration::from_millis(millis));
        match self {
            Self::Cut { hosts, to, one_way } => {
                write!(f, "{} of {}{}", if *one_way { "one-way cut" } else { "cut" }, list(hosts), from(to))
            }
            Self::Flap { hosts, to, every } => write!(f, "flapping of {}{} every {}", list(hosts), from(to), show_duration(*every)),
            Self::Swizzle { hosts } => write!(f, "swizzle-clog of {}", list(hosts)),
            Self::Bridge { host } => write!(f, "only {host} reaches everybody"),
            Self::Degrade { hosts, to, quality, slower } => {
                write!(f, "worse links of {}{}: {quality}", list(hosts), from(to))?;
                if *slower > 1.0 { write!(f, ", {}x slower", trimmed(*slower, 1)) } else { Ok(()) }
            }
            Self::Stuck { hosts } => write!(f, "{} reads nothing", list(hosts)),
            Self::Clock { hosts, offset_ms: 0, frozen: true, .. } => write!(f, "clock of {} standing still", list(hosts)),
            Self::Clock { hosts, offset_ms, drift_ppm, frozen } => {
                let side = if *offset_ms < 0 { "behind" } else { "ahead" };
                write!(f, "clock of {} {} {side}", list(hosts), time(offset_ms.unsigned_abs()))?;
                match (*frozen, *drift_ppm) {
                    (true, _) => f.write_str(", standing still"),
                    (false, 0) => Ok(()),
                    (false, drift_ppm) => write!(f, ", drifting {drift_ppm} ppm"),
                }
            }
            Self::Crash { hosts, times: 1, down } => write!(f, "crash of {}, down {}", list(hosts), show_duration(*down)),
            Self::Crash { hosts, times, down } => write!(f, "{times} crashes of {}, down {} each", list(hosts), show_duration(*down)),
            Self::RollingRestart { hosts, down } => write!(f, "rolling restart of {}, down {} each", list(hosts), show_duration(*down)),
            Self::Pause { hosts } => write!(f, "pause of {}", list(hosts)),
            Self::LoseDisk { hosts } => write!(f, "disk of {} lost", list(hosts)),
            Self::RestoreBackup { hosts, age, copy } => {
                let what = if *copy { "copy" } else { "backup" };
                write!(f, "{} set back to a {what} of {} before", list(hosts), show_duration(*age))
            }
            Self::FailSync { hosts } => write!(f, "failed sync at {}", list(hosts)),
            Self::FullDisk { hosts } => write!(f, "full disk at {}", list(hosts)),
            Self::FlipBits { hosts, count } => write!(f, "{count} bits flipped at {}", list(hosts)),
            Self::TruncateLog { hosts, count } => write!(f, "{} at {}", files(*count, "cut off"), list(hosts)),
            Self::ZeroLog { hosts, count } => write!(f, "{} at {}", files(*count, "zeroed"), list(hosts)),
            Self::Offline { hosts } => write!(f, "{} offline", list(hosts)),
            Self::Poison { host, ahead_ms, every } => {
                write!(f, "stamps {} ahead from {host} every {}", time(*ahead_ms), show_duration(*every))
            }
            Self::Erase { host, profile } => write!(f, "profile {profile} erased at {host}"),
            Self::Herd { hosts } => write!(f, "herd at {}", list(hosts)),
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, value) in [("lost", self.loss), ("twice", self.duplicate), ("held back", self.reorder)] {
            if value > 0.0 {
                parts.push(format!("{} {name}", write_share(value)));
            }
        }
        if let Some(bytes) = self.bytes_per_s {
            parts.push(super::quantity::write_bandwidth(bytes));
        }
        f.write_str(&if parts.is_empty() { "nothing lost".into() } else { parts.join(", ") })
    }
}

impl Scenario {
    /// Its options in a few lines, each a name and a text: topology, network, workload, replicas.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let regions: Vec<String> = self
            .regions
            .iter()
            .map(|region| if region.nodes == 1 { region.name.clone() } else { format!("{} x{}", region.name, region.nodes) })
            .collect();
        let latency = match &self.network.latency {
            Latency::Distance => "from the distance".into(),
            Latency::Given { rtt_ms, jitter_ms } => format!("{rtt_ms} ± {jitter_ms} ms round trip"),
            Latency::Measured { provider, measured, .. } => {
                format!("measured, {provider}{}", measured.as_deref().map_or(String::new(), |day| format!(" {day}")))
            }
        };
        let (w, r) = (&self.workload, &self.replicas);
        let scrub = r.scrub_interval.map_or("no scrub".into(), |every| format!("scrub every {}", show_duration(every)));
        let ttl = r.ttl_days.map_or("no expiry".into(), |days| format!("expiry after {days} d"));
        vec![
            (
                "topology",
                format!(
                    "{} nodes ({}), {} devices with a replica",
                    self.node_count(),
                    regions.join(", "),
                    show_count(u64::from(self.device_count()))
                ),
            ),
            ("network", format!("latency {latency}; {}; last mile {} ms", self.network.quality, trimmed(self.network.device_rtt_ms, 1))),
            (
                "workload",
                format!(
                    "{} viewers, {} profiles, {} titles; {} min of watching each, a heartbeat in {}",
                    show_count(u64::from(w.viewers)),
                    show_count(u64::from(self.profile_count())),
                    show_count(u64::from(w.titles)),
                    trimmed(w.watch_minutes, 1),
                    show_duration(w.heartbeat),
                ),
            ),
            (
                "replicas",
                format!(
                    "sync {} ms, table {}, ring {}, segment {}; {scrub}; {ttl}",
                    trimmed(r.sync_ms, 2),
                    super::quantity::write_size(r.table_bytes_max as u64),
                    show_count(r.ring_count_max as u64),
                    super::quantity::write_size(r.segment_bytes),
                ),
            ),
            (
                "time",
                format!("{} of watching and faults, then at most {} to settle", show_duration(self.duration), show_duration(self.settle)),
            ),
        ]
    }
}
