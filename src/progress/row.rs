//! The continue-watching row.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Progress, TitleId};
use crate::time::Hlc;

const BARELY_MS: u64 = 30_000;

/// Rows longer than this are not answered.
pub const ROW_COUNT_MAX: usize = 200;
/// How long a row is when nobody says.
pub const ROW_COUNT_DEFAULT: usize = 20;

/// A row in the making: shown all registers of a profile, each once and in any order, it keeps those that belong into it, most recent first. What is
/// kept of a register, `E`, is made for those only that are in it so far.
#[derive(Debug)]
pub struct Row<E> {
    limit: usize,
    kept: Vec<Kept<E>>,
    series: BTreeMap<String, Group<E>>,
    // So many as belong into it are at least as recent.
    floor: Hlc,
}

#[derive(Debug)]
struct Kept<E> {
    acted: Hlc,
    title: TitleId,
    entry: E,
}

/// The most recent title of a series.
#[derive(Debug)]
struct Group<E> {
    newest: Kept<E>,
    is_shown: bool,
    hidden: Hlc,
}

impl<E> Kept<E> {
    fn is_before(&self, acted: Hlc, title: &TitleId) -> bool {
        self.acted > acted || (self.acted == acted && self.title < *title)
    }
}

impl<E> Row<E> {
    /// A row of at most `limit` titles, and never more than [`ROW_COUNT_MAX`].
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.min(ROW_COUNT_MAX), kept: Vec::new(), series: BTreeMap::new(), floor: Hlc::ZERO }
    }

    /// Whether a register that was last active then can belong into the row: if not, it need not be shown to [`Row::take`].
    pub fn wants(&self, acted: Hlc, is_of_series: bool) -> bool {
        is_of_series || acted >= self.floor
    }

    /// Takes a register into account.
    pub fn take(&mut self, title: &TitleId, register: &Progress, entry: impl FnOnce() -> E) {
        let acted = register.activity.as_ref().map_or(Hlc::ZERO, |activity| activity.stamp);
        let Some(known) = &register.series else {
            if acted >= self.floor && !register.is_hidden() && is_shown(register) {
                self.keep(Kept { acted, title: title.clone(), entry: entry() });
            }
            return;
        };
        match self.series.entry(known.id.as_str().to_owned()) {
            Entry::Vacant(vacant) => {
                let newest = Kept { acted, title: title.clone(), entry: entry() };
                vacant.insert(Group { newest, is_shown: is_shown(register), hidden: register.hidden });
            }
            Entry::Occupied(mut occupied) => {
                let group = occupied.get_mut();
                group.hidden = register.hidden.max(group.hidden);
                if !group.newest.is_before(acted, title) {
                    group.newest = Kept { acted, title: title.clone(), entry: entry() };
                    group.is_shown = is_shown(register);
                }
            }
        }
    }

    fn keep(&mut self, kept: Kept<E>) {
        self.kept.push(kept);
        if self.kept.len() >= 2 * self.limit.max(1) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_by(|one, other| other.acted.cmp(&one.acted).then_with(|| one.title.cmp(&other.title)));
        self.kept.truncate(self.limit);
        if self.kept.len() == self.limit {
            self.floor = self.kept.last().map_or(self.floor, |last| last.acted);
        }
    }

    /// The row, most recent first.
    pub fn finish(mut self) -> Vec<E> {
        for Group { newest, is_shown, hidden } in std::mem::take(&mut self.series).into_values() {
            if is_shown && (hidden == Hlc::ZERO || hidden < newest.acted) {
                self.kept.push(newest);
            }
        }
        self.cut();
        self.kept.into_iter().map(|kept| kept.entry).collect()
    }
}

pub(super) fn continue_watching(registers: &BTreeMap<TitleId, Progress>, limit: usize) -> Vec<(&TitleId, &Progress)> {
    let mut row = Row::new(limit);
    for (title, register) in registers {
        row.take(title, register, || (title, register));
    }
    row.finish()
}

/// Whether a title belongs into the row at all, if nobody has hidden it.
fn is_shown(register: &Progress) -> bool {
    register.activity.is_some() && !register.completed() && !barely_begun(register)
}

fn barely_begun(register: &Progress) -> bool {
    let (_, high) = register.version_and_high();
    // Of a title whose length nobody knows, 2 % are unknown too: the thirty seconds decide.
    high.as_millis() < BARELY_MS && register.trusted_duration_ms().is_none_or(|ms| high.as_millis() * 50 < ms)
}
