//! The book: the ledger as the checkers of one world share it, and who keeps it.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use leftoff::progress::{ProfileId, TitleId};

use super::ledger::{Ledger, ProfileNo, RegisterNo, floor_day};
use super::{Checker, Kinds, Violation};
use crate::observation::{Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// The ledger, shared by the checkers of one world.
#[derive(Clone, Debug)]
pub struct Book(Rc<RefCell<Ledger>>);

impl Book {
    /// An empty ledger for a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        Self(Rc::new(RefCell::new(Ledger::new(scenario))))
    }

    /// The ledger, to look things up.
    pub fn read(&self) -> Ref<'_, Ledger> {
        self.0.borrow()
    }

    /// The number of a register, which gets one if it has none.
    pub fn register_no(&self, profile: &ProfileId, title: &TitleId) -> Option<RegisterNo> {
        self.0.borrow_mut().register_no(profile, title)
    }

    /// The number of a profile, which gets one if it has none.
    pub fn profile_no(&self, profile: &ProfileId) -> Option<ProfileNo> {
        self.0.borrow_mut().profile_no(profile)
    }
}

/// Keeps the ledger. Finds nothing itself; comes first, so that the others look things up as they are now.
#[derive(Debug)]
pub struct Bookkeeper {
    book: Book,
}

impl Bookkeeper {
    /// Keeps this ledger.
    pub const fn new(book: Book) -> Self {
        Self { book }
    }
}

/// What the ledger must see, and so whoever looks at what it reads back.
pub const LEDGER_KINDS: Kinds =
    Kinds::APPLIED.and(Kinds::RESTAMPED).and(Kinds::READ).and(Kinds::LIVES).and(Kinds::ACKNOWLEDGED).and(Kinds::FRAME_SENT);

impl Checker for Bookkeeper {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn about(&self) -> &'static str {
        "keeps what every host durably holds, for the others"
    }

    fn wants(&self) -> Kinds {
        LEDGER_KINDS.and(Kinds::PASSED)
    }

    fn observe(&mut self, _at: VirtualTime, seen: &Observation<'_>, view: &dyn View, _found: &mut Vec<Violation>) {
        self.book.0.borrow_mut().note(seen, view);
    }

    fn at_rest(&mut self, _at: VirtualTime, _settled: bool, view: &dyn View, _found: &mut Vec<Violation>) {
        let mut ledger = self.book.0.borrow_mut();
        let floor = view.hosts().into_iter().map(|host| floor_day(view, host)).max().unwrap_or_default();
        ledger.count_lost(floor);
        for host in view.hosts().into_iter().filter(|host| view.is_hostile(*host)) {
            // What a hostile host alone holds was written by nobody, and nobody waits for it to bring what it alone has kept: erasures too.
            let holdings = ledger.host_mut(host);
            holdings.erased.clear();
            let alone = std::mem::take(&mut holdings.held);
            ledger.lose(&alone);
        }
    }

    fn lost_by_design(&self) -> u64 {
        self.book.read().lost_by_design()
    }
}
