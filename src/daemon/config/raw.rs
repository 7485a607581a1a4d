//! The configuration as it is written: every key optional, no other key allowed. What it means is in [`super::Config`].
//!
//! Numbers are signed here, so that a negative one is reported with its bound like any other, and not as a fault of the syntax.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) node: RawNode,
    pub(super) gateway: RawGateway,
    pub(super) quic: RawQuic,
    pub(super) admin: RawAdmin,
    pub(super) tls: RawTls,
    pub(super) cluster: RawCluster,
    pub(super) auth: RawAuth,
    pub(super) limits: RawLimits,
    pub(super) store: RawStore,
    pub(super) log: RawLog,
}

macro_rules! section {
    ($(#[$attribute:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $(#[$attribute])*
        pub(super) struct $name {
            $(pub(super) $field: Option<$kind>,)*
        }
    };
}

section!(RawNode { name: String, region: String, data_dir: String, drain_timeout_ms: i64 });
section!(RawGateway {
    listen: String,
    connections_max: i64,
    requests_max: i64,
    bodies_mib: i64,
    request_timeout_ms: i64,
    header_timeout_ms: i64,
    write_timeout_ms: i64,
    sockets_max: i64,
    socket_idle_ms: i64,
    origins: Vec<String>,
    cert_file: String,
    key_file: String,
});
section!(RawQuic { listen: String, advertise: String, keep_alive_ms: i64, idle_timeout_ms: i64, redial_max_ms: i64 });
section!(RawAdmin { listen: String });
section!(
    #[expect(clippy::struct_field_names, reason = "the keys are called so")]
    RawTls { ca_file: String, cert_file: String, key_file: String }
);
section!(RawCluster { secret_file: String, seeds: Vec<String>, ttl_days: i64, max_clock_drift_ms: i64, ack: String });
section!(RawAuth { key_files: Vec<String>, jwks_file: String, hs256_secret_file: String, leeway_ms: i64 });
section!(RawLimits { streams_max: i64, lease_ms: i64, profile_events_per_s: i64, profile_events_burst: i64, account_requests_per_s: i64 });
section!(RawStore {
    table_mib: i64,
    cache_mib: i64,
    engine_cache_mib: i64,
    log_retention_mib: i64,
    fold_table_mib: i64,
    fold_log_mib: i64,
    playheads_max: i64,
});
section!(RawLog { filter: String, format: String });
