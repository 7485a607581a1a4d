//! The daemon: a regional node as a process. Configuration, wiring, administration, telemetry, signals.

pub mod certificates;
mod config;

pub use self::config::{Config, ConfigError, ConfigProblem, LogFormat, TlsFiles};
