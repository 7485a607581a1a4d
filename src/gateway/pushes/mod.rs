//! Pushes: what changes in a profile reaches all who follow it, wherever they are connected and wherever it was changed.
//!
//! The committing thread only leaves a note of each change in the line; the pushing thread reads the register, writes its JSON once, and puts
//! it into the outbox of each reader. A reader is a WebSocket, an event stream or a poll. What an outbox cannot hold is read from the store when its
//! reader gets that far: by the number that a register arrived under, which is also how a reader resumes.

mod catch_up;
mod circle;
mod line;
mod outbox;
mod reader;
mod topic;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::Semaphore;

pub(crate) use self::circle::About;
use self::circle::Circle;
pub(crate) use self::line::Job;
use self::line::{Line, Notice, What, Work};
pub(crate) use self::outbox::{Answer, Delivery, Outbox, OutboxId, Push, PushKind, Wakes};
pub(crate) use self::reader::Reader;
use self::topic::Topic;
use super::cursor::{cursor, of_reset};
use super::problem::Problem;
use super::progress::ProgressBody;
use crate::ephemeral::EphemeralChange;
use crate::limits::CATCHING_UP_COUNT_MAX;
use crate::progress::{Policy, ProfileId, Progress, TitleId};
use crate::replica::{Change, Core, WatchId};
use crate::store::{ReadError, Seq, Store};

/// How long a client is asked to stay away when there is no room for it, in milliseconds.
const FULL_RETRY_MS: u64 = 2_000;

/// What is pushed of a register fits this many bytes, as a rule.
const TEXT_BYTES: usize = 640;

/// The last of several changes of one title, and who made them all, if one did.
type Newest = (usize, Option<OutboxId>);

/// All who are pushed changes.
pub(crate) struct Pushes {
    core: Arc<Core>,
    topics: Mutex<HashMap<ProfileId, Arc<Topic>>>,
    circles: Mutex<HashMap<About, Arc<Circle>>>,
    readers: Mutex<HashMap<OutboxId, Arc<Outbox>>>,
    next_id: AtomicU64,
    line: Arc<Line>,
    // Held while something is recorded for readers, until it is noted whose it is.
    recording: Mutex<()>,
    catching_up: Arc<Semaphore>,
    stopping: AtomicBool,
    flushed: OnceLock<WatchId>,
    me: Weak<Self>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pushes {
    /// Pushes of a replica's changes, and the thread that does it. It ends with them.
    pub(super) fn start(core: Arc<Core>) -> Arc<Self> {
        let pushes = Arc::new_cyclic(|me| Self {
            core,
            topics: Mutex::default(),
            circles: Mutex::default(),
            readers: Mutex::default(),
            next_id: AtomicU64::new(1),
            line: Arc::default(),
            recording: Mutex::default(),
            catching_up: Arc::new(Semaphore::new(CATCHING_UP_COUNT_MAX)),
            stopping: AtomicBool::new(false),
            flushed: OnceLock::new(),
            me: Weak::clone(me),
        });
        let (line, me) = (Arc::clone(&pushes.line), Weak::clone(&pushes.me));
        // What is noted while a flush tells of its changes is pushed when it has told all of them.
        let noted = Arc::clone(&line);
        // Set once, here.
        let _ = pushes.flushed.set(pushes.core.on_change(Arc::new(move || noted.wake())));
        let thread = std::thread::Builder::new().name("leftoff-pushes".to_owned()).spawn(move || {
            while let Some(work) = line.take() {
                let Some(pushes) = me.upgrade() else { return };
                pushes.work(work);
            }
        });
        if let Err(error) = thread {
            tracing::error!(%error, "no thread for pushes: WebSockets and event streams are refused");
            pushes.stopping.store(true, Ordering::Release);
        }
        pushes
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    const fn catching_up(&self) -> &Arc<Semaphore> {
        &self.catching_up
    }

    /// Lets another reader in, if there are fewer than `count_max`.
    pub(crate) fn open(&self, count_max: usize) -> Result<Reader, Problem> {
        // None only while everything ends.
        let me = self.me.upgrade().ok_or(Problem::Internal)?;
        if self.stopping.load(Ordering::Acquire) {
            return Err(Problem::NotReady { reason: "the node is about to stop".to_owned() });
        }
        let outbox = Arc::new(Outbox::new(OutboxId(self.next_id.fetch_add(1, Ordering::Relaxed))));
        let mut readers = lock(&self.readers);
        if readers.len() >= count_max {
            return Err(Problem::Overloaded { retry_ms: jitter_ms(FULL_RETRY_MS) });
        }
        readers.insert(outbox.id(), Arc::clone(&outbox));
        metrics::gauge!("leftoff_push_readers").set(readers.len() as f64);
        drop(readers);
        // Whoever came in meanwhile would never be told.
        if self.stopping.load(Ordering::Acquire) {
            outbox.stop();
        }
        Ok(Reader::new(me, outbox))
    }

    /// Tells all readers that the node is about to stop, and lets no more in.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for outbox in lock(&self.readers).values() {
            outbox.stop();
        }
    }

    /// Has something done by the pushing thread.
    pub(crate) fn defer(&self, job: Job) {
        self.line.job(job);
    }

    /// Records for readers: what `record` answers as made by each of them is not pushed back to it.
    pub(crate) fn recording<T>(&self, record: impl FnOnce(&dyn Fn(&str, Seq, &Outbox)) -> T) -> T {
        // Locked when the first change is made, for all that are made together.
        let topics = OnceCell::new();
        let made = |profile: &str, seq: Seq, outbox: &Outbox| {
            if let Some(topic) = topics.get_or_init(|| lock(&self.topics)).get(profile) {
                topic.set_origin(seq, outbox.id());
            }
        };
        let guard = lock(&self.recording);
        let recorded = record(&made);
        drop(topics);
        drop(guard);
        recorded
    }

    fn subscribe(&self, profile: &ProfileId, outbox: &Arc<Outbox>) -> Arc<Topic> {
        let mut topics = lock(&self.topics);
        if let Some(topic) = topics.get(profile) {
            topic.add(outbox);
            return Arc::clone(topic);
        }
        let topic = Arc::new(Topic::new(profile.clone()));
        topic.add(outbox);
        let (line, noted) = (Arc::clone(&self.line), Arc::downgrade(&topic));
        let watch = self.core.watch(
            profile,
            Arc::new(move |change: &Change| {
                let Some(topic) = noted.upgrade() else { return };
                let (what, seq) = match change {
                    Change::Register { title, seq } => (What::Title(title.clone()), *seq),
                    Change::Erased { seq } => (What::Erased, *seq),
                    Change::Reset => (What::Everything, Seq(0)),
                };
                line.note(Notice { topic, what, seq });
            }),
        );
        // Set once, here.
        let _ = topic.watch.set(watch);
        topics.insert(profile.clone(), Arc::clone(&topic));
        metrics::gauge!("leftoff_push_profiles").set(topics.len() as f64);
        topic
    }

    fn unsubscribe(&self, topic: &Arc<Topic>, outbox: OutboxId) {
        let mut topics = lock(&self.topics);
        if !topic.remove(outbox) {
            return;
        }
        if topics.get(&topic.profile).is_some_and(|known| Arc::ptr_eq(known, topic)) {
            topics.remove(&topic.profile);
        }
        metrics::gauge!("leftoff_push_profiles").set(topics.len() as f64);
        drop(topics);
        if let Some(watch) = topic.watch.get() {
            self.core.unwatch(*watch);
        }
    }

    /// Tells a reader of a circle's changes from now on.
    pub(crate) fn join_circle(&self, about: &About, outbox: &Arc<Outbox>) {
        let mut circles = lock(&self.circles);
        if let Some(circle) = circles.get(about) {
            return circle.add(outbox);
        }
        let circle = Arc::new(Circle::new(about.clone()));
        circle.add(outbox);
        let (line, noted) = (Arc::clone(&self.line), Arc::downgrade(&circle));
        let notify = move |_: &EphemeralChange| {
            if let Some(circle) = noted.upgrade() {
                line.note_circle(circle);
            }
        };
        // Set once, here.
        let _ = circle.watch.set(self.core.ephemeral().watch(about.topic(), Arc::new(notify)));
        circles.insert(about.clone(), circle);
        metrics::gauge!("leftoff_push_circles").set(circles.len() as f64);
    }

    /// Tells a reader no more of a circle.
    pub(crate) fn leave_circle(&self, about: &About, outbox: OutboxId) {
        let mut circles = lock(&self.circles);
        let Some(circle) = circles.get(about) else { return };
        if !circle.remove(outbox) {
            return;
        }
        let circle = circles.remove(about);
        metrics::gauge!("leftoff_push_circles").set(circles.len() as f64);
        drop(circles);
        if let Some(watch) = circle.as_ref().and_then(|circle| circle.watch.get()) {
            self.core.ephemeral().unwatch(*watch);
        }
    }

    fn forget(&self, outbox: OutboxId) {
        let mut readers = lock(&self.readers);
        readers.remove(&outbox);
        metrics::gauge!("leftoff_push_readers").set(readers.len() as f64);
    }

    fn work(&self, work: Work) {
        let Work { jobs, notices, circles, overflow } = work;
        // First, because somebody waits for these: acknowledgements.
        for job in jobs {
            job(&self.core);
        }
        for circle in circles {
            circle.tell(&self.core);
        }
        if overflow {
            tracing::warn!("more changed than could be pushed; all readers catch up from the store");
            let readers: Vec<_> = lock(&self.readers).values().cloned().collect();
            for outbox in readers {
                outbox.fall_behind();
            }
            return;
        }
        if !notices.is_empty() {
            self.push(&notices);
        }
    }

    /// Pushes changes: of a title that changed several times the newest state, once.
    fn push(&self, notices: &[Notice]) {
        // Whose these changes are has been noted when the lock is free.
        drop(lock(&self.recording));
        let mut newest: HashMap<(*const Topic, Option<&TitleId>), Newest> = HashMap::with_capacity(notices.len());
        for (index, notice) in notices.iter().enumerate() {
            let title = match &notice.what {
                What::Title(title) => Some(title),
                What::Erased | What::Everything => None,
            };
            let origin = notice.topic.take_origin(notice.seq);
            newest
                .entry((Arc::as_ptr(&notice.topic), title))
                .and_modify(|(newest, common)| (*newest, *common) = (index, common.filter(|common| Some(*common) == origin)))
                .or_insert((index, origin));
        }
        let mut newest: Vec<Newest> = newest.into_values().collect();
        newest.sort_unstable_by_key(|(index, _)| *index);
        let (mut wakes, mut count) = (Wakes::default(), 0);
        for (index, origin) in newest {
            let notice = &notices[index];
            match self.push_one(notice, origin, &mut wakes) {
                Ok(pushed) => count += pushed as u64,
                // Who catches up reads it again, and is told if that fails too.
                Err(error) => {
                    tracing::error!(%error, "a change could not be read to be pushed");
                    for outbox in notice.topic.followers() {
                        outbox.fall_behind();
                    }
                }
            }
        }
        metrics::counter!("leftoff_pushes_total").increment(count);
    }

    /// Pushes one change; answers to how many.
    fn push_one(&self, notice: &Notice, origin: Option<OutboxId>, wakes: &mut Wakes) -> Result<usize, ReadError> {
        let Notice { topic, what, seq } = notice;
        let mut followers = topic.followers();
        let (store, seq) = (self.core.store(), *seq);
        let push = match what {
            What::Title(title) => {
                followers.retain(|outbox| Some(outbox.id()) != origin || outbox.has(topic, title));
                if followers.is_empty() {
                    return Ok(0);
                }
                // Nothing is left of it if the profile was erased since; its followers are told of that next.
                let Some(stored) = store.register(&topic.profile, title)? else { return Ok(0) };
                let (text, kind) = progress_text(store, &topic.profile, title, &stored.progress, seq);
                Push { topic: Arc::clone(topic), title: Some(title.clone()), kind, seq, arrived: stored.arrived, text }
            }
            What::Erased => {
                let text = erased_text(store, &topic.profile, seq);
                Push { topic: Arc::clone(topic), title: None, kind: PushKind::Erased, seq, arrived: seq, text }
            }
            What::Everything => {
                for outbox in followers {
                    outbox.fall_behind();
                }
                return Ok(0);
            }
        };
        for outbox in &followers {
            outbox.push(&push, Some(outbox.id()) == origin, wakes);
        }
        Ok(followers.len())
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        if let Some(flushed) = self.flushed.get() {
            self.core.unwatch(*flushed);
        }
        self.line.close();
    }
}

impl std::fmt::Debug for Pushes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pushes").finish_non_exhaustive()
    }
}

/// A random wait between half of `around` and one and a half of it: those who are sent away together do not come back together.
pub(super) fn jitter_ms(around: u64) -> u64 {
    let drawn = getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX));
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    let jitter_ms = (around as f64 * (0.5 + drawn)) as u64;
    jitter_ms
}

fn text(value: &impl Serialize, kind: &str) -> Utf8Bytes {
    let mut json = Vec::with_capacity(TEXT_BYTES);
    for part in ["{\"type\":\"", kind, "\""] {
        json.extend_from_slice(part.as_bytes());
    }
    let begun = json.len();
    // Writing to memory does not fail, and neither do texts and numbers: without them, what is left is no JSON, and a client says so.
    if serde_json::to_writer(&mut json, value).is_ok() {
        // In the place of the object's own brace: it goes on from the type.
        json[begun] = b',';
    }
    Utf8Bytes::try_from(json).unwrap_or_default()
}

#[derive(Serialize)]
struct OfProfile<'a> {
    profile_id: &'a str,
    cursor: String,
}

fn erased_text(store: &Store, profile: &ProfileId, seq: Seq) -> Utf8Bytes {
    text(&OfProfile { profile_id: profile.as_str(), cursor: cursor(store, seq) }, "erased")
}

fn reset_text(store: &Store, profile: &ProfileId) -> Utf8Bytes {
    text(&OfProfile { profile_id: profile.as_str(), cursor: of_reset(store) }, "reset")
}

fn progress_text(store: &Store, profile: &ProfileId, title: &TitleId, progress: &Progress, seq: Seq) -> (Utf8Bytes, PushKind) {
    let body = ProgressBody::new(store, (profile.as_str(), title.as_str()), Some(progress), seq, Policy::Continue);
    let kind = if body.is_hidden() { PushKind::Hidden } else { PushKind::Progress };
    (text(&body, "progress"), kind)
}
