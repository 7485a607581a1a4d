//! The daemon's configuration: a TOML file, each key overridable by `LEFTOFF_SECTION__KEY`, checked once and as a whole.
//!
//! `docs/configuration.md` says of each key its meaning, unit, default and bounds; a change here is a change there.

mod check;
mod raw;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::check::Check;
pub(crate) use self::check::check_label;
use self::raw::Raw;
use crate::ephemeral::EphemeralOptions;
use crate::gateway::auth::KeyFiles;
use crate::gateway::{GatewayOptions, HttpsFiles, ListenerOptions, Origins, RateOptions};
use crate::limits::{LEASE_MS, LEASE_MS_MAX, STREAMS_PER_ACCOUNT_COUNT_MAX};
use crate::replica::{AckMode, CoreOptions};
use crate::store::StoreOptions;

/// What every environment variable that sets a key begins with. Without the double underscore behind the section it is somebody else's.
const ENVIRONMENT_PREFIX: &str = "LEFTOFF_";
const SECTION_SEPARATOR: &str = "__";

/// How a node runs. Every value is within its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name in its cluster.
    pub name: String,
    /// The region it stands in.
    pub region: String,
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// How long requests and links may take to finish when the node stops.
    pub drain_timeout: Duration,
    /// Where players and clients reach it.
    pub gateway_listen: SocketAddr,
    /// Bounds of that listener.
    pub listener: ListenerOptions,
    /// Bounds of the gateway.
    pub gateway: GatewayOptions,
    /// How much one profile may report and one account may ask.
    pub rates: RateOptions,
    /// The pages of other origins that may use the node.
    pub origins: Origins,
    /// The certificate it speaks HTTPS with; none: plain HTTP.
    pub https: Option<HttpsFiles>,
    /// Where nodes and devices reach it, over UDP.
    pub quic_listen: SocketAddr,
    /// The address that it tells other nodes, where that differs.
    pub quic_advertise: Option<String>,
    /// How often an idle link shows that it lives.
    pub keep_alive: Duration,
    /// After how long without a packet a link is given up; above the one before.
    pub idle_timeout: Duration,
    /// Bound of the waits before a peer is dialed again.
    pub redial_max: Duration,
    /// Where the operator reaches it.
    pub admin_listen: SocketAddr,
    /// Its certificate and the cluster's; none only in development, where they are made on the first start.
    pub tls: Option<TlsFiles>,
    /// The cluster's secret; none only in development.
    pub secret_file: Option<PathBuf>,
    /// Nodes to begin with, `host:port`.
    pub seeds: Vec<String>,
    /// Keys that tokens are verified with; none only in development, where tokens are off.
    pub keys: Option<KeyFiles>,
    /// How far the issuer's clock may differ, in milliseconds.
    pub token_leeway_ms: u64,
    /// Bounds of the store; the key secret is filled in from its file.
    pub store: StoreOptions,
    /// How the replica behaves.
    pub core: CoreOptions,
    /// Which log lines are written.
    pub log_filter: String,
    /// How.
    pub log_format: LogFormat,
    /// Development: loopback only, no tokens, certificates made on the first start.
    pub dev: bool,
}

/// The files of a node's identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The cluster's certificate authority.
    pub ca: PathBuf,
    /// The node's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read, or is not TOML, or has a key that is not known.
    #[error("{0}")]
    Read(String),
    /// Values out of their bounds, all of them.
    #[error("{}", join(.0))]
    Problems(Vec<ConfigProblem>),
}

/// One value that cannot be taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{key} = {value}: {reason}")]
pub struct ConfigProblem {
    /// Which key.
    pub key: &'static str,
    /// What it is set to.
    pub value: String,
    /// What it must be.
    pub reason: String,
}

fn join(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Config {
    /// Reads the file (if one is given) and the environment over it.
    pub fn load(file: Option<&Path>, dev: bool) -> Result<Self, ConfigError> {
        Self::from_sources(file, dev, std::env::vars_os())
    }

    /// The same with an environment of the caller's.
    pub fn from_sources(
        file: Option<&Path>,
        dev: bool,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Self, ConfigError> {
        let failed = |error: config::ConfigError| ConfigError::Read(error.to_string());
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let ours = environment.into_iter().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let rest = name.strip_prefix(ENVIRONMENT_PREFIX)?;
            // A list is taken apart at its commas; the other values stay the texts they are.
            rest.contains(SECTION_SEPARATOR).then(|| (rest.to_lowercase(), value.to_string_lossy().into_owned()))
        });
        for (name, value) in ours {
            let key = name.replace(SECTION_SEPARATOR, ".");
            builder = if LISTS.contains(&key.as_str()) {
                let entries: Vec<String> =
                    value.split(',').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect();
                builder.set_override(&key, entries)
            } else {
                builder.set_override(&key, value)
            }
            .map_err(failed)?;
        }
        let raw: Raw = builder.build().and_then(config::Config::try_deserialize).map_err(failed)?;
        Self::check(&raw, dev)
    }

    fn check(raw: &Raw, dev: bool) -> Result<Self, ConfigError> {
        let mut check = Check::default();
        let any = if dev { "127.0.0.1" } else { "0.0.0.0" };
        let tls = check.tls(&raw.tls, dev);
        let keys = check.keys(&raw.auth, dev);
        let keep_alive = check.millis("quic.keep_alive_ms", raw.quic.keep_alive_ms, 5_000, 50, 60_000);
        let idle_min_ms = 2 * keep_alive.as_millis() as u64;
        let config = Self {
            name: check.name("node.name", raw.node.name.as_deref(), if dev { Some("dev") } else { None }),
            region: check.name("node.region", raw.node.region.as_deref(), Some("default")),
            data_dir: PathBuf::from(check.text("node.data_dir", raw.node.data_dir.as_deref(), "./leftoff-data")),
            drain_timeout: check.millis("node.drain_timeout_ms", raw.node.drain_timeout_ms, 8_000, 0, 600_000),
            gateway_listen: check.listen("gateway.listen", raw.gateway.listen.as_deref(), &format!("{any}:7400"), dev),
            listener: ListenerOptions {
                connections_count_max: check.number("gateway.connections_max", raw.gateway.connections_max, 10_000, 1, 1_000_000) as usize,
                header_timeout: check.millis("gateway.header_timeout_ms", raw.gateway.header_timeout_ms, 30_000, 100, 600_000),
                write_timeout: check.millis("gateway.write_timeout_ms", raw.gateway.write_timeout_ms, 15_000, 100, 600_000),
                ..ListenerOptions::default()
            },
            gateway: GatewayOptions {
                requests_count_max: check.number("gateway.requests_max", raw.gateway.requests_max, 1_024, 1, 100_000) as usize,
                bodies_bytes_max: check.mib("gateway.bodies_mib", raw.gateway.bodies_mib, 64, 1, 4_095),
                request_timeout: check.millis("gateway.request_timeout_ms", raw.gateway.request_timeout_ms, 10_000, 100, 600_000),
                sockets_count_max: check.number("gateway.sockets_max", raw.gateway.sockets_max, 10_000, 1, 1_000_000) as usize,
                socket_idle: check.millis("gateway.socket_idle_ms", raw.gateway.socket_idle_ms, 60_000, 100, 3_600_000),
            },
            rates: check.rates(&raw.limits),
            https: check.https(&raw.gateway),
            origins: check.origins("gateway.origins", raw.gateway.origins.as_deref()),
            quic_listen: check.listen("quic.listen", raw.quic.listen.as_deref(), &format!("{any}:7401"), dev),
            quic_advertise: check.host_port("quic.advertise", raw.quic.advertise.as_deref()),
            keep_alive,
            idle_timeout: check.millis("quic.idle_timeout_ms", raw.quic.idle_timeout_ms, idle_min_ms.max(15_000), idle_min_ms, 600_000),
            redial_max: check.millis("quic.redial_max_ms", raw.quic.redial_max_ms, 30_000, 50, 600_000),
            admin_listen: check.listen("admin.listen", raw.admin.listen.as_deref(), "127.0.0.1:7402", dev),
            tls,
            secret_file: check.file("cluster.secret_file", raw.cluster.secret_file.as_deref(), !dev),
            seeds: check.seeds("cluster.seeds", raw.cluster.seeds.as_deref()),
            keys,
            token_leeway_ms: check.number("auth.leeway_ms", raw.auth.leeway_ms, 5_000, 0, 60_000),
            store: check.store(&raw.store),
            core: CoreOptions {
                drift_ms_max: check.number("cluster.max_clock_drift_ms", raw.cluster.max_clock_drift_ms, 60_000, 1_000, 3_600_000),
                playheads_count_max: check.number("store.playheads_max", raw.store.playheads_max, 2_000_000, 1_000, 100_000_000) as usize,
                ack: check.word(
                    "cluster.ack",
                    raw.cluster.ack.as_deref(),
                    &[("local", AckMode::Local), ("replicated", AckMode::Replicated)],
                ),
                ttl_days: raw.cluster.ttl_days.map(|days| check.number("cluster.ttl_days", Some(days), 1, 1, 36_500) as u32),
                expires_with_peers: raw.cluster.seeds.as_ref().is_some_and(|seeds| !seeds.is_empty()),
                ephemeral: EphemeralOptions {
                    lease: check.millis("limits.lease_ms", raw.limits.lease_ms, LEASE_MS, 1_000, LEASE_MS_MAX),
                    streams_count_max: check.number(
                        "limits.streams_max",
                        raw.limits.streams_max,
                        5,
                        1,
                        STREAMS_PER_ACCOUNT_COUNT_MAX as u64,
                    ) as usize,
                },
                ..CoreOptions::default()
            },
            log_filter: check.filter("log.filter", raw.log.filter.as_deref(), "info"),
            log_format: check.word("log.format", raw.log.format.as_deref(), &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
            dev,
        };
        check.finish(config)
    }
}

/// Keys whose values are lists: in the environment, separated by commas.
const LISTS: [&str; 3] = ["cluster.seeds", "auth.key_files", "gateway.origins"];

#[cfg(test)]
mod tests;
