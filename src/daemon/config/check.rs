//! From what is written to what is meant: each value against its bound, every problem noted, none of them fatal before the last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::raw::{RawAuth, RawGateway, RawLimits, RawStore, RawTls};
use super::{ConfigError, ConfigProblem, TlsFiles};
use crate::gateway::auth::KeyFiles;
use crate::gateway::{HttpsFiles, Origins, RateOptions};
use crate::limits::EVENTS_PER_BATCH_COUNT_MAX;
use crate::store::StoreOptions;

const MIB: u64 = 1 << 20;
const SEEDS_COUNT_MAX: usize = 64;

/// Gathers problems. Each method answers a value within the bounds, whatever was written, so that checking can go on.
#[derive(Debug, Default)]
pub(super) struct Check {
    problems: Vec<ConfigProblem>,
}

impl Check {
    /// The configuration, if there was no problem.
    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigError::Problems(self.problems)) }
    }

    fn problem(&mut self, key: &'static str, value: impl std::fmt::Display, reason: impl Into<String>) {
        self.problems.push(ConfigProblem { key, value: value.to_string(), reason: reason.into() });
    }

    pub(super) fn number(&mut self, key: &'static str, value: Option<i64>, default: u64, min: u64, max: u64) -> u64 {
        let Some(value) = value else { return default };
        match u64::try_from(value) {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => {
                self.problem(key, value, format!("must be {min} to {max}"));
                default
            }
        }
    }

    pub(super) fn millis(&mut self, key: &'static str, value: Option<i64>, default: u64, min: u64, max: u64) -> Duration {
        Duration::from_millis(self.number(key, value, default, min, max))
    }

    pub(super) fn mib(&mut self, key: &'static str, value: Option<i64>, default: u64, min: u64, max: u64) -> usize {
        (self.number(key, value, default, min, max) * MIB) as usize
    }

    pub(super) fn text(&mut self, key: &'static str, value: Option<&str>, default: &str) -> String {
        match value {
            None => default.to_owned(),
            Some("") => {
                self.problem(key, "\"\"", "must not be empty");
                default.to_owned()
            }
            Some(text) => text.to_owned(),
        }
    }

    pub(super) fn word<T: Copy>(&mut self, key: &'static str, value: Option<&str>, words: &[(&str, T)]) -> T {
        let found = value.map_or(Some(words[0].1), |value| words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning));
        found.unwrap_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(key, value.unwrap_or_default(), format!("must be one of {}", known.join(", ")));
            words[0].1
        })
    }

    /// A name that can stand in a certificate: a label of a host name.
    pub(super) fn name(&mut self, key: &'static str, value: Option<&str>, default: Option<&str>) -> String {
        let Some(name) = value.or(default) else {
            self.problem(key, "(nothing)", "must be set");
            return String::new();
        };
        if let Err(reason) = check_label(name) {
            self.problem(key, name, format!("must be {reason}"));
        }
        name.to_owned()
    }

    pub(super) fn listen(&mut self, key: &'static str, value: Option<&str>, default: &str, dev: bool) -> SocketAddr {
        let text = value.unwrap_or(default);
        match text.parse::<SocketAddr>() {
            Ok(address) if dev && !address.ip().is_loopback() => {
                self.problem(key, text, "with --dev tokens are off, so only loopback may be listened on (127.0.0.1 or [::1])");
                address
            }
            Ok(address) => address,
            Err(_) => {
                self.problem(key, text, "must be an address and a port, like 0.0.0.0:7400 or [::]:7400");
                SocketAddr::from(([127, 0, 0, 1], 0))
            }
        }
    }

    pub(super) fn host_port(&mut self, key: &'static str, value: Option<&str>) -> Option<String> {
        let text = value?;
        if !is_host_port(text) {
            self.problem(key, text, "must be a host or an address, and a port, like eu.example.net:7401");
        }
        Some(text.to_owned())
    }

    pub(super) fn seeds(&mut self, key: &'static str, value: Option<&[String]>) -> Vec<String> {
        let seeds = value.unwrap_or_default();
        if seeds.len() > SEEDS_COUNT_MAX {
            self.problem(key, format!("{} entries", seeds.len()), format!("must be at most {SEEDS_COUNT_MAX}"));
        }
        for seed in seeds {
            self.host_port(key, Some(seed));
        }
        seeds.to_vec()
    }

    pub(super) fn rates(&mut self, raw: &RawLimits) -> RateOptions {
        let default = RateOptions::default();
        let mut number = |key, value, default: u32, min, max| self.number(key, value, default.into(), min, max) as u32;
        let burst_min = EVENTS_PER_BATCH_COUNT_MAX as u64;
        RateOptions {
            profile_events_per_s: number(
                "limits.profile_events_per_s",
                raw.profile_events_per_s,
                default.profile_events_per_s,
                0,
                1_000_000,
            ),
            profile_events_burst: number(
                "limits.profile_events_burst",
                raw.profile_events_burst,
                default.profile_events_burst,
                burst_min,
                1_000_000,
            ),
            account_requests_per_s: number(
                "limits.account_requests_per_s",
                raw.account_requests_per_s,
                default.account_requests_per_s,
                0,
                1_000_000,
            ),
        }
    }

    pub(super) fn origins(&mut self, key: &'static str, value: Option<&[String]>) -> Origins {
        let texts = value.unwrap_or_default();
        Origins::new(texts).unwrap_or_else(|error| {
            self.problem(key, texts.join(", "), error.to_string());
            Origins::default()
        })
    }

    pub(super) fn filter(&mut self, key: &'static str, value: Option<&str>, default: &str) -> String {
        let filter = self.text(key, value, default);
        if let Err(error) = EnvFilter::try_new(&filter) {
            self.problem(key, &filter, error.to_string());
        }
        filter
    }

    pub(super) fn file(&mut self, key: &'static str, value: Option<&str>, required: bool) -> Option<PathBuf> {
        match value {
            Some("") => {
                self.problem(key, "\"\"", "must not be empty");
                None
            }
            Some(path) => Some(PathBuf::from(path)),
            None => {
                if required {
                    self.problem(key, "(nothing)", "must be set (or start with --dev); 'leftoff cert' makes such files");
                }
                None
            }
        }
    }

    pub(super) fn tls(&mut self, raw: &RawTls, dev: bool) -> Option<TlsFiles> {
        // In development all three or none: half an identity is a mistake, not a wish for another.
        let required = !dev || raw.ca_file.is_some() || raw.cert_file.is_some() || raw.key_file.is_some();
        let ca = self.file("tls.ca_file", raw.ca_file.as_deref(), required);
        let cert = self.file("tls.cert_file", raw.cert_file.as_deref(), required);
        let key = self.file("tls.key_file", raw.key_file.as_deref(), required);
        Some(TlsFiles { ca: ca?, cert: cert?, key: key? })
    }

    pub(super) fn https(&mut self, raw: &RawGateway) -> Option<HttpsFiles> {
        if raw.cert_file.is_none() && raw.key_file.is_none() {
            return None;
        }
        let mut file = |key, value: Option<&String>| {
            if value.is_none() {
                self.problem(key, "(nothing)", "must be set, as the other of gateway.cert_file and gateway.key_file is");
            }
            self.file(key, value.map(String::as_str), false)
        };
        let (cert, key) = (file("gateway.cert_file", raw.cert_file.as_ref()), file("gateway.key_file", raw.key_file.as_ref()));
        Some(HttpsFiles { cert: cert?, key: key? })
    }

    pub(super) fn keys(&mut self, raw: &RawAuth, dev: bool) -> Option<KeyFiles> {
        let files = KeyFiles {
            pem: raw.key_files.iter().flatten().filter_map(|path| self.file("auth.key_files", Some(path), false)).collect(),
            jwks: self.file("auth.jwks_file", raw.jwks_file.as_deref(), false),
            hs256_secret: self.file("auth.hs256_secret_file", raw.hs256_secret_file.as_deref(), false),
        };
        if files != KeyFiles::default() {
            return Some(files);
        }
        if !dev {
            let reason =
                "auth.key_files or auth.jwks_file must be set, or tokens could not be verified ('leftoff token keys' makes a pair)";
            self.problem("auth", "(nothing)", reason);
        }
        None
    }

    pub(super) fn store(&mut self, raw: &RawStore) -> StoreOptions {
        let options = StoreOptions {
            table_bytes_max: self.mib("store.table_mib", raw.table_mib, 512, 16, 65_536),
            cache_bytes: self.mib("store.cache_mib", raw.cache_mib, 32, 1, 65_536),
            engine_cache_bytes: self.mib("store.engine_cache_mib", raw.engine_cache_mib, 64, 4, 65_536) as u64,
            log_retention_bytes: self.mib("store.log_retention_mib", raw.log_retention_mib, 64, 0, 1_048_576) as u64,
            fold_table_bytes: self.mib("store.fold_table_mib", raw.fold_table_mib, 192, 1, 65_536),
            fold_log_bytes: self.mib("store.fold_log_mib", raw.fold_log_mib, 512, 1, 1_048_576) as u64,
            ..StoreOptions::default()
        };
        if options.fold_table_bytes >= options.table_bytes_max {
            let bound = options.table_bytes_max as u64 / MIB;
            let value = options.fold_table_bytes as u64 / MIB;
            self.problem(
                "store.fold_table_mib",
                value,
                format!("must be below store.table_mib ({bound}), or writers are refused before folding begins"),
            );
        }
        options
    }
}

/// Checks a name that is to stand in a certificate; answers what it must be.
pub(crate) fn check_label(text: &str) -> Result<(), &'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=40).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-');
    if is_label { Ok(()) } else { Err("1 to 40 of a-z, 0-9 and '-', neither first nor last a '-'") }
}

fn is_host_port(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(fits) && port.parse::<u16>().is_ok_and(|port| port > 0)
}
