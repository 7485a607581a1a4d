//! A replica inside a device: a folder, two threads, and a link to the nearest node whenever there is one.
//!
//! [`Replica`] works offline from the first call. [`PlaybackReporter`] turns a player's callbacks into the events to record.

mod changes;
mod config;
mod identity;
mod link;
mod replica;
mod reporter;
mod threads;

pub use self::changes::Changes;
pub use self::config::ReplicaConfig;
pub use self::link::{Link, LinkPhase};
pub use self::replica::{RecordEventError, Replica, ReplicaError, TitleProgress};
pub use self::reporter::{Now, PlaybackReporter, ReporterConfig};
pub use self::threads::StartError;
