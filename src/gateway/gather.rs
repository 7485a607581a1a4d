//! Work that gathers while its thread is busy, and is then taken all at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Work of some kind; nothing of it by default.
pub(super) trait Gathered: Default {
    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool;
}

impl<T> Gathered for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

#[derive(Default)]
struct State<T> {
    work: T,
    sleeping: bool,
    closed: bool,
}

/// Between those who bring work and the thread that does it.
#[derive(Default)]
pub(super) struct Gathering<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

impl<T: Gathered> Gathering<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the work, and wakes the thread if it sleeps.
    pub(super) fn add(&self, add: impl FnOnce(&mut T)) {
        let mut state = self.state();
        add(&mut state.work);
        let sleeping = std::mem::take(&mut state.sleeping);
        drop(state);
        if sleeping {
            self.filled.notify_one();
        }
    }

    /// Says that there will be no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for work and takes all of it. None when there will be no more.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if !state.work.is_empty() {
                return Some(std::mem::take(&mut state.work));
            }
            if state.closed {
                return None;
            }
            state.sleeping = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
