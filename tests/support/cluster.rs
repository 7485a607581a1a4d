//! Several regions with a relay in front of each, so that every line between two of them can be spoiled or cut by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use leftoff::time::system::wall_now;
use serde_json::Value;
use tempfile::TempDir;

use super::device::Device;
use super::dice::Dice;
use super::http::{Client, Progress};
use super::issuer::Issuer;
use super::node::{Authority, Node, Setup};
use super::patience::{SOON, eventually};
use super::relay::{Direction, Relay, Weather};

/// Everything that a node shows of its registers, node-local numbers left out.
pub(crate) type State = BTreeMap<(String, String), String>;

/// Regional nodes and the lines between them.
pub(crate) struct Cluster {
    // Nodes end before the relays, and both before the folder goes.
    pub(crate) nodes: Vec<Node>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) authority: Authority,
    /// Who signs the tokens that the nodes want; none: they want none.
    pub(crate) issuer: Option<Issuer>,
    folder: TempDir,
}

/// Bounds small enough that folding happens in a test.
pub(crate) const SMALL_STORE: &str = "table_mib = 32\nfold_table_mib = 1\nfold_log_mib = 1\nlog_retention_mib = 1\nengine_cache_mib = 4\ncache_mib = 1\nplayheads_max = 100000";
/// Links that are given up, and dialed again, within seconds: what takes minutes between continents must not do so here.
const IMPATIENT: &str = "keep_alive_ms = 400\nidle_timeout_ms = 2000\nredial_max_ms = 1500";
const REGIONS: [&str; 5] = ["eu", "us", "ap", "sa", "af"];

impl Cluster {
    /// A cluster in which every node knows every other, running and ready.
    pub(crate) fn mesh(dice: &mut Dice, count: usize) -> Self {
        let mut cluster = Self::prepare(dice, count, |_, _| true);
        cluster.start_all();
        cluster
    }

    /// Nodes of which each knows those for which `knows(node, other)` says so, not started yet.
    pub(crate) fn prepare(dice: &mut Dice, count: usize, knows: impl Fn(usize, usize) -> bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::make(&folder.path().join("certs"));
        let relays: Vec<Relay> = (0..count).map(|_| Relay::between_nodes(dice.split())).collect();
        let nodes = (0..count).map(|index| {
            let name = format!("{}-1", REGIONS[index]);
            let setup = Setup {
                tls: authority.issue(&name),
                name,
                region: REGIONS[index].to_owned(),
                secret: authority.secret(),
                advertise: Some(relays[index].address()),
                seeds: (0..count).filter(|other| *other != index && knows(index, *other)).map(|other| relays[other].address()).collect(),
                token_key: None,
                gateway: String::new(),
                cluster: String::new(),
                quic: IMPATIENT.to_owned(),
                limits: String::new(),
                store: SMALL_STORE.to_owned(),
            };
            Node::new(&folder.path().join(REGIONS[index]), setup)
        });
        let nodes = nodes.collect();
        Self { nodes, relays, authority, issuer: None, folder }
    }

    /// A cluster of a platform that has accounts: everybody needs a token, and devices may connect.
    pub(crate) fn platform(dice: &mut Dice, count: usize) -> Self {
        let mut cluster = Self::prepare(dice, count, |_, _| true);
        let issuer = Issuer::make(&cluster.scratch("keys"));
        cluster.nodes.iter_mut().for_each(|node| node.setup.token_key = Some(issuer.public_key()));
        cluster.issuer = Some(issuer);
        cluster.start_all();
        cluster
    }

    /// A client of a node, as an account that holds these profiles.
    pub(crate) fn client_of(&self, index: usize, profiles: &[&str]) -> Client {
        self.client(index).with_token(&self.token(profiles))
    }

    pub(crate) fn token(&self, profiles: &[&str]) -> String {
        self.issuer.as_ref().unwrap().token("account", profiles)
    }

    /// Connects a device to a node, past the relays, with a token that holds these profiles.
    pub(crate) fn connect(&self, device: &mut Device, index: usize, profiles: &[&str]) {
        device.connect(self.nodes[index].addresses().quic(), &self.authority.ca_pem(), &self.token(profiles));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start_all(&mut self) {
        // All at once: each opens and dials while the others do.
        (0..self.nodes.len()).for_each(|index| self.spawn(index));
        self.nodes.iter().for_each(Node::wait_until_ready);
    }

    /// Starts one node, tells the relays where it is, and waits until it listens.
    pub(crate) fn spawn(&mut self, index: usize) {
        self.nodes[index].spawn();
        let quic = self.nodes[index].addresses().quic();
        self.relays[index].set_target(quic);
        self.relays.iter().enumerate().filter(|(other, _)| *other != index).for_each(|(_, relay)| relay.know(quic, index));
    }

    pub(crate) fn start(&mut self, index: usize) {
        self.spawn(index);
        self.nodes[index].wait_until_ready();
    }

    pub(crate) fn client(&self, index: usize) -> &Client {
        self.nodes[index].client()
    }

    /// Sets what happens to everything that one node sends to another.
    pub(crate) fn set_weather(&self, from: usize, to: usize, weather: &Weather) {
        // What `from` sends on links that it dialled enters at the relay of `to`; on links that `to` dialled it leaves by its own.
        self.relays[to].set(from, Direction::In, weather.clone());
        self.relays[from].set(to, Direction::Out, weather.clone());
    }

    /// Sets the weather between two nodes, both ways.
    pub(crate) fn set_line(&self, one: usize, other: usize, weather: &Weather) {
        self.set_weather(one, other, weather);
        self.set_weather(other, one, weather);
    }

    /// Sets the weather between one node and all others, both ways.
    pub(crate) fn set_around(&self, index: usize, weather: &Weather) {
        (0..self.nodes.len()).filter(|other| *other != index).for_each(|other| self.set_line(index, other, weather));
    }

    pub(crate) fn heal(&self) {
        (0..self.nodes.len()).for_each(|index| self.set_around(index, &Weather::FAIR));
    }

    /// Everything that a node has, by the export of its admin endpoint.
    pub(crate) fn state(&self, index: usize) -> State {
        entries(&self.nodes[index])
    }

    /// Waits until all nodes show the same, byte for byte, and answers that.
    pub(crate) fn wait_until_equal(&self) -> State {
        eventually(SOON, "all nodes show the same", || {
            let states: Vec<State> = (0..self.nodes.len()).map(|index| self.state(index)).collect();
            match states.windows(2).position(|pair| pair[0] != pair[1]) {
                None => Ok(states.into_iter().next().unwrap_or_default()),
                Some(index) => Err(self.describe_difference(index, &states[index], &states[index + 1])),
            }
        })
    }

    /// Waits until a node shows what is wanted of one title.
    pub(crate) fn wait_for(&self, index: usize, profile: &str, title: &str, wanted: impl Fn(&Progress) -> bool) -> Progress {
        let what = format!("{} shows {title} as it is elsewhere", self.nodes[index].name());
        eventually(SOON, &what, || match self.client(index).resume(profile, title) {
            Ok(progress) if wanted(&progress) => Ok(progress),
            Ok(progress) => Err(format!("{progress:?}")),
            Err(trouble) => Err(trouble.to_string()),
        })
    }

    /// Waits until a node has so many links, as it says itself.
    pub(crate) fn wait_for_links(&self, index: usize, count: usize) {
        let what = format!("{} has {count} links", self.nodes[index].name());
        eventually(SOON, &what, || {
            let (_, text) = self.nodes[index].admin().send("GET", "/v1/cluster", None).map_err(|trouble| trouble.to_string())?;
            let cluster: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            match cluster["links"].as_array().map(Vec::len) {
                Some(links) if links == count => Ok(()),
                _ => Err(text),
            }
        });
    }

    fn describe_difference(&self, index: usize, one: &State, other: &State) -> String {
        let names = (self.nodes[index].name(), self.nodes[index + 1].name());
        let keys = one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key)).take(2);
        let shown: Vec<String> = keys.map(|key| format!("{key:?}:\n  {:?}\n  {:?}", one.get(key), other.get(key))).collect();
        format!("{names:?} at {}: {} and {} registers; {}", wall_now().as_millis(), one.len(), other.len(), shown.join("\n"))
    }
}

/// Everything that a node has, by the export of its admin endpoint.
pub(crate) fn entries(node: &Node) -> State {
    let (_, text) = node.admin().send("GET", "/v1/export", None).unwrap();
    text.lines().map(entry).collect()
}

fn entry(line: &str) -> ((String, String), String) {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("cursor");
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    let key = (text("profile_id"), text("title_id"));
    (key, value.to_string())
}
