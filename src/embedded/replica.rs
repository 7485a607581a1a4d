//! The replica that a device embeds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use super::identity;
use super::threads::{StartError, Threads};
use super::{Changes, ReplicaConfig};
use crate::progress::{DeviceId, PlaybackEvent, PlaybackState, Policy, ProfileId, Refusal, ResumePoint, SeriesId, TitleId};
use crate::replica::{Answer, Core, NotDurable, RecordError};
use crate::store::{CloseError, OpenError, OpenReport, ReadError, Seq, Store, Stored};
use crate::time::WallTime;
use crate::time::system::{monotonic_now, wall_now};

/// Progress in one title, as the replica that was asked knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TitleProgress {
    /// Whose.
    pub profile: ProfileId,
    /// In which title.
    pub title: TitleId,
    /// The show, if one is known.
    pub series: Option<SeriesId>,
    /// Where to resume, and what else is known.
    pub point: ResumePoint,
    /// The number under which the register last changed at this replica; zero if nothing is recorded, or nothing of it is shared yet.
    pub arrived: Seq,
}

impl TitleProgress {
    pub(super) fn new(profile: ProfileId, title: TitleId, answer: Answer) -> Self {
        let series = answer.register.and_then(|register| register.series).map(|known| known.id);
        Self { profile, title, series, point: answer.point, arrived: answer.arrived }
    }

    /// What the last device was doing, if anything is recorded.
    pub fn state(&self) -> Option<PlaybackState> {
        self.point.state
    }
}

/// Why a replica did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The folder could not be made, read or written.
    #[error("the folder {folder} cannot be used")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The store did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its threads did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why an event was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordEventError {
    /// The event itself is wrong; recording it again will not help.
    #[error("the event was refused: {0}")]
    Refused(#[from] Refusal),
    /// The replica could not take or keep it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It was kept and could not be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A replica in a folder: usable offline from the first call, durable, and in step with its peers whenever it is connected.
///
/// Dropping it ends its threads and syncs what was recorded; [`Replica::close`] also makes the next opening instant.
///
/// ```
/// use leftoff::embedded::{Replica, ReplicaConfig};
/// use leftoff::progress::{DeviceId, EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
///
/// let folder = tempfile::tempdir()?;
/// let replica = Replica::open(ReplicaConfig::new(folder.path(), DeviceId::new("phone")?))?;
/// let (profile, title) = (ProfileId::new("ada")?, TitleId::new("film")?);
/// replica.record(PlaybackEvent::new("ada", "film", "phone", EventKind::Pause, 540_500))?;
/// let progress = replica.resume_point(&profile, &title, Policy::Continue)?;
/// assert_eq!(progress.point.position.as_millis(), 540_500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Replica {
    core: Arc<Core>,
    threads: Mutex<Threads>,
    folder: PathBuf,
    device: DeviceId,
    report: OpenReport,
}

impl Replica {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    ///
    /// Another process has it open, it cannot be written, or what it holds is not readable; nothing was changed then.
    pub fn open(config: ReplicaConfig) -> Result<Self, ReplicaError> {
        let folder = config.folder.clone();
        let failed = |source| ReplicaError::Folder { folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut options = config.store.clone();
        options.key_secret = identity::key_secret(&folder).map_err(failed)?;
        Self::open_with_secret(ReplicaConfig { store: options, ..config })
    }

    /// The same with the key secret that is set in the options: for nodes, which share their cluster's.
    pub fn open_with_secret(config: ReplicaConfig) -> Result<Self, ReplicaError> {
        let folder = config.folder;
        let failed = |source| ReplicaError::Folder { folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let (store, report) = Store::open_folder(&folder.join("store"), config.store, identity::fresh().map_err(failed)?)?;
        let core = Arc::new(Core::new(store, config.core));
        core.set_clock_offset_ms(identity::clock_offset_ms(&folder));
        let threads = Mutex::new(Threads::start(&core)?);
        Ok(Self { core, threads, folder, device: config.device, report })
    }

    /// The replica beneath, for what this facade does not show.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Which device this is.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// How opening went.
    pub fn open_report(&self) -> &OpenReport {
        &self.report
    }

    /// Records one event and waits until it is durable; answers the new progress in its title.
    ///
    /// # Errors
    ///
    /// Refused events change nothing. After [`RecordError::NotDurable`] the event may or may not be found when the replica is opened again.
    pub fn record(&self, event: PlaybackEvent) -> Result<TitleProgress, RecordEventError> {
        let (profile, title) = (ProfileId::new(&event.profile_id), TitleId::new(&event.title_id));
        let [outcome] = <[_; 1]>::try_from(self.record_batch(&[event])?).unwrap_or([Ok(())]);
        outcome?;
        let id = |field| move |source| Refusal::Id { field, source };
        let (profile, title) = (profile.map_err(id("profile_id"))?, title.map_err(id("title_id"))?);
        Ok(self.resume_point(&profile, &title, Policy::Continue)?)
    }

    /// Records events, each by itself, and waits until those that count are durable.
    pub fn record_batch(&self, events: &[PlaybackEvent]) -> Result<Vec<Result<(), Refusal>>, RecordError> {
        let now = self.now();
        let recorded = self.core.record(now, Some(now), events)?;
        if let Some(last) = recorded.last {
            self.wait(last)?;
        }
        Ok(recorded.outcomes.into_iter().map(|outcome| outcome.map(|_| ())).collect())
    }

    /// Where to resume a title; nothing recorded: at its start.
    pub fn resume_point(&self, profile: &ProfileId, title: &TitleId, policy: Policy) -> Result<TitleProgress, ReadError> {
        Ok(TitleProgress::new(profile.clone(), title.clone(), self.core.resume_point(profile, title, policy)?))
    }

    /// The continue-watching row of a profile: most recent first, at most `limit` (and never more than 200).
    pub fn continue_watching(&self, profile: &ProfileId, limit: usize) -> Result<Vec<TitleProgress>, ReadError> {
        let entry = |(title, stored): (TitleId, Stored)| {
            let point = ResumePoint::read(Some(&stored.progress), Policy::Continue);
            TitleProgress::new(profile.clone(), title, Answer { point, register: Some(stored.progress), arrived: stored.arrived })
        };
        Ok(self.core.continue_watching(profile, limit)?.into_iter().map(entry).collect())
    }

    /// Removes a title from the continue-watching row, until it is watched again. Durable on return.
    pub fn hide(&self, profile: &ProfileId, title: &TitleId) -> Result<(), RecordError> {
        self.wait(self.core.hide(self.now(), profile, title)?)
    }

    /// Erases a profile, here and everywhere it reaches. Durable on return; nothing brings it back.
    pub fn erase(&self, profile: &ProfileId) -> Result<(), RecordError> {
        self.wait(self.core.erase(self.now(), profile)?)
    }

    /// The changes of a profile from now on, whoever made them.
    pub fn watch(&self, profile: &ProfileId) -> Changes {
        Changes::new(Arc::clone(&self.core), profile.clone())
    }

    /// Where everything of it is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the threads, syncs, folds and closes, so that the next opening is instant.
    pub fn close(self) -> Result<(), CloseError> {
        self.stop_and_close()
    }

    /// The same for a replica that others still hold; nothing is taken afterwards.
    pub(crate) fn stop_and_close(&self) -> Result<(), CloseError> {
        self.stop();
        self.core.store().close()
    }

    fn stop(&self) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }

    /// The machine's clock, which may have been set meanwhile.
    fn now(&self) -> WallTime {
        let now = wall_now();
        self.core.note_clock(now, monotonic_now());
        now
    }

    fn wait(&self, seq: Seq) -> Result<(), RecordError> {
        let (done, kept) = sync_channel(1);
        self.core.when_durable(
            seq,
            Box::new(move |result| {
                // The one who waits holds the other end until it has heard.
                let _ = done.send(result);
            }),
        );
        kept.recv().map_err(|_| NotDurable { reason: "the replica was closed".into() })??;
        Ok(())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop();
    }
}
