//! Bells: a task that waits for several things at once is told which of them to look at.
//!
//! Looking at a connection that has said nothing costs as much as reading from it does, and most of a socket's wake-ups are for what it has to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

struct Rung {
    // Whether there may be something that has not been looked at.
    is_rung: AtomicBool,
    task: Waker,
}

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken: it looks at nothing that has not rung.
        self.is_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

/// The bell of one thing that a task waits for.
pub(super) struct Bell {
    rung: Arc<Rung>,
    waker: Waker,
}

impl Bell {
    /// A bell that has rung: nothing has been looked at yet.
    pub(super) fn new() -> Self {
        Self::of(Waker::noop())
    }

    fn of(task: &Waker) -> Self {
        let rung = Arc::new(Rung { is_rung: AtomicBool::new(true), task: task.clone() });
        Self { waker: Waker::from(Arc::clone(&rung)), rung }
    }

    /// Has the thing looked at the next time.
    pub(super) fn ring(&self) {
        self.rung.is_rung.store(true, Ordering::Release);
    }

    /// Looks at the thing if the bell has rung. `poll` must have its waker kept whenever it is not ready.
    pub(super) fn poll<T>(&mut self, context: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        // Nearly always the same task.
        if !self.rung.task.will_wake(context.waker()) {
            *self = Self::of(context.waker());
        }
        if !self.rung.is_rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            // There may be more.
            self.ring();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    #[test]
    fn a_thing_is_looked_at_when_it_has_rung_and_as_long_as_it_has_something() {
        let (count, mut bell) = (Arc::<Count>::default(), Bell::new());
        let task = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&task);
        let mut kept = None;
        let mut looks = 0;
        let mut look = |bell: &mut Bell, has: u32, kept: &mut Option<Waker>| {
            bell.poll(&context, |inner| {
                looks += 1;
                *kept = Some(inner.waker().clone());
                if has > 0 { Poll::Ready(has) } else { Poll::Pending }
            })
        };
        assert_eq!(look(&mut bell, 2, &mut kept), Poll::Ready(2));
        assert_eq!(look(&mut bell, 1, &mut kept), Poll::Ready(1));
        assert_eq!(look(&mut bell, 0, &mut kept), Poll::Pending);
        assert_eq!(look(&mut bell, 9, &mut kept), Poll::Pending, "it is not looked at");
        kept.take().unwrap().wake();
        assert_eq!(count.0.load(Ordering::Acquire), 1);
        assert_eq!(look(&mut bell, 3, &mut kept), Poll::Ready(3));
        assert_eq!(look(&mut bell, 0, &mut kept), Poll::Pending);
        bell.ring();
        assert_eq!(look(&mut bell, 0, &mut kept), Poll::Pending);
        assert_eq!(looks, 6);
    }

    #[test]
    fn another_task_looks_anew_and_is_woken_from_then_on() {
        let (first, second, mut bell) = (Arc::<Count>::default(), Arc::<Count>::default(), Bell::new());
        let mut kept: Option<Waker> = None;
        for count in [&first, &second] {
            let task = Waker::from(Arc::clone(count));
            let polled: Poll<()> = bell.poll(&Context::from_waker(&task), |inner| {
                kept = Some(inner.waker().clone());
                Poll::Pending
            });
            assert!(polled.is_pending());
        }
        kept.unwrap().wake_by_ref();
        assert_eq!((first.0.load(Ordering::Acquire), second.0.load(Ordering::Acquire)), (0, 1));
    }
}
