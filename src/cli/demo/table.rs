//! The live table: what each node and device believes of one title, as lines of text. Pure.

use std::collections::BTreeSet;

use super::belief::{Belief, Key};
use super::ink::{Ink, Tone, cut};
use super::observer::Beliefs;
use super::party::Party;
use crate::progress::{PlaybackState, Progress, Version};

const MARGIN: &str = "  ";
const WIDTHS: [usize; 5] = [9, 12, 12, 10, 8];

/// What the table shows.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    pub(super) beliefs: &'a Beliefs,
    pub(super) key: &'a Key,
    /// Who is cut off, in the order of [`Party::ALL`].
    pub(super) cut: [bool; Party::ALL.len()],
}

struct Cell {
    tone: Tone,
    text: String,
}

fn cell(tone: Tone, text: impl Into<String>) -> Cell {
    Cell { tone, text: text.into() }
}

impl Table<'_> {
    /// The lines, none longer than `columns`.
    pub(super) fn lines(&self, ink: Ink, columns: usize) -> Vec<String> {
        // What matters most stands left: a narrow terminal loses the right.
        let heading = ["who", "line", "resume at", "state", "place", "last activity"].map(|text| cell(Tone::Quiet, text));
        let all = Belief::joined(self.beliefs.iter().map(AsRef::as_ref));
        let places = self.places();
        let rows = Party::ALL.map(|party| self.row(party, &all, &places));
        let mut lines = vec![line(ink, columns, &[cell(Tone::Quiet, format!("what each believes about \"{}\"", self.key.1))])];
        lines.push(line(ink, columns, &heading));
        lines.extend(rows.iter().map(|row| line(ink, columns, row)));
        lines
    }

    // Every place that anybody knows, oldest first: their numbers are what people can read.
    fn places(&self) -> Vec<Version> {
        let registers = self.beliefs.iter().filter_map(|belief| belief.register(self.key));
        let versions = registers.flat_map(|register| register.places.as_slice().iter().map(|place| place.version));
        versions.chain([Version::FIRST]).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn row(&self, party: Party, all: &Belief, places: &[Version]) -> Vec<Cell> {
        let belief = &self.beliefs[party.index()];
        let register = belief.register(self.key);
        let mut row = vec![cell(Tone::Strong, party.name())];
        row.push(match (self.cut[party.index()], party) {
            (false, _) => cell(Tone::Good, "● open"),
            (true, Party::Phone) => cell(Tone::Warning, "○ offline"),
            (true, _) => cell(Tone::Warning, "○ cut off"),
        });
        let step = match belief.titles_behind(all) {
            0 => cell(Tone::Good, "in step"),
            _ => cell(Tone::Warning, "apart"),
        };
        match register {
            Some(register) => {
                let (version, high) = register.version_and_high();
                let number = places.iter().position(|place| *place == version).map_or(0, |index| index + 1);
                row.extend([cell(Tone::Strong, high.to_string()), step, cell(Tone::Plain, number.to_string())]);
                row.push(cell(Tone::Plain, activity(register)));
            }
            None => row.extend([cell(Tone::Quiet, "-"), step, cell(Tone::Quiet, "-"), cell(Tone::Quiet, "nothing yet")]),
        }
        row
    }
}

fn activity(register: &Progress) -> String {
    let Some(activity) = &register.activity else { return "-".to_owned() };
    match activity.state {
        PlaybackState::Seeking => format!("{} moved to {}", activity.device, activity.position),
        state => format!("{} {} at {}", activity.device, state.as_str(), activity.position),
    }
}

fn line(ink: Ink, columns: usize, cells: &[Cell]) -> String {
    let mut left = columns.saturating_sub(MARGIN.len());
    let mut text = MARGIN.to_owned();
    for (index, cell) in cells.iter().enumerate() {
        let width = if cells.len() == 1 { left } else { WIDTHS.get(index).copied().unwrap_or(left) }.min(left);
        let shown = cut(&cell.text, width);
        let padding = if index + 1 == cells.len() { 0 } else { width - shown.chars().count() };
        text.push_str(&ink.paint(cell.tone, &shown));
        text.push_str(&" ".repeat(padding));
        left -= width;
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::belief::Seen;
    use super::*;
    use crate::progress::{Activity, DeviceId, Place, Places, Position, ProfileId, Speed, TitleId};
    use crate::time::Hlc;

    fn key() -> Key {
        (ProfileId::new("viewer").unwrap(), TitleId::new("night-train").unwrap())
    }

    fn believing(version: u64, minute: u64, device: &str, state: PlaybackState) -> Arc<Belief> {
        let position = Position::from_millis(minute * 60_000);
        let version = Version::from_u64(version);
        let activity = Activity {
            stamp: Hlc::from_u64(minute),
            rank: state.rank(),
            device: DeviceId::new(device).unwrap(),
            state,
            version,
            position,
            speed: Speed::NORMAL,
            stepped_back: false,
        };
        let places = Places::single(Place { version, position, ..Place::default() });
        let progress = Progress { places, activity: Some(activity), ..Progress::default() };
        Arc::new(Belief::default().after(Party::Eu, Seen::default(), [(key(), progress)].into(), [].into()))
    }

    fn evening() -> Beliefs {
        [
            believing(700, 20, "laptop", PlaybackState::Seeking),
            believing(700, 20, "laptop", PlaybackState::Seeking),
            believing(0, 58, "tablet", PlaybackState::Playing),
            Arc::default(),
        ]
    }

    #[test]
    fn the_table_says_in_words_who_believes_what() {
        let beliefs = evening();
        let lines = Table { beliefs: &beliefs, key: &key(), cut: [false, false, true, true] }.lines(Ink::Plain, 100);
        assert_eq!(
            lines,
            [
                "  what each believes about \"night-train\"",
                "  who      line        resume at   state     place   last activity",
                "  eu       ● open      0:20:00     apart     2       laptop moved to 0:20:00",
                "  us       ● open      0:20:00     apart     2       laptop moved to 0:20:00",
                "  ap       ○ cut off   0:58:00     apart     1       tablet playing at 0:58:00",
                "  phone    ○ offline   -           apart     -       nothing yet",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_loses_the_right_side_and_never_breaks_a_line() {
        let beliefs = evening();
        for columns in [0, 1, 10, 40, 70] {
            let lines = Table { beliefs: &beliefs, key: &key(), cut: [false; 4] }.lines(Ink::Plain, columns);
            assert!(lines.iter().all(|line| line.chars().count() <= columns.max(MARGIN.len())), "{columns}: {lines:?}");
        }
    }

    #[test]
    fn who_believes_the_same_is_in_step() {
        let one = believing(5, 3, "tv", PlaybackState::Paused);
        let beliefs = [Arc::clone(&one), Arc::clone(&one), Arc::clone(&one), one];
        let lines = Table { beliefs: &beliefs, key: &key(), cut: [false; 4] }.lines(Ink::Plain, 100);
        assert!(lines[2..].iter().all(|line| line.contains("in step")), "{lines:?}");
    }
}
