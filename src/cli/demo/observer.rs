//! One thread a replica that looks at it after every flush that changed something, and keeps what it [believes](super::belief).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use super::belief::{Belief, Erased, Registers, Seen};
use super::party::Party;
use crate::progress::ProfileId;
use crate::replica::{Core, WatchId};
use crate::store::{KeyRange, ReadError};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

/// Registers that a look takes in at most: a reader may well import a history into the demo.
const REGISTERS_LOOKED_AT_MAX: usize = 20_000;

/// What each party believes, in the order of [`Party::ALL`].
pub(super) type Beliefs = [Arc<Belief>; Party::ALL.len()];

/// Watches one replica until it is dropped.
#[derive(Debug)]
pub(super) struct Observer {
    core: Arc<Core>,
    watch: WatchId,
    rung: Arc<Rung>,
    thread: Option<JoinHandle<()>>,
}

// The moment of the first change that was not yet looked at.
#[derive(Debug, Default)]
struct Rung {
    at: Mutex<Option<MonotonicTime>>,
    stop: AtomicBool,
}

impl Rung {
    fn ring(&self) {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(monotonic_now);
    }

    fn take(&self) -> Option<MonotonicTime> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Observer {
    /// Watches a replica; `profile` is looked at even while nothing of it is shared.
    pub(super) fn start(party: Party, core: &Arc<Core>, profile: ProfileId, beliefs: watch::Sender<Beliefs>) -> std::io::Result<Self> {
        let rung = Arc::new(Rung::default());
        let (looker, own) = (Arc::clone(core), Arc::clone(&rung));
        let thread = thread::Builder::new().name(format!("leftoff-demo-{}", party.name())).spawn(move || {
            while !own.stop.load(Ordering::Acquire) {
                match own.take() {
                    Some(rung) => look(party, &looker, &profile, rung, &beliefs),
                    None => thread::park(),
                }
            }
        })?;
        let (bell, handle) = (Arc::clone(&rung), thread.thread().clone());
        let watch = core.on_change(Arc::new(move || {
            bell.ring();
            handle.unpark();
        }));
        // What changed before the watch began.
        rung.ring();
        thread.thread().unpark();
        Ok(Self { core: Arc::clone(core), watch, rung, thread: Some(thread) })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.core.unwatch(self.watch);
        self.rung.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in it has been told by its hook, and ends the demo's claim to have looked: the count of looks stands still.
            let _ = thread.join();
        }
    }
}

fn look(party: Party, core: &Core, profile: &ProfileId, rung: MonotonicTime, beliefs: &watch::Sender<Beliefs>) {
    // A replica that cannot be read now is read with its next change; what it should have shown is then missing from the belief.
    let Ok((registers, erased)) = read(core, profile) else { return };
    let read = monotonic_now();
    beliefs.send_modify(|all| {
        let belief = &mut all[party.index()];
        *belief = Arc::new(belief.after(party, Seen { rung, read }, registers, erased));
    });
}

/// Everything durable at a replica: its registers, also those of `profile` that are shared with nobody, and its erasures.
pub(super) fn read(core: &Core, profile: &ProfileId) -> Result<(Registers, Erased), ReadError> {
    let mut profiles = BTreeSet::from([profile.clone()]);
    let mut count = 0;
    core.store().scan(KeyRange::ALL, &mut |item| {
        profiles.insert(item.profile);
        count += 1;
        if count < REGISTERS_LOOKED_AT_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut registers = Registers::new();
    for profile in profiles {
        for (title, progress) in core.profile(&profile)?.profile.registers {
            registers.insert((profile.clone(), title), progress);
        }
    }
    let erased = core.store().tombstones().into_iter().collect();
    Ok((registers, erased))
}
