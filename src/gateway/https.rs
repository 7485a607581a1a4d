//! HTTPS by the node itself: its certificate, and how it is changed while connections are open.
//!
//! TLS 1.3 and 1.2 with the ring provider, HTTP/1.1 on top. New connections use the certificate that was loaded last; open ones stay as they are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The only protocol spoken above TLS.
const ALPN: &[u8] = b"http/1.1";
/// A chain is not read beyond this.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// The files of a listener's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpsFiles {
    /// The certificate and those between it and an authority that clients trust (PEM), its own first.
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

/// Why a certificate was not taken. The one in use stays in use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("{}: {source}", path.display())]
    Tls {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A listener's certificate, which can be replaced while it is in use. Cloning is cheap, and gives the same one.
#[derive(Clone, Debug)]
pub struct Https(Arc<RwLock<Arc<ServerConfig>>>);

impl Https {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    ///
    /// The files cannot be read, or hold no certificate and key that go together.
    pub fn load(files: &HttpsFiles) -> Result<Self, HttpsError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(server_config(files)?)))))
    }

    /// Reads them anew, for connections from here on.
    ///
    /// # Errors
    ///
    /// As of [`load`](Self::load); then the old ones stay in use.
    pub fn reload(&self, files: &HttpsFiles) -> Result<(), HttpsError> {
        let config = Arc::new(server_config(files)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn server_config(files: &HttpsFiles) -> Result<ServerConfig, HttpsError> {
    let bad = |path: &Path, reason: String| HttpsError::Pem { path: path.to_owned(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(&files.cert)?).collect();
    let chain = chain.map_err(|error| bad(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(&files.cert, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|error| bad(&files.key, error.to_string()))?;
    let refused = |source| HttpsError::Tls { path: files.cert.clone(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // What is sent before the handshake is done could be sent again by others.
    config.max_early_data_size = 0;
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, HttpsError> {
    use std::io::Read;
    let failed = |source| HttpsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(HttpsError::Pem { path: path.to_owned(), reason: format!("larger than {FILE_BYTES_MAX} bytes") });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path, cert: &str, key: &str) -> HttpsFiles {
        let files = HttpsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_is_taken_with_its_key_and_half_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ((cert, key), (_, other)) = (pair("a.example"), pair("b.example"));
        let https = Https::load(&files(folder.path(), &cert, &key)).unwrap();
        for (cert, key) in
            [(cert.as_str(), other.as_str()), (&cert[..cert.len() / 2], &key), (&cert, &key[..key.len() / 2]), ("", &key), (&cert, "")]
        {
            let before = Arc::clone(&https.0.read().unwrap());
            assert!(https.reload(&files(folder.path(), cert, key)).is_err());
            assert!(Arc::ptr_eq(&before, &https.0.read().unwrap()), "the old one stays in use");
        }
        assert!(https.reload(&files(folder.path(), &cert, &key)).is_ok());
        let missing = HttpsFiles { cert: folder.path().join("nothing.pem"), key: folder.path().join("key.pem") };
        assert!(matches!(Https::load(&missing), Err(HttpsError::Read { .. })));
    }
}
