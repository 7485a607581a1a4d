//! Scenarios do what their names say: what each is about happens in it, so that its checkers have something to look at.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use leftoff::replica::RefusedReason;
use leftoff::store::Record;
use leftoff_simulations::checkers::{Checker, Kinds, Violation};
use leftoff_simulations::observation::{DiskFault, HostId, Observation, Stop, View, VirtualTime};
use leftoff_simulations::outcome::Outcome;
use leftoff_simulations::scenario::{FaultKind, Scenario, library};
use leftoff_simulations::world::{self, Options};

/// What was seen of a run.
#[derive(Default)]
struct Seen {
    /// Reports handed in, by the second.
    reports: BTreeMap<u64, u64>,
    /// Registers in which devices recorded something that they shared with nobody yet: by which devices.
    apart: BTreeMap<(String, String), BTreeSet<HostId>>,
    refused: Vec<RefusedReason>,
    hid: u64,
    /// Progress that arrived at a node from a peer and is older than what was hidden there.
    stops: BTreeMap<HostId, u64>,
    disks: Vec<DiskFault>,
    /// What is wrong with stores that are opened.
    damaged: Vec<String>,
    /// When a hostile device made something durable, in seconds.
    poisoned: Vec<u64>,
    tombstones_at: BTreeSet<HostId>,
    /// Reasons of links that ended.
    ends: BTreeMap<String, u64>,
}

struct Witness(Rc<RefCell<Seen>>);

impl Checker for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn about(&self) -> &'static str {
        "writes down what happened"
    }

    fn wants(&self) -> Kinds {
        Kinds::ALL
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, _found: &mut Vec<Violation>) {
        let mut all = self.0.borrow_mut();
        match seen {
            Observation::Reported { .. } => *all.reports.entry(at.as_secs()).or_default() += 1,
            Observation::Applied { host, from: None, .. } if view.is_hostile(*host) => all.poisoned.push(at.as_secs()),
            Observation::Applied { host, record: Record::Register { profile, title, .. }, unshared: true, .. } => {
                all.apart.entry((profile.as_str().into(), title.as_str().into())).or_default().insert(*host);
            }
            Observation::Applied { host, record: Record::Erased { .. }, .. } => {
                all.tombstones_at.insert(*host);
            }
            Observation::Refused { reason, .. } => all.refused.push(*reason),
            Observation::Hid { .. } => all.hid += 1,
            Observation::Stopped { host, how: Stop::Crash | Stop::Graceful } => *all.stops.entry(*host).or_default() += 1,
            Observation::Started { damage, .. } if !damage.is_empty() => all.damaged.push((*damage).to_owned()),
            Observation::Disk { fault, .. } => all.disks.push(*fault),
            Observation::LinkEnded { reason, .. } => *all.ends.entry((*reason).to_owned()).or_default() += 1,
            _ => {}
        }
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, _view: &dyn View, _found: &mut Vec<Violation>) {}
}

fn seen_in(name: &str) -> (Seen, Outcome) {
    let scenario = library::scenario(name).unwrap().unwrap_or_else(|error| panic!("{error}"));
    let seen = Rc::new(RefCell::new(Seen::default()));
    let options = Options { checkers: Some(vec![Box::new(Witness(Rc::clone(&seen)))]), ..Options::default() };
    let outcome = world::run(&scenario, 1, options);
    assert!(outcome.settled, "{name}: {:?}", outcome.violations);
    (seen.take(), outcome)
}

#[test]
fn a_herd_thunders() {
    let (seen, _) = seen_in("thundering-herd");
    let within = |from: u64, until: u64| seen.reports.range(from..until).map(|(_, count)| count).sum::<u64>();
    let usual = within(60, 120) / 60;
    let herd = within(420, 422);
    assert!(herd > 20 * usual.max(1), "{herd} reports in the two seconds after the outage, {usual} a second before it");
}

#[test]
fn two_devices_watch_one_title_while_neither_has_a_line() {
    let (seen, _) = seen_in("two-devices-offline-same-title");
    assert!(seen.apart.values().any(|devices| devices.len() > 1), "{:?}", seen.apart);
}

#[test]
fn titles_are_hidden_while_others_are_cut_off() {
    let (seen, outcome) = seen_in("hide-against-late-progress");
    assert!(seen.hid > 20, "{}", seen.hid);
    assert!(
        !seen.apart.is_empty() && outcome.faults[0].unequal_max > 0,
        "somebody watched on the other side of the cut, and without a line"
    );
}

#[test]
fn stamps_from_the_far_future_are_sent_and_refused() {
    let (seen, _) = seen_in("far-future-stamps");
    assert!(seen.refused.contains(&RefusedReason::TooFarAhead), "{:?}", seen.refused);
}

#[test]
fn what_a_fast_clock_stamped_is_refused_by_the_others() {
    let (seen, _) = seen_in("clock-day-ahead");
    assert!(seen.refused.contains(&RefusedReason::TooFarAhead), "{:?}", seen.refused);
}

#[test]
fn storms_and_upgrades_stop_every_node() {
    for (name, times) in [("crash-storm", 20), ("rolling-restart", 1)] {
        let (seen, _) = seen_in(name);
        let nodes = library::scenario(name).unwrap().unwrap().node_count();
        for node in 0..nodes {
            let stops = seen.stops.get(&HostId(node)).copied().unwrap_or_default();
            assert!(stops >= times, "{name}: node {node} stopped {stops} times");
        }
    }
}

#[test]
fn disks_are_lost_and_set_back() {
    assert_eq!(seen_in("disk-lost").0.disks, [DiskFault::Lost]);
    assert_eq!(seen_in("old-backup-restored").0.disks, [DiskFault::Restored]);
    assert_eq!(seen_in("folder-set-back").0.disks, [DiskFault::Restored; 2]);
}

#[test]
fn logs_are_cut_off_and_zeroed_and_their_hosts_say_so_and_get_back_what_they_lost() {
    let (seen, outcome) = seen_in("log-truncated");
    let files: Vec<DiskFault> = seen.disks.iter().copied().filter(|fault| *fault != DiskFault::EndHurt).collect();
    assert_eq!(files, [DiskFault::Truncated, DiskFault::Zeroed]);
    assert_eq!(seen.damaged.len(), 2, "one of the files was not the newest: {:?}", seen.damaged);
    assert!(outcome.faults.iter().all(|fault| fault.unequal_max > 0 && fault.converged.is_some()), "{:?}", outcome.faults);
}

#[test]
fn clocks_stand_still_and_their_hosts_refuse_the_others_until_they_go_on() {
    let (seen, outcome) = seen_in("clock-frozen");
    assert!(seen.refused.contains(&RefusedReason::TooFarAhead), "{:?}", seen.refused);
    assert!(outcome.faults[0].unequal_max > 0, "{:?}", outcome.faults);
}

#[test]
fn a_hostile_device_strikes_again_and_again_while_its_fault_lasts() {
    let (seen, _) = seen_in("far-future-stamps");
    let seconds: BTreeSet<u64> = seen.poisoned.iter().copied().collect();
    assert!(seconds.range(60..300).count() > 10 && seconds.range(360..600).count() > 10, "{seconds:?}");
}

#[test]
fn links_of_everybody_get_worse_for_a_while() {
    for name in ["everything-lossy", "five-continents-day"] {
        let mut scenario = library::scenario(name).unwrap().unwrap_or_else(|error| panic!("{error}"));
        let p99_ms = |scenario: &Scenario| {
            let outcome = world::run(scenario, 1, Options { checkers: Some(Vec::new()), ..Options::default() });
            outcome.propagation.iter().map(|pair| pair.p99_ms).sum::<f64>() / outcome.propagation.len() as f64
        };
        // By itself: what waits for a cut to end is not what makes a link bad.
        scenario.faults.retain(|fault| matches!(&fault.kind, FaultKind::Degrade { hosts, to, .. } if hosts == &["all"] && to.is_empty()));
        assert_eq!(scenario.faults.len(), 1, "{name}: one fault makes the links of all to all worse");
        let worse = p99_ms(&scenario);
        scenario.faults.clear();
        let calm = p99_ms(&scenario);
        assert!(worse > 1.2 * calm, "{name}: 99 of 100 changes took {worse} ms at most, {calm} ms without the fault");
    }
}

#[test]
fn cuts_of_every_kind_leave_something_unequal_and_break_links() {
    for name in ["region-cut", "split-in-halves", "one-way-cut", "bridge-node-only", "swizzle-clog", "slow-peer"] {
        let (seen, outcome) = seen_in(name);
        assert!(outcome.faults.iter().all(|fault| fault.unequal_max > 0), "{name}: {:?}", outcome.faults);
        assert!(name == "slow-peer" || seen.ends.contains_key("timed out"), "{name}: {:?}", seen.ends);
    }
}
