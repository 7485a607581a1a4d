//! The naive model: the set of all deltas ever made, and every read answered from that set by definition.
//!
//! Written without the merge: nothing here joins, compares or reads a register by the product's own code. It is slow and says what is meant.

use std::collections::{BTreeMap, BTreeSet};

use leftoff::progress::{Activity, PlaybackState, Policy, Progress};

use crate::node::Change;

const DAY_MS: u64 = 86_400_000;

/// Everything that is known about one profile: deltas by title, and erasures.
#[derive(Default)]
pub(crate) struct Model<'a> {
    deltas: BTreeMap<&'a str, Vec<&'a Progress>>,
    erased: BTreeSet<u64>,
}

/// A place, in numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ModelPlace {
    pub(crate) version: u64,
    pub(crate) position_ms: u64,
    pub(crate) touched: u64,
    pub(crate) ended: bool,
}

/// One title of the model: the deltas that count for it.
pub(crate) struct ModelTitle<'a> {
    deltas: Vec<&'a Progress>,
}

impl<'a> Model<'a> {
    pub(crate) fn of(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut model = Self::default();
        for change in changes {
            match change {
                Change::Delta(title, delta) => model.deltas.entry(title.as_str()).or_default().push(delta),
                Change::Erased(stamp) => {
                    model.erased.insert(stamp.as_u64());
                }
            }
        }
        model
    }

    pub(crate) fn erased(&self) -> u64 {
        self.erased.iter().copied().max().unwrap_or(0)
    }

    /// Titles of which something remains.
    pub(crate) fn titles(&self) -> Vec<&'a str> {
        self.deltas.keys().copied().filter(|title| self.title(title).is_some()).collect()
    }

    /// The deltas begun under the highest epoch, unless the profile was erased after that.
    pub(crate) fn title(&self, title: &str) -> Option<ModelTitle<'a>> {
        let deltas = self.deltas.get(title)?;
        let epoch = deltas.iter().map(|delta| delta.epoch.as_u64()).max()?;
        if epoch < self.erased() {
            return None;
        }
        Some(ModelTitle { deltas: deltas.iter().copied().filter(|delta| delta.epoch.as_u64() == epoch).collect() })
    }

    /// The continue-watching row, as titles.
    pub(crate) fn row(&self) -> Vec<&'a str> {
        let titles: Vec<(&str, ModelTitle<'_>)> = self.titles().into_iter().map(|title| (title, self.title(title).unwrap())).collect();
        let group =
            |title: &str, known: &ModelTitle<'_>| known.series().map_or_else(|| format!("title {title}"), |id| format!("series {id}"));
        let mut row: Vec<(u64, &str)> = Vec::new();
        for (title, known) in &titles {
            let Some(acted) = known.acted() else { continue };
            let own = group(title, known);
            let siblings: Vec<_> = titles.iter().filter(|(other, sibling)| group(other, sibling) == own).collect();
            let latest = siblings.iter().all(|(other, sibling)| {
                let theirs = sibling.acted().unwrap_or(0);
                theirs < acted || (theirs == acted && *other >= *title)
            });
            let hidden = siblings.iter().any(|(_, sibling)| sibling.hidden() > 0 && sibling.hidden() >= acted);
            if latest && !hidden && !known.completed() && !known.barely_begun() {
                row.push((acted, title));
            }
        }
        row.sort_by(|(a, one), (b, other)| b.cmp(a).then(one.cmp(other)));
        row.into_iter().map(|(_, title)| title).collect()
    }
}

impl ModelTitle<'_> {
    pub(crate) fn places(&self) -> Vec<ModelPlace> {
        let reports: Vec<_> = self.deltas.iter().flat_map(|delta| delta.places.as_slice()).collect();
        let versions: BTreeSet<u64> = reports.iter().map(|place| place.version.as_u64()).collect();
        let place = |version: &u64| {
            let of_it = || reports.iter().filter(|place| place.version.as_u64() == *version);
            ModelPlace {
                version: *version,
                position_ms: of_it().map(|place| place.position.as_millis()).max().unwrap(),
                touched: of_it().map(|place| place.touched.as_u64()).max().unwrap(),
                ended: of_it().any(|place| place.ended),
            }
        };
        versions.iter().rev().take(8).map(place).collect()
    }

    fn newest(&self) -> Option<ModelPlace> {
        self.places().first().copied()
    }

    pub(crate) fn version_and_high(&self) -> (u64, u64) {
        self.newest().map_or((0, 0), |place| (place.version, place.position_ms))
    }

    pub(crate) fn furthest(&self) -> u64 {
        self.deltas.iter().map(|delta| delta.furthest.as_millis()).max().unwrap_or(0)
    }

    pub(crate) fn activity(&self) -> Option<&Activity> {
        let order = |activity: &Activity| {
            let stamp = activity.stamp.as_u64();
            let window = (stamp >> 10) / 5_000;
            let device = activity.device.as_str().as_bytes().to_vec();
            let rest = (activity.state, activity.version.as_u64(), activity.speed.as_f32().to_bits(), activity.stepped_back);
            (window, activity.rank, stamp, device, activity.position.as_millis(), rest)
        };
        self.deltas.iter().filter_map(|delta| delta.activity.as_ref()).max_by_key(|activity| order(activity))
    }

    fn acted(&self) -> Option<u64> {
        self.activity().map(|activity| activity.stamp.as_u64())
    }

    pub(crate) fn duration_ms(&self) -> Option<u64> {
        let reported = self.deltas.iter().filter_map(|delta| delta.duration).map(|known| (known.stamp.as_u64(), known.ms)).max()?;
        Some(reported.1).filter(|ms| self.furthest() <= ms + 5_000)
    }

    pub(crate) fn series(&self) -> Option<&str> {
        self.deltas
            .iter()
            .filter_map(|delta| delta.series.as_ref())
            .map(|known| (known.stamp.as_u64(), known.id.as_str()))
            .max()
            .map(|(_, id)| id)
    }

    fn hidden(&self) -> u64 {
        self.deltas.iter().map(|delta| delta.hidden.as_u64()).max().unwrap_or(0)
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden() > 0 && self.hidden() >= self.acted().unwrap_or(0)
    }

    pub(crate) fn completed(&self) -> bool {
        let Some(newest) = self.newest() else { return false };
        newest.ended || self.duration_ms().is_some_and(|ms| newest.position_ms * 20 >= ms * 19)
    }

    fn barely_begun(&self) -> bool {
        let (_, high) = self.version_and_high();
        high < 30_000 && self.duration_ms().is_none_or(|ms| high * 50 < ms)
    }

    pub(crate) fn position(&self, policy: Policy) -> u64 {
        let (version, high) = self.version_and_high();
        match policy {
            Policy::Furthest => self.furthest(),
            Policy::LastActivity => self.activity().map_or(high, |activity| activity.position.as_millis()),
            Policy::Continue => self
                .activity()
                .filter(|activity| activity.version.as_u64() == version && activity.stepped_back)
                .map(|activity| activity.position.as_millis())
                .filter(|position| (high.saturating_sub(60_000)..=high).contains(position))
                .unwrap_or(high),
        }
    }

    pub(crate) fn state(&self) -> Option<PlaybackState> {
        self.activity().map(|activity| activity.state)
    }

    /// The last day on which anything happened in it: whatever was ever made counts, also in places that fell out of the eight.
    pub(crate) fn last_day(&self) -> u64 {
        let stamps = self.deltas.iter().flat_map(|delta| {
            let touched = delta.places.as_slice().iter().map(|place| place.touched);
            touched.chain(delta.activity.as_ref().map(|activity| activity.stamp)).chain([delta.hidden])
        });
        stamps.map(|stamp| (stamp.as_u64() >> 10) / DAY_MS).max().unwrap_or(0)
    }
}
