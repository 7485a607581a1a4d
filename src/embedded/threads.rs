//! The threads of a replica: one commits, one folds. The only ones that wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::replica::Core;
use crate::store::{FoldBudget, FoldStep};
use crate::time::system::{monotonic_now, wall_now};

/// How often an idle fold thread looks whether there is something to fold.
const FOLD_IDLE: Duration = Duration::from_millis(500);
/// How often the expiry floor is looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_hours(1);
/// The fold rests this many times as long as it worked, so that the log has the disk, and clients the processor, most of the time.
const FOLD_REST: u32 = 1;
/// With the table this full (of its bound), the fold does not rest.
const FOLD_URGENT_PERCENT: usize = 70;

/// Why a replica's threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("a thread could not be started")]
pub struct StartError(#[from] std::io::Error);

/// The running threads of one replica.
#[derive(Debug)]
pub(super) struct Threads {
    stop: Arc<AtomicBool>,
    committer: Option<JoinHandle<()>>,
    folder: Option<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(core: &Arc<Core>) -> Result<Self, StartError> {
        let stop = Arc::new(AtomicBool::new(false));
        let committer = spawn("leftoff-commit", core, &stop, commit)?;
        let handle = committer.thread().clone();
        // A parked thread keeps one token: work that comes between its last look and its parking wakes it at once.
        core.set_waker(Box::new(move || handle.unpark()));
        let folder = spawn("leftoff-fold", core, &stop, fold)?;
        Ok(Self { stop, committer: Some(committer), folder: Some(folder) })
    }

    /// Ends the threads, when each has finished what it is doing.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in [self.folder.take(), self.committer.take()].into_iter().flatten() {
            thread.thread().unpark();
            if thread.join().is_err() {
                error!("a thread of the replica ended in a panic");
            }
        }
    }
}

fn spawn(name: &str, core: &Arc<Core>, stop: &Arc<AtomicBool>, run: fn(&Core, &AtomicBool)) -> Result<JoinHandle<()>, std::io::Error> {
    let (core, stop) = (Arc::clone(core), Arc::clone(stop));
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&core, &stop))
}

fn commit(core: &Core, stop: &AtomicBool) {
    loop {
        match core.flush() {
            Ok(true) => {}
            Ok(false) if stop.load(Ordering::Acquire) => return,
            Ok(false) => thread::park(),
            Err(failed) => {
                error!(error = %failed, "the store has closed itself; nothing is acknowledged any more, restart to see what survived");
                return;
            }
        }
    }
}

fn fold(core: &Core, stop: &AtomicBool) {
    let mut expiry_due = monotonic_now();
    while !stop.load(Ordering::Acquire) {
        if monotonic_now() >= expiry_due {
            expiry_due = expiry_due + EXPIRY_INTERVAL;
            if let Err(refused) = core.expire(wall_now()) {
                warn!(error = %refused, "the expiry floor was not raised; the next hour tries again");
            }
        }
        let begun = monotonic_now();
        match core.fold_step(FoldBudget::default()) {
            Ok(FoldStep::Idle) => thread::park_timeout(FOLD_IDLE),
            Ok(FoldStep::Finished { registers }) => info!(registers, "folded"),
            Ok(FoldStep::Worked { .. }) => {
                let worked = monotonic_now().saturating_since(begun);
                let table_percent = core.store().figures().table_bytes * 100 / core.store().options().table_bytes_max.max(1);
                if table_percent < FOLD_URGENT_PERCENT {
                    thread::park_timeout(worked * FOLD_REST);
                }
            }
            Err(failed) => {
                error!(error = %failed, "folding failed; the log keeps everything, and folding is tried again");
                thread::park_timeout(FOLD_IDLE);
            }
        }
    }
}
