//! The timeline of faults, from its tables.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::keys::{self, FAULTS, FaultKey};
use super::parse::{self, FAULTS_COUNT_MAX};
use super::quantity::{self, MILLISECOND};
use super::reader::{Problems, Section, place, shown};
use super::{Fault, FaultKind, Scenario, Selector};
use crate::observation::HostId;

/// Most strikes of one fault that comes again and again.
const STRIKES_COUNT_MAX: u128 = 1_000_000;

/// The tables of the timeline, each with where it begins.
pub(super) fn tables<'a>(top: &mut Section<'a, '_>) -> Vec<(&'a DeTable<'a>, usize)> {
    let list = match top.raw("faults") {
        None => return Vec::new(),
        Some((DeValue::Array(list), _)) => list,
        Some((other, _)) => {
            top.wrong("faults", format!("{} is not a list: write `[[faults]]` above each fault", shown(other)));
            return Vec::new();
        }
    };
    if list.len() > FAULTS_COUNT_MAX {
        top.wrong("faults", format!("there are {}, at most {FAULTS_COUNT_MAX}", list.len()));
        return Vec::new();
    }
    let mut found = Vec::new();
    for item in list {
        match place(item) {
            (DeValue::Table(table), at) => found.push((table, at)),
            (other, _) => top.wrong("faults", format!("{} is not a table: write `[[faults]]` above each fault", shown(other))),
        }
    }
    found
}

/// Reads the timeline of a scenario whose hosts are known.
pub(super) fn read<'a>(scenario: &Scenario, tables: &[(&'a DeTable<'a>, usize)], problems: &mut Problems<'a>) -> Vec<Fault> {
    let mut found = Vec::new();
    for (index, (table, at)) in tables.iter().enumerate() {
        let mut section = Section::new("faults", format!("faults[{index}]"), Some((*table, *at)), problems);
        let kind = section.text("kind");
        let Some(key) = FAULTS.iter().find(|fault| fault.kind == kind) else {
            if !kind.is_empty() {
                let kinds: Vec<&str> = FAULTS.iter().map(|fault| fault.kind).collect();
                section.wrong("kind", format!("there is no fault '{kind}'; kinds are {}", kinds.join(", ")));
            }
            continue;
        };
        found.extend(fault(scenario, key, &mut section));
        let mut known = vec!["kind", "at"];
        known.extend(key.keys);
        for name in keys::names("faults") {
            if section.has(name) && !known.contains(&name) {
                section.wrong(name, format!("a fault of kind '{kind}' does not take it; it takes {}", known.join(", ")));
            }
        }
        section.finish();
    }
    found
}

fn fault(scenario: &Scenario, key: &FaultKey, section: &mut Section<'_, '_>) -> Option<Fault> {
    let at = section.time("at");
    let lasts = if key.keys.contains(&"lasts") { section.time("lasts") } else { Duration::ZERO };
    let until = at.saturating_add(lasts);
    if until > scenario.duration {
        let (name, when) = if at > scenario.duration { ("at", at) } else { ("lasts", until) };
        let (when, duration) = (quantity::write_duration(when), quantity::write_duration(scenario.duration));
        let verb = if name == "at" { "begins" } else { "ends" };
        section.wrong(name, format!("{verb} at {when}, after the scenario's duration of {duration}"));
    }
    if key.must_last && lasts.is_zero() {
        section.wrong("lasts", format!("a fault of kind '{}' must last for more than 0", key.kind));
    }
    let kind = kind(scenario, key, at, section)?;
    if let FaultKind::Flap { every, .. } | FaultKind::Poison { every, .. } = &kind {
        let strikes = lasts.as_nanos().div_ceil(every.as_nanos().max(1));
        if strikes > STRIKES_COUNT_MAX {
            section.wrong("every", format!("strikes {strikes} times while it lasts, at most {STRIKES_COUNT_MAX}"));
        }
    }
    if !scenario.reaches(&kind) {
        let (name, why) = match kind {
            FaultKind::Bridge { .. } => ("host", "there are no two other nodes to keep apart"),
            _ => (if section.has("to") { "to" } else { "hosts" }, "nobody in `hosts` talks to anybody in `to`"),
        };
        section.wrong(name, format!("touches nobody: {why}"));
    }
    Some(Fault { at, lasts, kind })
}

fn kind(scenario: &Scenario, key: &FaultKey, at: Duration, section: &mut Section<'_, '_>) -> Option<FaultKind> {
    let all = || vec!["all".to_owned()];
    // An empty list of hosts would be a fault that does nothing.
    let hosts = if key.keys.contains(&"hosts") {
        let optional = ["swizzle", "herd", "offline", "rolling-restart"].contains(&key.kind);
        if optional && !section.has("hosts") { default_hosts(key.kind) } else { selectors(scenario, section, "hosts", true) }
    } else {
        all()
    };
    let to = if key.keys.contains(&"to") { selectors(scenario, section, "to", false) } else { Vec::new() };
    Some(match key.kind {
        "cut" => FaultKind::Cut { hosts, to, one_way: section.flag("one_way") },
        "flap" => FaultKind::Flap { hosts, to, every: section.time("every") },
        "swizzle" => FaultKind::Swizzle { hosts },
        "bridge" => FaultKind::Bridge { host: one(scenario, section, "host")? },
        "degrade" => FaultKind::Degrade { hosts, to, quality: parse::quality(section), slower: section.number("slower") },
        "stuck" => FaultKind::Stuck { hosts },
        "clock" => {
            let offset_ms = section.time_in("offset", MILLISECOND).round() as i64;
            let drift_ppm = section.integer("drift_ppm");
            let frozen = section.flag("frozen");
            if offset_ms == 0 && drift_ppm == 0 && !frozen {
                section.wrong("offset", "a clock that is wrong needs an offset or a drift_ppm other than 0, or frozen = true");
            }
            if drift_ppm != 0 && frozen {
                section.wrong("drift_ppm", "a clock that is frozen does not drift");
            }
            FaultKind::Clock { hosts, offset_ms, drift_ppm, frozen }
        }
        "crash" => FaultKind::Crash { hosts, times: positive(section, "times"), down: section.time("down") },
        "rolling-restart" => FaultKind::RollingRestart { hosts, down: section.time("down") },
        "pause" => FaultKind::Pause { hosts },
        "lose-disk" => FaultKind::LoseDisk { hosts },
        "restore-backup" => {
            let age = section.time("age");
            if age > at {
                let (age, at) = (quantity::write_duration(age), quantity::write_duration(at));
                section.wrong("age", format!("the backup would be {age} old when only {at} have passed"));
            }
            FaultKind::RestoreBackup { hosts, age, copy: section.flag("copy") }
        }
        "fail-sync" => FaultKind::FailSync { hosts },
        "full-disk" => FaultKind::FullDisk { hosts },
        "flip-bits" => FaultKind::FlipBits { hosts, count: positive(section, "count") },
        "truncate-log" => FaultKind::TruncateLog { hosts, count: positive(section, "count") },
        "zero-log" => FaultKind::ZeroLog { hosts, count: positive(section, "count") },
        "offline" => FaultKind::Offline { hosts: devices_only(scenario, section, "hosts", hosts) },
        "poison" => {
            let host = one(scenario, section, "host")?;
            let host = devices_only(scenario, section, "host", vec![host]).pop()?;
            FaultKind::Poison { host, ahead_ms: section.time("ahead").as_millis() as u64, every: section.time("every") }
        }
        "erase" => {
            let profile = section.count("profile");
            if profile >= scenario.profile_count() {
                section.wrong("profile", format!("there is no profile {profile}; there are {}, from 0", scenario.profile_count()));
            }
            FaultKind::Erase { host: one(scenario, section, "host")?, profile }
        }
        _ => FaultKind::Herd { hosts },
    })
}

/// What is meant where no hosts are named.
fn default_hosts(kind: &str) -> Vec<Selector> {
    vec![if kind == "offline" { "devices".to_owned() } else { "nodes".to_owned() }]
}

fn positive(section: &mut Section<'_, '_>, name: &str) -> u32 {
    section.count(name)
}

fn selectors(scenario: &Scenario, section: &mut Section<'_, '_>, name: &str, required: bool) -> Vec<Selector> {
    let written = section.selectors(name);
    let names_some = matches!(section.raw(name), Some((DeValue::Array(list), _)) if !list.is_empty());
    // What it names may be no name; then that has been told.
    if required && written.is_empty() && !names_some {
        section.wrong(name, format!("must name somebody; hosts are {}", scenario.selectors()));
    }
    let mut found = Vec::new();
    for (selector, at) in written {
        if scenario.regions.is_empty() || scenario.select(&selector).is_some_and(|hosts| !hosts.is_empty()) {
            found.push(selector);
        } else {
            let path = section.path_of(name);
            section.problems().push(at, path, format!("there is no host '{selector}'; hosts are {}", scenario.selectors()));
        }
    }
    found
}

fn one(scenario: &Scenario, section: &mut Section<'_, '_>, name: &str) -> Option<Selector> {
    let selector = section.text(name);
    if selector.is_empty() || scenario.regions.is_empty() {
        return None;
    }
    match scenario.select(&selector).map_or(0, |hosts| hosts.len()) {
        1 => return Some(selector),
        0 => section.wrong(name, format!("there is no host '{selector}'; hosts are {}", scenario.selectors())),
        count => section.wrong(name, format!("must be one host, '{selector}' means {count}")),
    }
    None
}

fn devices_only(scenario: &Scenario, section: &mut Section<'_, '_>, name: &str, hosts: Vec<Selector>) -> Vec<Selector> {
    let is_device = |host: &HostId| scenario.region_of(*host).is_none();
    let wrong =
        hosts.iter().find(|selector| scenario.select(selector).is_none_or(|found| found.is_empty() || !found.iter().all(is_device)));
    if let Some(selector) = wrong
        && !scenario.regions.is_empty()
    {
        let count = scenario.device_count();
        section
            .wrong(name, format!("must be devices with a replica, and '{selector}' is not; there are {count}, by workload.replicas_share"));
    }
    hosts
}
