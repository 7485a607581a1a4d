//! QUIC between replicas: the shell around [`sync`](crate::sync).
//!
//! One UDP socket listens and dials. Nodes show each other certificates of the cluster's authority (TLS 1.3, ALPN `leftoff/1`); a peer without
//! one is a device and must bring a token. Each connection has one bidirectional stream, driven by one task; every link that ends is dialed
//! again for ever, with backoff. Nothing here decides what a record means: that is done below, without I/O.

mod config;
mod dial;
mod doors;
mod driver;
mod error;
mod machine;
mod network;
mod random;
mod registry;
mod status;
#[cfg(test)]
mod tests;
mod tls;

pub use config::{Credentials, NetConfig, TlsMaterial};
pub use error::NetError;
pub use network::{DeviceLink, NetEvent, Network};
pub use status::{LinkStatus, NetTotals, TargetStatus};
