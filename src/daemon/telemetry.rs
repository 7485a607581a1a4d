//! Log lines: text for people or JSON for programs, on stderr, every one with the node's name.
//!
//! The name is put in by the writer and not by a span: lines also come from threads that no span of ours encloses, and a process is one node.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Config, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter = {filter}: {reason}")]
    Filter {
        /// What is set.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Begins to write log lines. Once a process; what comes second is left as it is.
pub(super) fn start(config: &Config) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| TelemetryError::Filter { filter: config.log_filter.clone(), reason: error.to_string() })?;
    let registry = tracing_subscriber::registry().with(filter);
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let begun = match config.log_format {
        LogFormat::Text => {
            let writer = NodeWriter::text(&config.name);
            registry.with(tracing_subscriber::fmt::layer().with_ansi(colour).with_target(false).with_writer(writer)).try_init()
        }
        LogFormat::Json => {
            let writer = NodeWriter::json(&config.name);
            registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer)).try_init()
        }
    };
    if begun.is_err() {
        tracing::debug!("the process has a log already");
    }
    Ok(())
}

/// Writes to stderr, with the node's name in each line.
#[derive(Clone)]
struct NodeWriter {
    // Goes in behind this many bytes of the line: behind the brace of a JSON object, before the text of any other line.
    offset: usize,
    name: Arc<str>,
}

impl NodeWriter {
    fn text(name: &str) -> Self {
        Self { offset: 0, name: format!("node={name} ").into() }
    }

    fn json(name: &str) -> Self {
        // A name is a-z, 0-9 and '-' (the configuration checks it), so it needs no escapes.
        Self { offset: 1, name: format!("\"node\":\"{name}\",").into() }
    }
}

impl<'a> MakeWriter<'a> for NodeWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for NodeWriter {
    // A line comes whole in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (before, after) = line.split_at(self.offset.min(line.len()));
        let whole = [before, self.name.as_bytes(), after].concat();
        io::stderr().lock().write_all(&whole)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
