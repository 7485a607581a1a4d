//! A node as a process: its runtime and its signals.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::telemetry::{self, TelemetryError};
use super::{Config, ConfigError, Node, StartError, figures};

/// How often samples are gathered into their histograms, so that memory does not grow when nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the process ended before it served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The log.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The runtime, or the signals.
    #[error("the process could not be set up: {0}")]
    Setup(#[from] std::io::Error),
    /// The node.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Runs a node until a signal ends it. `SIGTERM` and `SIGINT` stop it gracefully, a second one at once; `SIGHUP` reloads
/// certificates, keys and the gateway's bounds.
///
/// `reread` reads the configuration again, for a reload; `started` is called with the node once it serves.
pub fn run(config: Config, reread: impl Fn() -> Result<Config, ConfigError>, started: impl FnOnce(&Node)) -> Result<ExitCode, RunError> {
    telemetry::start(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("leftoff").build()?;
    let ended = runtime.block_on(serve(config, reread, started));
    // What still runs is cut off here: the log on disk has everything that was promised.
    runtime.shutdown_background();
    ended
}

enum Asked {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    async fn stop(&mut self) {
        while !matches!(self.next().await, Asked::Stop) {}
    }
}

async fn serve(
    config: Config,
    reread: impl Fn() -> Result<Config, ConfigError>,
    started: impl FnOnce(&Node),
) -> Result<ExitCode, RunError> {
    let mut signals = Signals::new()?;
    // A stop while the store is being opened cuts the opening off, which is what a crash does and every opening must bear.
    let node = tokio::select! {
        node = Node::start(config) => node?,
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    started(&node);
    let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = upkeep.tick() => figures::upkeep(),
            asked = signals.next() => match asked {
                Asked::Stop => break,
                Asked::Reload => match reread() {
                    Ok(config) => node.reload(&config),
                    Err(error) => tracing::error!(%error, "nothing reloaded: the configuration is not sound"),
                },
            },
        }
    }
    tokio::select! {
        _ = node.shutdown() => Ok(ExitCode::SUCCESS),
        () = signals.stop() => {
            tracing::warn!("told twice: stopping at once");
            Ok(ExitCode::FAILURE)
        }
    }
}
