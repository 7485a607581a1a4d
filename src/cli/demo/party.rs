//! Who takes part: three regions and a phone that hold replicas, and the screens that people watch on.

use std::fmt;

/// One holder of a replica.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(usize)]
pub(super) enum Party {
    /// The node of region eu.
    Eu = 0,
    /// The node of region us.
    Us = 1,
    /// The node of region ap.
    Ap = 2,
    /// The device with a replica of its own; its link goes to eu.
    Phone = 3,
}

impl Party {
    /// All of them, in the order of the table.
    pub(super) const ALL: [Self; 4] = [Self::Eu, Self::Us, Self::Ap, Self::Phone];
    /// Those that are nodes.
    pub(super) const REGIONS: [Self; 3] = [Self::Eu, Self::Us, Self::Ap];

    /// Its place in [`Party::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Its name, also of its node.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Us => "us",
            Self::Ap => "ap",
            Self::Phone => "phone",
        }
    }
}

impl fmt::Display for Party {
    /// What it is called in a sentence: "us" alone would be read as a word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone => f.write_str("the phone"),
            region => write!(f, "region {}", region.name()),
        }
    }
}

/// A screen that somebody watches on. All but the phone are thin: they talk HTTP to the node of their region.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Screen {
    /// In the living room, served by eu.
    Tv,
    /// Served by us.
    Laptop,
    /// Served by ap.
    Tablet,
    /// Its own replica.
    Phone,
}

impl Screen {
    /// Its device id.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Tv => "tv",
            Self::Laptop => "laptop",
            Self::Tablet => "tablet",
            Self::Phone => "phone",
        }
    }

    /// What it is called in a sentence.
    pub(super) const fn called(self) -> &'static str {
        match self {
            Self::Tv => "TV",
            other => other.id(),
        }
    }

    /// Whose replica records what it plays.
    pub(super) const fn served_by(self) -> Party {
        match self {
            Self::Tv => Party::Eu,
            Self::Laptop => Party::Us,
            Self::Tablet => Party::Ap,
            Self::Phone => Party::Phone,
        }
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.called())
    }
}
