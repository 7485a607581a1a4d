//! A line between two nodes that the test owns: it drops, delays, duplicates and reorders datagrams, and cuts either direction.
//!
//! A relay stands in front of one node. Whoever wants to reach the node sends to the relay, which passes on from a socket of its own for each
//! sender, as an address translator does, and so knows whose datagram it holds. What it passes and when is decided by the [`Weather`] between
//! the sender and the node, from seeded dice.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leftoff::time::MonotonicTime;
use leftoff::time::system::monotonic_now;

use super::dice::Dice;

/// Datagrams kept for senders that are not known yet.
const HELD_COUNT_MAX: usize = 64;
/// How often a thread without traffic looks whether it should end.
const IDLE: Duration = Duration::from_millis(50);
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Which way a datagram goes, seen from the node behind the relay.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Direction {
    /// To the node.
    In,
    /// From the node.
    Out,
}

/// What happens to datagrams on one way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Weather {
    /// Nothing passes.
    pub(crate) cut: bool,
    /// Dropped, in a thousand.
    pub(crate) drop_permille: u64,
    /// Sent twice, in a thousand.
    pub(crate) duplicate_permille: u64,
    /// Held back so that later ones overtake it, in a thousand.
    pub(crate) reorder_permille: u64,
    /// Time on the way, in milliseconds.
    pub(crate) delay_ms: RangeInclusive<u64>,
}

impl Weather {
    /// Everything passes at once.
    pub(crate) const FAIR: Self = Self { cut: false, drop_permille: 0, duplicate_permille: 0, reorder_permille: 0, delay_ms: 0..=0 };
    /// Nothing passes.
    pub(crate) const CUT: Self = Self { cut: true, ..Self::FAIR };
    /// A line across an ocean on a bad day.
    pub(crate) const STORM: Self = Self { cut: false, drop_permille: 80, duplicate_permille: 100, reorder_permille: 150, delay_ms: 2..=25 };
}

/// How many datagrams met which fate.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    pub(crate) passed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) duplicated: AtomicU64,
    pub(crate) reordered: AtomicU64,
    pub(crate) cut: AtomicU64,
}

struct Flow {
    upstream: Arc<UdpSocket>,
    peer: Option<usize>,
    held: Vec<Vec<u8>>,
}

struct Lines {
    target: Option<SocketAddr>,
    // Senders by address, for those that are known.
    peers: HashMap<SocketAddr, usize>,
    flows: HashMap<SocketAddr, Flow>,
    weather: HashMap<(usize, Direction), Weather>,
    elsewhere: Weather,
    dice: Dice,
    readers: Vec<JoinHandle<()>>,
}

struct Delayed {
    due: MonotonicTime,
    number: u64,
    from: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

struct Shared {
    front: Arc<UdpSocket>,
    strict: bool,
    lines: Mutex<Lines>,
    delayed: Mutex<BinaryHeap<Reverse<Delayed>>>,
    arrived: Condvar,
    number: AtomicU64,
    stop: AtomicBool,
    fates: Fates,
}

/// A relay in front of one node; its threads and sockets end with it.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn loopback() -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(IDLE))?;
    Ok(Arc::new(socket))
}

impl Relay {
    /// A relay that passes datagrams of known senders only; those of others wait until [`Relay::know`] says who they are.
    pub(crate) fn between_nodes(dice: Dice) -> Self {
        Self::start(dice, true)
    }

    /// A relay for anybody: senders that are not known have the weather that [`Relay::set_elsewhere`] gave.
    pub(crate) fn for_anybody(dice: Dice) -> Self {
        Self::start(dice, false)
    }

    fn start(dice: Dice, strict: bool) -> Self {
        let shared = Arc::new(Shared {
            front: loopback().unwrap(),
            strict,
            lines: Mutex::new(Lines {
                target: None,
                peers: HashMap::new(),
                flows: HashMap::new(),
                weather: HashMap::new(),
                elsewhere: Weather::FAIR,
                dice,
                readers: Vec::new(),
            }),
            delayed: Mutex::default(),
            arrived: Condvar::new(),
            number: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            fates: Fates::default(),
        });
        let spawn = |name: &str, run: fn(&Arc<Shared>)| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared)).unwrap()
        };
        let threads = vec![spawn("relay-front", receive), spawn("relay-delay", deliver)];
        Self { shared, threads }
    }

    /// Where to reach the node through the relay.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.front.local_addr().unwrap()
    }

    /// Where the node is now.
    pub(crate) fn set_target(&self, target: SocketAddr) {
        lock(&self.shared.lines).target = Some(target);
    }

    /// Says who sends from an address. What that sender sent before goes on now.
    pub(crate) fn know(&self, address: SocketAddr, peer: usize) {
        let held = {
            let mut lines = lock(&self.shared.lines);
            lines.peers.retain(|_, known| *known != peer);
            lines.peers.insert(address, peer);
            match lines.flows.get_mut(&address) {
                Some(flow) => {
                    flow.peer = Some(peer);
                    std::mem::take(&mut flow.held)
                }
                None => Vec::new(),
            }
        };
        for bytes in held {
            self.shared.pass_in(address, &bytes);
        }
    }

    /// Sets the weather for one sender on one way.
    pub(crate) fn set(&self, peer: usize, direction: Direction, weather: Weather) {
        lock(&self.shared.lines).weather.insert((peer, direction), weather);
    }

    /// Sets the weather for senders that are not known, on both ways.
    pub(crate) fn set_elsewhere(&self, weather: Weather) {
        lock(&self.shared.lines).elsewhere = weather;
    }

    pub(crate) fn fates(&self) -> &Fates {
        &self.shared.fates
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.arrived.notify_all();
        let readers = std::mem::take(&mut lock(&self.shared.lines).readers);
        for thread in self.threads.drain(..).chain(readers) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a thread of the relay ended in a panic");
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn pass_in(self: &Arc<Self>, source: SocketAddr, bytes: &[u8]) {
        let mut lines = lock(&self.lines);
        let Some(target) = lines.target else { return };
        let known = lines.peers.get(&source).copied();
        if !lines.flows.contains_key(&source) {
            let upstream = loopback().unwrap();
            let (shared, socket) = (Arc::clone(self), Arc::clone(&upstream));
            let reader = thread::Builder::new().name("relay-back".into()).spawn(move || shared.receive_back(&socket, source)).unwrap();
            lines.readers.push(reader);
            lines.flows.insert(source, Flow { upstream, peer: known, held: Vec::new() });
        }
        let strict = self.strict;
        let Some(flow) = lines.flows.get_mut(&source) else { return };
        flow.peer = flow.peer.or(known);
        if flow.peer.is_none() && strict {
            if flow.held.len() < HELD_COUNT_MAX {
                flow.held.push(bytes.to_vec());
            }
            return;
        }
        let (upstream, peer) = (Arc::clone(&flow.upstream), flow.peer);
        let copies = lines.copies(peer, Direction::In, &self.fates);
        drop(lines);
        self.send(&copies, &upstream, target, bytes);
    }

    fn receive_back(self: Arc<Self>, upstream: &Arc<UdpSocket>, source: SocketAddr) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !self.stopped() {
            // A node that is not there answers with an ICMP error; the next datagram may find it again.
            let Ok((length, _)) = upstream.recv_from(&mut buffer) else { continue };
            let mut lines = lock(&self.lines);
            let peer = lines.flows.get(&source).and_then(|flow| flow.peer);
            let copies = lines.copies(peer, Direction::Out, &self.fates);
            drop(lines);
            self.send(&copies, &self.front, source, &buffer[..length]);
        }
    }

    fn send(&self, delays: &[Duration], from: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        for delay in delays {
            if delay.is_zero() {
                // The receiver may be gone; a line does not know.
                let _ = from.send_to(bytes, to);
                continue;
            }
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let delayed = Delayed { due: monotonic_now() + *delay, number, from: Arc::clone(from), to, bytes: bytes.to_vec() };
            lock(&self.delayed).push(Reverse(delayed));
            self.arrived.notify_one();
        }
    }
}

impl Lines {
    /// When the copies of one datagram are to arrive; none if it is lost.
    fn copies(&mut self, peer: Option<usize>, direction: Direction, fates: &Fates) -> Vec<Duration> {
        let count = |fate: &AtomicU64| fate.fetch_add(1, Ordering::Relaxed);
        let weather = match peer {
            Some(peer) => self.weather.get(&(peer, direction)).cloned().unwrap_or(Weather::FAIR),
            None => self.elsewhere.clone(),
        };
        if weather.cut {
            count(&fates.cut);
            return Vec::new();
        }
        if self.dice.chance(weather.drop_permille) {
            count(&fates.dropped);
            return Vec::new();
        }
        let mut delay_ms = self.dice.within(weather.delay_ms.clone());
        if self.dice.chance(weather.reorder_permille) {
            count(&fates.reordered);
            delay_ms += self.dice.within(5..=60);
        }
        count(&fates.passed);
        let mut copies = vec![Duration::from_millis(delay_ms)];
        if self.dice.chance(weather.duplicate_permille) {
            count(&fates.duplicated);
            copies.push(Duration::from_millis(delay_ms + self.dice.within(0..=40)));
        }
        copies
    }
}

fn receive(shared: &Arc<Shared>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !shared.stopped() {
        if let Ok((length, source)) = shared.front.recv_from(&mut buffer) {
            shared.pass_in(source, &buffer[..length]);
        }
    }
}

fn deliver(shared: &Arc<Shared>) {
    let mut delayed = lock(&shared.delayed);
    while !shared.stopped() {
        let now = monotonic_now();
        let wait = match delayed.peek() {
            None => IDLE,
            Some(Reverse(first)) if first.due <= now => {
                if let Some(Reverse(due)) = delayed.pop() {
                    drop(delayed);
                    let _ = due.from.send_to(&due.bytes, due.to);
                    delayed = lock(&shared.delayed);
                }
                continue;
            }
            Some(Reverse(first)) => first.due.saturating_since(now).min(IDLE),
        };
        delayed = shared.arrived.wait_timeout(delayed, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}
