//! The same replicas and links over turmoil: simulated TCP, tokio's timers, and a shell of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use leftoff::replica::{Core, CoreOptions};
use leftoff::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};
use leftoff::sync::{Handled, Link, LinkConfig, frame};
use leftoff::time::{MonotonicTime, WallTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use turmoil::net::{TcpListener, TcpStream};

use crate::script::{Ask, Script, Stock, stock};

const PORT: u16 = 7401;
/// One way between two nodes: half of what the story says of a round trip.
const ONE_WAY: Duration = Duration::from_millis(60);
const TICK: Duration = Duration::from_millis(2);
/// How long the cluster may take after the last report until all are equal.
const SETTLE: Duration = Duration::from_mins(5);

/// A node: its replica, and who is to look whether there is something to send.
struct Node {
    core: Core,
    news: Notify,
    index: u32,
}

impl Node {
    fn new(index: u32) -> Arc<Self> {
        let mut options = StoreOptions::small();
        options.key_secret = *b"a second opinion";
        let fresh = Fresh { id: ReplicaId([index as u8 + 1; 16]), epoch: Epoch(u64::from(index) + 1) };
        let core = Core::new(Store::in_memory(options, fresh), CoreOptions { playheads_count_max: 100_000, ..CoreOptions::default() });
        Arc::new(Self { core, news: Notify::new(), index })
    }

    fn flush(&self) {
        if self.core.flush().unwrap() {
            self.news.notify_waiters();
        }
    }

    fn answer(&self, now: WallTime, ask: &Ask) {
        match ask {
            // What it was answered is the simulator's to check.
            Ask::Report { sent_at, event } => drop(self.core.record(now, *sent_at, std::slice::from_ref(event)).unwrap()),
            Ask::Hide { profile, title } => drop(self.core.hide(now, profile, title).unwrap()),
            Ask::Erase { profile } => drop(self.core.erase(now, profile).unwrap()),
        }
        self.flush();
    }

    /// One side of a link, until it ends.
    async fn link(&self, mut stream: TcpStream, dialed: bool, beginning: WallTime) -> io::Result<()> {
        let clock = || (now(beginning), MonotonicTime::from_start(turmoil::sim_elapsed().unwrap()));
        let (wall, mono) = clock();
        let mut salt = [self.index as u8; 16];
        salt[..8].copy_from_slice(&wall.as_millis().to_le_bytes());
        let config = LinkConfig {
            name: name(self.index),
            region: name(self.index),
            dialed,
            peer_is_node: true,
            salt,
            run: 1,
            ..LinkConfig::default()
        };
        let mut link = Link::new(wall, mono, &self.core, config);
        let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
        let mut chunk = vec![0; 16 << 10];
        let ended = |error: leftoff::sync::LinkError| io::Error::other(error.to_string());
        loop {
            let news = self.news.notified();
            self.flush();
            let (_, mono) = clock();
            while link.poll_frame(mono, &self.core, &mut outbound).map_err(ended)? {}
            stream.write_all(&outbound).await?;
            outbound.clear();
            while link.poll_event().is_some() {}
            let wait = link.poll_timeout().map_or(Duration::from_secs(1), |due| due.saturating_since(clock().1));
            tokio::select! {
                read = stream.read(&mut chunk) => {
                    let count = read?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    inbound.extend_from_slice(&chunk[..count]);
                }
                () = tokio::time::sleep(wait) => {
                    let (wall, mono) = clock();
                    link.handle_timeout(wall, mono, &self.core).map_err(ended)?;
                }
                () = news => {}
            }
            while let Some(found) = frame::split(&inbound).map_err(io::Error::other)? {
                let (wall, mono) = clock();
                let handled = link.handle_frame(wall, mono, &self.core, found.number, found.body).map_err(ended)?;
                assert_eq!(handled, Handled::Done, "an empty store is not overloaded by a few hundred reports");
                let bytes = found.bytes;
                inbound.drain(..bytes);
            }
        }
    }

    /// Keeps a link to a peer, for ever.
    async fn dial(&self, peer: u32, beginning: WallTime) {
        loop {
            if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect((name(peer), PORT))).await {
                // Whatever ends a link, another is tried.
                drop(self.link(stream, true, beginning).await);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn name(index: u32) -> String {
    format!("node-{index}")
}

fn now(beginning: WallTime) -> WallTime {
    beginning.shifted(turmoil::sim_elapsed().unwrap().as_millis() as i64)
}

/// Tells the story to a cluster over turmoil; how each node ends.
pub(crate) fn tell(script: &Script) -> Vec<Stock> {
    let first = script.lines.first().unwrap();
    // Hosts' clocks are a few milliseconds off each other; this one is as good as any.
    let beginning = first.now.shifted(-(first.at.as_millis() as i64));
    let nodes: Vec<Arc<Node>> = (0..script.hosts).map(Node::new).collect();
    let last = script.lines.last().unwrap().at.max(script.cut.1);
    let mut sim = turmoil::Builder::new()
        .tick_duration(TICK)
        .min_message_latency(ONE_WAY)
        .max_message_latency(ONE_WAY)
        .simulation_duration(last + SETTLE + Duration::from_mins(1))
        .tcp_capacity(4_096)
        .rng_seed(7)
        .build();
    for node in &nodes {
        let lines: Vec<_> = script.lines.iter().filter(|line| line.host == node.index).cloned().collect();
        let node = Arc::clone(node);
        let lines = Arc::new(lines);
        sim.host(name(node.index), move || {
            let (node, lines) = (Arc::clone(&node), Arc::clone(&lines));
            async move {
                let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)).await?;
                for peer in 0..node.index {
                    let node = Arc::clone(&node);
                    tokio::task::spawn_local(async move { node.dial(peer, beginning).await });
                }
                let teller = Arc::clone(&node);
                tokio::task::spawn_local(async move {
                    for line in lines.iter() {
                        let wait = line.at.saturating_sub(turmoil::sim_elapsed().unwrap());
                        tokio::time::sleep(wait).await;
                        teller.answer(line.now, &line.ask);
                    }
                });
                loop {
                    let (stream, _) = listener.accept().await?;
                    let node = Arc::clone(&node);
                    tokio::task::spawn_local(async move {
                        // The other side dials again.
                        drop(node.link(stream, false, beginning).await);
                    });
                }
            }
        });
    }
    let between = |a: u32, b: u32| (name(a), name(b));
    let cut: Vec<(String, String)> = (0..script.hosts).filter(|other| *other != 1).map(|other| between(1, other)).collect();
    let run_until = |sim: &mut turmoil::Sim<'_>, until: Duration| {
        while sim.elapsed() < until {
            sim.step().unwrap();
        }
    };
    run_until(&mut sim, script.cut.0);
    cut.iter().for_each(|(a, b)| sim.partition(a.as_str(), b.as_str()));
    run_until(&mut sim, script.cut.1);
    cut.iter().for_each(|(a, b)| sim.repair(a.as_str(), b.as_str()));
    let mut until = last;
    loop {
        until += Duration::from_secs(5);
        run_until(&mut sim, until);
        let stocks: Vec<Stock> = nodes.iter().map(|node| stock(&node.core)).collect();
        if stocks.iter().all(|stock| *stock == stocks[0]) || until > last + SETTLE {
            return stocks;
        }
    }
}
