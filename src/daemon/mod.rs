//! The daemon: a regional node as a process. Configuration, wiring, administration, telemetry, signals.
//!
//! [`Node`] is a node inside any tokio runtime (tests and the demo run several); [`run`] is one as a process.

mod addresses;
mod admin;
pub mod backup;
pub mod certificates;
mod config;
mod development;
mod export;
mod figures;
mod leases;
mod node;
mod page;
mod process;
mod telemetry;
mod view;

pub use self::addresses::Addresses;
pub use self::certificates::DEV_CERTIFICATES;
pub(crate) use self::config::check_label;
pub use self::config::{Config, ConfigError, ConfigProblem, LogFormat, TlsFiles};
pub(crate) use self::node::unusable_files;
pub use self::node::{Node, StartError};
pub use self::process::{RunError, run};
pub use self::telemetry::TelemetryError;
