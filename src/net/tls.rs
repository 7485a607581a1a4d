//! TLS 1.3 with the ring provider: who may connect to whom.
//!
//! Every node has a certificate of the cluster's authority with the name `node.leftoff`; that name is what is verified, whatever address it was
//! dialed at, because nodes move and relays stand between. A peer without a certificate is a device: the greeting asks it for a token.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use webpki::EndEntityCert;

use super::{NetConfig, NetError, TlsMaterial};
use crate::limits::{HELLO_FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX};

/// The name that every node's certificate carries, and that every client verifies.
pub(super) const ROLE_NAME: &str = "node.leftoff";

/// The application protocol, with its first version.
const ALPN: &[u8] = b"leftoff/1";

/// Bytes that a peer may send before they are read: what may be in flight, and as much again of everything else.
pub(super) const RECEIVE_WINDOW_BYTES: u32 = 2 * IN_FLIGHT_BYTES_MAX as u32;

/// The same of one who has connected and not yet greeted.
const GREETING_WINDOW_BYTES: u32 = 2 * HELLO_FRAME_BYTES_MAX as u32;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn roots(ca_pem: &[u8]) -> Result<RootCertStore, NetError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem, "certificate authority")? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| NetError::Pem { what, reason: error.to_string() })?;
    if found.is_empty() {
        return Err(NetError::Pem { what, reason: "no certificate in it".to_owned() });
    }
    Ok(found)
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, NetError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| NetError::Pem { what: "private key", reason: error.to_string() })
}

/// Whether a certificate, already verified under the authority, is a node's.
pub(super) fn is_node(certificate: &CertificateDer<'_>) -> bool {
    let Ok(name) = ServerName::try_from(ROLE_NAME) else { return false };
    EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.verify_is_valid_for_subject_name(&name).is_ok())
}

/// What a node listens with.
pub(super) fn server(material: &TlsMaterial, config: &NetConfig) -> Result<ServerConfig, NetError> {
    let chain = certificates(&material.cert_pem, "certificate")?;
    if !chain.first().is_some_and(is_node) {
        return Err(NetError::Name);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&material.ca_pem)?), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| NetError::Pem { what: "certificate authority", reason: error.to_string() })?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key(&material.key_pem)?)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // No resumption: each connection shows its certificate anew, so that one no longer trusted after a reload does not live on in tickets. And
    // no 0-RTT, which could be replayed.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| NetError::Tls(rustls::Error::General("no cipher for QUIC".into())))?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = transport(config);
    // Until it has greeted; the driver widens it then.
    transport.receive_window(VarInt::from_u32(GREETING_WINDOW_BYTES));
    server.transport_config(Arc::new(transport)).migration(true);
    Ok(server)
}

/// What a node dials with.
pub(super) fn node_client(material: &TlsMaterial, config: &NetConfig) -> Result<ClientConfig, NetError> {
    let chain = certificates(&material.cert_pem, "certificate")?;
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(&material.ca_pem)?)
        .with_client_auth_cert(chain, key(&material.key_pem)?)?;
    client(tls, config)
}

/// What a device dials with.
pub(super) fn device_client(ca_pem: &[u8], config: &NetConfig) -> Result<ClientConfig, NetError> {
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(ca_pem)?)
        .with_no_client_auth();
    client(tls, config)
}

fn client(mut tls: rustls::ClientConfig, config: &NetConfig) -> Result<ClientConfig, NetError> {
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    tls.enable_early_data = false;
    let crypto = QuicClientConfig::try_from(tls).map_err(|_| NetError::Tls(rustls::Error::General("no cipher for QUIC".into())))?;
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(Arc::new(transport(config)));
    Ok(client)
}

fn transport(config: &NetConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(config.idle_timeout).unwrap_or_else(|_| IdleTimeout::from(VarInt::MAX));
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(config.keep_alive.max(Duration::from_millis(10))))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(u64::from(RECEIVE_WINDOW_BYTES));
    transport
}
