//! A device killed in the middle of everything, fifty times over: nothing acknowledged is lost, and no number is used twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::recorder::{self, Said, Shown};
use crate::support::dice::Dice;
use crate::support::patience::{SOON, deadline, passed};
use crate::support::process::Process;
use leftoff::time::system::monotonic_now;

/// What all earlier lives of a recorder have said.
#[derive(Default)]
struct Ledger {
    /// The most that was shown of each title.
    shown: BTreeMap<String, Shown>,
    /// What each sequence number stood for, within its epoch.
    numbers: BTreeMap<(u64, u64), (String, Shown)>,
    epoch: u64,
    /// Whether the one who speaks now shares nothing.
    unshared: bool,
    found: BTreeMap<String, Shown>,
    acknowledged: usize,
    openings: usize,
}

impl Ledger {
    fn take(&mut self, said: Said) {
        match said {
            Said::Opening => self.found.clear(),
            Said::Open { epoch, durable, damage } => {
                assert_eq!(damage, 0, "a kill damages nothing that was synced");
                self.epoch = epoch;
                let highest = self.highest_number();
                assert!(durable >= highest, "the numbers went back: {durable} after {highest}");
            }
            Said::Found { title, shown, arrived } => {
                self.number_stands_for(arrived, &title, shown);
                self.found.insert(title, shown);
            }
            Said::Ready => {
                self.openings += 1;
                for (title, shown) in &self.shown {
                    let found = self.found.get(title);
                    assert!(found >= Some(shown), "{title}: {shown:?} was shown or acknowledged, then found as {found:?}");
                }
                self.shown.extend(self.found.clone());
            }
            Said::Acknowledged { title, shown, arrived } => {
                self.acknowledged += 1;
                let before = self.shown.get(&title).copied().unwrap_or_default();
                assert!(shown >= before, "{title} went back from {before:?} to {shown:?}");
                self.number_is_new(arrived, &title, shown);
                self.shown.insert(title, shown);
            }
            Said::Refused { what } => panic!("refused: {what}"),
        }
    }

    fn highest_number(&self) -> u64 {
        self.numbers.range((self.epoch, 0)..=(self.epoch, u64::MAX)).next_back().map_or(0, |((_, number), _)| *number)
    }

    // Within an epoch a number stands for one change. What is unshared has none, and is shown with that of the shared state beneath it.
    fn number_is_new(&mut self, arrived: u64, title: &str, shown: Shown) {
        if self.unshared {
            self.number_stands_for(arrived, title, shown);
        } else {
            let highest = self.highest_number();
            assert!(arrived > highest, "{title} at {shown:?} took number {arrived} after {highest}");
            self.numbers.insert((self.epoch, arrived), (title.to_owned(), shown));
        }
    }

    // Found again after a kill, a number stands for what it stood for; what was unshared may lie over it. One that nobody was told of was
    // written just before the kill, and is taken from now on.
    fn number_stands_for(&mut self, arrived: u64, title: &str, shown: Shown) {
        if arrived != 0 {
            let known = self.numbers.entry((self.epoch, arrived)).or_insert_with(|| (title.to_owned(), shown));
            assert!(known.0 == title && known.1 <= shown, "number {arrived} was used twice: for {known:?} and for {title} at {shown:?}");
        }
    }
}

/// Reads what a recorder says until the time has come, kills it, and reads the rest.
fn live_and_die(ledger: &mut Ledger, victim: Process, life: Duration) {
    let death = deadline(life);
    while !passed(death) {
        match victim.line_within(death.saturating_since(monotonic_now())) {
            Ok(Some(line)) => Said::parse(&line).into_iter().for_each(|said| ledger.take(said)),
            Ok(None) => break,
            Err(reason) => panic!("the recorder ended by itself: {reason}"),
        }
    }
    for line in victim.kill() {
        Said::parse(&line).into_iter().for_each(|said| ledger.take(said));
    }
}

fn live_until_it_records(ledger: &mut Ledger, folder: &Path, shares: bool, count: usize, life: Duration) {
    let victim = recorder::spawn(folder, shares);
    ledger.unshared = !shares;
    let enough = ledger.acknowledged + count;
    victim.expect_line(SOON, "the recorder records", |line| {
        Said::parse(line).into_iter().for_each(|said| ledger.take(said));
        (ledger.acknowledged >= enough).then_some(())
    });
    let death = deadline(life);
    while let Ok(Some(line)) = victim.line_within(death.saturating_since(monotonic_now())) {
        Said::parse(&line).into_iter().for_each(|said| ledger.take(said));
    }
    for line in victim.kill() {
        Said::parse(&line).into_iter().for_each(|said| ledger.take(said));
    }
}

fn fifty_kills(scenario: &str, shares: impl Fn(u64) -> bool) {
    let mut dice = Dice::of_this_run(scenario);
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for round in 0..50 {
        let count = usize::try_from(dice.within(1..=150)).unwrap();
        let life = Duration::from_micros(dice.within(0..=60_000));
        live_until_it_records(&mut ledger, folder.path(), shares(round), count, life);
    }
    println!("{scenario}: {} acknowledged in {} lives", ledger.acknowledged, ledger.openings);
    assert_eq!(ledger.openings, 50);
}

#[test]
fn a_connected_device_killed_fifty_times_loses_nothing_and_uses_no_number_twice() {
    fifty_kills("connected device", |_| true);
}

#[test]
fn an_offline_device_killed_fifty_times_loses_nothing() {
    fifty_kills("offline device", |_| false);
}

#[test]
fn a_device_that_is_sometimes_connected_loses_nothing_of_either() {
    fifty_kills("device now and then connected", |round| round % 3 == 2);
}

#[test]
fn killed_while_it_opens_a_device_opens_the_next_time() {
    let mut dice = Dice::of_this_run("killed while opening");
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for _ in 0..12 {
        live_until_it_records(&mut ledger, folder.path(), true, 120, Duration::ZERO);
        for _ in 0..8 {
            let victim = recorder::spawn(folder.path(), true);
            victim.expect_line(SOON, "the recorder starts", |line| (Said::parse(line) == Some(Said::Opening)).then_some(()));
            live_and_die(&mut ledger, victim, Duration::from_micros(dice.within(0..=40_000)));
        }
    }
    live_until_it_records(&mut ledger, folder.path(), true, 1, Duration::ZERO);
    println!("killed while opening: {} openings were finished", ledger.openings);
}
