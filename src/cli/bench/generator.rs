//! Load made from numbers: profiles, titles and devices have UUIDs derived from their index, so nothing of the load is kept in memory.

use crate::progress::{
    Activity, DeviceId, EventKind, KnownDuration, KnownSeries, Place, Places, PlaybackEvent, PlaybackState, Position, ProfileId, Progress,
    SeriesId, Speed, TitleId, Version,
};
use crate::store::Record;
use crate::time::{Hlc, WallTime};

/// Titles that profiles choose from.
const CATALOGUE_COUNT: u64 = 50_000;
/// Episodes of a show.
const EPISODES: u64 = 20;
/// Length of every title, in milliseconds.
const DURATION_MS: u64 = 7_200_000;
/// Between two heartbeats of a playhead, in milliseconds.
pub(super) const HEARTBEAT_MS: u64 = 10_000;

const PROFILE: u64 = 1 << 56;
const TITLE: u64 = 2 << 56;
const DEVICE: u64 = 3 << 56;
const SERIES: u64 = 4 << 56;
const POSITION: u64 = 5 << 56;

/// So many registers, spread evenly over so many profiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Population {
    pub(super) registers: u64,
    pub(super) profiles: u64,
}

/// A well-mixed number from a number: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(super) const fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const fn hex_pairs() -> [[u8; 2]; 256] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
}

static HEX_PAIRS: [[u8; 2]; 256] = hex_pairs();

/// Writes the UUID of a thing of a kind over `text`.
fn put_uuid(text: &mut String, kind: u64, index: u64) {
    let (high, low) = (mixed(kind | index), mixed(!(kind | index)));
    let mut digits = [b'-'; 36];
    let mut at = 0;
    for (place, byte) in high.to_le_bytes().into_iter().chain(low.to_le_bytes()).enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            at += 1;
        }
        digits[at..at + 2].copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
        at += 2;
    }
    text.clear();
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

fn uuid(kind: u64, index: u64) -> String {
    let mut text = String::with_capacity(36);
    put_uuid(&mut text, kind, index);
    text
}

impl Population {
    /// The profile of a register.
    pub(super) const fn profile_of(&self, register: u64) -> u64 {
        (register as u128 * self.profiles as u128 / self.registers as u128) as u64
    }

    /// The first register of a profile.
    pub(super) const fn first_register(&self, profile: u64) -> u64 {
        (profile as u128 * self.registers as u128).div_ceil(self.profiles as u128) as u64
    }

    const fn title_index(&self, register: u64) -> u64 {
        let profile = self.profile_of(register);
        (mixed(profile) % CATALOGUE_COUNT + register - self.first_register(profile)) % CATALOGUE_COUNT
    }

    /// Where the fill left a register.
    pub(super) const fn first_position_ms(register: u64) -> u64 {
        600_000 + mixed(POSITION | register) % 3_000_000
    }

    /// A register as the fill writes it: watched for a while on the profile's device.
    pub(super) fn filled(&self, register: u64, stamp: Hlc) -> Result<Record, crate::progress::IdError> {
        let position = Position::from_millis(Self::first_position_ms(register));
        self.record(register, stamp, position, true)
    }

    /// What a peer would send of a register after one more heartbeat of its device.
    pub(super) fn remote_delta(&self, register: u64, stamp: Hlc, beats: u64) -> Result<Record, crate::progress::IdError> {
        let position = Position::from_millis(Self::first_position_ms(register) + beats * HEARTBEAT_MS);
        self.record(register, stamp, position, false)
    }

    fn record(&self, register: u64, stamp: Hlc, position: Position, whole: bool) -> Result<Record, crate::progress::IdError> {
        let (profile, title) = (self.profile_of(register), self.title_index(register));
        let version = Version::FIRST;
        let activity = Activity {
            stamp,
            rank: 0,
            device: DeviceId::new(uuid(DEVICE, profile))?,
            state: PlaybackState::Playing,
            version,
            position,
            speed: Speed::NORMAL,
            stepped_back: false,
        };
        let series = if whole { Some(KnownSeries { stamp, id: SeriesId::new(uuid(SERIES, title / EPISODES))? }) } else { None };
        let state = Progress {
            epoch: Hlc::ZERO,
            places: Places::single(Place { version, position, touched: stamp, ended: false }),
            furthest: position,
            activity: Some(activity),
            duration: Some(KnownDuration { stamp, ms: DURATION_MS }),
            series,
            hidden: Hlc::ZERO,
        };
        Ok(Record::Register { profile: ProfileId::new(uuid(PROFILE, profile))?, title: TitleId::new(uuid(TITLE, title))?, state })
    }

    /// The profile's id.
    pub(super) fn profile_id(profile: u64) -> Result<ProfileId, crate::progress::IdError> {
        ProfileId::new(uuid(PROFILE, profile))
    }

    /// The ids of a register.
    pub(super) fn ids(&self, register: u64) -> Result<(ProfileId, TitleId), crate::progress::IdError> {
        Ok((Self::profile_id(self.profile_of(register))?, TitleId::new(uuid(TITLE, self.title_index(register)))?))
    }
}

/// An endless evening: every profile's device reports in turn, round after round, and now and then another device starts something else.
#[derive(Clone, Debug)]
pub(super) struct Evening {
    population: Population,
    /// One of so many events starts a playhead that is not remembered; zero: none does.
    start_every: u64,
    next: u64,
    beats: u64,
    events: Vec<PlaybackEvent>,
}

impl Evening {
    pub(super) fn new(population: Population, starts_percent: f64, batch: usize) -> Self {
        let blank = PlaybackEvent { duration_ms: Some(DURATION_MS), ..PlaybackEvent::new("", "", "", EventKind::Heartbeat, 0) };
        let mut evening = Self { population, start_every: 0, next: 0, beats: 0, events: vec![blank; batch] };
        evening.set_starts_percent(starts_percent);
        evening
    }

    /// From here on so many of a hundred events start a playhead that is not remembered.
    pub(super) fn set_starts_percent(&mut self, percent: f64) {
        self.start_every = if percent > 0.0 { (100.0 / percent).round().max(1.0) as u64 } else { 0 };
    }

    /// How long it takes until every profile has reported once more, in events.
    pub(super) fn round_count(&self) -> u64 {
        match self.start_every {
            0 => self.population.profiles,
            every => self.population.profiles * every / (every - 1).max(1),
        }
    }

    /// The next batch, as sent at this time; every event has the time at which it happened.
    pub(super) fn batch(&mut self, now: WallTime) -> &[PlaybackEvent] {
        let Self { population, start_every, next, beats, events } = self;
        for event in events.iter_mut() {
            let number = *next;
            *next += 1;
            let starts = *start_every != 0 && number % *start_every == *start_every - 1;
            let (register, device);
            if starts {
                register = mixed(number) % population.registers;
                device = population.profiles + number;
                event.kind = EventKind::Play;
                event.position_ms = Population::first_position_ms(register) + HEARTBEAT_MS;
            } else {
                let (profile, beat) = (*beats % population.profiles, *beats / population.profiles);
                *beats += 1;
                register = population.first_register(profile);
                device = profile;
                event.kind = EventKind::Heartbeat;
                event.position_ms = (Population::first_position_ms(register) + (beat + 1) * HEARTBEAT_MS).min(DURATION_MS);
            }
            put_uuid(&mut event.profile_id, PROFILE, population.profile_of(register));
            put_uuid(&mut event.title_id, TITLE, population.title_index(register));
            put_uuid(&mut event.device_id, DEVICE, device);
            event.at_ms = Some(now.as_millis());
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_belongs_to_one_profile() {
        let population = Population { registers: 50, profiles: 15 };
        let mut seen = 0;
        for profile in 0..15 {
            for register in population.first_register(profile)..population.first_register(profile + 1) {
                assert_eq!(population.profile_of(register), profile);
                seen += 1;
            }
        }
        assert_eq!(seen, 50);
    }

    #[test]
    fn a_round_reports_every_profile_once_and_ids_are_uuids() {
        let mut evening = Evening::new(Population { registers: 50, profiles: 49 }, 2.0, 50);
        assert_eq!(evening.round_count(), 50);
        let events = evening.batch(WallTime::from_millis(1_790_000_000_000));
        let mut profiles: Vec<&str> =
            events.iter().filter(|event| event.kind == EventKind::Heartbeat).map(|event| event.profile_id.as_str()).collect();
        profiles.sort_unstable();
        profiles.dedup();
        assert_eq!(profiles.len(), 49);
        assert!(profiles.iter().all(|id| id.len() == 36));
    }
}
