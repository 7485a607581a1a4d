//! What a folder holds beside the store: the secret of its keys, and what a device learned of its clock. Small files, replaced whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::store::{Epoch, Fresh, ReplicaId};

const SECRET: &str = "key-secret";
const OFFSET: &str = "clock-offset-ms";

/// Randomness for a new folder.
pub(super) fn fresh() -> io::Result<Fresh> {
    Ok(Fresh { id: ReplicaId(random()?), epoch: Epoch(u64::from_le_bytes(random()?)) })
}

/// The folder's secret; drawn and kept at the first call.
pub(super) fn key_secret(folder: &Path) -> io::Result<[u8; 16]> {
    let path = folder.join(SECRET);
    match fs::read(&path) {
        Ok(bytes) => bytes
            .try_into()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: it must be 16 bytes", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random()?;
            replace(folder, SECRET, &secret)?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}

/// What an earlier run learned of this machine's clock; nothing or nonsense is 0, which the next connection corrects.
pub(super) fn clock_offset_ms(folder: &Path) -> i64 {
    fs::read_to_string(folder.join(OFFSET)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Keeps what was learned of this machine's clock.
pub(super) fn keep_clock_offset_ms(folder: &Path, offset_ms: i64) -> io::Result<()> {
    replace(folder, OFFSET, offset_ms.to_string().as_bytes())
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

// Written beside and renamed, so that a crash leaves the old file or the new one.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    File::open(folder)?.sync_all()
}
