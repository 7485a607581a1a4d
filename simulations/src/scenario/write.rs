//! A scenario back to the text of a file: what is as it is by default is left out, what is written reads to the same scenario.

use std::fmt::Write as _;
use std::time::Duration;

use super::quantity::{write_bandwidth, write_duration, write_share, write_size};
use super::{FaultKind, Latency, Quality, Scenario, Selector, parse, places};

/// Keys with their values as they stand in a file.
type Lines = Vec<(&'static str, String)>;

impl Scenario {
    /// The text of a file that reads to this scenario (but for its name, which is the file's). Comments and order of a file it came from are lost.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "about = {}", quoted(&self.about));
        let _ = writeln!(text, "duration = {}", time(self.duration));
        let _ = writeln!(text, "settle = {}", time(self.settle));
        let placed = |region: &super::Region| region.at == places::place(&region.name) && region.nodes == 1;
        if self.regions.iter().all(placed) {
            let names: Vec<String> = self.regions.iter().map(|region| quoted(&region.name)).collect();
            let _ = writeln!(text, "regions = [{}]", names.join(", "));
        } else {
            for region in &self.regions {
                let _ = writeln!(text, "\n[[regions]]\nname = {}\nnodes = {}", quoted(&region.name), region.nodes);
                if let Some((latitude, longitude)) = region.at.filter(|at| Some(*at) != places::place(&region.name)) {
                    let _ = writeln!(text, "at = [{latitude:?}, {longitude:?}]");
                }
            }
        }
        // What an almost empty file means is what need not be written.
        let default = parse::parse("", "", "about = \"\"\nregions = [\"eu-central-1\"]").ok();
        for (section, lines) in self.sections() {
            let usual: Lines =
                default.iter().flat_map(Self::sections).filter(|(name, _)| *name == section).flat_map(|(_, lines)| lines).collect();
            let lines: Lines = lines.into_iter().filter(|line| !usual.contains(line)).collect();
            if !lines.is_empty() {
                let _ = writeln!(text, "\n[{section}]");
                push(&mut text, &lines);
            }
        }
        for fault in &self.faults {
            let _ = writeln!(text, "\n[[faults]]");
            push(&mut text, &[("kind", quoted(fault.kind.name())), ("at", time(fault.at))]);
            if !fault.lasts.is_zero() {
                push(&mut text, &[("lasts", time(fault.lasts))]);
            }
            push(&mut text, &fault_lines(&fault.kind));
        }
        text
    }

    fn sections(&self) -> Vec<(&'static str, Lines)> {
        let (workload, habits, replicas, checks) = (&self.workload, &self.workload.habits, &self.replicas, &self.checks);
        let mut network = vec![
            ("latency", latency(&self.network.latency)),
            ("local_rtt", in_unit(self.network.local_rtt_ms, "ms")),
            ("device_rtt", in_unit(self.network.device_rtt_ms, "ms")),
        ];
        network.extend(quality(self.network.quality));
        vec![
            ("network", network),
            (
                "workload",
                vec![
                    ("viewers", workload.viewers.to_string()),
                    ("viewers_per_profile", workload.viewers_per_profile.to_string()),
                    ("devices_per_viewer", workload.devices_per_viewer.to_string()),
                    ("replicas_share", share(workload.replicas_share)),
                    ("titles", workload.titles.to_string()),
                    ("title_length", in_unit(workload.title_minutes, "min")),
                    ("watch", in_unit(workload.watch_minutes, "min")),
                    ("heartbeat", time(workload.heartbeat)),
                    ("retries", share(workload.retries)),
                    ("reads", share(workload.reads)),
                    ("hot_share", share(workload.hot_share)),
                    ("erasures", workload.erasures.to_string()),
                    ("hides", workload.hides.to_string()),
                ],
            ),
            ("workload.habits", habits.weights().iter().map(|(name, weight)| (*name, format!("{weight}"))).collect()),
            (
                "replicas",
                vec![
                    ("ttl", replicas.ttl_days.map_or(quoted("never"), |days| quoted(&format!("{days}d")))),
                    ("sync", in_unit(replicas.sync_ms, "ms")),
                    ("table", quoted(&write_size(replicas.table_bytes_max as u64))),
                    ("ring", replicas.ring_count_max.to_string()),
                    ("segment", quoted(&write_size(replicas.segment_bytes))),
                    ("scrub", replicas.scrub_interval.map_or(quoted("never"), time)),
                    ("drift_max", time(Duration::from_millis(replicas.drift_ms_max))),
                ],
            ),
            (
                "checks",
                vec![
                    ("bytes_per_update_max", checks.bytes_per_update_max.map_or(quoted("none"), |bytes| format!("{bytes}"))),
                    ("exchanges_max", checks.exchanges_max.map_or(quoted("none"), |count| count.to_string())),
                    ("bytes_per_repaired_max", checks.bytes_per_repaired_max.map_or(quoted("none"), |bytes| format!("{bytes}"))),
                    ("one_profile_in", checks.one_profile_in.to_string()),
                    ("propagation_over_max", checks.propagation_over_ms_max.map_or(quoted("none"), |over| in_unit(over, "ms"))),
                ],
            ),
        ]
    }
}

fn push(text: &mut String, lines: &[(&'static str, String)]) {
    for (key, value) in lines {
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn time(duration: Duration) -> String {
    quoted(&write_duration(duration))
}

fn share(value: f64) -> String {
    let text = write_share(value);
    if text.contains('%') { quoted(&text) } else { text }
}

fn in_unit(value: f64, unit: &str) -> String {
    quoted(&format!("{value}{unit}"))
}

fn latency(latency: &Latency) -> String {
    match latency {
        Latency::Distance => quoted("distance"),
        Latency::Given { rtt_ms, jitter_ms } => format!("{{ rtt = {}, jitter = {} }}", in_unit(*rtt_ms, "ms"), in_unit(*jitter_ms, "ms")),
        Latency::Measured { file, provider, measured, .. } => {
            let measured = measured.as_deref().map_or(String::new(), |day| format!(", measured = {}", quoted(day)));
            let file = if file.is_empty() { String::new() } else { format!(", file = {}", quoted(file)) };
            format!("{{ provider = {}{measured}{file} }}", quoted(provider))
        }
    }
}

fn quality(quality: Quality) -> Lines {
    let bandwidth = quality.bytes_per_s.map_or(quoted("unlimited"), |bytes| quoted(&write_bandwidth(bytes)));
    vec![
        ("loss", share(quality.loss)),
        ("duplicate", share(quality.duplicate)),
        ("reorder", share(quality.reorder)),
        ("bandwidth", bandwidth),
    ]
}

fn selectors(selectors: &[Selector]) -> String {
    let names: Vec<String> = selectors.iter().map(|selector| quoted(selector)).collect();
    format!("[{}]", names.join(", "))
}

fn fault_lines(kind: &FaultKind) -> Lines {
    let sides = |hosts: &[Selector], to: &[Selector]| {
        let mut lines = vec![("hosts", selectors(hosts))];
        if !to.is_empty() {
            lines.push(("to", selectors(to)));
        }
        lines
    };
    let with = |mut lines: Lines, more: Lines| {
        lines.extend(more);
        lines
    };
    match kind {
        FaultKind::Cut { hosts, to, one_way } => {
            with(sides(hosts, to), if *one_way { vec![("one_way", "true".into())] } else { Vec::new() })
        }
        FaultKind::Flap { hosts, to, every } => with(sides(hosts, to), vec![("every", time(*every))]),
        FaultKind::Degrade { hosts, to, quality: worse, slower } => {
            with(with(sides(hosts, to), quality(*worse)), vec![("slower", format!("{slower}"))])
        }
        FaultKind::Swizzle { hosts }
        | FaultKind::Stuck { hosts }
        | FaultKind::Pause { hosts }
        | FaultKind::LoseDisk { hosts }
        | FaultKind::FailSync { hosts }
        | FaultKind::FullDisk { hosts }
        | FaultKind::Offline { hosts }
        | FaultKind::Herd { hosts } => sides(hosts, &[]),
        FaultKind::Bridge { host } => vec![("host", quoted(host))],
        FaultKind::Clock { hosts, offset_ms, drift_ppm, frozen } => {
            let sign = if *offset_ms < 0 { "-" } else { "" };
            let offset = write_duration(Duration::from_millis(offset_ms.unsigned_abs()));
            let lines = with(sides(hosts, &[]), vec![("offset", quoted(&format!("{sign}{offset}"))), ("drift_ppm", drift_ppm.to_string())]);
            with(lines, if *frozen { vec![("frozen", "true".into())] } else { Vec::new() })
        }
        FaultKind::Crash { hosts, times, down } => with(sides(hosts, &[]), vec![("times", times.to_string()), ("down", time(*down))]),
        FaultKind::RollingRestart { hosts, down } => with(sides(hosts, &[]), vec![("down", time(*down))]),
        FaultKind::RestoreBackup { hosts, age, copy } => with(sides(hosts, &[]), vec![("age", time(*age)), ("copy", copy.to_string())]),
        FaultKind::FlipBits { hosts, count } | FaultKind::TruncateLog { hosts, count } | FaultKind::ZeroLog { hosts, count } => {
            with(sides(hosts, &[]), vec![("count", count.to_string())])
        }
        FaultKind::Poison { host, ahead_ms, every } => {
            vec![("host", quoted(host)), ("ahead", time(Duration::from_millis(*ahead_ms))), ("every", time(*every))]
        }
        FaultKind::Erase { host, profile } => vec![("host", quoted(host)), ("profile", profile.to_string())],
    }
}
