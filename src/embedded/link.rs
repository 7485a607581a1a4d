//! A device's link to the nearest node: kept up in the background, for ever, until it is dropped.
//!
//! What was recorded offline is moved to right time and shared as soon as the node's clock is known; what was learned of this machine's clock
//! is kept for the next start.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::{Replica, identity};
use crate::net::{Credentials, DeviceLink, LinkStatus, NetConfig, NetError, NetEvent, Network};

/// Whether records flow between a device and its node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LinkPhase {
    /// There is no link now; it is being tried, again and again.
    #[default]
    Connecting,
    /// Records flow both ways.
    Open,
}

/// A replica's link to a node. Dropping it ends it; the replica works on without.
#[derive(Debug)]
pub struct Link {
    network: Network,
    device: DeviceLink,
    phase: watch::Receiver<LinkPhase>,
    listening: JoinHandle<()>,
}

impl Replica {
    /// Keeps this replica in step with the node at `address` (`host:port`, UDP), in the background of the current tokio runtime.
    ///
    /// Answers at once: that nobody is there yet is no error, it is tried for ever, with waits of up to 30 s. The node must show a certificate
    /// of the authority in the credentials; their token says which profiles travel. What is recorded while there is no link is sent later.
    ///
    /// # Errors
    ///
    /// The authority in the credentials is none, or no UDP socket could be opened. Nothing was started.
    ///
    /// ```no_run
    /// # async fn example(replica: leftoff::embedded::Replica) -> Result<(), Box<dyn std::error::Error>> {
    /// use leftoff::net::Credentials;
    ///
    /// let credentials = Credentials { ca_pem: std::fs::read("ca.pem")?, token: std::fs::read_to_string("token")? };
    /// let link = replica.connect("eu.example.net:7401", credentials).await?;
    /// link.opened().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(&self, address: &str, credentials: Credentials) -> Result<Link, NetError> {
        self.connect_with(NetConfig::device(self.device().as_str()), address, credentials).await
    }

    /// The same with the network's bounds set by the caller: how soon a silent node is given up, how long to wait before dialing again.
    ///
    /// # Errors
    ///
    /// As [`Replica::connect`].
    pub async fn connect_with(&self, config: NetConfig, address: &str, credentials: Credentials) -> Result<Link, NetError> {
        let network = Network::start(Arc::clone(self.core()), config, None).await?;
        // Before the first attempt, so that nothing of it is missed.
        let events = network.events();
        let (phase, followed) = watch::channel(LinkPhase::default());
        let listening = tokio::spawn(listen(events, phase, self.folder().to_owned()));
        let device = match network.connect_device(address, credentials).await {
            Ok(device) => device,
            Err(error) => {
                listening.abort();
                return Err(error);
            }
        };
        Ok(Link { network, device, phase: followed, listening })
    }
}

impl Link {
    /// Whether records flow.
    pub fn phase(&self) -> LinkPhase {
        *self.phase.borrow()
    }

    /// Whether records flow.
    pub fn is_open(&self) -> bool {
        self.phase() == LinkPhase::Open
    }

    /// Follows whether records flow.
    pub fn phases(&self) -> watch::Receiver<LinkPhase> {
        self.phase.clone()
    }

    /// Waits until records flow; at once if they do.
    pub async fn opened(&self) {
        let mut phase = self.phase.clone();
        // The other end lives as long as this link.
        drop(phase.wait_for(|phase| *phase == LinkPhase::Open).await);
    }

    /// Round trip, bytes and counts; none while there is no link.
    pub fn status(&self) -> Option<LinkStatus> {
        self.device.status()
    }

    /// Why the last attempt failed, or the last link ended.
    pub fn last_error(&self) -> Option<String> {
        self.device.last_error()
    }

    /// Uses this token from the next connection on.
    pub fn set_token(&self, token: impl Into<String>) {
        self.device.set_token(token.into());
    }

    /// Says goodbye and ends the link. What is not yet sent is sent by the next one.
    pub async fn disconnect(self) {
        self.network.shutdown().await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(mut events: broadcast::Receiver<NetEvent>, phase: watch::Sender<LinkPhase>, folder: PathBuf) {
    loop {
        match events.recv().await {
            Ok(NetEvent::Opened { .. }) => drop(phase.send_replace(LinkPhase::Open)),
            Ok(NetEvent::Ended { .. }) => drop(phase.send_replace(LinkPhase::Connecting)),
            Ok(NetEvent::Shared { clock_offset_ms }) => {
                let folder = folder.clone();
                let kept = tokio::task::spawn_blocking(move || identity::keep_clock_offset_ms(&folder, clock_offset_ms)).await;
                if let Ok(Err(error)) | Err(error) = kept.map_err(io::Error::other) {
                    warn!(%error, "what was learned of this machine's clock was not kept; the next connection learns it again");
                }
            }
            // Events that were missed may have said that a link ended or opened; the next one tells. The others need nothing done.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
