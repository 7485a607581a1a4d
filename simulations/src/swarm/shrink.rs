//! A failing scenario made shorter, as long as it fails for the same reason: the same checker says the same, or the same line of code panics.
//!
//! Greedy, in the order in which most is gained: faults go, then what makes the world large and long, then what makes it colourful. Every try is a
//! whole run with the same seed, so there is a bound on how many are made.

use std::time::Duration;

use super::pool::End;
use super::reason::Reason;
use super::strike;
use crate::scenario::{FaultKind, Latency, Quality, Scenario, parse};

/// Shorter and shorter scenarios, each tried by `still_fails`, until nothing shorter fails or `tries_max` have been made.
pub fn shrink(scenario: &Scenario, tries_max: usize, mut still_fails: impl FnMut(&Scenario) -> bool) -> Shrunk {
    let mut best = scenario.clone();
    let mut tries = 0;
    loop {
        let mut better = false;
        let mut step = 0;
        // The list is made anew after each success: what it names has changed.
        while let Some(candidate) = candidates(&best).into_iter().nth(step) {
            if tries == tries_max {
                return Shrunk { scenario: best, tries, done: false };
            }
            tries += 1;
            if still_fails(&candidate) {
                best = candidate;
                better = true;
            } else {
                step += 1;
            }
        }
        if !better {
            return Shrunk { scenario: best, tries, done: true };
        }
    }
}

/// What shrinking came to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The shortest that failed.
    pub scenario: Scenario,
    /// Runs it took.
    pub tries: usize,
    /// Whether nothing shorter was left to try.
    pub done: bool,
}

/// Shorter and shorter scenarios that fail as the given one did, each run by `run`; and what the shortest says of it, none if nothing shorter fails.
/// A shorter world that fails in another way, even by the same checker, is not taken: it may be another bug.
pub fn shrink_alike(
    scenario: &Scenario,
    reason: &Reason,
    tries_max: usize,
    mut run: impl FnMut(&Scenario) -> Option<End>,
) -> (Shrunk, Option<String>) {
    let mut last = None;
    let shrunk = shrink(scenario, tries_max, |candidate| {
        let alike = run(candidate).and_then(|end| end.failures().into_iter().find(|(kind, _)| kind == reason));
        let fails = alike.is_some();
        last = alike.map(|(_, what)| what).or(last.take());
        fails
    });
    (shrunk, last)
}

/// Each of them is shorter or plainer than the scenario.
fn candidates(scenario: &Scenario) -> Vec<Scenario> {
    let mut found = Vec::new();
    let mut change = |how: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        how(&mut candidate);
        strike::mend(&mut candidate);
        if candidate != *scenario {
            found.push(candidate);
        }
    };
    let faults = scenario.faults.len();
    if faults > 3 {
        change(&|s| s.faults.truncate(faults / 2));
        change(&|s| drop(s.faults.drain(..faults / 2)));
    }
    for index in (0..faults).rev() {
        change(&|s| drop(s.faults.remove(index)));
    }
    change(&|s| s.workload.viewers = (s.workload.viewers / 2).max(1));
    change(&|s| s.duration = shorter(s.duration, Duration::from_secs(10)));
    for index in 0..faults {
        change(&|s| s.faults[index].lasts = shorter(s.faults[index].lasts, Duration::from_secs(1)));
        change(&|s| fewer(&mut s.faults[index].kind));
    }
    change(&|s| s.regions.iter_mut().for_each(|region| region.nodes = 1));
    if scenario.regions.len() > 1 {
        for index in (0..scenario.regions.len()).rev() {
            change(&|s| drop(s.regions.remove(index)));
        }
    }
    change(&|s| s.workload.replicas_share = 0.0);
    change(&|s| s.workload.devices_per_viewer = (s.workload.devices_per_viewer / 2).max(1));
    change(&|s| s.workload.titles = (s.workload.titles / 2).max(1));
    change(&|s| s.workload.viewers_per_profile = 1);
    change(&|s| s.workload.erasures /= 2);
    change(&|s| s.workload.hides /= 2);
    change(&|s| s.workload.hot_share = 0.0);
    change(&|s| s.workload.retries = 0.0);
    change(&|s| s.workload.reads = 0.0);
    change(&|s| s.network.quality = Quality::default());
    change(&|s| s.network.latency = Latency::Given { rtt_ms: 80.0, jitter_ms: 0.0 });
    for index in 0..HABITS {
        change(&|s| *habit(s, index) = 0.0);
    }
    // What nobody wrote is what nobody must read.
    if let Ok(plain) = parse("", "", "about = \"\"\nregions = [\"eu-central-1\"]") {
        change(&|s| s.replicas = plain.replicas);
        change(&|s| s.workload.heartbeat = plain.workload.heartbeat);
        change(&|s| s.workload.title_minutes = plain.workload.title_minutes);
        change(&|s| s.network.device_rtt_ms = plain.network.device_rtt_ms);
        change(&|s| s.network.local_rtt_ms = plain.network.local_rtt_ms);
    }
    found
}

/// Half as long, in whole tenths of a second, not below the least.
fn shorter(duration: Duration, least: Duration) -> Duration {
    let half = Duration::from_millis(duration.as_millis() as u64 / 200 * 100);
    if duration <= least { duration } else { half.max(least) }
}

fn fewer(kind: &mut FaultKind) {
    match kind {
        FaultKind::Crash { times, .. } => *times = (*times / 2).max(1),
        FaultKind::FlipBits { count, .. } | FaultKind::TruncateLog { count, .. } | FaultKind::ZeroLog { count, .. } => {
            *count = (*count / 2).max(1);
        }
        _ => {}
    }
}

/// Habits that may go: all but watching.
const HABITS: usize = 11;

fn habit(scenario: &mut Scenario, index: usize) -> &mut f64 {
    let habits = &mut scenario.workload.habits;
    match index {
        0 => &mut habits.pause,
        1 => &mut habits.skip,
        2 => &mut habits.back,
        3 => &mut habits.tap,
        4 => &mut habits.restart,
        5 => &mut habits.next,
        6 => &mut habits.switch,
        7 => &mut habits.sleep,
        8 => &mut habits.idle,
        9 => &mut habits.rewatch,
        _ => &mut habits.offline,
    }
}
