//! The network of one replica: its endpoint, its links, its dialers.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::{ClientConfig, Connection, Endpoint, EndpointConfig, Incoming, TokioRuntime, VarInt};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::config::{Credentials, NetConfig, TlsMaterial};
use super::dial::{self, Identity};
use super::doors::{Doors, Place};
use super::driver::{self, Opening};
use super::registry::Registry;
use super::status::{LinkStatus, NetTotals, TargetStatus};
use super::{NetError, tls};
use crate::progress::ProfileId;
use crate::replica::{Authority, Core};
use crate::store::ReplicaId;
use crate::sync::Clocks;
use crate::sync::message::{ByeCode, KnownPeer, Role};
use crate::time::WallTime;
use crate::time::system::{monotonic_now, wall_now};

/// Events kept for a listener that does not keep up; it misses the oldest.
const EVENTS_COUNT_MAX: usize = 256;

/// How long links may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long the last packets may take to leave. A connection that never heard an answer would be waited for much longer, in vain.
const DRAIN: Duration = Duration::from_millis(250);

/// Past facts about the network.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NetEvent {
    /// Records flow with this peer.
    Opened {
        /// Which.
        peer: ReplicaId,
    },
    /// The link with this peer ended.
    Ended {
        /// Which.
        peer: ReplicaId,
        /// Why.
        reason: String,
    },
    /// This device's unshared work was moved to right time and shared. Keep the offset for the next start.
    Shared {
        /// What is to be added to this machine's clock, in milliseconds.
        clock_offset_ms: i64,
    },
    /// What this device's token allows. Profiles that are kept here and are not among these are to be dropped.
    Granted {
        /// The profiles.
        profiles: Vec<ProfileId>,
        /// When the token ends.
        expires: WallTime,
    },
    /// A record was refused because this device's token does not hold its profile.
    NotEntitled {
        /// Which.
        profile: ProfileId,
    },
    /// A reconciliation with this peer is settled.
    Reconciled {
        /// Which.
        peer: ReplicaId,
        /// Whether anything differed.
        differed: bool,
    },
}

/// What all tasks of a network share.
pub(super) struct Shared {
    pub(super) core: Arc<Core>,
    pub(super) config: NetConfig,
    pub(super) authority: Option<Arc<dyn Authority>>,
    /// A random number of this run.
    pub(super) run: u64,
    pub(super) endpoint: Endpoint,
    pub(super) registry: Registry,
    pub(super) doors: Arc<Doors>,
    pub(super) totals: NetTotals,
    pub(super) stop: watch::Sender<bool>,
    /// Counts up when the addresses of nodes have changed.
    pub(super) peers: watch::Sender<u64>,
    /// Counts up when a link has ended.
    pub(super) links: watch::Sender<u64>,
    client: Mutex<Option<ClientConfig>>,
    clocks: Mutex<Clocks>,
    events: broadcast::Sender<NetEvent>,
    open_count: Mutex<usize>,
    tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    pub(super) fn node_client(&self) -> Option<ClientConfig> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where other nodes reach this one; empty if nowhere.
    pub(super) fn advertised(&self) -> String {
        match (&self.config.advertise, self.config.role) {
            (Some(advertise), _) => advertise.clone(),
            (None, Role::Node) => {
                let local = self.endpoint.local_addr().ok();
                local.filter(|local| !local.ip().is_unspecified()).map(|local| local.to_string()).unwrap_or_default()
            }
            (None, Role::Device) => String::new(),
        }
    }

    pub(super) fn tell(&self, event: NetEvent) {
        // Without listeners nobody is told.
        let _ = self.events.send(event);
    }

    pub(super) fn peers_changed(&self) {
        self.peers.send_modify(|version| *version += 1);
    }

    /// A link has ended.
    pub(super) fn left(&self, opened: bool) {
        let mut open = self.open_count.lock().unwrap_or_else(PoisonError::into_inner);
        if opened {
            *open = open.saturating_sub(1);
        }
        if *open == 0 {
            // What a device records from here on is kept apart until a peer's clock is known again.
            self.core.stop_sharing();
        }
        drop(open);
        self.links.send_modify(|version| *version += 1);
    }

    pub(super) fn note_open(&self) {
        *self.open_count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    pub(super) fn note_clock(&self, peer: ReplicaId, offset_ms: i64) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.note(peer, offset_ms);
        self.judge_clock(&clocks);
    }

    pub(super) fn forget_clock(&self, peer: ReplicaId) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.forget(peer);
        self.judge_clock(&clocks);
    }

    fn judge_clock(&self, clocks: &Clocks) {
        if self.config.role == Role::Device {
            return;
        }
        let stamps_ahead_ms = self.core.stamps_ahead_ms(wall_now());
        self.core.set_clock_agrees(clocks.agree(self.core.options().drift_ms_max));
        match clocks.fault(stamps_ahead_ms, self.core.options().drift_ms_max) {
            Some(reason) => {
                warn!("{reason}");
                self.core.set_not_ready("clock", reason);
            }
            None => self.core.set_ready("clock"),
        }
    }

    /// Takes note of nodes that another node knows, and dials those that are new.
    pub(super) fn learn(shared: &Arc<Self>, peers: Vec<KnownPeer>) {
        let own = shared.core.store().id();
        for KnownPeer { replica, address } in peers {
            if replica == own || address.is_empty() || shared.config.role == Role::Device {
                continue;
            }
            let (dials, is_new) = shared.registry.hear_of(monotonic_now(), replica, &address);
            if is_new {
                shared.peers_changed();
            }
            if dials {
                Self::dial_learned(shared, replica, address);
            }
        }
    }

    /// A node says where it is reached.
    pub(super) fn hear(shared: &Arc<Self>, peer: ReplicaId, address: &str) {
        let heard = shared.registry.hear(monotonic_now(), peer, address);
        if heard.news {
            shared.peers_changed();
        }
        if heard.moved {
            Self::dial_learned(shared, peer, address.to_owned());
        }
    }

    fn dial_learned(shared: &Arc<Self>, replica: ReplicaId, address: String) {
        if let Some(target) = shared.registry.add_target(&address, false, Some(replica)) {
            debug!(address, %replica, "learned of a node");
            Self::spawn(shared, dial::keep(Arc::clone(shared), address, Identity::Node, Some(target), None));
        }
    }

    fn spawn(shared: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = shared.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go of.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// The network of one replica. Dropping it cuts all links; [`Network::shutdown`] says goodbye first.
pub struct Network {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("local", &self.shared.endpoint.local_addr().ok()).finish_non_exhaustive()
    }
}

impl Network {
    /// Listens, if there are certificates, and dials the seeds. Runs on the current runtime, which must have timers and I/O.
    ///
    /// `authority` verifies the tokens of devices; without one they are refused.
    ///
    /// # Errors
    ///
    /// Nothing was started.
    #[expect(clippy::unused_async, reason = "must be called on a runtime, which the signature says")]
    pub async fn start(core: Arc<Core>, config: NetConfig, authority: Option<Arc<dyn Authority>>) -> Result<Self, NetError> {
        if config.tls.is_none() && !config.seeds.is_empty() {
            return Err(NetError::NoCertificates);
        }
        let server = config.tls.as_ref().map(|material| tls::server(material, &config)).transpose()?;
        let client = config.tls.as_ref().map(|material| tls::node_client(material, &config)).transpose()?;
        let listens = server.is_some();
        let failed = |source| NetError::Listen { address: config.listen, source };
        let socket = UdpSocket::bind(config.listen).map_err(failed)?;
        let endpoint = Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime)).map_err(failed)?;
        let shared = Arc::new(Shared {
            core,
            authority,
            // Without randomness there is no link either: each needs a salt.
            run: getrandom::u64().unwrap_or_default(),
            endpoint,
            registry: Registry::default(),
            doors: Doors::new(config.strangers_count_max, config.links_count_max),
            totals: NetTotals::default(),
            stop: watch::Sender::new(false),
            peers: watch::Sender::new(1),
            links: watch::Sender::new(0),
            client: Mutex::new(client),
            clocks: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_COUNT_MAX),
            open_count: Mutex::new(0),
            tasks: Mutex::new(JoinSet::new()),
            config,
        });
        let own = shared.advertised();
        if shared.config.role == Role::Node {
            shared.registry.know_own(shared.core.store().id(), &own);
        }
        if listens {
            info!(node = %shared.config.name, address = ?shared.endpoint.local_addr().ok(), "listening for replicas");
            Shared::spawn(&shared, accept(Arc::clone(&shared)));
        }
        let network = Self { shared };
        for seed in network.shared.config.seeds.clone() {
            network.dial(&seed);
        }
        Ok(network)
    }

    /// Dials a node at this address, and keeps dialing. An address that is dialed already changes nothing.
    pub fn dial(&self, address: &str) {
        if address != self.shared.advertised()
            && let Some(target) = self.shared.registry.add_target(address, true, None)
        {
            Shared::spawn(&self.shared, dial::keep(Arc::clone(&self.shared), address.to_owned(), Identity::Node, Some(target), None));
        }
    }

    /// Connects as a device, in the background, for ever; the handle ends it.
    ///
    /// # Errors
    ///
    /// The authority cannot be read. That nobody answers is no error: it is tried again.
    #[expect(clippy::unused_async, reason = "must be called on a runtime, which the signature says")]
    pub async fn connect_device(&self, address: &str, credentials: Credentials) -> Result<DeviceLink, NetError> {
        let client = tls::device_client(&credentials.ca_pem, &self.shared.config)?;
        let (token, renewed) = watch::channel(credentials.token);
        let (give_up, ended) = watch::channel(false);
        self.shared.registry.add_target(address, true, None);
        let identity = Identity::Device { client, token: renewed };
        Shared::spawn(&self.shared, dial::keep(Arc::clone(&self.shared), address.to_owned(), identity, None, Some(ended)));
        Ok(DeviceLink { shared: Arc::clone(&self.shared), address: address.to_owned(), token, give_up })
    }

    /// The UDP address that is listened on and dialed from.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.endpoint.local_addr().ok()
    }

    /// All links as they are now.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.shared.registry.links()
    }

    /// All addresses that are dialed.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.shared.registry.targets()
    }

    /// Counts over the life of the network.
    pub fn totals(&self) -> &NetTotals {
        &self.shared.totals
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<NetEvent> {
        self.shared.events.subscribe()
    }

    /// Uses these certificates for every connection from now on. Links that are open stay.
    ///
    /// # Errors
    ///
    /// The new certificates cannot be used; the old ones stay.
    pub fn reload(&self, material: &TlsMaterial) -> Result<(), NetError> {
        let server = tls::server(material, &self.shared.config)?;
        let client = tls::node_client(material, &self.shared.config)?;
        self.shared.endpoint.set_server_config(Some(server));
        *self.shared.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(())
    }

    /// Says goodbye on all links and closes the socket. Takes at most a few seconds, whatever the peers do.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            debug!("links that did not end in time are cut");
        }
        tasks.abort_all();
        self.shared.endpoint.close(VarInt::from_u32(ByeCode::Done.number()), b"the replica stops");
        let _ = timeout(DRAIN, self.shared.endpoint.wait_idle()).await;
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
        self.shared.endpoint.close(VarInt::from_u32(ByeCode::Done.number()), b"the replica stops");
    }
}

async fn accept(shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    loop {
        let incoming = tokio::select! {
            incoming = shared.endpoint.accept() => incoming,
            () = driver::is_set(Some(&mut stop)) => None,
        };
        let Some(incoming) = incoming else { return };
        NetTotals::add(&shared.totals.accepted, 1);
        let place = shared.doors.enter();
        Shared::spawn(&shared, take(Arc::clone(&shared), incoming, place));
    }
}

async fn take(shared: Arc<Shared>, incoming: Incoming, place: Place) {
    let address = incoming.remote_address().to_string();
    let shaken = tokio::select! {
        shaken = timeout(shared.config.patience, handshake(incoming)) => shaken,
        () = place.must_leave() => {
            NetTotals::add(&shared.totals.refused, 1);
            return;
        }
    };
    match shaken {
        Ok(Ok(connection)) => {
            if driver::shows_node(&connection) {
                place.know_node();
            } else if !shared.doors.has_room() {
                // Before its token is looked at, which costs more.
                NetTotals::add(&shared.totals.refused, 1);
                connection.close(VarInt::from_u32(ByeCode::Overloaded.number()), b"no room for another device");
                return;
            }
            let opening = Opening { dialed: false, address, token: String::new(), given_up: None, place: Some(place) };
            driver::run(shared, connection, opening).await;
        }
        Ok(Err(reason)) => debug!(address, reason, "no handshake"),
        Err(_) => debug!(address, "no handshake in time"),
    }
}

async fn handshake(incoming: Incoming) -> Result<Connection, String> {
    incoming.accept().map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
}

/// A device's connection to one address: kept up until this is dropped.
#[derive(Debug)]
pub struct DeviceLink {
    shared: Arc<Shared>,
    address: String,
    token: watch::Sender<String>,
    give_up: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl DeviceLink {
    /// The address that is dialed.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The link as it is now; `None` while there is none.
    pub fn status(&self) -> Option<LinkStatus> {
        self.shared.registry.links().into_iter().find(|link| link.address == self.address)
    }

    /// Why the last attempt failed, or the last link ended.
    pub fn last_error(&self) -> Option<String> {
        self.shared.registry.targets().into_iter().find(|target| target.address == self.address)?.last_error
    }

    /// Uses this token from the next connection on. The open link stays until the old token ends.
    pub fn set_token(&self, token: String) {
        self.token.send_replace(token);
    }

    /// Ends the connection and does not dial again.
    pub fn disconnect(self) {
        self.give_up.send_replace(true);
    }
}

impl Drop for DeviceLink {
    fn drop(&mut self) {
        self.give_up.send_replace(true);
    }
}
