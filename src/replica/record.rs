//! Recording: events in, deltas into the log.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{Core, NotDurable};
use crate::limits::{RECORD_BYTES_MAX, TITLES_PER_PROFILE_COUNT_MAX};
use crate::progress::{Event, PlaybackEvent, Playhead, ProfileId, Progress, Refusal, TitleId, Version, View, event_time};
use crate::store::{AppendError, Batch, ReadError, Seq};
use crate::time::{Hlc, WallTime};

/// What became of a batch of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// For each event the place it counted in, or why it was refused.
    pub outcomes: Vec<Result<Version, Refusal>>,
    /// For each event the number of the change that it made; none: it changed nothing.
    pub changes: Vec<Option<Seq>>,
    /// The number to wait for, if any event was accepted: everything that the batch says is kept when this one is durable. That of a repeat is
    /// no older than what it repeats: a retry is not acknowledged before the original could be.
    pub last: Option<Seq>,
}

/// Why a batch is not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The store takes nothing now, or nothing any more. Nothing was recorded.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What an event builds on could not be read. What came before it in the batch is recorded all the same; sent again, it is recognised.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The replica must not acknowledge anything now. Nothing was recorded.
    #[error("not ready: {reason}")]
    NotReady {
        /// Why.
        reason: String,
    },
    /// It was recorded and could not be kept.
    #[error(transparent)]
    NotDurable(#[from] NotDurable),
}

/// A device's clock that agrees with ours this well is taken as right. Delays on the way would otherwise date every event a little later
/// each time it is sent, and a repeated import would never quite be the same.
const OFFSET_IGNORED_MS: i64 = 2_000;

/// A place may be so far ahead of our clock and still have been opened before the event at hand: players that open places themselves know our time
/// from one answer, whose way they can only guess. Further ahead it is a clock that is wrong, and rules of its own say what becomes of that.
const PLACED_AHEAD_MS_MAX: i64 = 10_000;

/// Titles by profile, those begun in the same batch included. Counted once a batch: counting reads the whole profile, and an import begins a
/// thousand titles at once.
type TitleCounts = BTreeMap<u64, usize>;

/// Room asked of the store for each event, so that a batch is refused before its playheads move or not at all.
const EVENT_BYTES: usize = RECORD_BYTES_MAX;

/// What has been recorded of some batches so far.
struct Recording {
    batch: Batch,
    outcomes: Vec<Result<Version, Refusal>>,
    /// For each event the index of its record in the batch.
    records: Vec<Option<u64>>,
    counts: TitleCounts,
    repeats: bool,
}

impl Core {
    /// Records a batch of events, one by one: each counts or is refused by itself.
    ///
    /// `now` is this machine's clock, `sent_at` the device's when it sent the batch, if it said so. The events are kept when
    /// [`Recorded::last`] is durable; until then they are neither visible nor acknowledged.
    ///
    /// # Errors
    ///
    /// Nothing of the batch is acknowledged. What came before an event that could not be read for is recorded all the same; sent again, it is
    /// recognised.
    pub fn record(&self, now: WallTime, sent_at: Option<WallTime>, events: &[PlaybackEvent]) -> Result<Recorded, RecordError> {
        self.record_all(now, &[(sent_at, events)])
    }

    /// The same for several devices' batches, each with the time its device sent it, in one go: as one batch to the log. The outcomes are those of
    /// all batches, one after the other.
    ///
    /// # Errors
    ///
    /// Those of [`Core::record`].
    pub fn record_all(&self, now: WallTime, batches: &[(Option<WallTime>, &[PlaybackEvent])]) -> Result<Recorded, RecordError> {
        let count = batches.iter().map(|(_, events)| events.len()).sum::<usize>();
        self.admit(count * EVENT_BYTES)?;
        let now = self.corrected(now);
        let sharing = self.sharing.read().unwrap_or_else(PoisonError::into_inner);
        self.recording.fetch_add(1, Ordering::AcqRel);
        let mut recording = Recording {
            batch: if *sharing { Batch::local() } else { Batch::local().unshared() },
            outcomes: Vec::with_capacity(count),
            records: Vec::with_capacity(count),
            counts: TitleCounts::new(),
            repeats: false,
        };
        let failed = batches.iter().find_map(|(sent_at, events)| self.record_batch(now, *sent_at, events, &mut recording).err());
        let Recording { batch, outcomes, records, repeats, .. } = recording;
        // Also what came before a failure: its playheads have moved on, and would take it for a repeat when it is sent again.
        let appended = if batch.is_empty() { Ok(None) } else { self.store.append(batch).map(Some) };
        self.recording.fetch_sub(1, Ordering::AcqRel);
        drop(sharing);
        let appended = appended?;
        if appended.is_some() {
            self.wake_committer();
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let number = |record: Option<u64>| record.and_then(|index| appended.map(|appended| Seq(appended.first.0 + index)));
        let changes = records.into_iter().map(number).collect();
        let last = appended.map(|appended| appended.last);
        if !repeats {
            return Ok(Recorded { outcomes, changes, last });
        }
        // What is repeated may have been recorded a moment ago by a thread that has moved the playhead and not yet appended.
        if self.recording.load(Ordering::Acquire) > 0 {
            drop(self.sharing.write().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(Recorded { outcomes, changes, last: Some(self.store.appended()) })
    }

    fn record_batch(
        &self,
        now: WallTime,
        sent_at: Option<WallTime>,
        events: &[PlaybackEvent],
        recording: &mut Recording,
    ) -> Result<(), RecordError> {
        let checked: Vec<Result<Event, Refusal>> = events.iter().map(|raw| Event::check(now, self.options.drift_ms_max, raw)).collect();
        if sent_at.is_none() {
            for event in checked.iter().flatten() {
                if let Some(at) = event.at {
                    self.offsets.observe(self.device_hash(event), now, at);
                }
            }
        }
        for event in checked {
            let before = recording.batch.count();
            let outcome = match event {
                Ok(event) => self.record_one(now, sent_at, &event, &mut recording.batch, &mut recording.counts)?,
                Err(refusal) => Err(refusal),
            };
            let made = recording.batch.count() != before;
            recording.repeats |= outcome.is_ok() && !made;
            recording.outcomes.push(outcome);
            recording.records.push(made.then_some(before as u64));
        }
        Ok(())
    }

    /// Removes a title from the continue-watching row; new activity shows it again. In effect when the number returned is durable.
    ///
    /// # Errors
    ///
    /// Nothing was hidden.
    pub fn hide(&self, now: WallTime, profile: &ProfileId, title: &TitleId) -> Result<Seq, RecordError> {
        self.admit(EVENT_BYTES)?;
        let sharing = self.sharing.read().unwrap_or_else(PoisonError::into_inner);
        let mut batch = if *sharing { Batch::local() } else { Batch::local().unshared() };
        batch.register(profile, title, &Progress::hiding(self.erased(profile), self.tick(now)));
        let last = self.store.append(batch)?.last;
        drop(sharing);
        self.wake_committer();
        Ok(last)
    }

    /// Erases a profile: here when the number returned is durable, and everywhere that it reaches. Nothing brings it back.
    ///
    /// # Errors
    ///
    /// Nothing was erased.
    pub fn erase(&self, now: WallTime, profile: &ProfileId) -> Result<Seq, RecordError> {
        self.admit(EVENT_BYTES)?;
        let profile_hash = self.store.hasher().profile(profile);
        // Held throughout: no event of the profile can slip between the stamp and the forgetting of its playheads.
        let mut shard = self.playheads.shard(profile_hash);
        // A tombstone is never moved in time. While no peer's clock is known, it is stamped by what is known of others instead of by this clock:
        // above everything shared, which is all that it has to be above, for what is unshared was begun under an earlier epoch.
        let stamp = if self.keeps_apart() { self.store.highest_stamp().next() } else { self.tick(now) };
        // Above the last erasure also when this clock was ahead then, and has been put right: an earlier one would erase nothing.
        let erased = stamp.max(self.erased(profile).next());
        let mut batch = Batch::local();
        batch.erased(profile, erased);
        let last = self.store.append(batch)?.last;
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner).insert(profile.clone(), erased);
        shard.forget_profile(profile_hash);
        drop(shard);
        self.wake_committer();
        Ok(last)
    }

    fn admit(&self, bytes: usize) -> Result<(), RecordError> {
        if let Some((_, reason)) = self.not_ready().into_iter().next() {
            return Err(RecordError::NotReady { reason });
        }
        // Asked before a playhead changes: a batch refused afterwards would be taken for a repeat when it is sent again.
        Ok(self.store.admit(bytes)?)
    }

    fn device_hash(&self, event: &Event) -> u64 {
        let mut bytes = [0; 2 * crate::limits::ID_BYTES_MAX + 1];
        let (profile, device) = (event.profile.as_str().as_bytes(), event.device.as_str().as_bytes());
        bytes[..profile.len()].copy_from_slice(profile);
        bytes[profile.len()] = 0xff;
        let length = profile.len() + 1 + device.len();
        bytes[profile.len() + 1..length].copy_from_slice(device);
        self.store.hasher().bytes(&bytes[..length])
    }

    fn record_one(
        &self,
        now: WallTime,
        sent_at: Option<WallTime>,
        event: &Event,
        batch: &mut Batch,
        counts: &mut TitleCounts,
    ) -> Result<Result<Version, Refusal>, RecordError> {
        let device = self.device_hash(event);
        let offset_ms = match (event.at, sent_at) {
            (None, _) => 0,
            (Some(_), Some(sent_at)) => now.millis_since(sent_at),
            (Some(_), None) => self.offsets.offset_ms(device, now),
        };
        let offset_ms = if offset_ms.abs() <= OFFSET_IGNORED_MS { 0 } else { offset_ms };
        let at = event_time(now, event.at, offset_ms);
        let hasher = self.store.hasher();
        let profile_hash = hasher.profile(&event.profile);
        let key = hasher.register_in(profile_hash, &event.profile, &event.title);
        let mut shard = self.playheads.shard(profile_hash);
        let erased = self.erased(&event.profile);
        if was_erased(event, at, erased) {
            return Ok(Ok(event.placed.map_or(Version::FIRST, |(version, _)| version)));
        }
        let live = Playhead::is_live(now, at).then(|| self.clock.tick(now));
        let report = if let Some(playhead) = shard.find(key, device) {
            let view = if playhead.wants_view(event, at) { Some(self.view(event, erased)?) } else { None };
            playhead.report(event, at, after_newest(live, view.as_ref()), view.as_ref())
        } else {
            let register = self.store.register(&event.profile, &event.title)?;
            if register.is_none()
                && let Err(refusal) = self.has_room(event, profile_hash, counts)?
            {
                return Ok(Err(refusal));
            }
            let view = View::of(register.as_ref().map(|stored| &stored.progress), erased);
            let live = after_newest(live, Some(&view));
            let mut playhead = match event.placed {
                Some((version, _)) => Playhead::start_placed(view.epoch, version, at),
                None => Playhead::start(event, at, live, &view),
            };
            let report = playhead.report(event, at, live, Some(&view).filter(|_| event.placed.is_none()));
            shard.insert(key, device, playhead);
            report
        };
        if let Some(delta) = &report.delta {
            batch.register(&event.profile, &event.title, delta);
        }
        Ok(Ok(report.version))
    }

    // Checked where a title is begun, never at a merge: two replicas may each have begun one, and neither is to be lost.
    fn has_room(&self, event: &Event, profile_hash: u64, counts: &mut TitleCounts) -> Result<Result<(), Refusal>, ReadError> {
        let count = match counts.entry(profile_hash) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.store.title_count(&event.profile)?),
        };
        let bound = TITLES_PER_PROFILE_COUNT_MAX;
        if *count >= bound {
            return Ok(Err(Refusal::TooManyTitles { count: *count, bound }));
        }
        *count += 1;
        Ok(Ok(()))
    }

    fn view(&self, event: &Event, erased: Hlc) -> Result<View, ReadError> {
        let register = self.store.register(&event.profile, &event.title)?;
        Ok(View::of(register.as_ref().map(|stored| &stored.progress), erased))
    }
}

// What is live comes after what is there: its stamp is above the newest place, also where that is a moment in our future.
fn after_newest(live: Option<Hlc>, view: Option<&View>) -> Option<Hlc> {
    let newest = view.and_then(|view| view.places.newest()).map_or(Hlc::ZERO, |place| place.version.as_hlc());
    let is_ahead = |stamp: Hlc| newest >= stamp && newest.wall().millis_since(stamp.wall()) <= PLACED_AHEAD_MS_MAX;
    live.map(|stamp| if is_ahead(stamp) { newest.next() } else { stamp })
}

// Version 0 is the place that a title starts in, also one begun anew after the erasure; its time decides.
fn was_erased(event: &Event, at: WallTime, erased: Hlc) -> bool {
    let placed = event.placed.map_or(Version::FIRST, |(version, _)| version);
    // Without a time of its own an event is now, also at a node whose clock is behind the one where the profile was erased.
    erased != Hlc::ZERO && ((event.at.is_some() && at <= erased.wall()) || (placed != Version::FIRST && placed.as_hlc() <= erased))
}
