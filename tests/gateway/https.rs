//! HTTPS and WSS by the node itself: who is let in, and certificates that change while connections are open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{DEADLINE, TestNode, event, raw};

type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A listener's certificate for `localhost`, signed by itself, in a folder of its own.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let certificate = Self { folder: tempfile::tempdir().unwrap() };
        certificate.renew();
        certificate
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Puts another pair in place of the files; what was trusted before is not trusted any more.
    fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(self.cert(), cert.pem()).unwrap();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
    }

    fn settings(&self) -> [(String, String); 2] {
        [("LEFTOFF_GATEWAY__CERT_FILE", self.cert()), ("LEFTOFF_GATEWAY__KEY_FILE", self.key())]
            .map(|(key, path)| (key.to_owned(), path.to_str().unwrap().to_owned()))
    }
}

fn node(certificate: &Certificate) -> TestNode {
    let settings = certificate.settings();
    TestNode::with(&settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>())
}

/// Opens a connection that trusts what is in the file now.
fn open(address: SocketAddr, trusted: &Path) -> std::io::Result<Secured> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    let mut stream = StreamOwned::new(connection, socket);
    // The handshake, so that a refused one is told here.
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// One request on a connection that stays open; the answer's status and JSON.
fn ask(stream: &mut Secured, method: &str, path: &str, body: &str) -> (u16, Value) {
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_node_with_a_certificate_speaks_https_and_nothing_else() {
    let certificate = Certificate::new();
    let node = node(&certificate);
    let mut stream = open(node.http.address, &certificate.cert()).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let events = json!({"events": [event("ann", "film", "tv", "PAUSE", 5_000)]}).to_string();
    let (status, answer) = ask(&mut stream, "POST", "/v1/events", &events);
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer}");
    assert_eq!(ask(&mut stream, "GET", "/v1/profiles/ann/titles/film", "").1["position_ms"], 5_000);
    let plain = raw(node.http.address, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
    assert!(open(node.http.address, &Certificate::new().cert()).is_err(), "whoever does not trust it does not connect");
    assert_eq!(node.admin.get("/readyz").status, 200, "the operator's listener stays as it is");
}

#[test]
fn a_websocket_is_opened_over_tls() {
    let certificate = Certificate::new();
    let node = node(&certificate);
    let stream = open(node.http.address, &certificate.cert()).unwrap();
    let (mut socket, _) = tungstenite::client("wss://localhost/v1/ws", stream).unwrap();
    let hello = json!({"type": "hello", "device_id": "tv", "profiles": ["ann"]});
    socket.send(tungstenite::Message::text(hello.to_string())).unwrap();
    let welcome: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(welcome["type"], "welcome", "{welcome}");
}

#[test]
fn a_certificate_is_renewed_without_a_restart_and_open_connections_stay() {
    let certificate = Certificate::new();
    let node = node(&certificate);
    let settings = certificate.settings();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut before = open(node.http.address, &certificate.cert()).unwrap();

    let good = std::fs::read(certificate.cert()).unwrap();
    std::fs::write(certificate.cert(), &good[..good.len() / 2]).unwrap();
    node.reload(&settings);
    std::fs::write(certificate.cert(), &good).unwrap();
    assert!(open(node.http.address, &certificate.cert()).is_ok(), "half a file leaves the old one in use");

    certificate.renew();
    assert!(open(node.http.address, &certificate.cert()).is_err(), "not before it is told");
    node.reload(&settings);
    let mut after = open(node.http.address, &certificate.cert()).unwrap();
    for stream in [&mut before, &mut after] {
        assert_eq!(ask(stream, "GET", "/v1/profiles/ann/titles/film", "").0, 200);
    }
}

#[test]
fn who_does_not_finish_a_handshake_is_cut_off_and_its_place_is_given_back() {
    let certificate = Certificate::new();
    let mut settings = certificate.settings().to_vec();
    settings.extend(
        [("LEFTOFF_GATEWAY__HEADER_TIMEOUT_MS", "200"), ("LEFTOFF_GATEWAY__CONNECTIONS_MAX", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let node = TestNode::with(&settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>());
    // Reads until the other side closes: returning at all is the proof.
    let _ = raw(node.http.address, b"\x16\x03\x01\x02\x00\x01");
    crate::support::eventually("there is room again", || open(node.http.address, &certificate.cert()).is_ok());
}
