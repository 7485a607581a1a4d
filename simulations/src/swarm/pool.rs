//! Worlds on all cores. A panic in one of them is a failure of that one, told by its message and place.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::reason::Reason;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::scenario::quantity::show_duration;

/// How a world is run: from a scenario and a seed to what came of it.
pub type Run<'a> = dyn Fn(&Scenario, u64) -> Outcome + 'a;

/// What came of a run that may have ended in a panic.
#[derive(Clone, Debug)]
pub enum End {
    /// It came to its end.
    Done(Box<Outcome>),
    /// It did not: message and place.
    Panicked(String),
}

impl End {
    /// The names of what failed: checkers, `settling`, or `panic`. Empty: nothing did.
    pub fn failed(&self) -> BTreeSet<String> {
        match self {
            Self::Done(outcome) => outcome.failed_checkers().into_iter().map(str::to_owned).collect(),
            Self::Panicked(_) => BTreeSet::from(["panic".to_owned()]),
        }
    }

    /// Everything that went wrong and was kept, for people, each with its kind, in order; empty: nothing did.
    pub fn failures(&self) -> Vec<(Reason, String)> {
        match self {
            Self::Panicked(what) => vec![(Reason::of_panic(what), format!("panic: {what}"))],
            Self::Done(outcome) => {
                let mut all: Vec<(Reason, String)> =
                    outcome.violations.iter().map(|what| (Reason::of_violation(what), what.clone())).collect();
                if all.is_empty() {
                    all.extend(self.first_failure().map(|what| (Reason::of_violation(&what), what)));
                }
                all
            }
        }
    }

    /// The first thing that went wrong, for people; none: nothing did.
    pub fn first_failure(&self) -> Option<String> {
        match self {
            Self::Panicked(what) => Some(format!("panic: {what}")),
            Self::Done(outcome) => {
                let unsettled = || format!("settling: replicas are not equal after {}", show_duration(outcome.virtual_time));
                outcome.violations.first().cloned().or_else(|| (!outcome.settled).then(unsettled))
            }
        }
    }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether a world runs on this thread.
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// From here on a panic within a world prints nothing, and [`run`] tells it; any other is printed. For the program's beginning.
pub fn tell_panics() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| payload.downcast_ref::<String>().cloned());
        let place = info.location().map_or_else(String::new, |location| format!(" ({}:{})", location.file(), location.line()));
        let text = format!("{}{place}", message.unwrap_or_else(|| "without a message".into()).replace('\n', " "));
        if RUNS.get() {
            LAST_PANIC.with(|last| *last.borrow_mut() = Some(text));
        } else {
            let told = format!("leftoff-sim: a bug of the simulator: {text}\n");
            // Nobody is there to be told that standard error is closed.
            let _ = io::stderr().lock().write_all(told.as_bytes());
        }
    }));
}

/// One world, with its panic caught.
pub fn run(how: &Run<'_>, scenario: &Scenario, seed: u64) -> End {
    RUNS.set(true);
    let end = panic::catch_unwind(AssertUnwindSafe(|| how(scenario, seed)));
    RUNS.set(false);
    match end {
        Ok(outcome) => End::Done(Box::new(outcome)),
        Err(_) => End::Panicked(LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_else(|| "without a message".into())),
    }
}

/// Runs the worlds of `jobs` on so many threads and hands each end to `done`, on this thread, in the order in which they end. When `stop` is set,
/// what runs is finished and no more begun. Returns how many were run.
pub fn run_all<J: Sync>(
    jobs: &[J],
    threads: usize,
    stop: &AtomicBool,
    one: &(dyn Fn(&J) -> End + Sync),
    mut done: impl FnMut(&J, End),
) -> usize {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel::<(usize, End)>(threads.max(1));
    let mut count = 0;
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
                    if sender.send((index, one(job))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (index, end) in receiver {
            count += 1;
            done(&jobs[index], end);
        }
    });
    count
}
