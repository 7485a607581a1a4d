//! The threads of a replica: one commits, one folds. The only ones that wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::replica::Core;
use crate::store::{FoldBudget, FoldStep, StoreFigures, StoreOptions};
use crate::time::system::{monotonic_now, wall_now};

/// How often an idle fold thread looks whether there is something to fold.
const FOLD_IDLE: Duration = Duration::from_millis(500);
/// How often the expiry floor is looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(10);
/// While there is much room, the fold rests this many times as long as it worked. The longer a round takes, the more often the registers of an
/// evening have changed when they are written, so the less each change costs; and the log has the disk, and clients the processor.
const FOLD_REST_MAX: u32 = 8;
/// With this little room left (of a hundred), the fold does not rest.
const FOLD_URGENT_PERCENT: u64 = 70;
/// The unfolded log that counts as no room at all, in times of what begins a round: it is what a crash leaves to be replayed.
const FOLD_LOG_FULL: u64 = 4;

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
            core.note_clock(wall_now(), monotonic_now());
            if let Err(refused) = core.expire(wall_now()) {
                warn!(error = %refused, "the expiry floor was not raised; it is tried again in ten minutes");
            }
        }
        let begun = monotonic_now();
        match core.fold_step(FoldBudget::default()) {
            Ok(FoldStep::Idle) => thread::park_timeout(FOLD_IDLE),
            Ok(FoldStep::Finished { registers }) => info!(registers, "folded"),
            Ok(FoldStep::Worked { .. }) => {
                let rest = rest_after(monotonic_now().saturating_since(begun), &core.store().figures(), core.store().options());
                if !rest.is_zero() {
                    thread::park_timeout(rest);
                }
            }
            Err(failed) => {
                error!(error = %failed, "folding failed; the log keeps everything, and folding is tried again");
                thread::park_timeout(FOLD_IDLE);
            }
        }
    }
}

/// How long the fold rests after a step: in proportion to the room that is left in the table and in the log, whichever has less.
fn rest_after(worked: Duration, figures: &StoreFigures, options: &StoreOptions) -> Duration {
    let table = figures.table_bytes as u64 * 100 / (options.table_bytes_max as u64).max(1);
    let log = figures.unfolded_bytes * 100 / (options.fold_log_bytes * FOLD_LOG_FULL).max(1);
    let room = FOLD_URGENT_PERCENT.saturating_sub(table.max(log));
    worked * FOLD_REST_MAX * room as u32 / FOLD_URGENT_PERCENT as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fold_rests_while_there_is_room_and_not_when_there_is_little() {
        let mut options = StoreOptions::default();
        (options.table_bytes_max, options.fold_log_bytes) = (1_000, 1_000);
        let rest = |table_bytes, unfolded_bytes| {
            let mut figures = StoreFigures::default();
            (figures.table_bytes, figures.unfolded_bytes) = (table_bytes, unfolded_bytes);
            rest_after(Duration::from_millis(10), &figures, &options)
        };
        assert_eq!(rest(0, 0), Duration::from_millis(80));
        assert_eq!(rest(350, 1_000), Duration::from_millis(40));
        assert_eq!(rest(0, 1_400), Duration::from_millis(40));
        assert_eq!(rest(700, 0), Duration::ZERO);
        assert_eq!(rest(0, 2_800), Duration::ZERO);
        assert_eq!(rest(5_000, 50_000), Duration::ZERO);
    }
}
