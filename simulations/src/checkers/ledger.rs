//! The ledger: what every host durably holds, and which deltas there are, kept once for all checkers.
//!
//! Fed by what was observed, never by asking the product, with one exception: what a restart reads back from a log that was written and not yet
//! acknowledged when its host died has been seen by nobody, so it is looked up when the host serves again.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::ops::ControlFlow;
use std::rc::Rc;

use leftoff::progress::codec::Reader;
use leftoff::progress::{ProfileId, Progress, TitleId};
use leftoff::replica::Core;
use leftoff::store::{Feed, KeyRange, Record, ReplicaId, Seq, Store};
use leftoff::time::Hlc;

use super::holdings::{Held, Holdings, Shown, Touched};
use super::losses::Losses;
use super::mix::{Map, Mix, is_looked_at};
use crate::model::{Deltas, Facts};
use crate::observation::{HostId, Observation, Same, View};
use crate::scenario::{FaultKind, Scenario};

/// One durable record in so many has its register read back at the next occasion, as a viewer would read it.
const SPOT_EVERY: u32 = 4;
/// Registers that wait to be read back.
const SPOTS_MAX: usize = 64;

/// A profile, by number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProfileNo(pub u32);

/// A register, by number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RegisterNo(pub u32);

/// What a record says.
#[derive(Clone, Debug)]
struct Said {
    same: Same,
    register: RegisterNo,
    facts: Rc<Facts>,
}

#[derive(Debug)]
struct Named {
    id: ProfileId,
    titles: Map<TitleId, RegisterNo>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Ledger {
    /// One profile in so many is looked at, by a hash of its id.
    one_in: u64,
    /// Disks may be lost, so deltas are kept apart.
    apart: bool,
    /// Registers may expire.
    expires: bool,
    profiles: Vec<Named>,
    numbers: Map<ProfileId, Option<ProfileNo>>,
    registers: Vec<(ProfileNo, TitleId)>,
    /// Registers by a hash of their ids: one look instead of two. What is found is compared, so that two of one hash only cost more.
    hashed: Map<u64, RegisterNo>,
    deltas: Vec<Deltas>,
    /// What records say that were seen before, by the places of their numbers.
    said: Vec<Option<Said>>,
    erased: BTreeMap<ProfileNo, u64>,
    hosts: Vec<Holdings>,
    losses: Losses,
    updates: u64,
    waiting: Vec<(HostId, RegisterNo)>,
    turn: u32,
    touched: Option<Touched>,
    shown: Vec<Shown>,
    absorbed: Vec<(HostId, RegisterNo, Facts)>,
}

impl Ledger {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let tampers = |kind: &FaultKind| {
            matches!(
                kind,
                FaultKind::LoseDisk { .. }
                    | FaultKind::RestoreBackup { .. }
                    | FaultKind::FlipBits { .. }
                    | FaultKind::TruncateLog { .. }
                    | FaultKind::ZeroLog { .. }
                    | FaultKind::Poison { .. }
            )
        };
        Self {
            one_in: u64::from(scenario.checks.one_profile_in.max(1)),
            apart: scenario.faults.iter().any(|fault| tampers(&fault.kind)),
            expires: scenario.replicas.ttl_days.is_some(),
            said: vec![None; Same::COUNT],
            ..Self::default()
        }
    }

    /// Whether registers may expire in this world.
    pub const fn expires(&self) -> bool {
        self.expires
    }

    /// Deltas that became durable where they were made, and shared.
    pub const fn updates(&self) -> u64 {
        self.updates
    }

    /// Acknowledged deltas that are nowhere at rest: every disk that held them was lost.
    pub const fn lost_by_design(&self) -> u64 {
        self.losses.count()
    }

    /// Whether a profile is looked at.
    pub fn looks_at(&self, profile: &str) -> bool {
        is_looked_at(profile, self.one_in)
    }

    /// The number of a profile; none if it is not looked at.
    pub fn profile_no(&mut self, profile: &ProfileId) -> Option<ProfileNo> {
        if let Some(known) = self.numbers.get(profile) {
            return *known;
        }
        let number = self.looks_at(profile.as_str()).then(|| {
            self.profiles.push(Named { id: profile.clone(), titles: Map::default() });
            ProfileNo(self.profiles.len() as u32 - 1)
        });
        self.numbers.insert(profile.clone(), number);
        number
    }

    /// The number of a register; none if its profile is not looked at.
    pub fn register_no(&mut self, profile: &ProfileId, title: &TitleId) -> Option<RegisterNo> {
        let mut hasher = Mix::default();
        hasher.write(profile.as_str().as_bytes());
        hasher.write(title.as_str().as_bytes());
        let hash = hasher.finish();
        let known = self.hashed.get(&hash).copied();
        if known.is_some_and(|known| self.ids(known) == (profile, title)) {
            return known;
        }
        let register = self.find_register(profile, title)?;
        self.hashed.entry(hash).or_insert(register);
        Some(register)
    }

    fn find_register(&mut self, profile: &ProfileId, title: &TitleId) -> Option<RegisterNo> {
        let number = self.profile_no(profile)?;
        let titles = &mut self.profiles[number.0 as usize].titles;
        if let Some(known) = titles.get(title) {
            return Some(*known);
        }
        let register = RegisterNo(self.registers.len() as u32);
        titles.insert(title.clone(), register);
        self.registers.push((number, title.clone()));
        self.deltas.push(Deltas::default());
        Some(register)
    }

    /// The ids of a register.
    pub fn ids(&self, register: RegisterNo) -> (&ProfileId, &TitleId) {
        let (profile, title) = &self.registers[register.0 as usize];
        (&self.profiles[profile.0 as usize].id, title)
    }

    /// A register's profile.
    pub fn profile_of(&self, register: RegisterNo) -> ProfileNo {
        self.registers[register.0 as usize].0
    }

    /// The id of a profile.
    pub fn profile_id(&self, profile: ProfileNo) -> &ProfileId {
        &self.profiles[profile.0 as usize].id
    }

    /// A register's name, for people.
    pub fn name(&self, register: RegisterNo) -> String {
        let (profile, title) = self.ids(register);
        format!("{}/{}", profile.as_str(), title.as_str())
    }

    /// All registers.
    pub fn registers(&self) -> impl Iterator<Item = RegisterNo> + use<> {
        (0..self.registers.len() as u32).map(RegisterNo)
    }

    /// All profiles.
    pub fn profiles(&self) -> impl Iterator<Item = ProfileNo> + use<> {
        (0..self.profiles.len() as u32).map(ProfileNo)
    }

    /// The deltas of a register.
    pub fn deltas(&self, register: RegisterNo) -> &Deltas {
        &self.deltas[register.0 as usize]
    }

    /// When a profile was last erased anywhere.
    pub fn erased(&self, profile: ProfileNo) -> u64 {
        self.erased.get(&profile).copied().unwrap_or(0)
    }

    fn host(&self, host: HostId) -> Option<&Holdings> {
        self.hosts.get(host.0 as usize)
    }

    pub(super) fn host_mut(&mut self, host: HostId) -> &mut Holdings {
        let index = host.0 as usize;
        if self.hosts.len() <= index {
            self.hosts.resize_with(index + 1, Holdings::default);
        }
        &mut self.hosts[index]
    }

    /// When a profile was last erased as far as a host durably knows.
    pub fn erased_at(&self, host: HostId, profile: ProfileNo) -> u64 {
        self.host(host).and_then(|holdings| holdings.erased.get(&profile)).copied().unwrap_or(0)
    }

    /// The erasures that a host durably knows.
    pub fn erasures_at(&self, host: HostId) -> Vec<(ProfileNo, u64)> {
        self.host(host).map(|holdings| holdings.erased.iter().map(|(profile, erased)| (*profile, *erased)).collect()).unwrap_or_default()
    }

    /// What a host durably holds of a register in all, shared and not, by the expiry floor that it has. None: nothing.
    pub fn held(&self, host: HostId, register: RegisterNo, floor_day: u32) -> Option<Facts> {
        let holdings = self.host(host)?;
        // What is not shared comes on top of what is.
        let shared = holdings.held.get(&register).filter(|facts| !facts.is_expired(floor_day));
        let erased = self.erased_at(host, self.profile_of(register));
        let both = [shared, holdings.unshared.get(&register)];
        let counted: Vec<&Facts> = both.into_iter().flatten().map(|held| &**held).filter(|facts| facts.epoch >= erased).collect();
        let all = (!counted.is_empty()).then(|| Facts::of_all(counted))?;
        (!all.is_expired(floor_day)).then_some(all)
    }

    /// What a host durably holds of a register and may send.
    pub fn shared(&self, host: HostId, register: RegisterNo) -> Option<&Facts> {
        self.host(host)?.held.get(&register).map(|held| &**held)
    }

    /// The registers that a host durably holds something of, in order.
    pub fn registers_at(&self, host: HostId) -> Vec<RegisterNo> {
        let Some(holdings) = self.host(host) else { return Vec::new() };
        let mut all: Vec<RegisterNo> = holdings.held.keys().chain(holdings.unshared.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a host may have lacked some of what it held when it last started, because of what had been done to its disk.
    pub fn may_lack(&self, host: HostId) -> bool {
        self.host(host).is_some_and(|holdings| holdings.started.may_lack)
    }

    /// Whether a host said at its last start that its store was damaged, though nothing had been done to its disk.
    pub fn is_false_alarm(&self, host: HostId) -> bool {
        self.host(host).is_some_and(|holdings| holdings.started.is_false_alarm)
    }

    /// The record that the present observation is about, if it is one that is looked at.
    pub const fn touched(&self) -> Option<&Touched> {
        self.touched.as_ref()
    }

    /// What was read at the present observation: by viewers, and by the ledger itself as a viewer would.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// What the present start of a host has brought back that had been seen by nobody.
    pub fn absorbed(&self) -> &[(HostId, RegisterNo, Facts)] {
        &self.absorbed
    }

    /// Takes note of an observation.
    pub fn note(&mut self, seen: &Observation<'_>, view: &dyn View) {
        self.touched = None;
        self.shown.clear();
        self.absorbed.clear();
        match seen {
            Observation::Applied { host, seq, from, record, unshared, same, .. } => {
                let hostile = from.is_none() && view.is_hostile(*host);
                self.expire(*host, record, view);
                self.applied(*host, *seq, from.is_none(), (record, *same), *unshared, hostile);
                return;
            }
            Observation::Passed { host, seq, .. } => {
                let holdings = self.host_mut(*host);
                holdings.last = holdings.last.max(*seq);
                return;
            }
            Observation::Restamped { host, .. } => {
                let holdings = self.host_mut(*host);
                holdings.unshared.clear();
                holdings.made_apart.clear();
                return;
            }
            Observation::Read { host, profile, title, register } => {
                if let Some(number) = self.register_no(profile, title) {
                    self.shown.push(Shown { host: *host, register: number, facts: register.map(Facts::from) });
                }
            }
            Observation::Disk { host, fault } => {
                self.host_mut(*host).tampering.note(*fault);
            }
            Observation::Started { host, replica, damage } => {
                self.waiting.retain(|(waiting, _)| waiting != host);
                if let Some(core) = view.core(*host) {
                    self.started((*host, view.is_hostile(*host)), *replica, core.store(), !damage.is_empty());
                }
            }
            Observation::Stopped { host, .. } => self.waiting.retain(|(waiting, _)| waiting != host),
            _ => {}
        }
        self.read_back(view);
    }

    /// The register of a record, and what it says; none if its profile is not looked at.
    fn said(&mut self, profile: &ProfileId, title: &TitleId, state: &Progress, same: Same) -> Option<(RegisterNo, Rc<Facts>)> {
        let known = same.place().and_then(|place| self.said.get(place)?.as_ref()).filter(|said| said.same == same);
        if let Some(known) = known {
            return Some((known.register, Rc::clone(&known.facts)));
        }
        let register = self.register_no(profile, title)?;
        let facts = Rc::new(Facts::from(state));
        if let Some(place) = same.place().and_then(|place| self.said.get_mut(place)) {
            *place = Some(Said { same, register, facts: Rc::clone(&facts) });
        }
        Some((register, facts))
    }

    /// What a host holds of a register that a record comes to now is nothing, if it has expired by then.
    fn expire(&mut self, host: HostId, record: &Record, view: &dyn View) {
        let Record::Register { profile, title, .. } = record else { return };
        let floor = if self.expires { floor_day(view, host) } else { 0 };
        let Some(register) = self.register_no(profile, title).filter(|_| floor > 0) else { return };
        let holdings = self.host_mut(host);
        for kept in [&mut holdings.held, &mut holdings.unshared] {
            if kept.get(&register).is_some_and(|facts| facts.is_expired(floor)) {
                kept.remove(&register);
            }
        }
    }

    fn applied(&mut self, host: HostId, seq: Seq, local: bool, (record, same): (&Record, Same), unshared: bool, hostile: bool) {
        let holdings = self.host_mut(host);
        holdings.last = holdings.last.max(seq);
        match record {
            Record::Register { profile, title, state } => {
                let Some((register, facts)) = self.said(profile, title, state, same) else { return };
                let (apart, expires) = (self.apart, self.expires);
                let holdings = &mut self.hosts[host.0 as usize];
                if unshared {
                    holdings.unshared.entry(register).or_default().add(&facts, same);
                    if apart {
                        holdings.made_apart.push((register, Facts::clone(&facts)));
                    }
                } else {
                    let held = holdings.held.entry(register).or_default();
                    held.add(&facts, same);
                    if local {
                        // What was kept apart is shared now, perhaps moved in time.
                        if holdings.unshared.remove(&register).is_some() {
                            holdings.made_apart.retain(|(of, _)| *of != register);
                        }
                        self.updates += 1;
                        let deltas = &mut self.deltas[register.0 as usize];
                        let delta = Facts::clone(&facts);
                        if hostile { deltas.add_uncertain(delta) } else { deltas.add(delta, apart, expires) }
                    } else if apart {
                        self.deltas[register.0 as usize].find(held);
                    }
                }
                self.turn = self.turn.wrapping_add(1);
                if self.turn.is_multiple_of(SPOT_EVERY) && self.waiting.len() < SPOTS_MAX {
                    self.waiting.push((host, register));
                }
                self.touched = Some(Touched { host, register, facts, same, local, unshared });
            }
            Record::Erased { profile, erased } => {
                if let Some(profile) = self.profile_no(profile) {
                    self.erase(host, profile, erased.as_u64());
                }
            }
        }
    }

    fn erase(&mut self, host: HostId, profile: ProfileNo, erased: u64) {
        let everywhere = self.erased.entry(profile).or_default();
        *everywhere = erased.max(*everywhere);
        let titles: Vec<RegisterNo> = self.profiles[profile.0 as usize].titles.values().copied().collect();
        let holdings = self.host_mut(host);
        let here = holdings.erased.entry(profile).or_default();
        *here = erased.max(*here);
        for register in titles {
            for kept in [&mut holdings.held, &mut holdings.unshared] {
                if kept.get(&register).is_some_and(|facts| facts.epoch < erased) {
                    kept.remove(&register);
                }
            }
        }
    }

    fn started(&mut self, (host, hostile): (HostId, bool), replica: ReplicaId, store: &Store, damaged: bool) {
        let holdings = self.host_mut(host);
        holdings.started = holdings.tampering.start(damaged);
        let after = holdings.last;
        if holdings.started.may_lack {
            let before = std::mem::take(&mut holdings.held);
            let made_apart = std::mem::take(&mut holdings.made_apart);
            *holdings = Holdings { tampering: holdings.tampering, started: holdings.started, ..Holdings::default() };
            self.take_stock((host, hostile), store);
            self.lose(&before);
            self.losses.lose(made_apart);
        } else {
            self.absorb_after((host, hostile), after, replica, store);
        }
        let unshared = store.unshared();
        for (profile, title, delta) in &unshared {
            if let Some(register) = self.register_no(profile, title) {
                self.host_mut(host).unshared.entry(register).or_default().add(&Facts::from(delta), Same::UNKNOWN);
            }
        }
        let durable = store.durable();
        let holdings = self.host_mut(host);
        holdings.last = holdings.last.max(durable);
    }

    /// Asks a store for all that it holds: after its disk was tampered with, nothing else can tell.
    fn take_stock(&mut self, (host, hostile): (HostId, bool), store: &Store) {
        for (profile, erased) in store.tombstones() {
            if let Some(profile) = self.profile_no(&profile) {
                self.erase(host, profile, erased.as_u64());
            }
        }
        let mut found = Vec::new();
        let scanned = store.scan(KeyRange::ALL, &mut |item| {
            found.push((item.profile, item.title, Facts::from(&item.progress)));
            ControlFlow::Continue(())
        });
        // A store that cannot be read says so itself, to everybody; what was found until then is what it holds.
        drop(scanned);
        for (profile, title, facts) in found {
            self.absorb((host, hostile), &profile, &title, facts);
        }
    }

    /// Asks a store for what arrived after the last record that was seen.
    fn absorb_after(&mut self, (host, hostile): (HostId, bool), after: Seq, replica: ReplicaId, store: &Store) {
        // Nobody's id: nothing came from there, so nothing is left out.
        let nobody = ReplicaId(replica.0.map(|byte| !byte));
        let mut feed = Feed::after(after);
        loop {
            let mut records = Vec::new();
            let Ok(step) = store.next_changes(&mut feed, nobody, 1 << 20, &|_| true, &mut [], &mut records) else { return };
            let mut reader = Reader::new(&records);
            while let Ok(record) = Record::decode(&mut reader) {
                match record {
                    Record::Register { profile, title, state } => self.absorb((host, hostile), &profile, &title, Facts::from(&state)),
                    Record::Erased { profile, erased } => {
                        if let Some(profile) = self.profile_no(&profile) {
                            self.erase(host, profile, erased.as_u64());
                        }
                    }
                }
            }
            if !step.more {
                return;
            }
        }
    }

    fn absorb(&mut self, (host, hostile): (HostId, bool), profile: &ProfileId, title: &TitleId, facts: Facts) {
        let Some(register) = self.register_no(profile, title) else { return };
        let (apart, expires) = (self.apart, self.expires);
        let held = self.host_mut(host).held.entry(register).or_default();
        if held.holds(&facts) {
            return;
        }
        held.add(&facts, Same::UNKNOWN);
        let known = self
            .hosts
            .iter()
            .enumerate()
            .any(|(index, other)| index != host.0 as usize && other.held.get(&register).is_some_and(|other| other.holds(&facts)));
        let deltas = &mut self.deltas[register.0 as usize];
        let is_new = !known && deltas.expected(Some(&facts), 0, 0).is_none_or(|all| !all.holds(&facts));
        // Others that hold more may lose it with their disks: then this is what is left.
        if is_new || (apart && !hostile && !deltas.has(&facts)) {
            deltas.add(facts.clone(), apart, expires);
            if apart {
                self.losses.was_not_promised(register, facts.clone());
            }
        }
        self.absorbed.push((host, register, facts));
    }

    /// Makes those deltas uncertain that no disk holds any more, now that a host has lost some of what it held before.
    pub(super) fn lose(&mut self, before: &Map<RegisterNo, Held>) {
        let mut registers: Vec<RegisterNo> = before.keys().copied().collect();
        registers.sort_unstable();
        for register in registers {
            let Some(lost) = before.get(&register) else { continue };
            // Nearly always somebody has all of it.
            if self.hosts.iter().any(|other| other.held.get(&register).is_some_and(|held| held.holds(lost))) {
                continue;
            }
            let hosts = &self.hosts;
            let nobody_holds = |delta: &Facts| {
                lost.holds(delta) && !hosts.iter().any(|other| other.held.get(&register).is_some_and(|held| held.holds(delta)))
            };
            let lost = self.deltas[register.0 as usize].lose(nobody_holds);
            self.losses.lose(lost.into_iter().map(|facts| (register, facts)));
        }
        let everywhere =
            |profile: ProfileNo, hosts: &[Holdings]| hosts.iter().filter_map(|other| other.erased.get(&profile)).max().copied();
        // An erasure that only the lost disk knew is lost like any delta.
        let erased: Vec<(ProfileNo, u64)> =
            self.erased.keys().map(|profile| (*profile, everywhere(*profile, &self.hosts).unwrap_or(0))).collect();
        for (profile, known) in &erased {
            if *known < self.erased(*profile) {
                self.lose_erased(*profile);
            }
        }
        self.erased = erased.into_iter().filter(|(_, erased)| *erased > 0).collect();
    }

    /// Makes those deltas of a profile uncertain that its erasure had removed from every disk: with the erasure lost, nothing says any more that
    /// they are nothing, and nobody holds them.
    fn lose_erased(&mut self, profile: ProfileNo) {
        let registers: Vec<RegisterNo> = self.profiles[profile.0 as usize].titles.values().copied().collect();
        for register in registers {
            let hosts = &self.hosts;
            self.deltas[register.0 as usize]
                .lose(|delta| !hosts.iter().any(|other| other.held.get(&register).is_some_and(|held| held.holds(delta))));
        }
    }

    /// Counts what was lost and has not turned up. What an erasure or its age would have removed is not counted; nor what a later delta says too.
    pub(super) fn count_lost(&mut self, floor_day: u32) {
        let is_nowhere = |register: RegisterNo, facts: &Facts| {
            let all = self.hosts.iter().flat_map(|holdings| [holdings.held.get(&register), holdings.unshared.get(&register)]);
            facts.epoch >= self.erased(self.profile_of(register))
                && !facts.is_expired(floor_day)
                && !all.flatten().any(|held| held.holds(facts))
        };
        let count = self.losses.count_of(is_nowhere);
        self.losses.set_count(count);
    }

    /// Reads registers that changed lately, as a viewer would.
    fn read_back(&mut self, view: &dyn View) {
        for (host, register) in std::mem::take(&mut self.waiting) {
            let Some(core) = view.core(host) else { continue };
            let (profile, title) = self.ids(register);
            if let Ok(stored) = core.store().register(profile, title) {
                self.shown.push(Shown { host, register, facts: stored.map(|stored| Facts::from(&stored.progress)) });
            }
        }
    }
}

/// The expiry floor of a host that is up.
pub fn floor_day(view: &dyn View, host: HostId) -> u32 {
    view.core(host).map_or(0, |core: &Core| core.store().floor_day())
}

/// A stamp in words.
pub fn stamp(raw: u64) -> String {
    Hlc::from_u64(raw).to_string()
}
