//! Cutting fingerprints to what is sent: salted, so that no two passes have the same collisions.

use crate::store::Fingerprint;

/// Bits of a fingerprint on the wire.
const SENT_BITS: u32 = 48;

/// The fingerprint of a range as it is sent: 48 bits; zero for an empty range only.
pub(super) const fn sent(fingerprint: Fingerprint, salt: u64) -> u64 {
    if fingerprint.count == 0 {
        return 0;
    }
    let folded = mix(fingerprint.sum as u64 ^ salt) ^ mix((fingerprint.sum >> 64) as u64 ^ salt.rotate_left(32)) ^ mix(fingerprint.count);
    let cut = mix(folded) >> (u64::BITS - SENT_BITS);
    if cut == 0 { 1 } else { cut }
}

/// The short id of a record: of other bits of its hash than the sums of lists are made from, so that those catch a collision of these.
pub(super) const fn short_id(fingerprint: Fingerprint, salt: u64) -> u64 {
    mix((fingerprint.sum >> 64) as u64 ^ salt)
}

/// The sum that a list carries: the low half of the fingerprints of its records.
pub(super) const fn list_sum(fingerprint: Fingerprint) -> u64 {
    fingerprint.sum as u64
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014): spreads a hash that is already keyed.
pub(super) const fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_range_is_sent_as_zero() {
        assert_eq!(sent(Fingerprint::default(), 7), 0);
        for sum in 0..10_000 {
            let cut = sent(Fingerprint { sum, count: 1 }, 7);
            assert!(cut != 0 && cut < 1 << SENT_BITS);
        }
    }

    #[test]
    fn another_salt_gives_another_cut() {
        let fingerprint = Fingerprint { sum: 99, count: 3 };
        assert_ne!(sent(fingerprint, 1), sent(fingerprint, 2));
        assert_ne!(short_id(fingerprint, 1), short_id(fingerprint, 2));
        assert_ne!(sent(fingerprint, 1), sent(Fingerprint { count: 4, ..fingerprint }, 1));
    }
}
