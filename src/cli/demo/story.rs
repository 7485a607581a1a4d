//! The evening, as data: scenes of steps. What a step does is the [stage](super::stage)'s matter.
//!
//! Every position that is expected is written here, so that the story checks itself while it is told.

use super::party::{Party, Screen};
use crate::progress::Position;

/// Whose evening it is.
pub(super) const PROFILE: &str = "viewer";
/// What is watched.
pub(super) const TITLE: &str = "night-train";
/// How long that is, in milliseconds.
pub(super) const DURATION_MS: u64 = at(1, 58, 0).as_millis();

/// A part of the story, told under one heading.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) heading: &'static str,
    pub(super) steps: &'static [Step],
}

/// One thing that happens, is said, or must be so.
#[derive(Debug)]
pub(super) enum Step {
    /// Said as it is.
    Say(&'static str),
    /// A screen opens the title where its replica says to resume, which must be here.
    Resume(Screen, Position),
    /// Screens play on to these positions, at the same time.
    Watch(&'static [(Screen, Position)]),
    /// A screen is paused where it stands.
    Pause(Screen),
    /// A screen is moved on purpose.
    Seek(Screen, Position),
    /// A screen that stood idle says again where it stands; nothing may change at its replica.
    WakeUp(Screen),
    /// Waits until these know everything that the first one does, and says how long each of them took.
    Spread(Party, &'static [Party]),
    /// A replica must say to resume here, now.
    Believes(Party, Position),
    /// Everyone else's datagrams to and from a party are dropped from now on.
    Cut(Party),
    /// They pass again.
    Heal(Party),
    /// Waits until everyone else has given up its links with a party that is cut off.
    GivenUp(Party),
    /// Waits until these hold the same, and says how long after the last healing that was.
    Equal(&'static [Party]),
    /// Everyone must resume here, with this place next in the way back.
    Ends(Position, Position),
}

const fn at(hours: u64, minutes: u64, seconds: u64) -> Position {
    Position::from_millis(((hours * 60 + minutes) * 60 + seconds) * 1_000)
}

const PAUSED_ON_TV: Position = at(0, 41, 17);
const LEFT_ON_LAPTOP: Position = at(0, 52, 0);
const TABLET_IN_AP: Position = at(0, 58, 30);
const LAPTOP_IN_US: Position = at(1, 5, 0);
const SCENE_AGAIN: Position = at(0, 20, 0);
const SCENE_SEEN: Position = at(0, 24, 10);
const PHONE_ON_TRAIN: Position = at(1, 20, 30);

/// The evening.
pub(super) const EVENING: &[Scene] = &[
    Scene {
        heading: "A film, paused on the TV",
        steps: &[
            Step::Say(
                "The TV plays \"night-train\". It keeps nothing itself: it reports to region eu over HTTP, and eu answers when the report is on disk. What others knew later was on their disks then, too.",
            ),
            Step::Watch(&[(Screen::Tv, PAUSED_ON_TV)]),
            Step::Pause(Screen::Tv),
            Step::Spread(Party::Eu, &[Party::Us, Party::Ap, Party::Phone]),
        ],
    },
    Scene {
        heading: "Resumed on the laptop, at the same second",
        steps: &[
            Step::Resume(Screen::Laptop, PAUSED_ON_TV),
            Step::Watch(&[(Screen::Laptop, LEFT_ON_LAPTOP)]),
            Step::Spread(Party::Us, &[Party::Eu, Party::Ap, Party::Phone]),
        ],
    },
    Scene {
        heading: "A line breaks",
        steps: &[Step::Cut(Party::Ap), Step::Say("Nobody told ap's node. It goes on serving its region with what it knows.")],
    },
    Scene {
        heading: "The same film in two regions at once",
        steps: &[
            Step::Resume(Screen::Tablet, LEFT_ON_LAPTOP),
            Step::Watch(&[(Screen::Tablet, TABLET_IN_AP), (Screen::Laptop, LAPTOP_IN_US)]),
            Step::Believes(Party::Ap, TABLET_IN_AP),
            Step::Spread(Party::Us, &[Party::Eu, Party::Phone]),
            Step::Believes(Party::Eu, LAPTOP_IN_US),
            Step::Say("Both are right about what they have seen. Neither waits for the other."),
        ],
    },
    Scene {
        heading: "The phone goes offline on a train",
        steps: &[
            Step::Cut(Party::Phone),
            Step::Say("The phone has a replica of its own. In the tunnel it answers and records as before, on its own disk."),
            Step::Resume(Screen::Phone, LAPTOP_IN_US),
        ],
    },
    Scene {
        heading: "A deliberate step back, while others play on",
        steps: &[
            Step::Seek(Screen::Laptop, SCENE_AGAIN),
            Step::Say(
                "A jump on purpose opens a new place in the film, and the newest place is where to resume, however small its position. Those who play on count in the place they are in.",
            ),
            Step::Watch(&[(Screen::Laptop, SCENE_SEEN), (Screen::Tablet, at(1, 2, 0)), (Screen::Phone, PHONE_ON_TRAIN)]),
            Step::Pause(Screen::Phone),
            Step::Spread(Party::Us, &[Party::Eu]),
            Step::Believes(Party::Eu, SCENE_SEEN),
            Step::Believes(Party::Ap, at(1, 2, 0)),
            Step::Believes(Party::Phone, PHONE_ON_TRAIN),
        ],
    },
    Scene {
        heading: "An idle screen wakes up in an old place",
        steps: &[
            Step::WakeUp(Screen::Tv),
            Step::Watch(&[(Screen::Tv, at(0, 41, 25))]),
            Step::Pause(Screen::Tv),
            Step::Believes(Party::Eu, SCENE_SEEN),
            Step::Say(
                "Even the few seconds that it then plays count in its old place only. The resume point stays with the laptop: 0:24:10.",
            ),
        ],
    },
    Scene {
        heading: "The lines heal",
        steps: &[
            Step::GivenUp(Party::Ap),
            Step::GivenUp(Party::Phone),
            Step::Say(
                "Both were cut off for so long that their connections are lost. They are dialed again and again, with a random wait in between.",
            ),
            Step::Heal(Party::Ap),
            Step::Equal(&Party::REGIONS),
            Step::Heal(Party::Phone),
            Step::Equal(&Party::ALL),
        ],
    },
    Scene {
        heading: "Everyone ends equal",
        steps: &[Step::Resume(Screen::Tablet, SCENE_SEEN), Step::Equal(&Party::ALL), Step::Ends(SCENE_SEEN, PHONE_ON_TRAIN)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_who_is_cut_off_is_healed_before_the_end() {
        let mut cut = Vec::new();
        for step in EVENING.iter().flat_map(|scene| scene.steps) {
            match step {
                Step::Cut(party) => cut.push(*party),
                Step::Heal(party) => cut.retain(|other| other != party),
                _ => {}
            }
        }
        assert_eq!(cut, []);
        assert!(matches!(EVENING.last().and_then(|scene| scene.steps.last()), Some(Step::Ends(..))));
    }

    #[test]
    fn nothing_is_expected_to_spread_to_who_is_cut_off() {
        let mut cut = Vec::new();
        for step in EVENING.iter().flat_map(|scene| scene.steps) {
            match step {
                Step::Cut(party) => cut.push(*party),
                Step::Heal(party) => cut.retain(|other| other != party),
                Step::Spread(from, to) => assert!(!to.iter().chain([from]).any(|party| cut.contains(party)), "{step:?}"),
                _ => {}
            }
        }
    }
}
