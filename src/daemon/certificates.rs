//! The cluster's certificates: its authority, and the nodes' own.
//!
//! Every node's certificate carries the name of the role, `node.leftoff`, which is the server name in every connection between replicas, and
//! the node's own, `<name>.node.leftoff`.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    SanType, date_time_ymd,
};

use super::TlsFiles;

/// The name that every node's certificate carries.
pub const ROLE_NAME: &str = "node.leftoff";
/// Names and addresses in one certificate.
const HOSTS_COUNT_MAX: usize = 64;
const AUTHORITY: &str = "leftoff cluster CA";

/// Where a node that is started for development keeps the certificates it made, in its data folder.
pub const DEV_CERTIFICATES: &str = "certs";

/// Files in a folder of certificates.
pub const CA_FILE: &str = "ca.pem";
/// The authority's private key: stays with the operator, no node needs it.
pub const CA_KEY_FILE: &str = "ca.key.pem";
/// The secret that the nodes' keys are hashed under.
pub const SECRET_FILE: &str = "cluster.secret";

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there already, and would be replaced.
    #[error("{} is there already; move it away first", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// A name or address that cannot stand in a certificate.
    #[error("'{host}' cannot stand in a certificate")]
    Host {
        /// Which.
        host: String,
    },
    /// Making or signing failed.
    #[error("the certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes a new authority and a new cluster secret in a folder.
pub fn make_authority(folder: &Path) -> Result<(), CertificateError> {
    std::fs::create_dir_all(folder).map_err(|source| CertificateError::File { path: folder.to_owned(), source })?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = authority_params().self_signed(&key)?;
    let mut secret = [0_u8; 16];
    getrandom::fill(&mut secret)
        .map_err(|error| CertificateError::File { path: folder.join(SECRET_FILE), source: io::Error::other(error.to_string()) })?;
    write_new(&folder.join(CA_KEY_FILE), key.serialize_pem().as_bytes(), true)?;
    write_new(&folder.join(CA_FILE), certificate.pem().as_bytes(), false)?;
    let hex: String =
        secret.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    write_new(&folder.join(SECRET_FILE), format!("{hex}\n").as_bytes(), true)
}

/// Issues a node's certificate under the authority in the folder, for its name and the given host names and addresses.
pub fn issue_node(folder: &Path, name: &str, hosts: &[String]) -> Result<TlsFiles, CertificateError> {
    if hosts.len() > HOSTS_COUNT_MAX {
        return Err(CertificateError::Host { host: format!("{} names, at most {HOSTS_COUNT_MAX}", hosts.len()) });
    }
    let key_path = folder.join(CA_KEY_FILE);
    let pem = std::fs::read_to_string(&key_path).map_err(|source| CertificateError::File { path: key_path, source })?;
    let issuer = Issuer::new(authority_params(), KeyPair::from_pem(&pem)?);
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{name}.{ROLE_NAME}"));
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2046, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Between nodes both ends show it, so it serves as either.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    for host in [ROLE_NAME.to_owned(), format!("{name}.{ROLE_NAME}")].iter().chain(hosts) {
        params.subject_alt_names.push(alt_name(host)?);
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.signed_by(&key, &issuer)?;
    let files = node_files(folder, name);
    write_new(&files.key, key.serialize_pem().as_bytes(), true)?;
    write_new(&files.cert, certificate.pem().as_bytes(), false)?;
    Ok(files)
}

/// Where a node's files lie in a folder of certificates.
pub fn node_files(folder: &Path, name: &str) -> TlsFiles {
    TlsFiles { ca: folder.join(CA_FILE), cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key.pem")) }
}

/// Reads a cluster secret: 32 hexadecimal digits.
pub fn read_secret(path: &Path) -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string(path)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "must hold 32 hexadecimal digits");
    let digits = text.trim().as_bytes();
    let mut secret = [0_u8; 16];
    if digits.len() != 2 * secret.len() {
        return Err(damaged());
    }
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8).ok_or_else(damaged);
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(secret)
}

// The same for every authority, so that it can be made again from the key alone: what tells authorities apart is the key, which their
// certificates name by its hash.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2046, 1, 1);
    params
}

fn alt_name(host: &str) -> Result<SanType, CertificateError> {
    if let Ok(address) = host.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let bad = || CertificateError::Host { host: host.to_owned() };
    if host.is_empty() || host.len() > 253 || !host.bytes().all(fits) {
        return Err(bad());
    }
    Ok(SanType::DnsName(host.try_into().map_err(|_| bad())?))
}

/// Writes a file that must not be there yet; a private one is readable by its owner only, from its first byte on.
pub(crate) fn write_new(path: &Path, bytes: &[u8], private: bool) -> Result<(), CertificateError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if private { 0o600 } else { 0o644 };
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CertificateError::Exists { path: path.to_owned() },
        _ => CertificateError::File { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    #[test]
    fn an_authority_is_made_once_and_issues_nodes() {
        let folder = tempfile::tempdir().unwrap();
        make_authority(folder.path()).unwrap();
        assert!(matches!(make_authority(folder.path()), Err(CertificateError::Exists { .. })));
        assert_ne!(read_secret(&folder.path().join(SECRET_FILE)).unwrap(), [0; 16]);
        let files = issue_node(folder.path(), "eu-1", &["eu.example.net".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        assert!(files.cert.is_file() && files.key.is_file() && files.ca.is_file());
        assert!(matches!(issue_node(folder.path(), "eu-1", &[]), Err(CertificateError::Exists { .. })));
        assert!(matches!(issue_node(folder.path(), "us-1", &["a b".to_owned()]), Err(CertificateError::Host { .. })));
    }

    #[test]
    fn a_node_s_certificate_is_trusted_under_its_authority_and_no_other() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make_authority(own.path()).unwrap();
        make_authority(other.path()).unwrap();
        let files = issue_node(own.path(), "eu-1", &["127.0.0.1".to_owned()]).unwrap();
        let trusts = |authority: &Path, name: &str| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority.join(CA_FILE)).unwrap()).unwrap();
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            let certificate = CertificateDer::from_pem_file(&files.cert).unwrap();
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_790_000_000));
            verifier.verify_server_cert(&certificate, &[], &ServerName::try_from(name.to_owned()).unwrap(), &[], at).is_ok()
        };
        assert!(trusts(own.path(), ROLE_NAME));
        assert!(trusts(own.path(), "eu-1.node.leftoff"));
        assert!(trusts(own.path(), "127.0.0.1"));
        assert!(!trusts(own.path(), "us-1.node.leftoff"));
        assert!(!trusts(other.path(), ROLE_NAME));
    }
}
