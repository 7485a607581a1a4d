//! Which registers are unequal among the nodes, and at devices that a fault struck: looked at only where something changed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use leftoff::progress::{ProfileId, Progress, TitleId};
use leftoff::replica::Core;
use leftoff::store::{KeyRange, ReadError, RegisterKey};

use super::host::{Host, Kind};
use super::propagation::ByKey;
use super::queue::Micros;
use super::stage::Stage;
use crate::observation::VirtualTime;

type Ids = (ProfileId, TitleId);

/// Devices that one fault struck and that are compared with the nodes: reading them costs, and so many tell the same as all.
const DEVICES_COUNT_MAX: usize = 32;

/// What a fault did, from its beginning until nothing of it was left.
struct Story {
    fault: usize,
    /// The devices that it strikes.
    devices: Vec<usize>,
    /// Most registers unequal, until all that it left was equal.
    most: u64,
    ended: Option<Micros>,
    /// What was unequal when it ended and still is, and at which of its devices; none: only among the nodes.
    left: Vec<(Ids, Option<usize>)>,
    /// How long after its end nothing was left.
    converged: Option<Duration>,
}

/// A register that may be unequal.
struct Dirty {
    ids: Ids,
    /// What was found when it was last looked at, if no change was made since. What other nodes send cannot make it unequal.
    equal: Option<bool>,
}

/// What the nodes are, besides what they hold: whether they are up, in which life, and what has expired there.
type Lives = Vec<(bool, u32, u32)>;

/// Registers that may be unequal, and what faults left behind.
#[derive(Default)]
pub(super) struct Divergence {
    dirty: ByKey<Dirty>,
    /// How the nodes were when the registers were last looked at.
    lives: Lives,
    /// Profiles erased while a node was down: what it still holds of them is looked at when it is back.
    erased: BTreeSet<u64>,
    stories: Vec<Story>,
    samples: Vec<(VirtualTime, u64)>,
}

impl Divergence {
    /// Whether a change of this register, made at a node, has to be noted.
    pub(super) fn wants(&mut self, key: RegisterKey) -> bool {
        let known = self.dirty.get_mut(&key);
        let is_new = known.is_none();
        if let Some(known) = known {
            known.equal = None;
        }
        is_new
    }

    pub(super) fn note(&mut self, key: RegisterKey, profile: ProfileId, title: TitleId) {
        self.dirty.insert(key, Dirty { ids: (profile, title), equal: None });
    }

    /// A node has lost what it had: everything may be unequal.
    pub(super) fn note_everything(&mut self, stage: &Stage) {
        self.note_range(stage, KeyRange::ALL);
    }

    /// A profile is erased at a node: whatever another one still holds of it is unequal.
    pub(super) fn note_erased(&mut self, stage: &Stage, profile_hash: u64) {
        for (_, known) in self.dirty.iter_mut().filter(|(key, _)| key.profile_hash() == profile_hash) {
            known.equal = None;
        }
        self.note_range(stage, KeyRange::of_profile(profile_hash));
        if !all_up(stage) {
            self.erased.insert(profile_hash);
        }
    }

    /// A node is back: it holds what was erased meanwhile.
    pub(super) fn note_started(&mut self, stage: &Stage) {
        let erased = if all_up(stage) { std::mem::take(&mut self.erased) } else { self.erased.clone() };
        for profile_hash in erased {
            self.note_range(stage, KeyRange::of_profile(profile_hash));
        }
    }

    fn note_range(&mut self, stage: &Stage, range: KeyRange) {
        for core in nodes_up(stage) {
            // A store that cannot be read now was closed by a fault, and has nothing that others lack.
            let _ = core.store().scan(range, &mut |item| {
                let ids = (item.profile, item.title);
                self.dirty.entry(item.key).and_modify(|known| known.equal = None).or_insert(Dirty { ids, equal: None });
                ControlFlow::Continue(())
            });
        }
    }

    /// Registers unequal now; those that are equal are looked at again when a node changes them.
    pub(super) fn sample(&mut self, stage: &Stage) -> u64 {
        let all_up = all_up(stage);
        let lives = lives(stage);
        if self.lives != lives {
            self.lives = lives;
            for known in self.dirty.values_mut() {
                known.equal = None;
            }
        }
        let mut unequal = 0;
        self.dirty.retain(|_, known| {
            let (profile, title) = &known.ids;
            let equal = known.equal == Some(true) || is_equal(stage, profile, title);
            known.equal = Some(equal);
            unequal += u64::from(!equal);
            !(equal && all_up)
        });
        self.samples.push((stage.at(), unequal));
        for story in self.stories.iter_mut().filter(|story| story.converged.is_none()) {
            let mut apart = apart(stage, &story.devices);
            // What is unequal among the nodes has been counted.
            apart.retain(|((profile, title), _)| is_equal(stage, profile, title));
            let keys: BTreeSet<&Ids> = apart.iter().map(|(ids, _)| ids).collect();
            story.most = story.most.max(unequal + keys.len() as u64);
        }
        unequal
    }

    /// A fault begins, and strikes these devices among others.
    pub(super) fn fault_begins(&mut self, fault: usize, mut devices: Vec<usize>) {
        let apart = devices.len().div_ceil(DEVICES_COUNT_MAX).max(1);
        devices = devices.into_iter().step_by(apart).collect();
        self.stories.push(Story { fault, devices, most: 0, ended: None, left: Vec::new(), converged: None });
    }

    /// Takes note of what a fault leaves behind; whether it is to be watched.
    pub(super) fn fault_ends(&mut self, fault: usize, stage: &Stage) -> bool {
        self.sample(stage);
        let mut left: Vec<(RegisterKey, Ids)> =
            self.dirty.iter().filter(|(_, known)| known.equal != Some(true)).map(|(key, known)| (*key, known.ids.clone())).collect();
        left.sort_by_key(|(key, _)| *key);
        // What a fault that ended before has left, and what is not yet repaired, is that one's.
        let before = self.stories.iter().filter(|story| story.ended.is_some_and(|ended| ended < stage.now()));
        let others: BTreeSet<&Ids> = before.flat_map(|story| story.left.iter().map(|(ids, _)| ids)).collect();
        let mut left: Vec<(Ids, Option<usize>)> =
            left.into_iter().filter(|(_, ids)| !others.contains(ids)).map(|(_, ids)| (ids, None)).collect();
        drop(others);
        let Some(story) = self.stories.iter_mut().find(|story| story.fault == fault && story.ended.is_none()) else { return false };
        left.extend(apart(stage, &story.devices));
        story.ended = Some(stage.now());
        story.converged = left.is_empty().then_some(Duration::ZERO);
        story.left = left;
        story.converged.is_none()
    }

    /// Looks at what faults left behind. When to look again, if anything is left.
    pub(super) fn look(&mut self, stage: &Stage) -> Option<Micros> {
        let now = stage.now();
        let mut next = None;
        for story in &mut self.stories {
            let (Some(ended), None) = (story.ended, story.converged) else { continue };
            story.left.retain(|((profile, title), device)| {
                let device = device.and_then(|device| stage.hosts.get(device));
                !is_equal(stage, profile, title) || device.is_some_and(|device| !is_level(stage, device, profile, title))
            });
            if story.left.is_empty() {
                story.converged = Some(Duration::from_micros(now - ended));
                continue;
            }
            // Soon after the end often, then more and more seldom: to a twentieth of what has passed.
            let wait = ((now - ended) / 20).max(20_000);
            next = Some(next.map_or(wait, |next: Micros| next.min(wait)));
        }
        next
    }

    pub(super) fn samples(&self) -> &[(VirtualTime, u64)] {
        &self.samples
    }

    fn story(&self, fault: usize) -> Option<&Story> {
        self.stories.iter().find(|story| story.fault == fault)
    }

    /// When a fault was over.
    pub(super) fn ended(&self, fault: usize) -> Option<VirtualTime> {
        self.story(fault)?.ended.map(VirtualTime::from_micros)
    }

    /// How long after its end what a fault had left unequal was equal.
    pub(super) fn converged(&self, fault: usize) -> Option<Duration> {
        self.story(fault)?.converged
    }

    /// The most registers unequal, from a fault's beginning until what it had left was equal.
    pub(super) fn most(&self, fault: usize) -> u64 {
        self.story(fault).map_or(0, |story| story.most)
    }
}

fn all_up(stage: &Stage) -> bool {
    stage.hosts[..stage.nodes].iter().all(Host::is_up)
}

fn nodes_up(stage: &Stage) -> impl Iterator<Item = &Core> {
    stage.hosts[..stage.nodes].iter().filter(|host| host.is_up()).filter_map(|host| host.core.as_deref())
}

/// The register as others may see it. One that cannot be read is not equal to anything.
fn shared(core: &Core, profile: &ProfileId, title: &TitleId) -> Result<Option<Progress>, ReadError> {
    core.store().shared_register(profile, title).map(|found| found.map(|stored| stored.progress))
}

/// How the nodes are now.
fn lives(stage: &Stage) -> Lives {
    let of = |host: &Host| {
        let floor_day = host.core.as_ref().map_or(0, |core| core.store().floor_day());
        (host.is_up(), host.life, floor_day)
    };
    stage.hosts[..stage.nodes].iter().map(of).collect()
}

/// Whether all nodes that are up hold the same.
fn is_equal(stage: &Stage, profile: &ProfileId, title: &TitleId) -> bool {
    let mut states = nodes_up(stage).map(|core| shared(core, profile, title).ok());
    let Some(first) = states.next() else { return true };
    first.is_some() && states.all(|state| state == first)
}

/// Whether a device that is up holds what the nodes hold, and nothing that it has not shared.
fn is_level(stage: &Stage, device: &Host, profile: &ProfileId, title: &TitleId) -> bool {
    let Some(core) = device.core.as_deref().filter(|_| device.is_up() && !device.hostile) else { return true };
    let own = core.store().register(profile, title).ok().map(|found| found.map(|stored| stored.progress));
    nodes_up(stage).next().is_none_or(|node| own.is_some() && own == shared(node, profile, title).ok())
}

/// Registers that these devices hold otherwise than the nodes, of the profile that each may hold; in order.
fn apart(stage: &Stage, devices: &[usize]) -> Vec<(Ids, Option<usize>)> {
    let mut found = Vec::new();
    let Some(node) = nodes_up(stage).next() else { return found };
    for index in devices {
        let device = &stage.hosts[*index];
        let (Kind::Device { profile, .. }, Some(core)) = (&device.kind, device.core.as_deref()) else { continue };
        if !device.is_up() || device.hostile {
            continue;
        }
        let registers = |core: &Core| core.store().profile(profile).map(|stored| stored.profile.registers);
        // What cannot be read now is not counted.
        let (Ok(own), Ok(other)) = (registers(core), registers(node)) else { continue };
        let titles: BTreeSet<&TitleId> = own.keys().chain(other.keys()).collect();
        let titles = titles.into_iter().filter(|title| own.get(*title) != other.get(*title));
        found.extend(titles.map(|title| ((profile.clone(), title.clone()), Some(*index))));
    }
    found
}
