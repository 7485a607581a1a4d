//! Dialing one address for ever: connect, run the link, wait, again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use quinn::{ClientConfig, Connection};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info};

use super::driver::{self, Ended, Opening, is_set};
use super::network::Shared;
use super::random::random_fraction;
use super::status::NetTotals;
use super::tls::ROLE_NAME;
use crate::sync::Backoff;
use crate::sync::message::ByeCode;
use crate::time::system::monotonic_now;

/// How often a name that is linked already is looked at again, should a wake be missed.
const LINKED_RECHECK: Duration = Duration::from_secs(5);

/// A link that lived so long counts as a success.
const LIVED: Duration = Duration::from_secs(3);

/// What one dialer connects with.
pub(super) enum Identity {
    /// A node's certificate, as it is when the connection is made: it may be reloaded.
    Node,
    /// A device's trust and token.
    Device {
        /// With the authority of the nodes.
        client: ClientConfig,
        /// The token, which may be renewed.
        token: watch::Receiver<String>,
    },
}

/// Dials `address` until the network, or the one who asked for it, stops; or until the target with the given number is dialed no more.
pub(super) async fn keep(
    shared: Arc<Shared>,
    address: String,
    identity: Identity,
    target: Option<u64>,
    mut given_up: Option<watch::Receiver<bool>>,
) {
    let mut stop = shared.stop.subscribe();
    let mut backoff = Backoff::new(shared.config.backoff_first, shared.config.backoff_max);
    loop {
        wait_until_unlinked(&shared, &address).await;
        if shared.registry.forget_silent(monotonic_now()) {
            shared.peers_changed();
        }
        if target.is_some_and(|target| !shared.registry.is_target(&address, target)) {
            debug!(address, "not dialed any more");
            return;
        }
        let began = monotonic_now();
        let ended = attempt(&shared, &address, &identity, given_up.clone()).await;
        if *stop.borrow() || given_up.as_ref().is_some_and(|given_up| *given_up.borrow()) {
            return;
        }
        if ended.code == ByeCode::Myself {
            debug!(address, "that is this replica");
            shared.registry.note_target(&address, Some(shared.core.store().id()), None);
            return;
        }
        shared.registry.note_target(&address, ended.peer, Some(ended.reason.clone()));
        // A link that ends as soon as it has opened would otherwise be dialed without end, and without pause.
        if ended.opened && monotonic_now().saturating_since(began) >= LIVED {
            backoff.reset();
        }
        let wait = backoff.next(random_fraction()).max(ended.retry);
        info!(address, reason = ended.reason, wait_ms = wait.as_millis() as u64, "dialing again");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = is_set(Some(&mut stop)) => return,
            () = is_set(given_up.as_mut()) => return,
        }
    }
}

/// Waits while there is a link with the replica at the address, whoever dialed it.
async fn wait_until_unlinked(shared: &Shared, address: &str) {
    let mut links = shared.links.subscribe();
    let mut stop = shared.stop.subscribe();
    // The recheck covers a link that ended between the look and the wait.
    while shared.registry.target_replica(address).is_some_and(|replica| shared.registry.is_linked(replica)) {
        tokio::select! {
            _ = links.changed() => {}
            _ = stop.changed() => return,
            () = tokio::time::sleep(LINKED_RECHECK) => {}
        }
    }
}

async fn attempt(shared: &Arc<Shared>, address: &str, identity: &Identity, mut given_up: Option<watch::Receiver<bool>>) -> Ended {
    let failed = |reason: String| Ended { peer: None, opened: false, code: ByeCode::Done, reason, retry: Duration::ZERO };
    let (client, token) = match identity {
        Identity::Node => match shared.node_client() {
            Some(client) => (client, String::new()),
            None => return failed("this node has no certificates".to_owned()),
        },
        Identity::Device { client, token } => (client.clone(), token.borrow().clone()),
    };
    NetTotals::add(&shared.totals.dialed as &AtomicU64, 1);
    let mut stop = shared.stop.subscribe();
    let connected = tokio::select! {
        connected = timeout(shared.config.patience, connect(shared, address, client)) => connected,
        () = is_set(Some(&mut stop)) => return failed("the replica stops".to_owned()),
        () = is_set(given_up.as_mut()) => return failed("the link is not wanted any more".to_owned()),
    };
    match connected {
        Ok(Ok(connection)) => {
            driver::run(Arc::clone(shared), connection, Opening { dialed: true, address: address.to_owned(), token, given_up, place: None })
                .await
        }
        Ok(Err(reason)) => failed(reason),
        Err(_) => failed(format!("no connection to {address} in time")),
    }
}

async fn connect(shared: &Shared, address: &str, client: ClientConfig) -> Result<Connection, String> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(|error| format!("{address}: {error}"))?.collect();
    let local = shared.endpoint.local_addr().map_err(|error| error.to_string())?;
    // A socket bound to one family reaches only that one.
    let Some(reachable) = addresses.iter().find(|found| local.is_ipv6() || found.is_ipv4()) else {
        return Err(format!("{address} has no address that can be reached from {local}"));
    };
    let connecting = shared.endpoint.connect_with(client, *reachable, ROLE_NAME).map_err(|error| error.to_string())?;
    connecting.await.map_err(|error| format!("{address}: {error}"))
}
