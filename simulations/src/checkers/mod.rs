//! What must hold: one checker a file.
//!
//! Checkers look at what happened ([`Observation`]) and, where that says too little, at the durable state of hosts ([`View`]). They know the rules
//! and not the code: what every host holds is kept by the [`ledger`] from what became durable there, in the plain numbers of the
//! [`model`](crate::model). Memory grows with the registers of the world, time with what changes.

pub mod book;
pub mod bounds;
pub mod clocks;
pub mod convergence;
pub mod entitlement;
pub mod expiry;
pub mod forgetting;
pub mod holdings;
pub mod in_flight;
pub mod ledger;
pub mod losses;
pub mod mix;
pub mod monotonic;
pub mod numbers;
pub mod origins;
pub mod own_place;
mod panel;
pub mod reading;
pub mod refusals;
pub mod stamps;
pub mod survival;
pub mod taken;
mod tampering;
#[cfg(test)]
pub(crate) mod testing;
pub mod traffic;

use std::fmt;

pub use panel::Panel;

use crate::observation::{HostId, Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// What was broken, when and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The checker's name.
    pub checker: &'static str,
    /// When.
    pub at: VirtualTime,
    /// Where, if at one host.
    pub host: Option<HostId>,
    /// What, for people: which register, what was expected, what was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.checker, self.at)?;
        if let Some(HostId(host)) = self.host {
            write!(f, ", host {host}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Kinds of observations, as flags.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kinds(u16);

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// [`Observation::Reported`].
    pub const REPORTED: Self = Self(1);
    /// [`Observation::Hid`].
    pub const HID: Self = Self(1 << 1);
    /// [`Observation::Erased`].
    pub const ERASED: Self = Self(1 << 2);
    /// [`Observation::Applied`].
    pub const APPLIED: Self = Self(1 << 3);
    /// [`Observation::Restamped`].
    pub const RESTAMPED: Self = Self(1 << 4);
    /// [`Observation::Acknowledged`].
    pub const ACKNOWLEDGED: Self = Self(1 << 5);
    /// [`Observation::Read`].
    pub const READ: Self = Self(1 << 6);
    /// [`Observation::LinkStarted`] and [`Observation::LinkEnded`].
    pub const LINKS: Self = Self(1 << 7);
    /// [`Observation::FrameSent`].
    pub const FRAME_SENT: Self = Self(1 << 8);
    /// [`Observation::FrameArrived`] and [`Observation::PutOff`].
    pub const FRAME_ARRIVED: Self = Self(1 << 9);
    /// [`Observation::Refused`].
    pub const REFUSED: Self = Self(1 << 10);
    /// [`Observation::Stopped`], [`Observation::Resumed`], [`Observation::Started`] and [`Observation::Disk`].
    pub const LIVES: Self = Self(1 << 11);
    /// [`Observation::Fault`] and [`Observation::Healed`].
    pub const FAULTS: Self = Self(1 << 12);
    /// [`Observation::Passed`].
    pub const PASSED: Self = Self(1 << 13);
    /// [`Observation::Flushing`].
    pub const FLUSHING: Self = Self(1 << 14);
    /// All.
    pub const ALL: Self = Self(u16::MAX);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Each kind by itself, in the order of their numbers.
    pub(crate) fn each() -> impl Iterator<Item = Self> {
        (0..u16::BITS).map(|number| Self(1 << number))
    }

    /// The number of a single kind.
    pub(crate) const fn number(self) -> usize {
        self.0.trailing_zeros() as usize
    }

    /// The kind of an observation.
    pub const fn of(seen: &Observation<'_>) -> Self {
        match seen {
            Observation::Reported { .. } => Self::REPORTED,
            Observation::Hid { .. } => Self::HID,
            Observation::Erased { .. } => Self::ERASED,
            Observation::Applied { .. } => Self::APPLIED,
            Observation::Passed { .. } => Self::PASSED,
            Observation::Flushing { .. } => Self::FLUSHING,
            Observation::Restamped { .. } => Self::RESTAMPED,
            Observation::Acknowledged { .. } => Self::ACKNOWLEDGED,
            Observation::Read { .. } => Self::READ,
            Observation::LinkStarted { .. } | Observation::LinkEnded { .. } => Self::LINKS,
            Observation::FrameSent { .. } => Self::FRAME_SENT,
            Observation::FrameArrived { .. } | Observation::PutOff { .. } => Self::FRAME_ARRIVED,
            Observation::Refused { .. } => Self::REFUSED,
            Observation::Stopped { .. } | Observation::Resumed { .. } | Observation::Started { .. } | Observation::Disk { .. } => {
                Self::LIVES
            }
            Observation::Fault { .. } | Observation::Healed => Self::FAULTS,
        }
    }
}

/// Looks on while a world runs, and once more when it has come to rest.
pub trait Checker {
    /// Its name, in kebab case: stable, shown in reports and in the table of planted bugs.
    fn name(&self) -> &'static str;

    /// What it promises to find, in a sentence, for people.
    fn about(&self) -> &'static str;

    /// The observations that it wants to see; it is called with no others.
    fn wants(&self) -> Kinds;

    /// Called with each observation that it wants, in order. What it finds it pushes; the world goes on, so that one run shows everything.
    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>);

    /// Called once when the world has settled, or when its time to settle is over (`settled` false).
    fn at_rest(&mut self, at: VirtualTime, settled: bool, view: &dyn View, found: &mut Vec<Violation>);

    /// Whether there was anything in this world that it could have found fault with; asked at rest. Who had nothing to check has not held.
    fn had_something(&self) -> bool {
        true
    }

    /// Acknowledged changes that are nowhere because every disk that held them was lost. Only the ledger knows of any.
    fn lost_by_design(&self) -> u64 {
        0
    }
}

/// All checkers of a scenario, in the order in which they must be called: the first keeps what the others look things up in.
pub fn all(scenario: &Scenario) -> Vec<Box<dyn Checker>> {
    let book = book::Book::of(scenario);
    vec![
        Box::new(book::Bookkeeper::new(book.clone())),
        Box::new(survival::Survival::new(book.clone())),
        Box::new(monotonic::Monotonic::new(book.clone())),
        Box::new(reading::Reading::new(book.clone())),
        Box::new(origins::Origins::new(book.clone())),
        Box::new(own_place::OwnPlace::new(book.clone())),
        Box::new(forgetting::Forgetting::new(book.clone())),
        Box::new(expiry::Expiry::new(scenario)),
        Box::new(stamps::Stamps::new(scenario)),
        Box::new(refusals::Refusals::new(scenario)),
        Box::new(numbers::Numbers::default()),
        Box::new(entitlement::Entitlement::new(scenario)),
        Box::new(bounds::Bounds::default()),
        Box::new(traffic::TrafficBudget::new(scenario, book.clone())),
        Box::new(convergence::Convergence::new(book)),
    ]
}
