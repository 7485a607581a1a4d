//! Ranges of the reconciled key space: prefixes of 64 bits, cut into digits of four.

/// Parts that a range is divided into.
pub const FANOUT: usize = 16;

const DIGIT_BITS: u8 = 4;

/// All keys that begin with the same bits.
///
/// The keys compared here are 64 bits. Between nodes of one cluster the first 16 are those of the register's key, so that kept fingerprints
/// can be used, and the rest is a hash of it: the titles of one profile share their first 64 bits and would never divide otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    first: u64,
    bits: u8,
}

impl Prefix {
    /// Everything.
    pub const ROOT: Self = Self { first: 0, bits: 0 };

    /// The prefix of `bits` bits of `first`; `None` unless they are whole digits and the rest of `first` is zero.
    pub const fn new(bits: u8, first: u64) -> Option<Self> {
        if bits > 64 || !bits.is_multiple_of(DIGIT_BITS) {
            return None;
        }
        let prefix = Self { first, bits };
        if first & prefix.below() == 0 { Some(prefix) } else { None }
    }

    /// How many bits are fixed.
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// The lowest key.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The highest key.
    pub const fn last(self) -> u64 {
        self.first | self.below()
    }

    /// Whether the key lies in the range.
    pub const fn contains(self, key: u64) -> bool {
        key & !self.below() == self.first
    }

    /// Whether it has parts.
    pub const fn is_divisible(self) -> bool {
        self.bits < 64
    }

    /// The part with the given index, below [`FANOUT`].
    #[must_use]
    pub const fn part(self, index: usize) -> Self {
        let bits = self.bits + DIGIT_BITS;
        Self { first: self.first | ((index as u64) << (64 - bits)), bits }
    }

    /// In which part a key of the range lies.
    pub const fn part_of(self, key: u64) -> usize {
        (key >> (64 - self.bits - DIGIT_BITS)) as usize % FANOUT
    }

    const fn below(self) -> u64 {
        if self.bits == 0 { u64::MAX } else { (1u64 << (64 - self.bits)).wrapping_sub(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_range_are_the_range() {
        let range = Prefix::new(8, 0xab << 56).unwrap();
        assert_eq!(range.part(0).first(), range.first());
        assert_eq!(range.part(15).last(), range.last());
        for index in 0..FANOUT {
            let part = range.part(index);
            assert_eq!(part.bits(), 12);
            assert!(range.contains(part.first()) && range.contains(part.last()));
            assert_eq!(range.part_of(part.first()), index);
            assert_eq!(range.part_of(part.last()), index);
        }
        assert_eq!(Prefix::ROOT.last(), u64::MAX);
        assert!(!range.contains(0xac << 56));
    }

    #[test]
    fn the_narrowest_range_is_one_key() {
        let one = Prefix::new(64, 5).unwrap();
        assert!(!one.is_divisible());
        assert_eq!((one.first(), one.last()), (5, 5));
        assert_eq!(Prefix::new(60, 5), None);
        assert_eq!(Prefix::new(60, 0).unwrap().part(5), one);
    }
}
