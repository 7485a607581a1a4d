//! Random numbers of the operating system.

/// A uniform number in `0..1`; the middle if the system has no randomness, which waits rightly all the same.
pub(super) fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX))
}

/// Random bytes for a link's salt.
pub(super) fn random_salt() -> Option<[u8; 16]> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).ok().map(|()| salt)
}
