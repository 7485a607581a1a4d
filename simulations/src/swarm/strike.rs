//! Faults from chance, and timelines put right after something was changed around them.

use std::time::Duration;

use super::dice::Dice;
use super::draw;
use crate::scenario::keys::FAULTS;
use crate::scenario::{Fault, FaultKind, Scenario, Selector};

/// Kinds that are drawn by themselves, in [`later`]: a kind more in the list would give every seed another world.
const LATER: [&str; 2] = ["truncate-log", "zero-log"];

/// A timeline of at most so many faults, in order of time. Each seed leaves most kinds out.
pub(super) fn timeline(dice: &mut Dice, scenario: &Scenario, count_max: u64) -> Vec<Fault> {
    let kinds: Vec<&str> =
        FAULTS.iter().map(|fault| fault.kind).filter(|kind| !LATER.contains(kind)).filter(|_| dice.chance(0.35)).collect();
    let count = dice.between(0, count_max);
    let mut found = Vec::new();
    for _ in 0..count {
        if let Some(kind) = dice.one_of(&kinds) {
            found.extend(fault(dice, scenario, kind));
        }
    }
    found.sort_by_key(|fault| fault.at);
    found
}

/// Faults that seeds did not draw at first: logs cut off and zeroed, clocks that stand still, a hostile device that goes on.
pub(super) fn later(dice: &mut Dice, scenario: &Scenario) -> Vec<Fault> {
    let count = dice.between(1, 3);
    let mut found = Vec::new();
    for _ in 0..count {
        let drawn = match dice.between(0, 3) {
            0 => fault(dice, scenario, "truncate-log"),
            1 => fault(dice, scenario, "zero-log"),
            2 => fault(dice, scenario, "clock").map(frozen),
            _ => fault(dice, scenario, "poison").map(|fault| goes_on(dice, fault)),
        };
        found.extend(drawn);
    }
    found
}

/// A timeline for a world of days: what lasts for hours, and nothing that comes every few seconds.
pub(super) fn of_days(dice: &mut Dice, scenario: &Scenario) -> Vec<Fault> {
    let kinds =
        ["offline", "clock", "frozen", "cut", "pause", "crash", "rolling-restart", "lose-disk", "restore-backup", "truncate-log", "erase"];
    let count = dice.between(0, 4);
    let mut found = Vec::new();
    for _ in 0..count {
        found.extend(match dice.one_of(&kinds) {
            Some(&"frozen") => fault(dice, scenario, "clock").map(frozen),
            Some(kind) => fault(dice, scenario, kind),
            None => None,
        });
    }
    found.sort_by_key(|fault| fault.at);
    found
}

fn frozen(mut fault: Fault) -> Fault {
    if let FaultKind::Clock { offset_ms, drift_ppm, frozen, .. } = &mut fault.kind {
        (*offset_ms, *drift_ppm, *frozen) = (0, 0, true);
    }
    fault
}

fn goes_on(dice: &mut Dice, mut fault: Fault) -> Fault {
    if let FaultKind::Poison { every, .. } = &mut fault.kind {
        *every = dice.time(Duration::from_secs(1), Duration::from_secs(20));
    }
    fault
}

/// One fault of that kind; none if there is nobody whom it could strike.
fn fault(dice: &mut Dice, scenario: &Scenario, kind: &str) -> Option<Fault> {
    let second = Duration::from_secs(1);
    let at = dice.time(Duration::ZERO, scenario.duration.saturating_sub(second));
    let left = scenario.duration.saturating_sub(at);
    let at_once = ["erase", "herd"].contains(&kind);
    let lasts = match kind {
        // Long enough for a herd to gather.
        "herd" => left.min(scenario.duration / 4),
        _ if at_once => Duration::ZERO,
        _ => dice.time(second.min(left), left.min(scenario.duration / 2)),
    };
    let mut kind = strike(dice, scenario, kind, at)?;
    if let FaultKind::Poison { every, .. } = &mut kind {
        // One strike; those that go on are drawn in `later`.
        *every = lasts.max(second);
    }
    scenario.reaches(&kind).then_some(Fault { at, lasts, kind })
}

fn strike(dice: &mut Dice, scenario: &Scenario, kind: &str, at: Duration) -> Option<FaultKind> {
    let hosts = some_hosts(dice, scenario);
    let to = if dice.chance(0.7) { Vec::new() } else { some_hosts(dice, scenario) };
    let device = || scenario.device_count().checked_sub(1);
    let seconds = Duration::from_secs;
    Some(match kind {
        "cut" => FaultKind::Cut { hosts, to, one_way: dice.chance(0.3) },
        "flap" => FaultKind::Flap { hosts, to, every: dice.time(seconds(1), seconds(20)) },
        "swizzle" => FaultKind::Swizzle { hosts: vec!["nodes".into()] },
        "bridge" => FaultKind::Bridge { host: node(dice, scenario) },
        "degrade" => FaultKind::Degrade { hosts, to, quality: draw::quality(dice, 0.4), slower: dice.between(1, 8) as f64 },
        "stuck" => FaultKind::Stuck { hosts },
        "clock" => {
            let most = [1_000, 60_000, 3_600_000, 86_400_000][dice.between(0, 3) as usize];
            let sign = if dice.chance(0.5) { 1 } else { -1 };
            let drift_ppm = if dice.chance(0.5) { sign * dice.between(1, 50_000).cast_signed() } else { 0 };
            FaultKind::Clock { hosts, offset_ms: sign * dice.between(1, most).cast_signed(), drift_ppm, frozen: false }
        }
        "crash" => FaultKind::Crash { hosts, times: dice.size(1, 12) as u32, down: dice.time(seconds(0), seconds(20)) },
        "rolling-restart" => FaultKind::RollingRestart { hosts, down: dice.time(seconds(1), seconds(10)) },
        "pause" => FaultKind::Pause { hosts },
        "lose-disk" => FaultKind::LoseDisk { hosts: vec![node(dice, scenario)] },
        "restore-backup" => {
            let (hosts, age) = (vec![node(dice, scenario)], dice.time(Duration::ZERO, at));
            FaultKind::RestoreBackup { hosts, age, copy: age.as_millis() % 2 == 1 }
        }
        "fail-sync" => FaultKind::FailSync { hosts },
        "full-disk" => FaultKind::FullDisk { hosts },
        "flip-bits" => FaultKind::FlipBits { hosts: vec![node(dice, scenario)], count: dice.size(1, 30) as u32 },
        "truncate-log" => FaultKind::TruncateLog { hosts: vec![node(dice, scenario)], count: dice.size(1, 3) as u32 },
        "zero-log" => FaultKind::ZeroLog { hosts: vec![node(dice, scenario)], count: dice.size(1, 3) as u32 },
        "offline" => {
            device()?;
            FaultKind::Offline { hosts: vec!["devices".into()] }
        }
        "poison" => {
            let host = format!("device/{}", dice.between_u32(0, device()?));
            FaultKind::Poison { host, ahead_ms: dice.size(100, 86_400_000_000), every: seconds(10) }
        }
        "erase" => FaultKind::Erase { host: node(dice, scenario), profile: dice.between_u32(0, scenario.profile_count() - 1) },
        _ => FaultKind::Herd { hosts: vec![region(dice, scenario)] },
    })
}

fn region(dice: &mut Dice, scenario: &Scenario) -> Selector {
    dice.one_of(&scenario.regions).map(|region| region.name.clone()).unwrap_or_default()
}

fn node(dice: &mut Dice, scenario: &Scenario) -> Selector {
    let region = dice.one_of(&scenario.regions);
    region.map(|region| format!("{}/{}", region.name, dice.between_u32(0, region.nodes - 1))).unwrap_or_default()
}

fn some_hosts(dice: &mut Dice, scenario: &Scenario) -> Vec<Selector> {
    match (dice.between(0, 5), scenario.device_count()) {
        (0 | 1, _) => vec![node(dice, scenario)],
        (2, 1..) => vec!["devices".into()],
        (3, count @ 1..) => vec![format!("device/{}", dice.between_u32(0, count - 1))],
        (4, _) => vec!["nodes".into()],
        _ => vec![region(dice, scenario)],
    }
}

/// Puts a timeline right after the scenario around it was changed: what strikes nobody any more goes, what lasts too long is cut short.
pub(super) fn mend(scenario: &mut Scenario) {
    let mut faults = std::mem::take(&mut scenario.faults);
    faults.retain_mut(|fault| {
        fault.lasts = fault.lasts.min(scenario.duration.saturating_sub(fault.at));
        if let FaultKind::RestoreBackup { age, .. } = &mut fault.kind {
            *age = (*age).min(fault.at);
        }
        let must_last = FAULTS.iter().any(|key| key.kind == fault.kind.name() && key.must_last);
        fault.at <= scenario.duration
            && (!must_last || !fault.lasts.is_zero())
            && strikes(scenario, &fault.kind)
            && scenario.reaches(&fault.kind)
    });
    faults.sort_by_key(|fault| fault.at);
    scenario.faults = faults;
}

/// Whether every selector of the fault still means somebody.
fn strikes(scenario: &Scenario, kind: &FaultKind) -> bool {
    let known = |selector: &Selector| scenario.select(selector).is_some_and(|hosts| !hosts.is_empty());
    let all = |selectors: &[Selector]| selectors.iter().all(known);
    match kind {
        FaultKind::Cut { hosts, to, .. } | FaultKind::Flap { hosts, to, .. } | FaultKind::Degrade { hosts, to, .. } => {
            all(hosts) && all(to)
        }
        FaultKind::Bridge { host } | FaultKind::Poison { host, .. } => known(host),
        FaultKind::Erase { host, profile } => known(host) && *profile < scenario.profile_count(),
        FaultKind::Swizzle { hosts }
        | FaultKind::Stuck { hosts }
        | FaultKind::Clock { hosts, .. }
        | FaultKind::Crash { hosts, .. }
        | FaultKind::RollingRestart { hosts, .. }
        | FaultKind::Pause { hosts }
        | FaultKind::LoseDisk { hosts }
        | FaultKind::RestoreBackup { hosts, .. }
        | FaultKind::FailSync { hosts }
        | FaultKind::FullDisk { hosts }
        | FaultKind::FlipBits { hosts, .. }
        | FaultKind::TruncateLog { hosts, .. }
        | FaultKind::ZeroLog { hosts, .. }
        | FaultKind::Offline { hosts }
        | FaultKind::Herd { hosts } => all(hosts),
    }
}
