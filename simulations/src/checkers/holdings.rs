//! What one host durably holds, and what was last seen of a register there.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use leftoff::store::Seq;

use super::ledger::{ProfileNo, RegisterNo};
use super::mix::Map;
use super::tampering::{Judged, Tampering};
use crate::model::Facts;
use crate::observation::{HostId, Same};

/// What one host holds of a register.
#[derive(Debug, Default)]
pub(super) struct Held {
    facts: Facts,
    /// What was added last: added again, it adds nothing.
    last: Same,
}

impl Held {
    /// Adds what a record says.
    pub(super) fn add(&mut self, facts: &Facts, same: Same) {
        if same == Same::UNKNOWN || same != self.last {
            self.facts.add(facts);
            self.last = same;
        }
    }
}

impl Deref for Held {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

/// What one host durably holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// What it shares: its registers.
    pub(super) held: Map<RegisterNo, Held>,
    /// What it has shared with nobody.
    pub(super) unshared: Map<RegisterNo, Held>,
    /// The deltas that those are made of, where disks may be lost.
    pub(super) made_apart: Vec<(RegisterNo, Facts)>,
    /// Erasures it knows.
    pub(super) erased: BTreeMap<ProfileNo, u64>,
    /// The last number that was seen to become durable.
    pub(super) last: Seq,
    /// What became of its disk.
    pub(super) tampering: Tampering,
    /// How its last start was judged by that.
    pub(super) started: Judged,
}

/// A record that has just become durable.
#[derive(Clone, Debug)]
pub struct Touched {
    /// Where.
    pub host: HostId,
    /// Which register.
    pub register: RegisterNo,
    /// What it said.
    pub facts: Rc<Facts>,
    /// Stands for what it said.
    pub same: Same,
    /// Made here; otherwise it came from a peer.
    pub local: bool,
    /// Shared with nobody.
    pub unshared: bool,
}

/// A register as it was read.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Where.
    pub host: HostId,
    /// Which register.
    pub register: RegisterNo,
    /// What was shown; none: nothing is recorded.
    pub facts: Option<Facts>,
}
