//! Where a running node listens, as a file in its data folder: with port 0 in the configuration nobody could know it otherwise.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

const FILE: &str = "addresses.json";

/// The addresses that a node is bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Addresses {
    /// The gateway.
    pub http: SocketAddr,
    /// The admin endpoints.
    pub admin: SocketAddr,
    /// Replication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quic: Option<SocketAddr>,
}

/// The file, for as long as the node runs; a node that was killed leaves it behind, and its next start replaces it.
#[derive(Debug)]
pub(super) struct AddressesFile(PathBuf);

impl AddressesFile {
    /// Writes the file whole: whoever reads it finds all addresses or none.
    pub(super) fn write(data_dir: &Path, addresses: &Addresses) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let beside = data_dir.join(format!("{FILE}.new"));
        fs::write(&beside, serde_json::to_vec(addresses)?)?;
        fs::rename(&beside, &path)?;
        Ok(Self(path))
    }
}

impl Drop for AddressesFile {
    fn drop(&mut self) {
        // Without it nobody is misled; left behind, it is replaced by the next start.
        let _ = fs::remove_file(&self.0);
    }
}
