//! What happened in a world, in the order in which it happened: for the checkers, the trace and the figures.

use std::time::Duration;

use leftoff::progress::{PlaybackEvent, ProfileId, Progress, TitleId, Version};
use leftoff::replica::RefusedReason;
use leftoff::store::{Record, ReplicaId, Seq};
use leftoff::time::{Hlc, WallTime};

/// A host of a world, by its place in the scenario: nodes first, then devices.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostId(pub u32);

/// Virtual time since the beginning of the world, by no host's clock.
pub type VirtualTime = Duration;

/// A link attempt between two hosts, unique in a world.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u64);

/// Stands for what a record says: records of one number, if it is not [`Same::UNKNOWN`], are the same bytes. A state reaches every host, and some of
/// them often; whoever looked at it once can know it again by this, and need not look twice at what cannot have changed.
///
/// A number is given up for a later one in its place: numbers that are in use are unequal modulo [`Same::COUNT`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Same(u64);

impl Same {
    /// Nothing is known of what other record it may be equal to.
    pub const UNKNOWN: Self = Self(0);
    /// Numbers in use at once.
    pub const COUNT: usize = 1 << 14;

    /// The first number of a place, which is below [`Same::COUNT`].
    pub const fn first_at(place: usize) -> Self {
        Self((Self::COUNT + place) as u64)
    }

    /// The next number of the same place.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + Self::COUNT as u64)
    }

    /// Its place among the numbers in use; none for [`Same::UNKNOWN`].
    pub fn place(self) -> Option<usize> {
        (self != Self::UNKNOWN).then_some(self.0 as usize % Self::COUNT)
    }
}

/// What is in a frame, for the figures.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Traffic {
    /// Greeting, pings, peers, goodbyes.
    Control,
    /// Records.
    Records,
    /// Acknowledgements.
    Acks,
    /// Fingerprints, lists, wants: reconciliation.
    Reconciliation,
}

/// How a host stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// In good order: flushed and closed.
    Graceful,
    /// Killed: what was written and not synced may be lost.
    Crash,
    /// Stopped in its tracks for a while; nothing is lost.
    Pause,
}

/// What became of a host's disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskFault {
    /// The disk is gone with everything on it; the host begins empty, under a new identity.
    Lost,
    /// The folder is as it was when the backup was taken; the host has a new identity.
    Restored,
    /// Bits of the log were flipped, and what comes after them says that they had been synced.
    FlippedBit,
    /// A sync failed.
    FailedSync,
    /// No space was left.
    Full,
    /// A write was cut short.
    ShortWrite,
    /// The end of the log was hurt: nothing after that says that it had been synced, and so it looks like a write that a crash has cut.
    EndHurt,
    /// Files of the log were cut off.
    Truncated,
    /// Files of the log were zeroed from some place on.
    Zeroed,
}

/// One past fact.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// A viewer's report was handed to a host. `event` as the player sent it.
    Reported {
        /// To whom.
        host: HostId,
        /// What.
        event: &'a PlaybackEvent,
        /// When its device says that it was sent, by the device's clock.
        sent_at: Option<WallTime>,
        /// The place that it counted in, or why it was refused, for people.
        outcome: Result<Version, &'a str>,
    },
    /// A title was hidden at a host.
    Hid {
        /// Where.
        host: HostId,
        /// Whose.
        profile: &'a ProfileId,
        /// Which.
        title: &'a TitleId,
    },
    /// A profile was erased at a host.
    Erased {
        /// Where.
        host: HostId,
        /// Which.
        profile: &'a ProfileId,
    },
    /// A record became durable at a host, and visible there. With `from` none it was made there: its state is the delta.
    Applied {
        /// Where.
        host: HostId,
        /// Under which number.
        seq: Seq,
        /// Who sent it; none: it was made here.
        from: Option<ReplicaId>,
        /// What. Of a device, also deltas that are not yet shared.
        record: &'a Record,
        /// Whether it is a device's work that it has shared with nobody yet, by a clock nobody has compared.
        unshared: bool,
        /// Whether the table learned something from it.
        changed: bool,
        /// Stands for what the record says; see [`Same`].
        same: Same,
    },
    /// A record became durable at a host, of a profile that the scenario leaves out of what is looked at closely: only how many there are, and
    /// under which numbers, is seen.
    Passed {
        /// Where.
        host: HostId,
        /// Under which number.
        seq: Seq,
        /// Whether it was made there.
        local: bool,
        /// Whether the table learned something from it.
        changed: bool,
    },
    /// A group is about to be written to a host's log: now the buffer before the log is at its fullest, and the table since the last fold. For checkers
    /// only; no line of the trace.
    Flushing {
        /// Whose.
        host: HostId,
    },
    /// A device's unshared work was re-stamped by this many milliseconds and shared: its watchers get a reset.
    Restamped {
        /// Where.
        host: HostId,
        /// By how much.
        offset_ms: i64,
    },
    /// The sender was told that what it reported up to here is kept.
    Acknowledged {
        /// By whom.
        host: HostId,
        /// Everything made at this host up to this number.
        seq: Seq,
    },
    /// Somebody read a register at a host, or was pushed it.
    Read {
        /// Where.
        host: HostId,
        /// Whose.
        profile: &'a ProfileId,
        /// Which title.
        title: &'a TitleId,
        /// What was read; none: nothing is recorded.
        register: Option<&'a Progress>,
    },
    /// A link began to exist at one side.
    LinkStarted {
        /// Which; the same number at both sides.
        link: LinkId,
        /// At whom.
        host: HostId,
        /// To whom.
        peer: HostId,
    },
    /// A link ended at one side.
    LinkEnded {
        /// Which.
        link: LinkId,
        /// At whom.
        host: HostId,
        /// To whom.
        peer: HostId,
        /// Why, for people.
        reason: &'a str,
    },
    /// A frame left.
    FrameSent {
        /// On which link.
        link: LinkId,
        /// From whom.
        host: HostId,
        /// To whom.
        peer: HostId,
        /// What is in it.
        traffic: Traffic,
        /// Its bytes, header included.
        bytes: usize,
    },
    /// A frame arrived, with what it holds of records: whatever is in here has been seen by the host.
    FrameArrived {
        /// On which link.
        link: LinkId,
        /// At whom.
        host: HostId,
        /// From whom.
        peer: HostId,
        /// Its type.
        number: u8,
        /// Its body.
        body: &'a [u8],
    },
    /// The frame that arrived last on a link was not taken now: the host is busy, and it will be handed in again.
    PutOff {
        /// On which link.
        link: LinkId,
        /// By whom.
        host: HostId,
    },
    /// A record of a peer was refused.
    Refused {
        /// On which link.
        link: LinkId,
        /// By whom.
        host: HostId,
        /// Whose record.
        peer: HostId,
        /// Whose progress.
        profile: &'a ProfileId,
        /// Of which title; none: it was an erasure.
        title: Option<&'a TitleId>,
        /// Why.
        reason: RefusedReason,
    },
    /// A host stopped.
    Stopped {
        /// Which.
        host: HostId,
        /// How.
        how: Stop,
    },
    /// A host that was stopped in its tracks goes on.
    Resumed {
        /// Which.
        host: HostId,
    },
    /// A host serves, for the first time or again.
    Started {
        /// Which.
        host: HostId,
        /// Under which identity.
        replica: ReplicaId,
        /// What is wrong with its store, for people; empty if nothing.
        damage: &'a str,
    },
    /// A disk failed.
    Disk {
        /// Whose.
        host: HostId,
        /// How.
        fault: DiskFault,
    },
    /// A fault of the scenario began or ended.
    Fault {
        /// Its index in the scenario's timeline.
        index: usize,
        /// Whether it begins.
        begins: bool,
    },
    /// All faults are over, everything is up: from here on the world must settle.
    Healed,
}

/// What a checker may look at: the durable state of each host.
pub trait View {
    /// All hosts.
    fn hosts(&self) -> Vec<HostId>;
    /// Its name, as in the scenario.
    fn name(&self, host: HostId) -> String;
    /// Whether it is a regional node.
    fn is_node(&self, host: HostId) -> bool;
    /// Whether it runs now.
    fn is_up(&self, host: HostId) -> bool;
    /// The replica; none while the host is down.
    fn core(&self, host: HostId) -> Option<&leftoff::replica::Core>;
    /// Whether the host may hold the profile: nodes hold all, devices those of their token.
    fn holds(&self, host: HostId, profile: &ProfileId) -> bool;
    /// Its clock now, in milliseconds ahead of the true time.
    fn clock_error_ms(&self, host: HostId) -> i64;
    /// The true time as a stamp would show it.
    fn true_stamp(&self) -> Hlc;
    /// Whether the host has gone hostile: it need not end equal, and what it alone holds was written by nobody.
    fn is_hostile(&self, host: HostId) -> bool {
        let _ = host;
        false
    }
    /// Figures of the host's links that are there now.
    fn links(&self, host: HostId) -> Vec<leftoff::sync::LinkFigures> {
        let _ = host;
        Vec::new()
    }
}
