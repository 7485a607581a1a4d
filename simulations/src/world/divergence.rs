//! Which registers are unequal among the nodes: looked at only where something changed.

use std::time::Duration;

use leftoff::progress::{ProfileId, TitleId};
use leftoff::replica::Core;
use leftoff::store::{KeyRange, RegisterKey};

use super::propagation::ByKey;
use super::queue::Micros;
use super::stage::Stage;
use crate::observation::VirtualTime;

type Ids = (ProfileId, TitleId);

/// What a fault left unequal when it ended, until all of it was equal again.
struct Trail {
    fault: usize,
    ended: Micros,
    left: Vec<Ids>,
}

/// A register that may be unequal.
struct Dirty {
    ids: Ids,
    /// What was found when it was last looked at, if nothing has happened since that could change it.
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
    trails: Vec<Trail>,
    samples: Vec<(VirtualTime, u64)>,
    /// For each fault: how long after its end all was equal again.
    converged: Vec<(usize, Duration)>,
    /// For each fault that lasts: the most registers unequal.
    lasting: Vec<(usize, u64)>,
    most: Vec<(usize, u64)>,
}

impl Divergence {
    /// Whether a change of this register at a node has to be noted.
    pub(super) fn wants(&mut self, key: RegisterKey) -> bool {
        let known = self.dirty.get_mut(&key);
        let is_new = known.is_none();
        if let Some(known) = known {
            known.equal = None;
        }
        is_new
    }

    /// A profile was erased at a node: what was found of its registers says nothing any more.
    pub(super) fn forget_profile(&mut self, profile_hash: u64) {
        for (_, known) in self.dirty.iter_mut().filter(|(key, _)| key.profile_hash() == profile_hash) {
            known.equal = None;
        }
    }

    pub(super) fn note(&mut self, key: RegisterKey, profile: ProfileId, title: TitleId) {
        self.dirty.insert(key, Dirty { ids: (profile, title), equal: None });
    }

    /// A node has lost what it had: everything may be unequal.
    pub(super) fn note_everything(&mut self, stage: &Stage) {
        for host in &stage.hosts[..stage.nodes] {
            let Some(core) = &host.core else { continue };
            // A store that cannot be read now was closed by a fault, and has nothing that others lack.
            let _ = core.store().scan(KeyRange::ALL, &mut |item| {
                let ids = (item.profile, item.title);
                self.dirty.entry(item.key).and_modify(|known| known.equal = None).or_insert(Dirty { ids, equal: None });
                std::ops::ControlFlow::Continue(())
            });
        }
    }

    /// Registers unequal now; those that are equal are looked at again when they change.
    pub(super) fn sample(&mut self, stage: &Stage) -> u64 {
        let all_up = stage.hosts[..stage.nodes].iter().all(super::host::Host::is_up);
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
            let equal = *known.equal.get_or_insert_with(|| is_equal(stage, profile, title));
            unequal += u64::from(!equal);
            !(equal && all_up)
        });
        self.samples.push((stage.at(), unequal));
        for (_, most) in &mut self.lasting {
            *most = unequal.max(*most);
        }
        unequal
    }

    pub(super) fn fault_begins(&mut self, fault: usize) {
        self.lasting.push((fault, 0));
    }

    /// Takes note of what a fault leaves behind; whether it is to be watched.
    pub(super) fn fault_ends(&mut self, fault: usize, stage: &Stage) -> bool {
        self.sample(stage);
        if let Some(index) = self.lasting.iter().position(|(lasting, _)| *lasting == fault) {
            self.most.push(self.lasting.swap_remove(index));
        }
        let mut left: Vec<(RegisterKey, Ids)> =
            self.dirty.iter().filter(|(_, known)| known.equal != Some(true)).map(|(key, known)| (*key, known.ids.clone())).collect();
        left.sort_by_key(|(key, _)| *key);
        if left.is_empty() {
            self.converged.push((fault, Duration::ZERO));
            return false;
        }
        self.trails.push(Trail { fault, ended: stage.now(), left: left.into_iter().map(|(_, ids)| ids).collect() });
        true
    }

    /// Looks at what faults left behind. When to look again, if anything is left.
    pub(super) fn look(&mut self, stage: &Stage) -> Option<Micros> {
        let now = stage.now();
        let Self { trails, converged, .. } = self;
        trails.retain_mut(|trail| {
            trail.left.retain(|(profile, title)| !is_equal(stage, profile, title));
            if trail.left.is_empty() {
                converged.push((trail.fault, Duration::from_micros(now - trail.ended)));
            }
            !trail.left.is_empty()
        });
        // Soon after the end often, then more and more seldom: to a twentieth of what has passed.
        trails.iter().map(|trail| ((now - trail.ended) / 20).max(20_000)).min()
    }

    pub(super) fn samples(&self) -> &[(VirtualTime, u64)] {
        &self.samples
    }

    pub(super) fn converged(&self, fault: usize) -> Option<Duration> {
        self.converged.iter().find(|(index, _)| *index == fault).map(|(_, after)| *after)
    }

    pub(super) fn most(&self, fault: usize) -> u64 {
        self.most.iter().chain(&self.lasting).find(|(index, _)| *index == fault).map_or(0, |(_, most)| *most)
    }
}

/// How the nodes are now.
fn lives(stage: &Stage) -> Lives {
    let of = |host: &super::host::Host| {
        let floor_day = host.core.as_ref().map_or(0, |core| core.store().floor_day());
        (host.is_up(), host.life, floor_day)
    };
    stage.hosts[..stage.nodes].iter().map(of).collect()
}

/// Whether all nodes that are up hold the same.
fn is_equal(stage: &Stage, profile: &ProfileId, title: &TitleId) -> bool {
    let up = stage.hosts[..stage.nodes].iter().filter(|host| host.is_up());
    // A register that cannot be read is not equal to anything.
    let read = |core: &Core| core.store().shared_register(profile, title).ok().map(|found| found.map(|stored| stored.progress));
    let mut states = up.filter_map(|host| host.core.as_deref()).map(read);
    let Some(first) = states.next() else { return true };
    first.is_some() && states.all(|state| state == first)
}
