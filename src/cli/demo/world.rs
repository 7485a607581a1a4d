//! The world of the demo: three nodes as the daemon runs them, a phone as an app would embed it, and the lines between them.
//!
//! Everything is real but the distances: sled and logs in a temporary folder, QUIC with mutual TLS, the gateway on loopback ports. Between
//! the replicas stand [relays](super::relay), which is how lines are cut without any replica being told.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use super::belief::{Key, Registers};
use super::lines::Lines;
use super::observer::{self, Beliefs, Observer};
use super::party::{Party, Screen};
use super::relay::Relay;
use super::story::PROFILE;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::daemon::certificates::{self, CA_FILE, SECRET_FILE};
use crate::daemon::{Config, Node, StartError};
use crate::embedded::{Link, Replica, ReplicaConfig};
use crate::net::{Credentials, LinkStatus, NetConfig};
use crate::progress::{DeviceId, PlaybackEvent, Policy, Position, ProfileId, Progress, TitleId};
use crate::replica::Core;
use crate::store::Seq;
use crate::sync::LinkState;
use crate::sync::message::Role;
use crate::time::system::monotonic_now;

/// How long the replicas may take to find each other.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(10);
/// The gateway's ports, where they are free: eu, us, ap; the admin listener is two above.
const GATEWAY_PORTS: [u16; 3] = [7_400, 7_410, 7_420];
// For lines of one machine and a reader who watches: a cut is noticed, and so is its healing, within a second or two.
const KEEP_ALIVE: Duration = Duration::from_millis(250);
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
const REDIAL_MAX: Duration = Duration::from_millis(300);
/// Ports tried above a taken one.
const PORTS_TRIED: u16 = 8;

/// Three nodes, a phone, and who watches them.
pub(super) struct World {
    // Dropped from the top: observers before what they observe, replicas before their folders.
    _observers: Vec<Observer>,
    beliefs: watch::Receiver<Beliefs>,
    clients: [Arc<Client>; Party::REGIONS.len()],
    link: Link,
    phone: Arc<Replica>,
    nodes: Vec<Node>,
    _relays: Vec<Relay>,
    lines: Arc<Lines>,
    profile: ProfileId,
    folder: TempDir,
}

impl World {
    /// Starts everything and waits until all replicas are linked.
    pub(super) async fn start() -> Result<Self, Failure> {
        let folder =
            tempfile::Builder::new().prefix("leftoff-demo-").tempdir().map_err(|error| Failure::of("no temporary folder", &error))?;
        let certificates = folder.path().join("certificates");
        certificates::make_authority(&certificates).map_err(|error| Failure::of("no certificates", &error))?;
        let profile = ProfileId::new(PROFILE).map_err(|error| Failure::of(PROFILE, &error))?;

        let lines = Arc::new(Lines::default());
        let mut relays = Vec::new();
        for (behind, before) in [(Party::Eu, None), (Party::Us, None), (Party::Ap, None), (Party::Eu, Some(Party::Phone))] {
            let relay = Relay::open(Arc::clone(&lines), behind, before).await;
            relays.push(relay.map_err(|error| Failure::of("no relay", &error))?);
        }
        let mut nodes = Vec::new();
        for party in Party::REGIONS {
            let node = start_node(folder.path(), &certificates, party, &relays).await?;
            let address = node.network().local_addr().ok_or_else(|| Failure::new(format!("the node of {party} has no QUIC socket")))?;
            lines.note_sender(address, party);
            relays[party.index()].set_node(address);
            if party == Party::Eu {
                relays[Party::Phone.index()].set_node(address);
            }
            nodes.push(node);
        }

        let phone = open_phone(folder.path()).await?;
        let ca_pem = std::fs::read(certificates.join(CA_FILE)).map_err(|error| Failure::of("no certificates", &error))?;
        // In development a device's token is the list of its profiles.
        let credentials = Credentials { ca_pem, token: PROFILE.to_owned() };
        let address = relays[Party::Phone.index()].address().to_string();
        let config = NetConfig {
            keep_alive: KEEP_ALIVE,
            idle_timeout: IDLE_TIMEOUT,
            backoff_max: REDIAL_MAX,
            ..NetConfig::device(Screen::Phone.id())
        };
        let link =
            phone.connect_with(config, &address, credentials).await.map_err(|error| Failure::of("the phone cannot connect", &error))?;

        let (sender, beliefs) = watch::channel(Beliefs::default());
        let mut observers = Vec::new();
        for (party, core) in Party::ALL.into_iter().zip(nodes.iter().map(Node::core).chain([phone.core()])) {
            let observer = Observer::start(party, core, profile.clone(), sender.clone());
            observers.push(observer.map_err(|error| Failure::of("no observer", &error))?);
        }
        let client = |node: &Node| Client::new(&format!("http://{}", node.gateway_addr()), None).map(Arc::new);
        let clients = [client(&nodes[0])?, client(&nodes[1])?, client(&nodes[2])?];
        let world =
            Self { _observers: observers, beliefs, clients, link, phone: Arc::new(phone), nodes, _relays: relays, lines, profile, folder };
        world.linked().await?;
        Ok(world)
    }

    async fn linked(&self) -> Result<(), Failure> {
        let deadline = monotonic_now() + PATIENCE;
        let others = Party::REGIONS.len() - 1;
        while self.nodes.iter().any(|node| open_links_count(node) < others) || !self.link.is_open() {
            if monotonic_now() >= deadline {
                return Err(Failure::new(format!("the replicas did not find each other within {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Where everything is kept until the end.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a region's gateway listens.
    pub(super) fn gateway(&self, party: Party) -> Option<SocketAddr> {
        self.nodes.get(party.index()).map(Node::gateway_addr)
    }

    /// Where a region's operator listens.
    pub(super) fn admin(&self, party: Party) -> Option<SocketAddr> {
        self.nodes.get(party.index()).map(Node::admin_addr)
    }

    /// The register of a title of the evening's viewer.
    pub(super) fn key(&self, title: &str) -> Key {
        // The titles of the story are sound ids; another would be nobody's.
        (self.profile.clone(), TitleId::new(title).unwrap_or_else(|_| unreachable!("'{title}' is an id")))
    }

    /// What everyone believes now.
    pub(super) fn beliefs(&self) -> Beliefs {
        self.beliefs.borrow().clone()
    }

    /// Follows what everyone believes.
    pub(super) fn changes(&self) -> watch::Receiver<Beliefs> {
        self.beliefs.clone()
    }

    /// Cuts a party off from the others.
    pub(super) fn cut(&self, party: Party) {
        self.lines.cut(party);
    }

    /// Lets it reach them again.
    pub(super) fn heal(&self, party: Party) {
        self.lines.heal(party);
    }

    /// The lines themselves, for who cuts them from elsewhere.
    pub(super) fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines)
    }

    /// The replicas of the regions, in the order of [`Party::REGIONS`].
    pub(super) fn cores(&self) -> Vec<Arc<Core>> {
        self.nodes.iter().map(|node| Arc::clone(node.core())).collect()
    }

    /// Whether a party is cut off.
    pub(super) fn is_cut(&self, party: Party) -> bool {
        self.lines.is_cut(party)
    }

    /// Whether anybody still holds a link with a party.
    pub(super) fn is_linked(&self, party: Party) -> bool {
        match self.nodes.get(party.index()) {
            Some(node) => open_links_count(node) > 0 || self.nodes.iter().any(|other| links(other).any(|link| link.name == party.name())),
            None => self.link.is_open(),
        }
    }

    fn core(&self, party: Party) -> &Arc<Core> {
        self.nodes.get(party.index()).map_or_else(|| self.phone.core(), Node::core)
    }

    /// A register as it is durable at a party, and the number under which it last changed there.
    pub(super) fn stored(&self, party: Party, key: &Key) -> Result<Option<(Progress, Seq)>, Failure> {
        let stored = self.core(party).store().register(&key.0, &key.1).map_err(|error| unreadable(party, &error))?;
        Ok(stored.map(|stored| (stored.progress, stored.arrived)))
    }

    /// Everything that each party holds, read from its store now.
    pub(super) fn read_all(&self) -> Result<Vec<(Party, Registers)>, Failure> {
        let read = |party| {
            observer::read(self.core(party), &self.profile)
                .map(|(registers, _)| (party, registers))
                .map_err(|error| unreadable(party, &error))
        };
        Party::ALL.into_iter().map(read).collect()
    }

    /// One report of a screen, durable at whoever serves it when this answers.
    pub(super) fn record(&self, screen: Screen, event: PlaybackEvent) -> impl Future<Output = Result<(), Failure>> + use<> {
        let server = self.server(screen);
        blocking(move || match server {
            Server::Node(client) => {
                let answer = client.post("/v1/events", &json!({ "events": [event] }))?;
                match answer["refused"][0]["reason"].as_str() {
                    Some(reason) => Err(Failure::new(format!("a report of the {screen} was refused: {reason}"))),
                    None => Ok(()),
                }
            }
            Server::Own(replica) => {
                replica.record(event).map(drop).map_err(|error| Failure::of(format!("a report of the {screen} was not recorded"), &error))
            }
        })
    }

    /// Where whoever serves a screen says to resume.
    pub(super) fn resume(&self, screen: Screen, title: &str) -> impl Future<Output = Result<Position, Failure>> + use<> {
        let server = self.server(screen);
        let (profile, title) = self.key(title);
        blocking(move || match server {
            Server::Node(client) => {
                let answer = client.get(&format!("/v1/profiles/{}/titles/{}", segment(profile.as_str()), segment(title.as_str())))?;
                answer
                    .get("position_ms")
                    .and_then(Value::as_u64)
                    .map(Position::from_millis)
                    .ok_or_else(|| Failure::new("an answer without position_ms"))
            }
            Server::Own(replica) => {
                let progress = replica.resume_point(&profile, &title, Policy::Continue);
                progress.map(|progress| progress.point.position).map_err(|error| unreadable(Party::Phone, &error))
            }
        })
    }

    fn server(&self, screen: Screen) -> Server {
        match self.clients.get(screen.served_by().index()) {
            Some(client) => Server::Node(Arc::clone(client)),
            None => Server::Own(Arc::clone(&self.phone)),
        }
    }

    /// What the replicas say of their links, for a story that got stuck.
    pub(super) fn lines_told(&self) -> String {
        let nodes: Vec<_> =
            self.nodes.iter().zip(Party::REGIONS).map(|(node, party)| format!("{party} has {} links", open_links_count(node))).collect();
        let phone = self.link.last_error().map_or_else(|| "is linked".to_owned(), |error| format!("says: {error}"));
        format!("{}; the phone {phone}", nodes.join(", "))
    }

    /// Stops everything and removes the folder.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let Self { _observers: observers, link, phone, nodes, folder, .. } = self;
        drop(observers);
        drop(link);
        // All at once: each may wait a moment for its farewells to arrive.
        let mut stopping = tokio::task::JoinSet::new();
        for node in nodes {
            stopping.spawn(async move { node.shutdown().await });
        }
        while stopping.join_next().await.is_some() {}
        // The threads of the phone's replica end here, before their folder does.
        tokio::task::spawn_blocking(move || drop(phone)).await.map_err(|error| Failure::of("the phone did not stop", &error))?;
        folder.close().map_err(|error| Failure::of("the temporary folder was not removed", &error))
    }
}

enum Server {
    Node(Arc<Client>),
    Own(Arc<Replica>),
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::of("a request was broken off", &error)),
    }
}

fn unreadable(party: Party, error: &dyn std::error::Error) -> Failure {
    Failure::of(format!("{party} cannot be read"), error)
}

async fn open_phone(folder: &Path) -> Result<Replica, Failure> {
    let folder = folder.join("phone");
    blocking(move || {
        let device = DeviceId::new(Screen::Phone.id()).map_err(|error| Failure::of("phone", &error))?;
        Replica::open(ReplicaConfig::new(folder, device)).map_err(|error| Failure::of("the phone's replica did not open", &error))
    })
    .await
}

// A node as `leftoff serve --dev` runs one, from a configuration file of its own.
async fn start_node(folder: &Path, certificates: &Path, party: Party, relays: &[Relay]) -> Result<Node, Failure> {
    let files = certificates::issue_node(certificates, party.name(), &["127.0.0.1".to_owned()])
        .map_err(|error| Failure::of("no certificate", &error))?;
    let seeds: Vec<_> =
        Party::REGIONS.iter().filter(|other| **other != party).map(|other| relays[other.index()].address().to_string()).collect();
    let name = party.name();
    let quoted = |path: &Path| json!(path).to_string();
    let text = |gateway: u16, admin: u16| {
        format!(
            "[node]\nname = \"{name}\"\nregion = \"{name}\"\ndata_dir = {}\n\
         [gateway]\nlisten = \"127.0.0.1:{gateway}\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [quic]\nlisten = \"127.0.0.1:0\"\nadvertise = \"{}\"\n\
         keep_alive_ms = {}\nidle_timeout_ms = {}\nredial_max_ms = {}\n\
         [cluster]\nsecret_file = {}\nseeds = {}\n\
         [tls]\nca_file = {}\ncert_file = {}\nkey_file = {}\n",
            quoted(&folder.join(name)),
            relays[party.index()].address(),
            KEEP_ALIVE.as_millis(),
            IDLE_TIMEOUT.as_millis(),
            REDIAL_MAX.as_millis(),
            quoted(&certificates.join(SECRET_FILE)),
            json!(seeds),
            quoted(&files.ca),
            quoted(&files.cert),
            quoted(&files.key),
        )
    };
    let path = folder.join(format!("{name}.toml"));
    for (gateway, admin) in ports(GATEWAY_PORTS[party.index()]) {
        std::fs::write(&path, text(gateway, admin)).map_err(|error| Failure::of(path.display(), &error))?;
        let config = Config::from_sources(Some(&path), true, []).map_err(|error| Failure::of(path.display(), &error))?;
        match Node::start(config).await {
            // Its listeners are bound before anything else is begun, so nothing of this try is left.
            Err(StartError::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse && gateway != 0 => {}
            node => return node.map_err(|error| Failure::of(format!("the node of {party} did not start"), &error)),
        }
    }
    Err(Failure::new(format!("the node of {party} found no port")))
}

// Its links with other nodes on which records flow.
fn links(node: &Node) -> impl Iterator<Item = LinkStatus> {
    let open = |link: &LinkStatus| matches!(link.state, LinkState::Open | LinkState::Reconciling) && link.role == Some(Role::Node);
    node.network().links().into_iter().filter(open)
}

fn open_links_count(node: &Node) -> usize {
    links(node).count()
}

// The ports to try for gateway and admin listener: those wished for, the next ones, and at last whatever the system gives. Only binding tells
// whether a port is free: another program may take it between a look and the start.
fn ports(wished: u16) -> impl Iterator<Item = (u16, u16)> {
    (0..PORTS_TRIED).map(move |offset| (wished + offset, wished + offset + 2)).chain([(0, 0)])
}
