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

pub(super) fn continue_watching(registers: &BTreeMap<TitleId, Progress>, limit: usize) -> Vec<(&TitleId, &Progress)> {
    let acted = |register: &Progress| register.activity.as_ref().map_or(Hlc::ZERO, |activity| activity.stamp);
    let mut row: Vec<(&TitleId, &Progress)> = Vec::new();
    let mut series: BTreeMap<&str, (Hlc, &TitleId, &Progress, Hlc)> = BTreeMap::new();
    for (title, register) in registers {
        let Some(known) = &register.series else {
            if !register.is_hidden() {
                row.push((title, register));
            }
            continue;
        };
        match series.entry(known.id.as_str()) {
            Entry::Vacant(vacant) => {
                vacant.insert((acted(register), title, register, register.hidden));
            }
            Entry::Occupied(mut occupied) => {
                let (latest, newest_title, newest, hidden) = occupied.get_mut();
                *hidden = register.hidden.max(*hidden);
                if acted(register) > *latest {
                    (*latest, *newest_title, *newest) = (acted(register), title, register);
                }
            }
        }
    }
    row.extend(
        series
            .into_values()
            .filter(|(latest, .., hidden)| *hidden == Hlc::ZERO || hidden < latest)
            .map(|(_, title, register, _)| (title, register)),
    );
    row.retain(|(_, register)| register.activity.is_some() && !register.completed() && !barely_begun(register));
    row.sort_by(|(one, a), (other, b)| acted(b).cmp(&acted(a)).then_with(|| one.cmp(other)));
    row.truncate(limit.min(ROW_COUNT_MAX));
    row
}

fn barely_begun(register: &Progress) -> bool {
    let (_, high) = register.version_and_high();
    // Of a title whose length nobody knows, 2 % are unknown too: the thirty seconds decide.
    high.as_millis() < BARELY_MS && register.trusted_duration_ms().is_none_or(|ms| high.as_millis() * 50 < ms)
}
