//! Replicas over real UDP on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::time::{Instant, timeout};

use super::random::random_salt;
use super::*;
use crate::progress::{EventKind, PlaybackEvent, Policy, ProfileId, TitleId};
use crate::replica::{Authority, Core, CoreOptions, Grant, TokenError};
use crate::store::{Epoch, Fresh, ReplicaId, Store, StoreOptions};
use crate::sync::LinkState;
use crate::sync::message::Role;
use crate::time::WallTime;
use crate::time::system::wall_now;

/// Everything here is done in well under a second; a machine under load gets this long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Cluster {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: Vec<u8>,
}

impl Cluster {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Self { issuer: Issuer::new(params, key), ca_pem }
    }

    fn material(&self, names: &[&str]) -> TlsMaterial {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        TlsMaterial { ca_pem: self.ca_pem.clone(), cert_pem: cert.pem().into_bytes(), key_pem: key.serialize_pem().into_bytes() }
    }

    fn config(&self, name: &str, seeds: &[&Node]) -> NetConfig {
        NetConfig {
            name: name.to_owned(),
            region: "eu".to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seeds: seeds.iter().map(|node| node.address()).collect(),
            tls: Some(self.material(&["node.leftoff", &format!("{name}.node.leftoff")])),
            ..quick()
        }
    }
}

fn quick() -> NetConfig {
    NetConfig {
        backoff_first: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        keep_alive: Duration::from_millis(200),
        idle_timeout: Duration::from_secs(2),
        ..NetConfig::default()
    }
}

/// A replica on a real disk, with the thread that commits.
struct Replica {
    core: Arc<Core>,
    stop: Arc<AtomicBool>,
    committer: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Replica {
    fn open(role: Role) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fresh = Fresh { id: ReplicaId(random_salt().unwrap()), epoch: Epoch(1) };
        let (store, _) = Store::open_folder(folder.path(), StoreOptions::small(), fresh).unwrap();
        let options = CoreOptions { playheads_count_max: 1_000, keeps_unshared: role == Role::Device, ..CoreOptions::default() };
        let core = Arc::new(Core::new(store, options));
        let stop = Arc::new(AtomicBool::new(false));
        let (its_core, its_stop) = (Arc::clone(&core), Arc::clone(&stop));
        let committer = std::thread::spawn(move || {
            while !its_stop.load(Ordering::Acquire) {
                if !its_core.flush().unwrap() {
                    std::thread::park();
                }
            }
        });
        let thread = committer.thread().clone();
        core.set_waker(Box::new(move || thread.unpark()));
        Self { core, stop, committer: Some(committer), _folder: folder }
    }

    fn watch(&self, profile: &str, title: &str, position_ms: u64) {
        let event = PlaybackEvent::new(profile, title, "tv", EventKind::Pause, position_ms);
        let recorded = self.core.record(wall_now(), None, &[event]).unwrap();
        let (done, kept) = std::sync::mpsc::channel();
        self.core.when_durable(recorded.last.unwrap(), Box::new(move |result| done.send(result).unwrap()));
        kept.recv().unwrap().unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(committer) = self.committer.take() {
            committer.thread().unpark();
            committer.join().unwrap();
        }
    }
}

struct Node {
    network: Network,
    replica: Replica,
}

impl Node {
    async fn start(config: NetConfig, authority: Option<Arc<dyn Authority>>) -> Self {
        let replica = Replica::open(config.role);
        let network = Network::start(Arc::clone(&replica.core), config, authority).await.unwrap();
        Self { network, replica }
    }

    fn address(&self) -> String {
        self.network.local_addr().unwrap().to_string()
    }

    fn watch(&self, profile: &str, title: &str, position_ms: u64) {
        self.replica.watch(profile, title, position_ms);
    }

    fn position(&self, profile: &str, title: &str) -> u64 {
        let (profile, title) = (ProfileId::new(profile).unwrap(), TitleId::new(title).unwrap());
        self.replica.core.resume_point(&profile, &title, Policy::Continue).unwrap().point.position.as_millis()
    }

    async fn has(&self, profile: &str, title: &str, position_ms: u64) {
        eventually(|| self.position(profile, title) == position_ms, &format!("{profile}/{title} at {position_ms}")).await;
    }

    fn open_count(&self) -> usize {
        let open = |link: &LinkStatus| matches!(link.state, LinkState::Open | LinkState::Reconciling);
        self.network.links().iter().filter(|link| open(link)).count()
    }
}

async fn eventually(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Tokens(Vec<&'static str>, Duration);

impl Authority for Tokens {
    fn verify(&self, now: WallTime, token: &str) -> Result<Grant, TokenError> {
        if token != "good" {
            return Err(TokenError::Invalid { reason: "not the one".into() });
        }
        let profiles = self.0.iter().map(|profile| ProfileId::new(profile).unwrap()).collect();
        let expires = now.shifted(i64::try_from(self.1.as_millis()).unwrap());
        Ok(Grant { account: "a".into(), profiles, read: true, write: true, expires })
    }
}

fn tokens(profiles: &[&'static str]) -> Arc<dyn Authority> {
    Arc::new(Tokens(profiles.to_vec(), Duration::from_hours(1)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_watched_at_one_node_is_known_at_the_other() {
    let cluster = Cluster::new();
    let a = Node::start(cluster.config("a", &[]), None).await;
    a.watch("before", "film", 60_000);
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    b.has("before", "film", 60_000).await;
    a.watch("p", "film", 61_000);
    b.has("p", "film", 61_000).await;
    b.watch("q", "film", 62_000);
    a.has("q", "film", 62_000).await;
    let link = b.network.links().remove(0);
    assert_eq!((link.name.as_str(), link.region.as_str(), link.role), ("a", "eu", Some(Role::Node)));
    assert!(link.figures.records_in >= 2 && link.figures.bytes_out > 0);
    a.network.shutdown().await;
    eventually(|| b.open_count() == 0, "b sees the goodbye").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_find_each_other_from_one_seed_and_keep_one_link_a_pair() {
    let cluster = Cluster::new();
    let a = Node::start(cluster.config("a", &[]), None).await;
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    let c = Node::start(cluster.config("c", &[&a]), None).await;
    eventually(|| [&a, &b, &c].iter().all(|node| node.open_count() == 2 && node.network.links().len() == 2), "a full mesh").await;
    // Who dials knows who is there and that it is linked, while it is and not only after.
    assert!(b.network.targets().iter().any(|target| target.seed && target.linked), "{:?}", b.network.targets());
    c.watch("p", "film", 90_000);
    a.has("p", "film", 90_000).await;
    b.has("p", "film", 90_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_dial_each_other_at_once_keep_one_link() {
    let cluster = Cluster::new();
    let a = Node::start(cluster.config("a", &[]), None).await;
    let b = Node::start(cluster.config("b", &[]), None).await;
    a.network.dial(&b.address());
    b.network.dial(&a.address());
    eventually(|| [&a, &b].iter().all(|node| node.open_count() == 1 && node.network.links().len() == 1), "one link").await;
    b.watch("p", "film", 70_000);
    a.has("p", "film", 70_000).await;
    assert_eq!((a.network.links().len(), b.network.links().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_is_dialed_again_and_gets_what_it_missed() {
    let cluster = Cluster::new();
    let a = Node::start(cluster.config("a", &[]), None).await;
    let address = a.network.local_addr().unwrap();
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    a.watch("p", "film", 60_000);
    b.has("p", "film", 60_000).await;
    let Node { replica, network } = a;
    network.shutdown().await;
    drop(network);
    b.watch("p", "film", 120_000);
    let config = NetConfig { listen: address, ..cluster.config("a", &[]) };
    // The socket is closed a moment after its last owner has gone.
    let network = timeout(PATIENCE, async {
        loop {
            match Network::start(Arc::clone(&replica.core), config.clone(), None).await {
                Ok(network) => return network,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let a = Node { network: network.await.unwrap(), replica };
    a.watch("q", "film", 30_000);
    a.has("p", "film", 120_000).await;
    b.has("q", "film", 30_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_gets_and_gives_the_profiles_of_its_token_only() {
    let cluster = Cluster::new();
    let node = Node::start(cluster.config("a", &[]), Some(tokens(&["mine"]))).await;
    node.watch("mine", "film", 60_000);
    node.watch("foreign", "film", 60_000);
    let device = Node::start(NetConfig { ..device_config() }, None).await;
    device.watch("mine", "offline", 30_000);
    device.watch("forbidden", "film", 30_000);
    let mut events = device.network.events();
    let credentials = Credentials { ca_pem: cluster.ca_pem.clone(), token: "good".into() };
    let link = device.network.connect_device(&node.address(), credentials).await.unwrap();
    device.has("mine", "film", 60_000).await;
    node.has("mine", "offline", 30_000).await;
    device.watch("mine", "film", 90_000);
    node.has("mine", "film", 90_000).await;
    node.watch("mine", "other", 45_000);
    device.has("mine", "other", 45_000).await;
    assert_eq!(device.position("foreign", "film"), 0);
    assert_eq!(node.position("forbidden", "film"), 0);
    let granted = timeout(PATIENCE, async {
        loop {
            if let NetEvent::Granted { profiles, .. } = events.recv().await.unwrap() {
                return profiles;
            }
        }
    });
    assert_eq!(granted.await.unwrap(), [ProfileId::new("mine").unwrap()]);
    link.disconnect();
    eventually(|| node.network.links().is_empty(), "the device is gone").await;
    assert!(device.replica.core.keeps_apart(), "offline again, work is kept apart");
}

fn device_config() -> NetConfig {
    NetConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        role: Role::Device,
        scrub_interval: None,
        name: "phone".into(),
        ..quick()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_a_good_token_is_told_why_and_a_token_that_ends_ends_its_link() {
    let cluster = Cluster::new();
    let authority: Arc<dyn Authority> = Arc::new(Tokens(vec!["mine"], Duration::from_millis(300)));
    let node = Node::start(cluster.config("a", &[]), Some(authority)).await;
    let device = Node::start(device_config(), None).await;
    let credentials = Credentials { ca_pem: cluster.ca_pem.clone(), token: "bad".into() };
    let link = device.network.connect_device(&node.address(), credentials).await.unwrap();
    eventually(|| link.last_error().is_some_and(|error| error.contains("not the one")), "the reason").await;
    link.set_token("good".into());
    eventually(|| link.last_error().is_some_and(|error| error.contains("expired")), "the end of the token").await;
    eventually(|| node.network.totals().faulted.load(Ordering::Relaxed) >= 2, "both are counted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused() {
    let (cluster, other) = (Cluster::new(), Cluster::new());
    let a = Node::start(cluster.config("a", &[]), Some(tokens(&["mine"]))).await;
    let stranger = Node::start(other.config("x", &[&a]), None).await;
    let error = || stranger.network.targets().remove(0).last_error;
    eventually(|| error().is_some_and(|error| error.contains("certificate")), "no handshake").await;
    assert_eq!(a.network.links().len() + stranger.network.links().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_must_carry_the_role_and_are_reloaded_while_links_stay() {
    let cluster = Cluster::new();
    let nameless = NetConfig { tls: Some(cluster.material(&["a.example.net"])), ..cluster.config("a", &[]) };
    let replica = Replica::open(Role::Node);
    assert!(matches!(Network::start(Arc::clone(&replica.core), nameless, None).await, Err(NetError::Name)));
    let a = Node::start(cluster.config("a", &[]), None).await;
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    eventually(|| a.open_count() == 1, "a link").await;
    let half = TlsMaterial { cert_pem: b"-----BEGIN CERTIFICATE-----\nMIIB".to_vec(), ..cluster.material(&["node.leftoff"]) };
    assert!(a.network.reload(&half).is_err());
    a.network.reload(&cluster.material(&["node.leftoff", "a.node.leftoff"])).unwrap();
    b.watch("p", "film", 60_000);
    a.has("p", "film", 60_000).await;
    let c = Node::start(cluster.config("c", &[&a]), None).await;
    c.has("p", "film", 60_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_garbage_or_speaks_another_protocol_ends_its_own_connection_only() {
    let cluster = Cluster::new();
    let a = Node::start(cluster.config("a", &[]), None).await;
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    eventually(|| a.open_count() == 1, "a link").await;
    let material = cluster.material(&["node.leftoff"]);
    let evil = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let client = tls::node_client(&material, &quick()).unwrap();
    let address = a.network.local_addr().unwrap();
    // The last is the beginning of a frame that would be allowed once greeted.
    let large = [&[0xa0, 0x8d, 0x06, 0x01][..], &[0; 20_000]].concat();
    for garbage in [&[0xff; 4_000][..], &[0x00], &[0x02, 0x77, 0x00], &[0x81, 0x00], &large] {
        let connection = evil.connect_with(client.clone(), address, "node.leftoff").unwrap().await.unwrap();
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(garbage).await.unwrap();
        let closed = timeout(PATIENCE, connection.closed()).await.unwrap();
        let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
        assert_eq!(close.error_code, quinn::VarInt::from_u32(2), "{}", String::from_utf8_lossy(&close.reason));
    }
    let mut other = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(tls::roots(&cluster.ca_pem).unwrap())
        .with_no_client_auth();
    other.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(other).unwrap();
    let refused = evil.connect_with(quinn::ClientConfig::new(Arc::new(crypto)), address, "node.leftoff").unwrap().await;
    assert!(refused.is_err(), "another application protocol has no handshake");
    b.watch("p", "film", 60_000);
    a.has("p", "film", 60_000).await;
    assert_eq!(a.open_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_say_nothing_make_room_and_keep_no_node_out() {
    let cluster = Cluster::new();
    let a = Node::start(NetConfig { strangers_count_max: 2, ..cluster.config("a", &[]) }, Some(tokens(&["p"]))).await;
    let strange = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let mut connections = Vec::new();
    for _ in 0..3 {
        let client = tls::device_client(&cluster.ca_pem, &quick()).unwrap();
        connections.push(strange.connect_with(client, a.network.local_addr().unwrap(), "node.leftoff").unwrap().await.unwrap());
    }
    let closed = timeout(PATIENCE, connections[0].closed()).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
    assert_eq!(close.error_code, quinn::VarInt::from_u32(7), "{}", String::from_utf8_lossy(&close.reason));
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    eventually(|| a.open_count() == 1 && b.open_count() == 1, "a link between nodes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_there_is_no_room_for_another_device_it_is_told_so_and_nodes_come_in() {
    let cluster = Cluster::new();
    let a = Node::start(NetConfig { links_count_max: 0, ..cluster.config("a", &[]) }, Some(tokens(&["p"]))).await;
    let device = Node::start(device_config(), None).await;
    let credentials = Credentials { ca_pem: cluster.ca_pem.clone(), token: "good".into() };
    let link = device.network.connect_device(&a.address(), credentials).await.unwrap();
    eventually(|| link.last_error().is_some_and(|error| error.contains("no room")), "a refusal").await;
    let b = Node::start(cluster.config("b", &[&a]), None).await;
    eventually(|| a.open_count() == 1 && b.open_count() == 1, "a link between nodes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_three_converges_though_its_ends_never_meet() {
    let cluster = Cluster::new();
    let b = Node::start(cluster.config("b", &[]), None).await;
    // Addresses that lead nowhere stand for a network in which the ends do not reach each other.
    let nowhere = |name: &str| NetConfig { advertise: Some("127.0.0.1:9".into()), ..cluster.config(name, &[&b]) };
    let a = Node::start(nowhere("a"), None).await;
    let c = Node::start(nowhere("c"), None).await;
    eventually(|| b.open_count() == 2, "two links").await;
    for (index, node) in [&a, &c].into_iter().enumerate() {
        node.watch(&format!("p{index}"), "film", 60_000);
    }
    c.has("p0", "film", 60_000).await;
    a.has("p1", "film", 60_000).await;
    assert_eq!((a.open_count(), c.open_count()), (1, 1));
    assert!(wall_now() > WallTime::ZERO);
}
