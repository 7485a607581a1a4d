//! A world of replicas with links between them, clocks of their own, and wires that take time and can be cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::progress::{EventKind, PlaybackEvent, Policy, ProfileId, Progress, TitleId};
use crate::replica::{Authority, Core, CoreOptions, Grant, PeerRecords, TokenError};
use crate::store::engine::MemoryEngine;
use crate::store::log::MemoryFiles;
use crate::store::{Epoch, Fresh, KeyRange, ReplicaId, Seq, Store, StoreOptions};
use crate::sync::frame;
use crate::sync::message::Role;
use crate::sync::{Handled, Link, LinkConfig, LinkError, LinkEvent};
use crate::time::{MonotonicTime, WallTime};

pub(super) const START: WallTime = WallTime::from_millis(1_790_000_000_000);
/// One way.
const LATENCY_MS: u64 = 10;

/// A replica that can be restarted, and lose its disk.
pub(super) struct Replica {
    pub(super) core: Core,
    files: MemoryFiles,
    pub(super) engine: MemoryEngine,
    options: CoreOptions,
    store_options: StoreOptions,
    fresh: Fresh,
    /// How far its wall clock is ahead of the world's.
    pub(super) skew_ms: i64,
}

impl Replica {
    pub(super) fn node(id: u8) -> Self {
        Self::new(id, CoreOptions { playheads_count_max: 10_000, ..CoreOptions::default() }, StoreOptions::small())
    }

    pub(super) fn device(id: u8) -> Self {
        let options = CoreOptions { playheads_count_max: 10_000, keeps_unshared: true, ..CoreOptions::default() };
        let mut store = StoreOptions::small();
        store.key_secret = [id; 16];
        Self::new(id, options, store)
    }

    pub(super) fn new(id: u8, options: CoreOptions, store_options: StoreOptions) -> Self {
        let fresh = Fresh { id: ReplicaId([id; 16]), epoch: Epoch(u64::from(id) * 1_000) };
        let (files, engine) = (MemoryFiles::new(), MemoryEngine::new());
        let core = open(&files, &engine, &options, &store_options, fresh);
        Self { core, files, engine, options, store_options, fresh, skew_ms: 0 }
    }

    /// Power is lost and comes back.
    pub(super) fn restart(&mut self) {
        self.fresh.epoch.0 += 1;
        self.files.lose_power(0);
        self.engine.lose_power();
        self.core = open(&self.files, &self.engine, &self.options, &self.store_options, self.fresh);
    }

    /// A copy of its folder as it is now.
    pub(super) fn copy(&self) -> (MemoryFiles, MemoryEngine) {
        (self.files.copy(), self.engine.copy())
    }

    /// Is set back to a copy of its folder, identity and all.
    pub(super) fn set_back(&mut self, copy: (MemoryFiles, MemoryEngine)) {
        self.set_back_in(0, copy);
    }

    /// The same, with other epochs than those of another copy.
    pub(super) fn set_back_in(&mut self, which: u64, (files, engine): (MemoryFiles, MemoryEngine)) {
        (self.files, self.engine) = (files, engine);
        self.fresh.epoch.0 += which * 100;
        self.restart();
    }

    /// Comes back with an empty disk and a new identity.
    pub(super) fn lose_disk(&mut self) {
        self.fresh = Fresh { id: ReplicaId([self.fresh.id.0[0] ^ 0x80; 16]), epoch: Epoch(self.fresh.epoch.0 + 7) };
        (self.files, self.engine) = (MemoryFiles::new(), MemoryEngine::new());
        self.core = open(&self.files, &self.engine, &self.options, &self.store_options, self.fresh);
    }

    pub(super) fn id(&self) -> ReplicaId {
        self.core.store().id()
    }

    pub(super) fn position(&self, profile: &str, title: &str) -> u64 {
        let (profile, title) = (ProfileId::new(profile).unwrap(), TitleId::new(title).unwrap());
        self.core.resume_point(&profile, &title, Policy::Continue).unwrap().point.position.as_millis()
    }

    pub(super) fn everything(&self) -> BTreeMap<(ProfileId, TitleId), Progress> {
        let mut all = BTreeMap::new();
        let visit = &mut |item: crate::store::ScanItem| {
            all.insert((item.profile, item.title), item.progress);
            ControlFlow::Continue(())
        };
        self.core.store().scan(KeyRange::ALL, visit).unwrap();
        all
    }
}

fn open(files: &MemoryFiles, engine: &MemoryEngine, options: &CoreOptions, store_options: &StoreOptions, fresh: Fresh) -> Core {
    let (store, _) = Store::open(Arc::new(files.clone()), Box::new(engine.clone()), store_options.clone(), fresh).unwrap();
    Core::new(store, options.clone())
}

/// One direction of a link.
#[derive(Default)]
struct Wire {
    frames: VecDeque<(u64, Vec<u8>)>,
    bytes: u64,
}

/// A link between two replicas, seen from both sides.
pub(super) struct Pair {
    pub(super) ends: [usize; 2],
    pub(super) links: [Link; 2],
    wires: [Wire; 2],
    pub(super) ended: Option<(usize, LinkError)>,
    pub(super) events: [Vec<LinkEvent>; 2],
    /// Frames still to be delivered before the link is cut.
    pub(super) frames_left: Option<u64>,
    pub(super) repeats: bool,
}

impl Pair {
    /// Bytes sent by both sides.
    pub(super) fn bytes(&self) -> u64 {
        self.wires.iter().map(|wire| wire.bytes).sum()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.ended.is_none() && self.frames_left != Some(0)
    }
}

/// Replicas, links, and the time.
pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) replicas: Vec<Replica>,
    pub(super) pairs: Vec<Pair>,
    pub(super) authority: Option<Arc<dyn Authority>>,
    salts: u8,
}

impl World {
    pub(super) fn new(replicas: Vec<Replica>) -> Self {
        Self { now_ms: 0, replicas, pairs: Vec::new(), authority: None, salts: 0 }
    }

    pub(super) fn mono(&self) -> MonotonicTime {
        MonotonicTime::from_start(Duration::from_millis(self.now_ms))
    }

    pub(super) fn wall(&self, replica: usize) -> WallTime {
        START.shifted(self.now_ms.cast_signed() + self.replicas[replica].skew_ms)
    }

    pub(super) fn config(&mut self, dialed: bool, role: Role) -> LinkConfig {
        self.salts += 1;
        LinkConfig { role, dialed, peer_is_node: true, authority: self.authority.clone(), salt: [self.salts; 16], ..LinkConfig::default() }
    }

    /// Links two nodes; the number of the pair.
    pub(super) fn link(&mut self, a: usize, b: usize) -> usize {
        let configs = [self.config(true, Role::Node), self.config(false, Role::Node)];
        self.link_with([a, b], configs)
    }

    /// Links a device with a node.
    pub(super) fn link_device(&mut self, device: usize, node: usize) -> usize {
        self.link_device_with(device, node, "token")
    }

    pub(super) fn link_device_with(&mut self, device: usize, node: usize, token: &str) -> usize {
        let mine = LinkConfig { token: token.into(), authority: None, ..self.config(true, Role::Device) };
        let theirs = LinkConfig { peer_is_node: false, ..self.config(false, Role::Node) };
        self.link_with([device, node], [mine, theirs])
    }

    pub(super) fn link_with(&mut self, ends: [usize; 2], configs: [LinkConfig; 2]) -> usize {
        let mono = self.mono();
        let [first, second] = configs;
        let new = |end: usize, config| Link::new(self.wall(end), mono, &self.replicas[end].core, config);
        let links = [new(ends[0], first), new(ends[1], second)];
        let (wires, events) = Default::default();
        self.pairs.push(Pair { ends, links, wires, ended: None, events, frames_left: None, repeats: false });
        self.pairs.len() - 1
    }

    /// The peers for which an ended pair leaves records unsettled, for each of its ends.
    pub(super) fn unsettled(&self, pair: usize, side: usize) -> BTreeSet<ReplicaId> {
        let link = &self.pairs[pair].links[side];
        link.peer().filter(|_| link.is_unsettled()).into_iter().collect()
    }

    pub(super) fn record(&self, replica: usize, profile: &str, title: &str, kind: EventKind, position_ms: u64) {
        self.record_quietly(replica, profile, title, kind, position_ms);
        self.replicas[replica].core.flush().unwrap();
    }

    pub(super) fn record_quietly(&self, replica: usize, profile: &str, title: &str, kind: EventKind, position_ms: u64) {
        let event = PlaybackEvent::new(profile, title, format!("tv{replica}"), kind, position_ms);
        let recorded = self.replicas[replica].core.record(self.wall(replica), None, &[event]).unwrap();
        recorded.outcomes[0].as_ref().unwrap();
    }

    /// Records many titles in many profiles, begun at the given position.
    pub(super) fn fill(&self, replica: usize, range: std::ops::Range<u64>, position_ms: u64) {
        for number in range {
            let profile = format!("{:08x}-0000-4000-8000-000000000000", number / 7);
            self.record_quietly(replica, &profile, &format!("title-{number}"), EventKind::Pause, position_ms + number);
            if number % 1_000 == 999 {
                self.replicas[replica].core.flush().unwrap();
            }
        }
        self.replicas[replica].core.flush().unwrap();
    }

    /// Lets one millisecond pass.
    pub(super) fn step(&mut self) {
        self.now_ms += 1;
        let now_ms = self.now_ms;
        let mono = self.mono();
        for index in 0..self.pairs.len() {
            if !self.pairs[index].is_alive() {
                continue;
            }
            for side in 0..2 {
                let end = self.pairs[index].ends[side];
                let now = self.wall(end);
                let core = &self.replicas[end].core;
                let pair = &mut self.pairs[index];
                if let Err(error) = turn(pair, side, now, mono, now_ms, core) {
                    pair.ended.get_or_insert((side, error));
                }
            }
        }
        for replica in &self.replicas {
            replica.core.flush().unwrap();
        }
    }

    pub(super) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    /// Runs until the condition holds.
    pub(super) fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = self.now_ms + 120_000;
        while !condition(self) {
            assert!(
                self.now_ms < deadline,
                "not within two minutes: {what}; {:?}",
                self.pairs.iter().map(|pair| &pair.ended).collect::<Vec<_>>()
            );
            self.step();
        }
    }

    /// Runs until all replicas hold the same.
    pub(super) fn run_until_equal(&mut self) {
        // What a replica holds is compared seldom: it is read whole.
        for _ in 0..2_000 {
            self.run(50);
            let first = self.replicas[0].everything();
            if self.replicas[1..].iter().all(|replica| replica.everything() == first) {
                return;
            }
        }
        let counts: Vec<usize> = self.replicas.iter().map(|replica| replica.everything().len()).collect();
        panic!("not equal: {counts:?} registers; {:?}", self.pairs.iter().map(|pair| &pair.ended).collect::<Vec<_>>());
    }

    /// Whether nothing is on its way on a pair and both sides have synced what the other sent.
    pub(super) fn is_quiet(&self, pair: usize) -> bool {
        let pair = &self.pairs[pair];
        let settled = |side: usize| {
            let figures = pair.links[side].figures(&self.replicas[pair.ends[side]].core);
            figures.in_flight_bytes == 0 && pair.links[side].state() == super::super::LinkState::Open
        };
        pair.wires.iter().all(|wire| wire.frames.is_empty()) && settled(0) && settled(1)
    }

    pub(super) fn run_until_quiet(&mut self, pair: usize) {
        self.run_until("a quiet link", |world| world.is_quiet(pair));
        // What is only covered is told a moment later.
        self.run(500);
        self.run_until("a quiet link", |world| world.is_quiet(pair));
    }
}

fn turn(pair: &mut Pair, side: usize, now: WallTime, mono: MonotonicTime, now_ms: u64, core: &Core) -> Result<(), LinkError> {
    let link = &mut pair.links[side];
    link.handle_timeout(now, mono, core)?;
    while let Some((due, _)) = pair.wires[1 - side].frames.front()
        && *due <= now_ms
        && pair.frames_left != Some(0)
    {
        let Some((_, bytes)) = pair.wires[1 - side].frames.pop_front() else { break };
        let mut rest = &bytes[..];
        while let Some(found) = frame::split(rest)? {
            if let Handled::Busy(pause) = link.handle_frame(now, mono, core, found.number, found.body)? {
                let due = now_ms + u64::try_from(pause.as_millis()).unwrap();
                pair.wires[1 - side].frames.push_front((due, rest.to_vec()));
                return Ok(());
            }
            if pair.repeats && found.number == frame::FrameType::Records as u8 {
                // The transport does not repeat, but a peer may; records say nothing new the second time.
                let records = super::super::Records::decode(found.body).unwrap();
                let records = PeerRecords { bytes: records.bytes, count: records.count, ..PeerRecords::default() };
                core.apply(now, link.peer().unwrap(), records, None).unwrap();
            }
            rest = &rest[found.bytes..];
        }
        assert!(rest.is_empty(), "frames are polled whole");
        pair.frames_left = pair.frames_left.map(|left| left - 1);
    }
    let mut out = Vec::new();
    while link.poll_frame(mono, core, &mut out)? {
        let wire = &mut pair.wires[side];
        wire.bytes += out.len() as u64;
        wire.frames.push_back((now_ms + LATENCY_MS, std::mem::take(&mut out)));
    }
    while let Some(event) = link.poll_event() {
        pair.events[side].push(event);
    }
    Ok(())
}

/// An authority that grants the same profiles to whoever asks: with the token `write`, to write only; with `read`, to read only.
pub(super) struct Grants(pub(super) Vec<&'static str>);

impl Authority for Grants {
    fn verify(&self, now: WallTime, token: &str) -> Result<Grant, TokenError> {
        if !["token", "read", "write"].contains(&token) {
            return Err(TokenError::Expired);
        }
        let (read, write) = (token != "write", token != "read");
        let profiles = self.0.iter().map(|profile| ProfileId::new(profile).unwrap()).collect();
        Ok(Grant { account: "account".into(), profiles, read, write, expires: now.shifted(3_600_000) })
    }
}

/// Sequence numbers that a replica's peer has synced, as its cursor says.
pub(super) fn cursor(world: &World, at: usize, of: usize) -> Option<Seq> {
    world.replicas[at].core.store().cursor(world.replicas[of].id()).map(|cursor| cursor.seq)
}
