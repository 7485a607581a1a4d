//! The naive model: registers in plain numbers, and what a set of deltas means, by definition.
//!
//! Shares nothing with the product but the shape of what it reads: no join, no comparison, no encoding of the product is called here. Written
//! after section 3 of the semantics, to be read beside it. Slow where slowness makes it plain.

use std::collections::BTreeMap;

use leftoff::progress::Progress;

/// Places that a register keeps.
const PLACES_KEPT: usize = 8;
/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// The window of the last activity, in milliseconds.
const WINDOW_MS: u64 = 5_000;

/// A place, in numbers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PlaceFact {
    /// The move that opened it.
    pub version: u64,
    /// The furthest position reported in it, in milliseconds.
    pub position_ms: u64,
    /// When it was last reported in: a stamp.
    pub touched: u64,
    /// Whether the title was played to its end in it.
    pub ended: bool,
}

/// The last activity, in numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActivityFact {
    /// When: a stamp.
    pub stamp: u64,
    /// The rank it competes with.
    pub rank: u8,
    /// Which device.
    pub device: Box<str>,
    /// The state, by its rank.
    pub state: u8,
    /// The place it was in.
    pub version: u64,
    /// Where it stood, in milliseconds.
    pub position_ms: u64,
    /// The bits of its rate.
    pub speed_bits: u32,
    /// Whether it had stepped back.
    pub stepped_back: bool,
}

impl ActivityFact {
    /// What activities are compared by, left to right: window, rank, stamp, device, position, then everything else.
    #[expect(clippy::type_complexity, reason = "the total order of the semantics, written out once")]
    fn order(&self) -> (u64, u8, u64, &[u8], u64, (u8, u64, u32, bool)) {
        let rest = (self.state, self.version, self.speed_bits, self.stepped_back);
        (wall_ms(self.stamp) / WINDOW_MS, self.rank, self.stamp, self.device.as_bytes(), self.position_ms, rest)
    }
}

/// What a delta says, or a set of them: a register in plain numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// The erasure that it was begun under.
    pub epoch: u64,
    /// Its places, newest first.
    pub places: Vec<PlaceFact>,
    /// The furthest position, in milliseconds.
    pub furthest_ms: u64,
    /// The last activity.
    pub activity: Option<ActivityFact>,
    /// When a length was last reported, and the length in milliseconds.
    pub duration: Option<(u64, u64)>,
    /// When the show was last reported, and the show.
    pub series: Option<(u64, Box<str>)>,
    /// When it was hidden; zero for never.
    pub hidden: u64,
}

impl From<&Progress> for Facts {
    fn from(progress: &Progress) -> Self {
        let place = |place: &leftoff::progress::Place| PlaceFact {
            version: place.version.as_u64(),
            position_ms: place.position.as_millis(),
            touched: place.touched.as_u64(),
            ended: place.ended,
        };
        let activity = progress.activity.as_ref().map(|activity| ActivityFact {
            stamp: activity.stamp.as_u64(),
            rank: activity.rank,
            device: activity.device.as_str().into(),
            state: activity.state.rank(),
            version: activity.version.as_u64(),
            position_ms: activity.position.as_millis(),
            speed_bits: activity.speed.as_f32().to_bits(),
            stepped_back: activity.stepped_back,
        });
        Self {
            epoch: progress.epoch.as_u64(),
            places: progress.places.as_slice().iter().map(place).collect(),
            furthest_ms: progress.furthest.as_millis(),
            activity,
            duration: progress.duration.map(|known| (known.stamp.as_u64(), known.ms)),
            series: progress.series.as_ref().map(|known| (known.stamp.as_u64(), known.id.as_str().into())),
            hidden: progress.hidden.as_u64(),
        }
    }
}

/// The wall time in a stamp, in milliseconds.
pub const fn wall_ms(stamp: u64) -> u64 {
    stamp >> 10
}

impl Facts {
    /// What a set of deltas means, by definition. Their order, and how often one is named, cannot matter: nothing here depends on either.
    pub fn of_all<'a>(deltas: impl IntoIterator<Item = &'a Self>) -> Self {
        let deltas: Vec<&Self> = deltas.into_iter().collect();
        let epoch = deltas.iter().map(|delta| delta.epoch).max().unwrap_or(0);
        // The higher epoch wins whole.
        let deltas: Vec<&Self> = deltas.into_iter().filter(|delta| delta.epoch == epoch).collect();
        let reported: Vec<&PlaceFact> = deltas.iter().flat_map(|delta| &delta.places).collect();
        let mut versions: Vec<u64> = reported.iter().map(|place| place.version).collect();
        versions.sort_unstable();
        versions.dedup();
        let place = |version: u64| {
            let of_it = || reported.iter().filter(move |place| place.version == version);
            PlaceFact {
                version,
                position_ms: of_it().map(|place| place.position_ms).max().unwrap_or(0),
                touched: of_it().map(|place| place.touched).max().unwrap_or(0),
                ended: of_it().any(|place| place.ended),
            }
        };
        Self {
            epoch,
            places: versions.into_iter().rev().take(PLACES_KEPT).map(place).collect(),
            furthest_ms: deltas.iter().map(|delta| delta.furthest_ms).max().unwrap_or(0),
            activity: deltas.iter().filter_map(|delta| delta.activity.as_ref()).max_by_key(|activity| activity.order()).cloned(),
            duration: deltas.iter().filter_map(|delta| delta.duration).max(),
            series: deltas.iter().filter_map(|delta| delta.series.clone()).max(),
            hidden: deltas.iter().map(|delta| delta.hidden).max().unwrap_or(0),
        }
    }

    /// The same as [`Facts::of_all`] of this and another, in place: for what is done with every record of a world. A test holds the two together.
    pub fn add(&mut self, other: &Self) {
        if other.epoch != self.epoch {
            if other.epoch > self.epoch {
                self.clone_from(other);
            }
            return;
        }
        for place in &other.places {
            if let Some(own) = self.places.iter_mut().find(|own| own.version == place.version) {
                own.position_ms = own.position_ms.max(place.position_ms);
                own.touched = own.touched.max(place.touched);
                own.ended = own.ended || place.ended;
            } else {
                self.places.push(*place);
                self.places.sort_unstable_by_key(|place| std::cmp::Reverse(place.version));
                self.places.truncate(PLACES_KEPT);
            }
        }
        self.furthest_ms = self.furthest_ms.max(other.furthest_ms);
        if let Some(theirs) = &other.activity
            && self.activity.as_ref().is_none_or(|ours| ours.order() < theirs.order())
        {
            self.activity = Some(theirs.clone());
        }
        self.duration = self.duration.max(other.duration);
        if self.series < other.series {
            self.series.clone_from(&other.series);
        }
        self.hidden = self.hidden.max(other.hidden);
    }

    /// Whether this says everything that `other` says.
    pub fn holds(&self, other: &Self) -> bool {
        Self::of_all([self, other]) == *self
    }

    /// `(epoch, version, high)`: what never decreases for a watcher.
    pub fn reached(&self) -> (u64, u64, u64) {
        let newest = self.places.first();
        (self.epoch, newest.map_or(0, |place| place.version), newest.map_or(0, |place| place.position_ms))
    }

    /// The newest stamp, by which a register expires: of its places, its activity and its hiding.
    pub fn newest_stamp(&self) -> u64 {
        let touched = self.places.iter().map(|place| place.touched).max().unwrap_or(0);
        touched.max(self.acted()).max(self.hidden)
    }

    /// The day of the newest stamp, since the Unix epoch.
    pub fn last_day(&self) -> u64 {
        wall_ms(self.newest_stamp()) / DAY_MS
    }

    /// Whether it lies before an expiry floor.
    pub fn is_expired(&self, floor_day: u32) -> bool {
        floor_day > 0 && self.last_day() < u64::from(floor_day)
    }

    /// The highest stamp or version anywhere in it.
    pub fn highest_stamp(&self) -> u64 {
        let versions = self.places.first().map_or(0, |place| place.version);
        let acted = self.activity.as_ref().map_or(0, |activity| activity.version);
        let duration = self.duration.map_or(0, |(stamp, _)| stamp);
        let series = self.series.as_ref().map_or(0, |(stamp, _)| *stamp);
        [self.newest_stamp(), versions, acted, duration, series, self.epoch].into_iter().max().unwrap_or(0)
    }

    /// When the last activity was; zero if there was none.
    pub fn acted(&self) -> u64 {
        self.activity.as_ref().map_or(0, |activity| activity.stamp)
    }

    /// The length, unless a position beyond it has been reported.
    fn trusted_duration_ms(&self) -> Option<u64> {
        self.duration.map(|(_, ms)| ms).filter(|ms| self.furthest_ms <= ms + 5_000)
    }

    fn is_completed(&self) -> bool {
        let Some(newest) = self.places.first() else { return false };
        newest.ended || self.trusted_duration_ms().is_some_and(|ms| ms > 0 && newest.position_ms * 20 >= ms * 19)
    }

    fn is_barely_begun(&self) -> bool {
        let high = self.places.first().map_or(0, |place| place.position_ms);
        high < 30_000 && self.trusted_duration_ms().is_none_or(|ms| high * 50 < ms)
    }
}

/// The continue-watching row of a profile's registers, as indexes of them, by definition.
pub fn row(registers: &[(&str, &Facts)]) -> Vec<usize> {
    let group = |title: &str, known: &Facts| match &known.series {
        Some((_, id)) => format!("series {id}"),
        None => format!("title {title}"),
    };
    let groups: Vec<String> = registers.iter().map(|(title, known)| group(title, known)).collect();
    let mut shown: Vec<(u64, &str, usize)> = Vec::new();
    for (index, (title, known)) in registers.iter().enumerate() {
        let acted = known.acted();
        let siblings = || registers.iter().zip(&groups).filter(|(_, other)| **other == groups[index]).map(|(register, _)| register);
        let stands_for_all = siblings().all(|(other, sibling)| sibling.acted() < acted || (sibling.acted() == acted && *other >= *title));
        let is_hidden = siblings().any(|(_, sibling)| sibling.hidden > 0 && sibling.hidden >= acted);
        if known.activity.is_some() && stands_for_all && !is_hidden && !known.is_completed() && !known.is_barely_begun() {
            shown.push((acted, title, index));
        }
    }
    shown.sort_by(|(a, one, _), (b, other, _)| b.cmp(a).then(one.cmp(other)));
    shown.into_iter().map(|(_, _, index)| index).collect()
}

/// The deltas of one register, each with whether some disk that held it is still there.
///
/// Where nothing can be lost, many are put together by definition, so that a register costs what a few dozen deltas cost, however long it lives.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    certain: Vec<Facts>,
    uncertain: Vec<Facts>,
    /// Days before the last that were put together.
    merged: usize,
}

/// Deltas kept one by one where they need not be told apart.
const KEPT_APART_MAX: usize = 32;

impl Deltas {
    /// Adds a delta. `apart`: it may have to be told from the others later. `expires`: from those of other days.
    pub fn add(&mut self, delta: Facts, apart: bool, expires: bool) {
        self.certain.push(delta);
        if apart || self.certain.len() < self.merged + KEPT_APART_MAX {
            return;
        }
        let mut by_day: BTreeMap<u64, Vec<Facts>> = BTreeMap::new();
        for delta in std::mem::take(&mut self.certain) {
            let day = if expires { delta.last_day() } else { 0 };
            by_day.entry(day).or_default().push(delta);
        }
        self.certain = by_day.values().map(Facts::of_all).collect();
        self.merged = self.certain.len() - 1;
    }

    /// Whether it is one of those that are certain, by itself.
    pub fn has(&self, delta: &Facts) -> bool {
        self.certain.contains(delta)
    }

    /// Adds a delta that may be there in the end or not.
    pub fn add_uncertain(&mut self, delta: Facts) {
        self.uncertain.push(delta);
    }

    /// Makes those uncertain that `is_lost` says no disk holds any more; answers them.
    pub fn lose(&mut self, is_lost: impl Fn(&Facts) -> bool) -> Vec<Facts> {
        let (lost, kept): (Vec<Facts>, Vec<Facts>) = std::mem::take(&mut self.certain).into_iter().partition(|delta| is_lost(delta));
        self.certain = kept;
        self.uncertain.extend(lost.iter().cloned());
        lost
    }

    /// Makes the uncertain ones certain that a disk turns out to hold after all.
    pub fn find(&mut self, held: &Facts) {
        if self.uncertain.is_empty() {
            return;
        }
        let (found, lost) = std::mem::take(&mut self.uncertain).into_iter().partition(|delta| held.holds(delta));
        self.uncertain = lost;
        self.certain.extend::<Vec<Facts>>(found);
    }

    /// What must be there: everything that is certain, and of the uncertain and the expired what `result` holds. None: nothing may be there.
    pub fn expected(&self, result: Option<&Facts>, erased: u64, floor_day: u32) -> Option<Facts> {
        let counts = |delta: &&Facts| delta.epoch >= erased;
        let (expired, certain): (Vec<&Facts>, Vec<&Facts>) =
            self.certain.iter().filter(counts).partition(|delta| delta.is_expired(floor_day));
        let found = |delta: &&Facts| result.is_some_and(|result| result.holds(delta));
        let perhaps = self.uncertain.iter().filter(counts).chain(expired).filter(found);
        let counted: Vec<&Facts> = certain.into_iter().chain(perhaps).collect();
        let all = Facts::of_all(counted.iter().copied());
        (!counted.is_empty() && !all.is_expired(floor_day)).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    fn stamp(dice: &mut Dice) -> u64 {
        (1_790_000_000_000 + dice.below(12) * 1_500) << 10 | dice.below(3)
    }

    fn delta(dice: &mut Dice) -> Facts {
        let version = dice.below(14);
        let position_ms = dice.below(20) * 1_000;
        let touched = stamp(dice);
        let device: Box<str> = ["phone", "tv"][dice.below(2) as usize].into();
        let state = dice.below(5) as u8;
        Facts {
            epoch: dice.below(8) / 7,
            places: vec![PlaceFact { version, position_ms, touched, ended: state == 4 }],
            furthest_ms: position_ms,
            activity: (dice.below(4) > 0).then(|| ActivityFact {
                stamp: touched,
                rank: state,
                device,
                state,
                version,
                position_ms,
                speed_bits: 1f32.to_bits(),
                stepped_back: dice.below(2) == 0,
            }),
            duration: (dice.below(3) == 0).then(|| (touched, 6_000_000 + dice.below(2))),
            series: (dice.below(3) == 0).then(|| (touched, ["a", "b"][dice.below(2) as usize].into())),
            hidden: if dice.below(5) == 0 { touched } else { 0 },
        }
    }

    #[test]
    fn adding_one_by_one_in_any_order_is_what_the_whole_set_means() {
        let mut dice = Dice(7);
        for _ in 0..400 {
            let deltas: Vec<Facts> = (0..dice.below(30)).map(|_| delta(&mut dice)).collect();
            let all = Facts::of_all(&deltas);
            let mut forwards = Facts::default();
            deltas.iter().for_each(|delta| forwards.add(delta));
            let mut backwards = Facts::default();
            deltas.iter().rev().chain(&deltas).for_each(|delta| backwards.add(delta));
            assert_eq!((&forwards, &backwards), (&all, &all));
            let half = deltas.len() / 2;
            assert_eq!(Facts::of_all([&Facts::of_all(&deltas[..half]), &Facts::of_all(&deltas[half..])]), all);
            assert!(deltas.iter().all(|delta| all.holds(delta)));
        }
    }

    #[test]
    fn the_model_and_the_product_agree_though_they_share_no_code() {
        use leftoff::progress::{EventKind, PlaybackEvent};
        let core = crate::checkers::testing::node(1);
        let mut product = Progress::default();
        let mut model = Facts::default();
        let mut dice = Dice(11);
        for step in 0..300 {
            let kind = [EventKind::Play, EventKind::Heartbeat, EventKind::Seek, EventKind::Pause][dice.below(4) as usize];
            let device = ["phone", "tv"][dice.below(2) as usize];
            let event = PlaybackEvent::new("p", "film", device, kind, dice.below(5_000_000));
            core.record(crate::checkers::testing::NOW.shifted(step * 4_000), None, &[event]).unwrap();
            core.flush_observed(&mut |applied| {
                let leftoff::store::Record::Register { state, .. } = applied.record().unwrap() else { return };
                product.join(&state);
                model.add(&Facts::from(&state));
            })
            .unwrap();
            assert_eq!(Facts::from(&product), model);
        }
        assert_eq!(model.places.len(), PLACES_KEPT);
    }

    #[test]
    fn what_no_disk_holds_any_more_may_be_there_or_not_and_all_else_must() {
        let at = |version, position_ms| Facts {
            places: vec![PlaceFact { version, position_ms, touched: 1 << 40, ended: false }],
            furthest_ms: position_ms,
            ..Facts::default()
        };
        let mut deltas = Deltas::default();
        deltas.add(at(0, 10), true, false);
        deltas.add(at(5, 20), true, false);
        assert_eq!(deltas.lose(|delta| delta.places[0].version == 5), [at(5, 20)]);
        assert_eq!(deltas.expected(Some(&at(0, 10)), 0, 0), Some(at(0, 10)), "gone");
        let both = Facts::of_all([&at(0, 10), &at(5, 20)]);
        assert_eq!(deltas.expected(Some(&both), 0, 0), Some(both.clone()), "come back");
        assert_ne!(deltas.expected(Some(&at(5, 20)), 0, 0), Some(at(5, 20)), "the certain one is missing");
        deltas.find(&both);
        assert_ne!(deltas.expected(Some(&at(0, 10)), 0, 0), Some(at(0, 10)), "found, so it may not be lost again");
    }

    #[test]
    fn erased_and_expired_deltas_are_nothing() {
        let day = 86_400_000u64 << 10;
        let mut deltas = Deltas::default();
        deltas.add(Facts { hidden: 3 * day, ..Facts::default() }, false, true);
        assert!(deltas.expected(None, 0, 3).is_some());
        assert!(deltas.expected(None, 0, 4).is_none());
        assert!(deltas.expected(None, 1, 0).is_none());
    }
}
