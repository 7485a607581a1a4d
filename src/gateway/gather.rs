//! Work that gathers while its thread is busy, and is then taken all at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whatever work waits for, it waits no longer than this.
const HELD_TIME_MAX: Duration = Duration::from_millis(20);

/// So many pieces of work are not held: done while what they would wait for goes on, they delay nothing after it.
const PLENTY_COUNT: usize = 64;

/// Work of some kind; nothing of it by default.
pub(super) trait Gathered: Default {
    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool;

    /// Whether there is so much to do that one more wake-up of the thread does not matter.
    fn is_plenty(&self) -> bool;
}

impl<T> Gathered for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn is_plenty(&self) -> bool {
        self.len() >= PLENTY_COUNT
    }
}

#[derive(Default)]
struct State<T> {
    work: T,
    sleeping: bool,
    closed: bool,
    // Until this number is reached work only gathers.
    held: Option<u64>,
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

    fn wake_if_ready(&self, mut state: MutexGuard<'_, State<T>>) {
        if !state.sleeping || state.held.is_some() || state.work.is_empty() {
            return;
        }
        state.sleeping = false;
        drop(state);
        self.filled.notify_one();
    }

    /// Adds to the work, and wakes the thread if it sleeps.
    pub(super) fn add(&self, add: impl FnOnce(&mut T)) {
        let mut state = self.state();
        add(&mut state.work);
        if state.held.is_some() && state.work.is_plenty() {
            state.held = None;
        }
        self.wake_if_ready(state);
    }

    /// Adds to the work, and leaves it to somebody else to wake the thread, who is known to come.
    pub(super) fn add_quietly(&self, add: impl FnOnce(&mut T)) {
        add(&mut self.state().work);
    }

    /// Wakes the thread if it sleeps and there is work.
    pub(super) fn wake(&self) {
        self.wake_if_ready(self.state());
    }

    /// From here on work only gathers, until [`Gathering::release`] reaches this number or there is plenty of it; for a moment at most.
    pub(super) fn hold(&self, until: u64) {
        self.state().held = Some(until);
    }

    /// Lets the thread take the work again that was held for a number up to this one.
    pub(super) fn release(&self, reached: u64) {
        let mut state = self.state();
        if state.held.is_some_and(|until| until <= reached) {
            state.held = None;
            self.wake_if_ready(state);
        }
    }

    /// Says that there will be no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.held = None;
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for work and takes all of it. None when there will be no more.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.held.is_none() {
                if !state.work.is_empty() {
                    return Some(std::mem::take(&mut state.work));
                }
                if state.closed {
                    return None;
                }
            }
            state.sleeping = true;
            state = if state.held.is_some() {
                let (mut state, waited) = self.filled.wait_timeout(state, HELD_TIME_MAX).unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() {
                    state.held = None;
                }
                state
            } else {
                self.filled.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
            state.sleeping = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_held_gathers_until_its_number_is_reached() {
        let line: Arc<Gathering<Vec<u32>>> = Arc::default();
        line.hold(7);
        line.add(|work| work.push(1));
        line.release(6);
        line.add_quietly(|work| work.push(2));
        let taker = std::thread::spawn({
            let line = Arc::clone(&line);
            move || (line.take(), line.take())
        });
        line.release(7);
        // The second take sees nothing before the line is closed.
        while !line.state().work.is_empty() {
            std::thread::yield_now();
        }
        line.close();
        assert_eq!(taker.join().unwrap(), (Some(vec![1, 2]), None));
    }

    #[test]
    fn plenty_of_work_is_not_held() {
        let line: Gathering<Vec<usize>> = Gathering::default();
        line.hold(7);
        for number in 0..PLENTY_COUNT {
            assert!(line.state().held.is_some());
            line.add(|work| work.push(number));
        }
        assert_eq!(line.state().held, None);
        assert_eq!(line.take().map(|work| work.len()), Some(PLENTY_COUNT));
    }

    #[test]
    fn what_is_never_released_is_taken_after_a_moment() {
        let line: Gathering<Vec<u32>> = Gathering::default();
        line.hold(7);
        line.add(|work| work.push(1));
        assert_eq!(line.take(), Some(vec![1]));
    }
}
