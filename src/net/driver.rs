//! The loop around one link: one task for each connection.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, debug, info, info_span, warn};

use super::doors::Place;
use super::machine::Machine;
use super::network::{NetEvent, Shared};
use super::random::random_salt;
use super::registry::{Entry, Greeting, Verdict};
use super::status::{LinkStatus, NetTotals};
use super::tls;
use crate::ephemeral::Topic;
use crate::store::ReplicaId;
use crate::sync::message::{Bye, ByeCode, Role};
use crate::sync::{Link, LinkConfig, LinkError, LinkEvent, LinkFigures, LinkState};
use crate::time::MonotonicTime;
use crate::time::system::{monotonic_now, wall_now};

/// Told to one that was there for long and said nothing.
const MADE_ROOM: &str = "made room for others: no greeting";

/// When a device that found no room may come back.
const NO_ROOM_RETRY_MS: u64 = 10_000;

/// Bytes read from the transport at once.
const READ_BYTES: usize = 64 << 10;

/// How long the last frame may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection came about.
pub(super) struct Opening {
    pub(super) dialed: bool,
    pub(super) address: String,
    /// A device's token; empty for a node.
    pub(super) token: String,
    /// Set when the one who asked for the link does not want it any more.
    pub(super) given_up: Option<watch::Receiver<bool>>,
    /// Of one that was not dialed.
    pub(super) place: Option<Place>,
}

/// How a link ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) peer: Option<ReplicaId>,
    pub(super) opened: bool,
    pub(super) code: ByeCode,
    pub(super) reason: String,
    pub(super) retry: Duration,
}

enum End {
    Error(LinkError),
    Transport(String),
    NoRoom,
    GivesWay,
    Shutdown,
}

/// Runs a link over a connection until it ends.
pub(super) async fn run(shared: Arc<Shared>, connection: Connection, opening: Opening) -> Ended {
    let span =
        info_span!("link", node = %shared.config.name, link = tracing::field::Empty, peer = tracing::field::Empty, dialed = opening.dialed);
    run_inside(shared, connection, opening).instrument(span).await
}

async fn run_inside(shared: Arc<Shared>, connection: Connection, opening: Opening) -> Ended {
    let failed = |reason: String| Ended { peer: None, opened: false, code: ByeCode::Protocol, reason, retry: Duration::ZERO };
    let streams =
        timeout(shared.config.patience, async { if opening.dialed { connection.open_bi().await } else { connection.accept_bi().await } });
    let streams = tokio::select! {
        streams = streams => streams,
        () = must_leave(opening.place.as_ref()) => {
            connection.close(VarInt::from_u32(ByeCode::Overloaded.number()), MADE_ROOM.as_bytes());
            return failed(MADE_ROOM.to_owned());
        }
    };
    let (send, receive) = match streams {
        Ok(Ok(streams)) => streams,
        Ok(Err(error)) => return failed(error.to_string()),
        Err(_) => {
            connection.close(VarInt::from_u32(ByeCode::Protocol.number()), b"no stream");
            return failed("the peer opened no stream in time".to_owned());
        }
    };
    let Some(salt) = random_salt() else { return failed("the system has no randomness".to_owned()) };
    let config = LinkConfig {
        role: shared.config.role,
        name: shared.config.name.clone(),
        region: shared.config.region.clone(),
        advertise: shared.advertised(),
        token: opening.token.clone(),
        dialed: opening.dialed,
        // A dialed peer has shown a certificate with the role's name, or the handshake would have failed.
        peer_is_node: opening.dialed || shows_node(&connection),
        authority: shared.authority.clone(),
        run: shared.run,
        salt,
        unsettled: shared.registry.unsettled(),
        ping_interval: shared.config.ping_interval,
        patience: shared.config.patience,
        scrub_interval: shared.config.scrub_interval,
    };
    let link = Link::new(wall_now(), monotonic_now(), &shared.core, config);
    let status = LinkStatus {
        link: 0,
        dialed: opening.dialed,
        address: opening.address,
        peer: None,
        role: None,
        name: String::new(),
        region: String::new(),
        state: LinkState::Greeting,
        rtt: connection.rtt(),
        clock_offset_ms: None,
        figures: LinkFigures::default(),
    };
    let (number, entry) = shared.registry.enter(status);
    Span::current().record("link", number);
    let wake = Arc::new(Notify::new());
    let ring = Arc::clone(&wake);
    let watch = shared.core.on_change(Arc::new(move || ring.notify_one()));
    let ring = Arc::clone(&wake);
    let lease_watch = shared.core.ephemeral().watch(Topic::Peers, Arc::new(move |_| ring.notify_one()));
    let mut driver = Driver {
        machine: Some(Machine::new(Arc::clone(&shared.core), link)),
        connection,
        send,
        receive,
        number,
        entry,
        wake,
        opened: false,
        peers_sent: 0,
        given_up: opening.given_up,
        place: opening.place,
        has_room: true,
        shared: Arc::clone(&shared),
    };
    let end = driver.drive().await;
    shared.core.unwatch(watch);
    shared.core.ephemeral().unwatch(lease_watch);
    driver.finish(end).await
}

pub(super) fn shows_node(connection: &Connection) -> bool {
    let identity =
        connection.peer_identity().and_then(|identity| identity.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().ok());
    identity.is_some_and(|chain| chain.first().is_some_and(tls::is_node))
}

struct Driver {
    /// Taken out while it works on another thread.
    machine: Option<Machine>,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    number: u64,
    entry: Arc<Entry>,
    wake: Arc<Notify>,
    opened: bool,
    peers_sent: u64,
    given_up: Option<watch::Receiver<bool>>,
    place: Option<Place>,
    has_room: bool,
    shared: Arc<Shared>,
}

/// Waits until a connection has to make room; for ever if it need not.
async fn must_leave(place: Option<&Place>) {
    match place {
        Some(place) => place.must_leave().await,
        None => std::future::pending().await,
    }
}

/// Waits until a flag is set; for ever if there is none.
pub(super) async fn is_set(flag: Option<&mut watch::Receiver<bool>>) {
    match flag {
        // The other end gone means the same: nobody wants it any more.
        Some(flag) => {
            let _ = flag.wait_for(|set| *set).await;
        }
        None => std::future::pending().await,
    }
}

impl Driver {
    async fn drive(&mut self) -> End {
        let mut buffer = vec![0; READ_BYTES];
        let mut stop = self.shared.stop.subscribe();
        let mut peers = self.shared.peers.subscribe();
        loop {
            if let Err(error) = self.turn().await {
                // The peer's own words first: they may say why.
                self.take_events();
                return End::Error(error);
            }
            if self.take_events() == Verdict::GivesWay {
                return End::GivesWay;
            }
            if !self.has_room {
                return End::NoRoom;
            }
            self.pass_on_peers();
            let Some(machine) = &mut self.machine else { return End::Transport("the link's thread was lost".to_owned()) };
            let deadline = machine.next_timeout().map(instant_of);
            let wants_bytes = machine.wants_bytes();
            let unwritten = machine.unwritten();
            let is_writing = !unwritten.is_empty();
            tokio::select! {
                written = self.send.write(unwritten), if is_writing => match written {
                    Ok(count) => machine.note_written(count),
                    Err(error) => return End::Transport(error.to_string()),
                },
                read = self.receive.read(&mut buffer), if wants_bytes => match read {
                    Ok(Some(count)) => machine.push_received(&buffer[..count]),
                    Ok(None) => return End::Transport("the peer closed the stream".to_owned()),
                    Err(error) => return End::Transport(self.closed_because(&error)),
                },
                () = self.wake.notified() => {}
                () = at(deadline) => {}
                () = self.entry.give_way.notified() => return End::GivesWay,
                () = must_leave(self.place.as_ref()) => return End::Transport(MADE_ROOM.to_owned()),
                _ = peers.changed() => {}
                () = is_set(self.given_up.as_mut()) => return End::Shutdown,
                () = is_set(Some(&mut stop)) => return End::Shutdown,
            }
        }
    }

    fn closed_because(&self, error: &quinn::ReadError) -> String {
        self.connection.close_reason().map_or_else(|| error.to_string(), |reason| reason.to_string())
    }

    /// One turn of the machine, on a thread of its own when it may read much of the store.
    async fn turn(&mut self) -> Result<(), LinkError> {
        let lost = || LinkError::Share { reason: "the link's thread was lost".to_owned() };
        let Some(machine) = &mut self.machine else { return Err(lost()) };
        if !machine.is_heavy() {
            return machine.turn();
        }
        let Some(mut machine) = self.machine.take() else { return Err(lost()) };
        let worked = tokio::task::spawn_blocking(move || {
            let result = machine.turn();
            (machine, result)
        });
        let (machine, result) = worked.await.map_err(|_| lost())?;
        self.machine = Some(machine);
        result
    }

    fn take_events(&mut self) -> Verdict {
        let mut verdict = Verdict::Stays;
        while let Some(event) = self.machine.as_mut().and_then(|machine| machine.link.poll_event()) {
            if self.take_event(event) == Verdict::GivesWay {
                verdict = Verdict::GivesWay;
            }
        }
        self.note_status();
        verdict
    }

    fn take_event(&mut self, event: LinkEvent) -> Verdict {
        let shared = Arc::clone(&self.shared);
        let peer = self.machine.as_ref().and_then(|machine| machine.link.peer());
        match event {
            LinkEvent::Greeted { peer, role, name, region, run, advertise } => {
                Span::current().record("peer", tracing::field::display(peer));
                // A link has one greeting.
                let _ = self.entry.run.set(run);
                let mut status = self.entry.status.lock().unwrap_or_else(PoisonError::into_inner);
                let dialed = status.dialed.then(|| status.address.clone());
                (status.peer, status.role, status.name, status.region) = (Some(peer), Some(role), name, region);
                drop(status);
                if let Some(place) = &mut self.place {
                    self.connection.set_receive_window(VarInt::from_u32(tls::RECEIVE_WINDOW_BYTES));
                    if role == Role::Device {
                        self.has_room = place.know_device();
                    }
                }
                if let Some(address) = &dialed {
                    shared.registry.note_target(address, Some(peer), None);
                }
                if role == Role::Node {
                    Shared::hear(&shared, peer, &advertise);
                }
                let greeting = Greeting { role, dialed: dialed.is_some(), run };
                return shared.registry.greet(shared.core.store().id(), self.number, peer, greeting);
            }
            LinkEvent::Opened => {
                info!("records flow");
                self.opened = true;
                shared.note_open();
                NetTotals::add(&shared.totals.opened, 1);
                if let Some(peer) = peer {
                    shared.registry.take_unsettled(peer);
                    shared.tell(NetEvent::Opened { peer });
                }
            }
            LinkEvent::ClockCompared(comparison) => {
                let role = self.entry.status.lock().unwrap_or_else(PoisonError::into_inner).role;
                if let (Some(peer), Some(Role::Node)) = (peer, role) {
                    shared.note_clock(peer, comparison.offset_ms);
                }
            }
            LinkEvent::Shared { clock_offset_ms } => shared.tell(NetEvent::Shared { clock_offset_ms }),
            LinkEvent::Granted { profiles, expires } => shared.tell(NetEvent::Granted { profiles, expires }),
            LinkEvent::NotEntitled { profile } => shared.tell(NetEvent::NotEntitled { profile }),
            LinkEvent::PeersLearned(peers) => Shared::learn(&shared, peers),
            LinkEvent::Reconciled { passes, differed } => {
                debug!(passes, differed, "reconciled");
                if let Some(peer) = peer {
                    shared.tell(NetEvent::Reconciled { peer, differed });
                }
            }
            LinkEvent::Parted { code, reason } => debug!(?code, reason, "the peer says goodbye"),
        }
        Verdict::Stays
    }

    fn note_status(&self) {
        let Some(machine) = &self.machine else { return };
        let figures = machine.link.figures(&machine.core);
        let mut status = self.entry.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.state = machine.link.state();
        status.rtt = self.connection.rtt();
        status.clock_offset_ms = machine.link.clock().map(|comparison| comparison.offset_ms);
        status.figures = figures;
    }

    /// Tells a node of the others, when there is news. A device learns of no addresses but the one it was given.
    fn pass_on_peers(&mut self) {
        let version = *self.shared.peers.borrow();
        let role = self.entry.status.lock().unwrap_or_else(PoisonError::into_inner).role;
        if self.opened && self.peers_sent != version && role == Some(Role::Node) && self.shared.config.role == Role::Node {
            self.peers_sent = version;
            if let Some(machine) = &mut self.machine {
                machine.link.send_peers(self.shared.registry.known_peers());
                // Polled at once, not when something else happens.
                self.wake.notify_one();
            }
        }
    }

    async fn finish(mut self, end: End) -> Ended {
        let (bye, code, reason, retry) = match end {
            End::Error(LinkError::Bye { code, reason, retry_ms }) => {
                (None, code, format!("the peer ended the link: {reason}"), Duration::from_millis(retry_ms))
            }
            End::Error(error) => {
                let (bye, code) = (error.bye(), error.code());
                (Some(bye), code, error.to_string(), Duration::ZERO)
            }
            End::Transport(reason) => (None, ByeCode::Done, reason, Duration::ZERO),
            End::NoRoom => {
                NetTotals::add(&self.shared.totals.refused, 1);
                let reason = "no room for another device".to_owned();
                let bye = Bye { code: ByeCode::Overloaded, reason: reason.clone(), retry_ms: NO_ROOM_RETRY_MS };
                (Some(bye), ByeCode::Overloaded, reason, Duration::ZERO)
            }
            End::GivesWay => {
                let reason = "another link between the two replicas stays".to_owned();
                (Some(Bye { code: ByeCode::Duplicate, reason: reason.clone(), retry_ms: 0 }), ByeCode::Duplicate, reason, Duration::ZERO)
            }
            End::Shutdown => {
                let reason = "the replica stops".to_owned();
                (Some(Bye { code: ByeCode::Done, reason: reason.clone(), retry_ms: 0 }), ByeCode::Done, reason, Duration::ZERO)
            }
        };
        let close_code = bye.as_ref().map_or(ByeCode::Done, |bye| bye.code);
        let close_reason = bye.as_ref().map_or_else(String::new, |bye| bye.reason.clone());
        if let Some(bye) = &bye {
            // The peer may not read any more: the farewell has a deadline, and its failure changes nothing.
            let _ = timeout(FAREWELL, self.farewell(bye)).await;
        }
        self.connection.close(VarInt::from_u32(close_code.number()), close_reason.as_bytes());
        self.account(code, &reason);
        let peer = self.machine.as_ref().and_then(|machine| machine.link.peer());
        Ended { peer, opened: self.opened, code, reason, retry }
    }

    async fn farewell(&mut self, bye: &Bye) -> Result<(), quinn::WriteError> {
        if let Some(machine) = &mut self.machine {
            machine.say_bye(bye);
            self.send.write_all(machine.unwritten()).await?;
        }
        // Closing at once would overtake what was written: wait until the peer has it.
        if self.send.finish().is_ok() {
            let _ = self.send.stopped().await;
        }
        Ok(())
    }

    fn account(&mut self, code: ByeCode, reason: &str) {
        let shared = &self.shared;
        self.note_status();
        let peer = self.machine.as_ref().and_then(|machine| machine.link.peer());
        if let (Some(machine), Some(peer)) = (&self.machine, peer)
            && machine.link.is_unsettled()
        {
            shared.registry.note_unsettled(peer);
        }
        let was_the_one = shared.registry.leave(monotonic_now(), self.number, peer);
        if let Some(peer) = peer.filter(|_| was_the_one) {
            shared.forget_clock(peer);
            shared.tell(NetEvent::Ended { peer, reason: reason.to_owned() });
        }
        shared.left(self.opened);
        let figures = self.entry.status.lock().unwrap_or_else(PoisonError::into_inner).figures;
        NetTotals::add(&shared.totals.ended, 1);
        NetTotals::add(&shared.totals.records_in, figures.records_in);
        NetTotals::add(&shared.totals.bytes_in, figures.bytes_in);
        NetTotals::add(&shared.totals.bytes_out, figures.bytes_out);
        let faulted = !matches!(code, ByeCode::Done | ByeCode::Duplicate | ByeCode::Myself);
        if faulted {
            NetTotals::add(&shared.totals.faulted, 1);
            warn!(?code, reason, "the link ended");
        } else {
            info!(?code, reason, "the link ended");
        }
    }
}

fn instant_of(at: MonotonicTime) -> Instant {
    Instant::now() + at.saturating_since(monotonic_now())
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
