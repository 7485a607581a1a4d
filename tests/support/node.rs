//! A regional node as a process: `leftoff serve` with a configuration of its own, every port 0, killed when it is dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leftoff::daemon::TlsFiles;
use leftoff::daemon::certificates::{self, SECRET_FILE};
use serde::Deserialize;

use super::http::Client;
use super::patience::{SOON, eventually};
use super::process::Process;

/// Lines of a node's log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 40;

/// The certificates of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn make(folder: &Path) -> Self {
        certificates::make_authority(folder).unwrap();
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn issue(&self, name: &str) -> TlsFiles {
        certificates::issue_node(&self.folder, name, &["127.0.0.1".to_owned()]).unwrap()
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.folder.join(SECRET_FILE)
    }

    pub(crate) fn ca_pem(&self) -> Vec<u8> {
        fs::read(self.folder.join(certificates::CA_FILE)).unwrap()
    }
}

/// Where a running node is reached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    quic: Option<SocketAddr>,
}

impl Addresses {
    pub(crate) fn quic(&self) -> SocketAddr {
        self.quic.unwrap()
    }
}

/// What a node is started with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) tls: TlsFiles,
    pub(crate) secret: PathBuf,
    /// What others are told, if that is not where it listens.
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) seeds: Vec<SocketAddr>,
    /// Keys that verify tokens; without one, anybody may do anything.
    pub(crate) token_key: Option<PathBuf>,
    /// Further lines of the section `[gateway]`.
    pub(crate) gateway: String,
    /// Further lines of the section `[quic]`.
    pub(crate) quic: String,
    /// Further lines of the section `[cluster]`.
    pub(crate) cluster: String,
    /// Further lines of the section `[limits]`.
    pub(crate) limits: String,
    /// Further lines of the section `[store]`.
    pub(crate) store: String,
}

/// Where a node is now, for those who follow it across restarts; none while it is down.
pub(crate) type Whereabouts = Arc<Mutex<Option<Addresses>>>;

/// A node in a folder, running or not.
pub(crate) struct Node {
    pub(crate) setup: Setup,
    folder: PathBuf,
    process: Option<Process>,
    whereabouts: Whereabouts,
    client: Option<Client>,
}

impl Node {
    /// A node in a folder, not started yet.
    pub(crate) fn new(folder: &Path, setup: Setup) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { setup, folder: folder.to_owned(), process: None, whereabouts: Whereabouts::default(), client: None }
    }

    pub(crate) fn name(&self) -> &str {
        &self.setup.name
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn whereabouts(&self) -> Whereabouts {
        Arc::clone(&self.whereabouts)
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(|| panic!("{} is not running", self.setup.name))
    }

    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().unwrap_or_else(|| panic!("{} is not running", self.setup.name))
    }

    pub(crate) fn admin(&self) -> Client {
        Client::new(self.addresses().admin)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    fn addresses_file(&self) -> PathBuf {
        self.data_folder().join("addresses.json")
    }

    fn write_config(&self) -> PathBuf {
        let setup = &self.setup;
        let seeds: Vec<String> = setup.seeds.iter().map(ToString::to_string).collect();
        let advertise = setup.advertise.map_or_else(String::new, |address| format!("advertise = \"{address}\"\n"));
        let auth = setup.token_key.as_ref().map_or_else(String::new, |key| format!("[auth]\nkey_files = [{key:?}]\n"));
        let text = format!(
            "[node]\nname = {:?}\nregion = {:?}\ndata_dir = {:?}\ndrain_timeout_ms = 3000\n\
             [gateway]\nlisten = \"127.0.0.1:0\"\n{}\n[quic]\nlisten = \"127.0.0.1:0\"\n{advertise}{}\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [tls]\nca_file = {:?}\ncert_file = {:?}\nkey_file = {:?}\n[cluster]\nsecret_file = {:?}\nseeds = {seeds:?}\n{}\n\
             {auth}[limits]\n{}\n[store]\n{}\n[log]\nfilter = \"info,leftoff=debug\"\n",
            setup.name,
            setup.region,
            self.data_folder(),
            setup.gateway,
            setup.quic,
            setup.tls.ca,
            setup.tls.cert,
            setup.tls.key,
            setup.secret,
            setup.cluster,
            setup.limits,
            setup.store,
        );
        let path = self.folder.join("leftoff.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts the process and waits until it says where it listens. It may not be ready yet.
    pub(crate) fn spawn(&mut self) {
        self.begin();
        let found = eventually(SOON, "the node says where it listens", || self.look_for_addresses());
        self.client = Some(Client::new(found.http));
        *self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn begin(&mut self) {
        let command = &mut self.command();
        self.process = Some(Process::spawn(command));
    }

    /// What starts the process.
    pub(crate) fn command(&self) -> Command {
        assert!(self.process.is_none(), "{} is running already", self.setup.name);
        let config = self.write_config();
        // What an earlier life left behind must not be taken for this one's.
        let _ = fs::remove_file(self.addresses_file());
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_leftoff"));
        command.arg("serve").arg("--config").arg(config).stderr(log);
        if self.setup.token_key.is_none() {
            command.arg("--dev");
        }
        command
    }

    fn look_for_addresses(&mut self) -> Result<Addresses, String> {
        if let Some(status) = self.process.as_mut().and_then(Process::has_ended) {
            panic!("{} ended before it served: {status}\n{}", self.setup.name, self.log_tail());
        }
        let text = fs::read_to_string(self.addresses_file()).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Starts the process and waits until it is ready to serve.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }

    pub(crate) fn wait_until_ready(&self) {
        let admin = self.admin();
        eventually(SOON, "the node is ready", || admin.send("GET", "/readyz", None).map(|_| ()));
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    fn forget(&mut self) -> Option<Process> {
        *self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.client = None;
        self.process.take()
    }

    /// `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.forget() {
            process.kill();
        }
    }

    /// `SIGTERM`, and waits for the end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended_within(Duration::from_secs(15))
    }

    /// Waits for the end of a process that was told to stop.
    pub(crate) fn ended_within(&mut self, time: Duration) -> ExitStatus {
        self.forget().unwrap().ended_within(time)
    }

    /// What the process holds of memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// The disk is gone: everything the node has kept.
    pub(crate) fn lose_disk(&mut self) {
        assert!(self.process.is_none(), "{} still runs", self.setup.name);
        fs::remove_dir_all(self.data_folder()).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("== the end of {}'s log\n{}", self.setup.name, self.log_tail());
        }
        self.kill();
    }
}
