//! Wiring: a replica, its links, the gateway and the admin listener, started in the order in which they need each other and stopped in reverse.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::addresses::{Addresses, AddressesFile};
use super::admin::{self, AdminState};
use super::certificates::{self, CA_FILE, CertificateError, DEV_CERTIFICATES, SECRET_FILE};
use super::development::OpenAuthority;
use super::{Config, TlsFiles, figures, leases};
use crate::embedded::{Replica, ReplicaConfig, ReplicaError};
use crate::gateway::auth::{KeyError, KeySet, TokenVerifier};
use crate::gateway::{GatewayState, Https, HttpsError, Listener, ListenerOptions, ListenerShutdown, router};
use crate::net::{NetConfig, NetError, Network, TlsMaterial};
use crate::progress::DeviceId;
use crate::replica::{Authority, Core};
use crate::store::CloseError;
use crate::sync::message::Role;
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

/// Admin connections at once: a scraper, an operator, a balancer's checks.
const ADMIN_CONNECTIONS_COUNT_MAX: usize = 64;

/// Why a node did not start. What it had begun is stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be bound.
    #[error("{key} = {address}: {source}")]
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the node's identity could not be read.
    #[error("{key}: {source}")]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The development certificates could not be made.
    #[error("the development certificates could not be made: {0}")]
    Certificates(#[from] CertificateError),
    /// The keys for tokens could not be read.
    #[error("auth: {0}")]
    Keys(#[from] KeyError),
    /// The gateway's certificate could not be read.
    #[error("gateway: {0}")]
    Https(#[from] HttpsError),
    /// The network between nodes could not be started.
    #[error("quic: {0}")]
    Network(#[from] NetError),
    /// The name cannot be used.
    #[error("node.name: {0}")]
    Name(#[from] crate::progress::IdError),
    /// The data folder could not be opened.
    #[error("{}: {source}", folder.display())]
    Replica {
        /// Which folder.
        folder: std::path::PathBuf,
        /// Why.
        source: ReplicaError,
    },
    /// A thread ended before its work was done.
    #[error("opening the store was broken off")]
    Broken,
}

/// What runs while a node does; shared with the admin endpoints.
pub(super) struct Running {
    replica: Replica,
    pub(super) network: Network,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) begun: MonotonicTime,
    pub(super) bounds: Bounds,
}

/// What the operator's figures are to be compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) table_bytes_max: usize,
    pub(super) pending_bytes_max: usize,
    pub(super) ring_count_max: usize,
    pub(super) fold_log_bytes: u64,
    pub(super) playheads_count_max: usize,
}

impl Bounds {
    fn of(config: &Config) -> Self {
        Self {
            table_bytes_max: config.store.table_bytes_max,
            pending_bytes_max: config.store.pending_bytes_max,
            ring_count_max: config.store.ring_count_max,
            fold_log_bytes: config.store.fold_log_bytes,
            playheads_count_max: config.core.playheads_count_max,
        }
    }
}

/// A running node.
pub struct Node {
    running: Arc<Running>,
    gateway: ListenerShutdown,
    gateway_state: GatewayState,
    gateway_addr: SocketAddr,
    admin: ListenerShutdown,
    admin_addr: SocketAddr,
    admin_state: AdminState,
    verifier: Option<Arc<TokenVerifier>>,
    https: Option<Https>,
    config: Config,
    addresses: AddressesFile,
}

impl Node {
    /// Starts a node: admin first, so that it can be asked how far the rest is; then the store; then the links; then who may reach it.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let begun = monotonic_now();
        // Figures count from the first request on.
        figures::handle();
        let admin_options = ListenerOptions { connections_count_max: ADMIN_CONNECTIONS_COUNT_MAX, ..ListenerOptions::default() };
        let admin = bind("admin.listen", config.admin_listen, admin_options).await?;
        let gateway = bind("gateway.listen", config.gateway_listen, config.listener).await?;
        let https = config.https.as_ref().map(Https::load).transpose()?;
        let gateway = match &https {
            Some(https) => gateway.with_https(https.clone()),
            None => gateway,
        };
        let (admin_addr, gateway_addr) = (admin.local_addr(), gateway.local_addr());
        let admin_state = AdminState::default();
        let admin = admin.serve(admin::router(admin_state.clone()));

        let identity = Identity::find(&config)?;
        let verifier = match &config.keys {
            Some(files) => Some(Arc::new(TokenVerifier::new(KeySet::load(files)?, config.token_leeway_ms))),
            None => None,
        };
        let replica = open(&config, identity.key_secret).await?;
        let core = Arc::clone(replica.core());
        leases::keep(&core);
        let authority = verifier.clone().map(|verifier| verifier as Arc<dyn Authority>);
        // Without keys there is nothing to verify a device's token by either; a configuration without keys is one of development.
        let devices = authority.clone().or_else(|| config.dev.then(|| Arc::new(OpenAuthority) as Arc<dyn Authority>));
        let net = net_config(&config, identity.tls.as_ref())?;
        let network = Network::start(Arc::clone(&core), net, devices).await?;
        let (name, region, bounds) = (config.name.clone(), config.region.clone(), Bounds::of(&config));
        let running = Arc::new(Running { replica, network, name, region, begun, bounds });
        await_reconciliation(&running, !config.seeds.is_empty());
        admin_state.set_running(Arc::clone(&running));
        let gateway_state = GatewayState::new(core, authority, config.gateway);
        gateway_state.set_origins(config.origins.clone());
        gateway_state.set_rates(config.rates);
        let gateway = gateway.serve(router(&gateway_state));
        let addresses = Addresses { http: gateway_addr, admin: admin_addr, quic: running.network.local_addr() };
        let addresses =
            AddressesFile::write(&config.data_dir, &addresses).map_err(|source| StartError::File { key: "node.data_dir", source })?;
        tracing::info!(gateway = %gateway_addr, admin = %admin_addr, region = config.region, dev = config.dev, "serving");
        Ok(Self { running, gateway, gateway_state, gateway_addr, admin, admin_addr, admin_state, verifier, https, config, addresses })
    }

    /// Where players and clients reach it.
    pub fn gateway_addr(&self) -> SocketAddr {
        self.gateway_addr
    }

    /// Where the operator reaches it.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Its links.
    pub fn network(&self) -> &Network {
        &self.running.network
    }

    /// Its replica.
    pub fn core(&self) -> &Arc<Core> {
        self.running.core()
    }

    /// Takes over what of a configuration can change while a node runs: the gateway's bounds, and certificates and keys for tokens, read anew
    /// from their files. What cannot be read leaves the old in use.
    pub fn reload(&self, config: &Config) {
        self.gateway_state.set_options(config.gateway);
        self.core().ephemeral().set_options(config.core.ephemeral);
        self.gateway_state.set_origins(config.origins.clone());
        self.gateway_state.set_rates(config.rates);
        match net_config(config, config.tls.as_ref()) {
            Ok(NetConfig { tls: Some(material), .. }) => match self.running.network.reload(&material) {
                Ok(()) => tracing::info!("certificates reloaded; open links stay"),
                Err(error) => tracing::error!(%error, "certificates not reloaded; the old ones stay in use"),
            },
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "certificates not reloaded; the old ones stay in use"),
        }
        match (&config.https, &self.https) {
            (Some(files), Some(https)) => match https.reload(files) {
                Ok(()) => tracing::info!("the gateway's certificate reloaded; open connections stay"),
                Err(error) => tracing::error!(%error, "the gateway's certificate not reloaded; the old one stays in use"),
            },
            (None, None) => {}
            _ => tracing::error!("turning HTTPS on or off needs a restart"),
        }
        match (&config.keys, &self.verifier) {
            (Some(files), Some(verifier)) => match KeySet::load(files) {
                Ok(keys) => {
                    verifier.replace_keys(keys);
                    tracing::info!("token keys reloaded");
                }
                Err(error) => tracing::error!(%error, "token keys not reloaded; the old ones stay in use"),
            },
            (None, None) => {}
            _ => tracing::error!("turning tokens on or off needs a restart"),
        }
    }

    /// Stops: not ready, no new connections, requests under way finish, links end, everything is flushed. Says whether all of it was done.
    ///
    /// Nothing acknowledged is lost either way: what was cut short only makes the next opening longer.
    pub async fn shutdown(self) -> bool {
        let deadline = monotonic_now() + self.config.drain_timeout;
        self.admin_state.set_draining();
        tracing::info!("stopping");
        self.gateway_state.stop_pushes();
        let drained = self.gateway.shutdown(left(deadline)).await;
        if !drained {
            tracing::warn!("some requests did not finish in time");
        }
        // What was just accepted goes out while the links say goodbye.
        if tokio::time::timeout(left(deadline), self.running.network.shutdown()).await.is_err() {
            tracing::warn!("links were cut without a goodbye");
        }
        let running = Arc::clone(&self.running);
        drop(self.running);
        // Folding before closing may take longer than a stop may; the log holds everything meanwhile.
        let closing = tokio::task::spawn_blocking(move || running.close());
        let closed = match tokio::time::timeout(left(deadline).max(CLOSE_TIME_MIN), closing).await {
            Ok(Ok(Ok(()))) => true,
            Ok(Ok(Err(error))) => {
                tracing::error!(%error, "the store was not closed cleanly; the next opening takes longer");
                false
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the store is closed without a last fold; the next opening takes longer");
                false
            }
        };
        drop(self.addresses);
        self.admin.shutdown(Duration::from_millis(100)).await;
        tracing::info!("stopped");
        drained && closed
    }
}

/// The store gets at least this long to close, also when draining took all the time there was.
const CLOSE_TIME_MIN: Duration = Duration::from_millis(1_500);

fn left(deadline: MonotonicTime) -> Duration {
    deadline.saturating_since(monotonic_now())
}

async fn bind(key: &'static str, address: SocketAddr, options: ListenerOptions) -> Result<Listener, StartError> {
    Listener::bind(address, options).await.map_err(|source| StartError::Bind { key, address, source })
}

async fn open(config: &Config, key_secret: [u8; 16]) -> Result<Replica, StartError> {
    let mut store = config.store.clone();
    store.key_secret = key_secret;
    let replica = ReplicaConfig { folder: config.data_dir.clone(), device: DeviceId::new(&config.name)?, store, core: config.core.clone() };
    let folder = config.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || Replica::open_with_secret(replica)).await.map_err(|_| StartError::Broken)?;
    let replica = opened.map_err(|source| StartError::Replica { folder, source })?;
    let report = replica.open_report();
    tracing::info!(
        created = report.created,
        clean = report.clean,
        replayed = report.replayed,
        torn_bytes = report.torn_bytes,
        "store open"
    );
    for damage in &report.damage {
        tracing::error!(file = damage.file, offset = damage.offset, bytes = damage.bytes, what = damage.what, "damage in the store");
    }
    if let Some(moved) = &report.engine_moved_to {
        tracing::error!(moved, "the database would not open and was moved aside; rebuilding from the log and from peers");
    }
    Ok(replica)
}

fn net_config(config: &Config, tls: Option<&TlsFiles>) -> Result<NetConfig, StartError> {
    let read = |key, path: &std::path::Path| std::fs::read(path).map_err(|source| StartError::File { key, source });
    let tls = match tls {
        Some(files) => Some(TlsMaterial {
            ca_pem: read("tls.ca_file", &files.ca)?,
            cert_pem: read("tls.cert_file", &files.cert)?,
            key_pem: read("tls.key_file", &files.key)?,
        }),
        None => None,
    };
    Ok(NetConfig {
        role: Role::Node,
        name: config.name.clone(),
        region: config.region.clone(),
        listen: config.quic_listen,
        advertise: config.quic_advertise.clone(),
        seeds: config.seeds.clone(),
        tls,
        keep_alive: config.keep_alive,
        idle_timeout: config.idle_timeout,
        backoff_max: config.redial_max,
        ..NetConfig::default()
    })
}

/// How often it is looked whether the store has found damage. Looking costs a load.
const DAMAGE_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A replica that may lack something it once acknowledged answers nothing until a peer has filled it up, for as long as the replica is there: damage is
/// found when it is read. Without peers there is nothing to wait for: what the log gave back is what there is.
fn await_reconciliation(running: &Arc<Running>, has_seeds: bool) {
    let mut waits = look_for_damage(running, has_seeds, false);
    let running = Arc::downgrade(running);
    tokio::spawn(async move {
        let mut look = tokio::time::interval(DAMAGE_LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let Some(running) = running.upgrade() else { return };
            waits = look_for_damage(&running, has_seeds, waits);
        }
    });
}

/// What of the files that a configuration names would keep a node from starting here, each with its key. Those of development are made at the
/// first start.
pub(crate) fn unusable_files(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |key: &str, error: &dyn std::error::Error| told.push(format!("{key}: {error}"));
    if let Some(Err(error)) = config.https.as_ref().map(Https::load) {
        tell("gateway.cert_file and key_file", &error);
    }
    if let Some(Err(error)) = config.keys.as_ref().map(KeySet::load) {
        tell("auth", &error);
    }
    if let Some(Err(error)) = config.secret_file.as_deref().map(certificates::read_secret) {
        tell("cluster.secret_file", &error);
    }
    if let Err(error) = net_config(config, config.tls.as_ref()) {
        tell("tls", &error);
    }
    told
}

/// Takes note that the store has found damage, or that a peer has made it good. Whether the node waits for that.
fn look_for_damage(running: &Running, has_seeds: bool, waits: bool) -> bool {
    const CAUSE: &str = "reconciliation";
    let core = running.core();
    if !core.store().needs_reconciliation() {
        if waits {
            core.set_ready(CAUSE);
            tracing::info!("reconciled; answering again");
        }
        return false;
    }
    if !has_seeds && running.network.links().iter().all(|link| link.role != Some(Role::Node)) {
        tracing::error!("something acknowledged may be missing here, and there is no node to fetch it from: no cluster.seeds are set");
        core.store().set_reconciled();
        core.set_ready(CAUSE);
        return false;
    }
    if !waits {
        tracing::error!("something acknowledged may be missing here; waiting to reconcile with a peer");
        core.set_not_ready(CAUSE, "something acknowledged may be missing here; waiting to reconcile with a peer".to_owned());
    }
    true
}

/// Who the node is among nodes.
struct Identity {
    key_secret: [u8; 16],
    tls: Option<TlsFiles>,
}

impl Identity {
    fn find(config: &Config) -> Result<Self, StartError> {
        let secret = |path: &std::path::Path| {
            certificates::read_secret(path).map_err(|source| StartError::File { key: "cluster.secret_file", source })
        };
        if let (Some(tls), Some(path)) = (&config.tls, &config.secret_file) {
            return Ok(Self { key_secret: secret(path)?, tls: Some(tls.clone()) });
        }
        // Development: made on the first start, and found again by the next ones.
        let folder = config.data_dir.join(DEV_CERTIFICATES);
        if !folder.join(CA_FILE).exists() {
            certificates::make_authority(&folder)?;
        }
        let tls = match &config.tls {
            Some(tls) => tls.clone(),
            None => match certificates::node_files(&folder, &config.name) {
                files if files.cert.exists() => files,
                _ => certificates::issue_node(&folder, &config.name, &["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?,
            },
        };
        let path = config.secret_file.clone().unwrap_or_else(|| folder.join(SECRET_FILE));
        Ok(Self { key_secret: secret(&path)?, tls: Some(tls) })
    }
}

impl Running {
    pub(super) fn core(&self) -> &Arc<Core> {
        self.replica.core()
    }

    fn close(&self) -> Result<(), CloseError> {
        self.replica.stop_and_close()
    }

    pub(super) fn refresh_link_figures(&self) {
        figures::refresh_links(&self.network.links(), self.network.totals());
    }
}
