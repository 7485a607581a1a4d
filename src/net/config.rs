//! How a replica's network behaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::sync::message::Role;

/// A node's certificate and key, and the authority that it trusts, as PEM.
#[derive(Clone)]
pub struct TlsMaterial {
    /// The cluster's certificate authority (one or more certificates).
    pub ca_pem: Vec<u8>,
    /// The node's certificate, with the names `node.leftoff` and `<name>.node.leftoff`, and those between it and the authority.
    pub cert_pem: Vec<u8>,
    /// The node's private key.
    pub key_pem: Vec<u8>,
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsMaterial")
    }
}

/// What a device connects with.
#[derive(Clone)]
pub struct Credentials {
    /// The certificate authority of the nodes, as PEM.
    pub ca_pem: Vec<u8>,
    /// The token that says which profiles the device holds.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// How a replica's network behaves. Every value is a sound one; lists and texts are cut to the protocol's bounds.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// What this replica is.
    pub role: Role,
    /// Its name, for people; at most 255 bytes.
    pub name: String,
    /// Its region; `ack = replicated` waits for a node of the same.
    pub region: String,
    /// The UDP address to listen on and dial from. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where other nodes reach this one (`host:port`), if not at the address listened on. Passed on to all nodes.
    pub advertise: Option<String>,
    /// Addresses of other nodes to dial (`host:port`). One is enough: the others are learned.
    pub seeds: Vec<String>,
    /// Certificates. Without them nothing is listened for: devices.
    pub tls: Option<TlsMaterial>,
    /// How often an idle connection shows that it lives. Default 5 s.
    pub keep_alive: Duration,
    /// After how long without a packet a connection is given up. Default 15 s.
    pub idle_timeout: Duration,
    /// Bound of the first wait before dialing again. Default 500 ms.
    pub backoff_first: Duration,
    /// Bound of all waits before dialing again. Default 30 s.
    pub backoff_max: Duration,
    /// How often clocks are compared on each link. Default 10 s.
    pub ping_interval: Duration,
    /// How long a greeting, a handshake or an answer may take. Default 30 s.
    pub patience: Duration,
    /// How often nodes compare everything though nothing seems to be missing. Default 6 h; `None` never.
    pub scrub_interval: Option<Duration>,
    /// Devices that may be linked at once; further ones are refused. Nodes are not counted. Default 10,000.
    pub links_count_max: usize,
    /// Connections that may be open at once without having greeted; with more, the oldest of them is closed. Default 1,024.
    pub strangers_count_max: usize,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            role: Role::Node,
            name: String::new(),
            region: String::new(),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            advertise: None,
            seeds: Vec::new(),
            tls: None,
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            ping_interval: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            scrub_interval: Some(Duration::from_hours(6)),
            links_count_max: 10_000,
            strangers_count_max: 1_024,
        }
    }
}

impl NetConfig {
    /// A device's: it dials and does not listen.
    pub fn device(name: impl Into<String>) -> Self {
        Self { role: Role::Device, name: name.into(), scrub_interval: None, ..Self::default() }
    }
}
