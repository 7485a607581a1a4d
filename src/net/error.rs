//! Why a network could not be started, or a certificate not be used.

use std::io;
use std::net::SocketAddr;

/// Why a network could not be started or changed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A PEM text holds nothing usable.
    #[error("the {what} cannot be read: {reason}")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not fit each other, or are of a kind that cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificate lacks the name that every node must have.
    #[error("the node's certificate does not carry the name {}", super::tls::ROLE_NAME)]
    Name,
    /// Seeds or an address to dial, but no certificates to show.
    #[error("a node cannot dial other nodes without certificates")]
    NoCertificates,
    /// The network has been shut down.
    #[error("the network has been shut down")]
    ShutDown,
}
