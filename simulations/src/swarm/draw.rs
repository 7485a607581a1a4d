//! A scenario from a seed: sizes, probabilities, and which faults, so that a swarm looks where nobody thought of looking.
//!
//! Each seed leaves some things out altogether, as swarm testing does (Groce et al., ISSTA 2012): a mixture of everything hides what only shows
//! when one thing is missing. What is drawn is an ordinary scenario, small enough to run in a fraction of a second.

use std::time::Duration;

use super::dice::Dice;
use super::strike;
use crate::scenario::{Checks, Fault, FaultKind, Habits, Latency, Network, Quality, Region, Replicas, Scenario, Workload, places};

/// Most faults of one drawn timeline.
const FAULTS_COUNT_MAX: u64 = 6;
/// Most devices with a replica: a world's cost grows with its hosts.
const DEVICES_COUNT_MAX: u32 = 12;

/// Budgets of repairs in drawn worlds.
const EXCHANGES_MAX: u32 = 150;
const BYTES_PER_REPAIRED_MAX: f64 = 10_000.0;
/// Part of the seeds that draw what was added later, and part of those that draw a world of days.
const LATER_SHARE: f64 = 0.25;
const DAYS_SHARE: f64 = 0.2;
/// Chosen so that no seed that had failed before ([`later`] came after them) is among those: their worlds are those of their stories.
const LATER_SALT: u64 = 0x3_4924_0000_0000;

/// The scenario that a seed decides.
pub fn draw(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed);
    let mut regions = dice.some_of(&places::names().take(21).collect::<Vec<_>>(), 4);
    // Few regions are the rule in the wild; the order must not be that of the table.
    if dice.chance(0.5) {
        regions.reverse();
    }
    let nodes = if regions.len() <= 2 { dice.between_u32(1, 3) } else { 1 };
    let regions = regions.into_iter().map(|name| Region { name: name.to_owned(), nodes, at: places::place(name) }).collect();
    let mut scenario = Scenario {
        name: format!("drawn-{seed}"),
        about: format!("Drawn from seed {seed}."),
        duration: dice.time(Duration::from_mins(1), Duration::from_mins(7)),
        settle: Duration::from_mins(20),
        regions,
        network: network(&mut dice),
        workload: workload(&mut dice),
        faults: Vec::new(),
        replicas: replicas(&mut dice),
        checks: Checks {
            bytes_per_update_max: None,
            exchanges_max: None,
            bytes_per_repaired_max: None,
            one_profile_in: 1,
            propagation_over_ms_max: None,
        },
    };
    scenario.faults = strike::timeline(&mut dice, &scenario, FAULTS_COUNT_MAX);
    later(&mut scenario, seed);
    budget(&mut scenario);
    scenario
}

/// Budgets of repairs, several times what 1,200 seeds needed at most: what exceeds them is a storm. Where stamps are ahead of clocks a repair
/// waits until they are due, and is tried again and again; and what is compared at intervals is no repair.
fn budget(scenario: &mut Scenario) {
    let waits = |fault: &Fault| matches!(fault.kind, FaultKind::Clock { .. } | FaultKind::Poison { .. });
    let is_calm = scenario.replicas.scrub_interval.is_none() && !scenario.faults.iter().any(waits);
    scenario.checks.exchanges_max = is_calm.then_some(EXCHANGES_MAX);
    scenario.checks.bytes_per_repaired_max = is_calm.then_some(BYTES_PER_REPAIRED_MAX);
}

/// What seeds did not draw at first, from a generator of its own, so that most seeds draw what they always drew.
fn later(scenario: &mut Scenario, seed: u64) {
    let mut dice = Dice::new(seed ^ LATER_SALT);
    if !dice.chance(LATER_SHARE) {
        return;
    }
    if dice.chance(DAYS_SHARE) {
        days(&mut dice, scenario);
        return;
    }
    let more = strike::later(&mut dice, scenario);
    scenario.faults.extend(more);
    scenario.faults.sort_by_key(|fault| fault.at);
}

/// A world of some days, in which registers expire: few viewers, so that it takes no longer than one of minutes.
fn days(dice: &mut Dice, scenario: &mut Scenario) {
    let day = Duration::from_hours(24);
    scenario.duration = dice.time(2 * day, 5 * day);
    scenario.settle = Duration::from_hours(1);
    scenario.replicas.ttl_days = Some(dice.between_u32(1, 2));
    scenario.replicas.scrub_interval = None;
    for region in &mut scenario.regions {
        region.nodes = region.nodes.min(2);
    }
    scenario.regions.truncate(3);
    let workload = &mut scenario.workload;
    workload.viewers = dice.between_u32(2, 8);
    workload.devices_per_viewer = dice.between_u32(1, 2);
    let devices = workload.viewers * workload.devices_per_viewer;
    workload.replicas_share = f64::from(dice.between_u32(0, 3).min(devices)) / f64::from(devices);
    workload.titles = dice.between_u32(1, 4);
    workload.watch_minutes = dice.between(10, 60) as f64;
    workload.heartbeat = Duration::from_secs(dice.between(5, 30));
    scenario.faults = strike::of_days(dice, scenario);
}

/// A scenario like the given one, with sizes, probabilities and faults that the seed decides.
pub fn vary(scenario: &Scenario, seed: u64) -> Scenario {
    let mut dice = Dice::new(seed);
    let mut varied = scenario.clone();
    varied.about = format!("{} Varied by seed {seed}.", scenario.about);
    let factor = 0.25 + 1.25 * dice.part();
    varied.workload.viewers = ((f64::from(scenario.workload.viewers) * factor) as u32).max(1);
    if dice.chance(0.5) {
        varied.workload.retries = dice.share(0.3);
    }
    if dice.chance(0.5) {
        varied.workload.habits = habits(&mut dice);
    }
    let mut calm = true;
    if dice.chance(0.3) {
        varied.network.quality = quality(&mut dice, 0.05);
        calm = false;
    }
    if dice.chance(0.5) {
        let drawn = replicas(&mut dice);
        varied.replicas = Replicas { ttl_days: scenario.replicas.ttl_days, drift_ms_max: scenario.replicas.drift_ms_max, ..drawn };
    }
    varied.faults.retain(|_| dice.chance(0.85));
    for fault in &mut varied.faults {
        if dice.chance(0.5) {
            let latest = scenario.duration.saturating_sub(fault.lasts);
            fault.at = dice.time(Duration::ZERO, latest);
        }
    }
    if dice.chance(0.5) {
        let more = strike::timeline(&mut dice, &varied, 2);
        calm &= more.is_empty();
        varied.faults.extend(more);
    }
    // What was asked of a calm network cannot be asked of another.
    if !calm {
        varied.checks.propagation_over_ms_max = None;
        varied.checks.exchanges_max = None;
        varied.checks.bytes_per_repaired_max = None;
    }
    // What a change costs depends on how many there are: pings are the same.
    varied.checks.bytes_per_update_max = None;
    strike::mend(&mut varied);
    varied
}

fn network(dice: &mut Dice) -> Network {
    let latency = if dice.chance(0.6) {
        Latency::Distance
    } else {
        Latency::Given { rtt_ms: dice.size(1, 400) as f64, jitter_ms: dice.between(0, 20) as f64 }
    };
    let local_rtt_ms = dice.size(1, 10) as f64 / 10.0;
    let device_rtt_ms = dice.size(5, 300) as f64;
    let quality = if dice.chance(0.5) { Quality::default() } else { quality(dice, 0.05) };
    Network { latency, local_rtt_ms, device_rtt_ms, quality }
}

pub(super) fn quality(dice: &mut Dice, worst: f64) -> Quality {
    Quality {
        loss: if dice.chance(0.6) { dice.share(worst) } else { 0.0 },
        duplicate: if dice.chance(0.4) { dice.share(worst) } else { 0.0 },
        reorder: if dice.chance(0.4) { dice.share(2.0 * worst) } else { 0.0 },
        bytes_per_s: dice.chance(0.15).then(|| 1_000 * dice.size(8, 1_000)),
    }
}

fn workload(dice: &mut Dice) -> Workload {
    let viewers = dice.size(2, 40) as u32;
    let devices_per_viewer = dice.between_u32(1, 3);
    let most = f64::from(DEVICES_COUNT_MAX) / f64::from(viewers * devices_per_viewer);
    let replicas_share = if dice.chance(0.25) { 0.0 } else { dice.share(most.min(1.0)) };
    Workload {
        viewers,
        viewers_per_profile: if dice.chance(0.5) { 1 } else { dice.between_u32(2, 4) },
        devices_per_viewer,
        replicas_share,
        titles: dice.size(1, 60) as u32,
        title_minutes: dice.size(1, 60) as f64,
        watch_minutes: dice.size(1, 8) as f64,
        heartbeat: Duration::from_secs(dice.between(2, 15)),
        retries: if dice.chance(0.5) { dice.share(0.3) } else { 0.0 },
        reads: dice.share(0.2),
        habits: habits(dice),
        hot_share: if dice.chance(0.2) { dice.share(0.8) } else { 0.0 },
        erasures: if dice.chance(0.3) { dice.between_u32(1, 3) } else { 0 },
        hides: if dice.chance(0.4) { dice.between_u32(1, 12) } else { 0 },
    }
}

fn habits(dice: &mut Dice) -> Habits {
    let mut weight = || if dice.chance(0.4) { 0.0 } else { dice.size(1, 30) as f64 };
    let [pause, skip, back, tap, restart, next] = std::array::from_fn(|_| weight());
    let [switch, sleep, idle, rewatch, offline] = std::array::from_fn(|_| weight());
    Habits { watch: 10.0, pause, skip, back, tap, restart, next, switch, sleep, idle, rewatch, offline }
}

fn replicas(dice: &mut Dice) -> Replicas {
    Replicas {
        ttl_days: dice.chance(0.2).then(|| dice.between_u32(1, 400)),
        sync_ms: dice.size(1, 200) as f64 / 10.0,
        table_bytes_max: 1 << dice.between(16, 22),
        ring_count_max: 1 << dice.between(4, 12),
        segment_bytes: 1 << dice.between(16, 20),
        scrub_interval: dice.chance(0.3).then(|| Duration::from_secs(dice.between(20, 300))),
        drift_ms_max: 60_000,
    }
}
