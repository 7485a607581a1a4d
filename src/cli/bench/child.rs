//! Other processes of this program, killed when they are no longer needed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::BenchError;
use super::pace::rest;
use crate::daemon::TlsFiles;
use crate::daemon::certificates::{self, SECRET_FILE};
use crate::time::system::monotonic_now;

const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process of this program.
pub(super) struct Process(Child);

impl Process {
    /// Starts this program anew.
    pub(super) fn start(arguments: &[&str], log: Option<&Path>) -> Result<Self, BenchError> {
        let stderr = match log {
            Some(path) => Stdio::from(File::create(path)?),
            None => Stdio::null(),
        };
        let mut command = Command::new(std::env::current_exe()?);
        Ok(Self(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn()?))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it has written a line.
    pub(super) fn line(&mut self) -> Result<String, BenchError> {
        let stdout = self.0.stdout.take().ok_or("the process's output was read before")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            return Err("the process ended before it was ready".into());
        }
        Ok(line)
    }

    /// Ends it as a crash would: SIGKILL.
    pub(super) fn kill(mut self) -> Result<(), BenchError> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a node listens.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Addresses {
    pub(super) http: String,
    pub(super) quic: String,
    pub(super) admin: String,
}

/// A regional node in a process of its own.
pub(super) struct NodeProcess {
    pub(super) process: Process,
    pub(super) addresses: Addresses,
}

/// Nodes of one cluster.
pub(super) struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    /// A new authority and secret in a folder.
    pub(super) fn new(folder: &Path) -> Result<Self, BenchError> {
        fs::create_dir_all(folder)?;
        certificates::make_authority(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(super) fn issue(&self, name: &str) -> Result<TlsFiles, BenchError> {
        Ok(certificates::issue_node(&self.folder, name, &["127.0.0.1".to_owned()])?)
    }

    /// Starts a node that dials the given seeds, and waits until it says where it listens.
    pub(super) fn start(&self, name: &str, seeds: &[String]) -> Result<NodeProcess, BenchError> {
        self.start_with(name, seeds, &[String::new(), String::new()])
    }

    /// The same with more lines of its `[gateway]`, and more sections.
    pub(super) fn start_with(&self, name: &str, seeds: &[String], more: &[String; 2]) -> Result<NodeProcess, BenchError> {
        let [of_gateway, sections] = more;
        let tls = self.issue(name)?;
        let data = self.folder.join(format!("{name}-data"));
        let text = format!(
            "[node]\nname = {name:?}\nregion = {name:?}\ndata_dir = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n{of_gateway}\n[quic]\nlisten = \"127.0.0.1:0\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n[tls]\nca_file = {:?}\ncert_file = {:?}\nkey_file = {:?}\n[cluster]\nsecret_file = {:?}\nseeds = {seeds:?}\n\
             [log]\nfilter = \"warn\"\n{sections}\n",
            data.to_string_lossy(),
            tls.ca.to_string_lossy(),
            tls.cert.to_string_lossy(),
            tls.key.to_string_lossy(),
            self.folder.join(SECRET_FILE).to_string_lossy(),
        );
        let config = self.folder.join(format!("{name}.toml"));
        fs::write(&config, text)?;
        let log = self.folder.join(format!("{name}.log"));
        let process = Process::start(&["serve", "--dev", "--config", &config.to_string_lossy()], Some(&log))?;
        let addresses = data.join("addresses.json");
        let begun = monotonic_now();
        loop {
            if let Ok(bytes) = fs::read(&addresses) {
                return Ok(NodeProcess { process, addresses: serde_json::from_slice(&bytes)? });
            }
            if monotonic_now().saturating_since(begun) > PATIENCE {
                return Err(format!("the node {name} did not start; see {}", log.display()).into());
            }
            rest(LOOK_AGAIN);
        }
    }
}
