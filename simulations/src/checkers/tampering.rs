//! What was done to one host's disk, by the world and not by what the product says of it: what a restart may lack, and may say, follows from that.

use crate::observation::DiskFault;

/// What became of one host's disk.
#[expect(clippy::struct_excessive_bools, reason = "each befalls a disk by itself")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tampering {
    /// Since the store was last opened: another folder is in the place of the one that was there.
    replaced: bool,
    /// Since then: bits flipped where what comes after them proves that they were synced.
    flipped: bool,
    /// Since then: bits flipped at the end of the log, which looks like a write that a crash has cut.
    end_flipped: bool,
    /// The store has found damage, and has not been opened without any since: it goes on saying so until it has made it good.
    damaged: bool,
    /// Bits of the folder were flipped at some time, so that a copy of it may be damaged.
    ever_damaged: bool,
}

/// How a start is to be judged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Judged {
    /// What the host holds is to be asked anew: it may lack what it held.
    pub(super) may_lack: bool,
    /// It says that its store is damaged, and nothing was done to its disk.
    pub(super) is_false_alarm: bool,
}

impl Tampering {
    /// Takes note of what befell the disk.
    pub(super) const fn note(&mut self, fault: DiskFault) {
        match fault {
            DiskFault::Lost => *self = Self { replaced: true, ..Self::NONE },
            DiskFault::Restored => {
                *self = Self { replaced: true, damaged: self.ever_damaged, ever_damaged: self.ever_damaged, ..Self::NONE }
            }
            DiskFault::FlippedBit | DiskFault::Truncated | DiskFault::Zeroed => (self.flipped, self.ever_damaged) = (true, true),
            DiskFault::EndHurt => (self.end_flipped, self.ever_damaged) = (true, true),
            // What was not synced is lost, and nobody was promised it. What was synced is there, and reads back.
            DiskFault::FailedSync | DiskFault::Full | DiskFault::ShortWrite => {}
        }
    }

    const NONE: Self = Self { replaced: false, flipped: false, end_flipped: false, damaged: false, ever_damaged: false };

    /// The store was opened, and says that it is damaged or that it is not. Bits that flipped may have been dead ones; if nothing is said of them,
    /// nothing may be lacking, but for the end of the log: nothing tells that from a write that was never acknowledged.
    pub(super) const fn start(&mut self, says_damaged: bool) -> Judged {
        let is_flipped = self.flipped || self.end_flipped;
        let judged = Judged {
            may_lack: self.replaced || self.end_flipped || (self.flipped && says_damaged),
            is_false_alarm: says_damaged && !is_flipped && !self.damaged,
        };
        *self = Self { damaged: says_damaged, ever_damaged: self.ever_damaged, ..Self::NONE };
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::{Judged, Tampering};
    use crate::observation::DiskFault;

    fn judged(faults: &[DiskFault], says_damaged: bool) -> (bool, bool) {
        let mut tampering = Tampering::default();
        faults.iter().for_each(|fault| tampering.note(*fault));
        let Judged { may_lack, is_false_alarm } = tampering.start(says_damaged);
        (may_lack, is_false_alarm)
    }

    #[test]
    fn what_a_start_may_lack_follows_from_what_befell_the_disk() {
        let lenient = [&[DiskFault::Lost][..], &[DiskFault::Restored], &[DiskFault::EndHurt], &[DiskFault::FlippedBit, DiskFault::Lost]];
        for faults in lenient {
            assert!(judged(faults, false).0, "{faults:?}");
        }
        let strict = [&[][..], &[DiskFault::FailedSync], &[DiskFault::Full], &[DiskFault::ShortWrite]];
        for faults in strict {
            assert_eq!(judged(faults, false), (false, false), "{faults:?}");
            assert_eq!(judged(faults, true), (false, true), "{faults:?}: nothing was done to it");
        }
        for fault in [DiskFault::FlippedBit, DiskFault::Truncated, DiskFault::Zeroed] {
            assert_eq!(judged(&[fault], true), (true, false));
            assert_eq!(judged(&[fault], false), (false, false), "either it says so or it has everything");
            assert_eq!(
                judged(&[fault, DiskFault::EndHurt], false),
                (true, false),
                "nothing tells it from a write that was never acknowledged"
            );
        }
    }

    #[test]
    fn damage_is_told_until_it_is_made_good_but_excuses_no_more_losses() {
        let mut tampering = Tampering::default();
        tampering.note(DiskFault::FlippedBit);
        tampering.start(true);
        assert_eq!(tampering.start(true), Judged::default(), "still the same damage");
        assert_eq!(tampering.start(false), Judged::default());
        assert!(tampering.start(true).is_false_alarm, "it had been made good");
        tampering.note(DiskFault::Restored);
        assert_eq!(tampering.start(true), Judged { may_lack: true, is_false_alarm: false }, "a copy may be of a damaged folder");
        tampering.note(DiskFault::Lost);
        assert!(tampering.start(true).is_false_alarm, "a new folder");
    }
}
