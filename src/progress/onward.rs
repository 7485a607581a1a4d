//! Whether a register has only gone on, told from its bytes alone.
//!
//! Nearly all that a playing title brings is of one kind: the same places, the same device, further on and later. Of two such states the later is the
//! join, and its bytes are the joined bytes. To see that takes a few comparisons of numbers; to decode both, join and encode them costs ten times
//! as much.

use super::DecodeError;
use super::codec::{ACTIVITY, DURATION, EPOCH, HIDDEN, NO_INDEX, Reader, SERIES, SPEED, STEPPED_BACK};
use crate::limits::STAMP_MAX;
use crate::time::Hlc;

/// If `after` is `before` gone on, the highest stamp in it (see [`Progress::highest_stamp`](super::Progress::highest_stamp)): then their join is
/// `after`. `None` says nothing: they have to be decoded and joined.
///
/// `before` must be canonical bytes; with an answer, so are those of `after`.
pub(crate) fn gone_on(before: &[u8], after: &[u8]) -> Option<Hlc> {
    compare(Pair { before: Reader::new(before), after: Reader::new(after) }).ok().flatten()
}

/// Both, read in step.
struct Pair<'a> {
    before: Reader<'a>,
    after: Reader<'a>,
}

/// Two numbers in one place of both; `None` if the later one is less.
type Numbers = Result<Option<(u64, u64)>, DecodeError>;

impl Pair<'_> {
    fn bytes(&mut self, count: usize) -> Result<Option<()>, DecodeError> {
        Ok((self.before.bytes(count, "bytes")? == self.after.bytes(count, "bytes")?).then_some(()))
    }

    fn id(&mut self) -> Result<Option<()>, DecodeError> {
        let (before, after) = self.each(|reader| reader.u8("id"))?;
        if before == after { self.bytes(if before == 0 { 16 } else { usize::from(before) }) } else { Ok(None) }
    }

    fn each<T>(&mut self, read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>) -> Result<(T, T), DecodeError> {
        Ok((read(&mut self.before)?, read(&mut self.after)?))
    }

    fn growing(&mut self, read: impl Fn(&mut Reader<'_>) -> Result<u64, DecodeError>) -> Numbers {
        let (before, after) = self.each(read)?;
        Ok((before <= after && after <= STAMP_MAX).then_some((before, after)))
    }

    fn stamps(&mut self) -> Numbers {
        self.growing(|reader| reader.stamp("stamp").map(Hlc::as_u64))
    }

    fn varints(&mut self) -> Numbers {
        self.growing(|reader| reader.varint("number"))
    }

    /// Numbers that are given as differences, each from its own base.
    fn near(&mut self, bases: (u64, u64)) -> Numbers {
        let before = self.before.near(bases.0, STAMP_MAX, "number")?;
        let after = self.after.near(bases.1, STAMP_MAX, "number")?;
        Ok((before <= after).then_some((before, after)))
    }
}

/// `Ok(None)` and errors alike: that is for others to judge.
fn compare(mut pair: Pair<'_>) -> Result<Option<Hlc>, DecodeError> {
    macro_rules! or_none {
        ($found:expr) => {
            match $found? {
                Some(found) => found,
                None => return Ok(None),
            }
        };
    }
    let ((before, flags), (count, counts)) = (pair.each(|reader| reader.u8("flags"))?, pair.each(|reader| reader.u8("places"))?);
    // Of two activities of one rank the later wins, whatever else it says.
    let differ = (before ^ flags) & !if flags & ACTIVITY == 0 { 0 } else { STEPPED_BACK };
    if differ != 0 || count != counts || count == 0 {
        return Ok(None);
    }
    let mut highest = 0;
    if flags & EPOCH != 0 {
        let epoch = or_none!(pair.stamps());
        if epoch.0 != epoch.1 {
            return Ok(None);
        }
        highest = epoch.1;
    }
    let (ended, ends) = pair.each(|reader| reader.u8("ended"))?;
    if ended & !ends != 0 || u16::from(ends) >> count != 0 {
        return Ok(None);
    }
    let (mut here, mut base) = ((0, 0), (0, 0));
    for index in 0..count {
        let version = or_none!(pair.stamps());
        if version.0 != version.1 {
            return Ok(None);
        }
        let position = or_none!(pair.varints());
        let touched = or_none!(pair.stamps());
        if index == 0 {
            (here, base) = (position, touched);
        }
        highest = highest.max(version.1).max(touched.1);
    }
    or_none!(pair.near(here));
    if flags & ACTIVITY != 0 {
        let stamp = or_none!(pair.near(base));
        if stamp.0 == stamp.1 {
            return Ok(None);
        }
        highest = highest.max(stamp.1);
        or_none!(pair.id());
        // State and rank.
        or_none!(pair.bytes(1));
        let (index, indexes) = pair.each(|reader| reader.u8("activity place"))?;
        if index != indexes {
            return Ok(None);
        }
        if index == NO_INDEX {
            let version = or_none!(pair.stamps());
            if version.0 != version.1 {
                return Ok(None);
            }
            highest = highest.max(version.1);
        }
        // Where it stands is as it is.
        pair.before.near(here.0, STAMP_MAX, "activity position")?;
        pair.after.near(here.1, STAMP_MAX, "activity position")?;
        if flags & SPEED != 0 {
            or_none!(pair.bytes(4));
        }
    }
    if flags & DURATION != 0 {
        let stamp = or_none!(pair.near(base));
        let length = pair.each(|reader| reader.varint("duration"))?;
        if length.1 > STAMP_MAX || (stamp.0 == stamp.1 && length.0 > length.1) {
            return Ok(None);
        }
        highest = highest.max(stamp.1);
    }
    if flags & SERIES != 0 {
        highest = highest.max(or_none!(pair.near(base)).1);
        or_none!(pair.id());
    }
    if flags & HIDDEN != 0 {
        highest = highest.max(or_none!(pair.stamps()).1);
    }
    pair.before.finish()?;
    pair.after.finish()?;
    Ok(Some(Hlc::from_u64(highest)))
}
