//! A witness beside the database: how far it had folded when it was last synced.
//!
//! sled, started over a file with damage near its end, takes the damage for a torn write, drops everything after it, and opens as if nothing had
//! happened. What it then remembers of the last fold is older than what this file says, and so the loss is noticed.
//!
//! ```text
//! sequence number u64 · CRC-32C u32 of it, both little-endian, in log/folded
//! ```

use std::io::ErrorKind;

use super::LogError;
use super::files::FileSystem;
use super::segment::LOG_FOLDER;
use super::writer::write_all;
use crate::progress::codec::Reader;
use crate::store::Seq;

pub(in crate::store) const WITNESS: &str = "log/folded";
const WITNESS_NEW: &str = "log/folded.new";

/// What the witness says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) enum Witness {
    /// There is none: no fold was ever finished, or the folder comes from a backup.
    Silent,
    /// Everything up to here was in the database, synced.
    Folded(Seq),
    /// It does not read back.
    Damaged,
}

/// Writes the witness, replacing the last one whole.
pub(in crate::store) fn testify(files: &dyn FileSystem, folded: Seq) -> Result<(), LogError> {
    if let Err(error) = files.remove(WITNESS_NEW)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(LogError::io("removing", WITNESS_NEW)(error));
    }
    let mut file = files.create(WITNESS_NEW).map_err(LogError::io("creating", WITNESS_NEW))?;
    let number = folded.0.to_le_bytes();
    let bytes = [&number[..], &crc32c::crc32c(&number).to_le_bytes()].concat();
    write_all(file.as_mut(), &bytes).and_then(|()| file.sync()).map_err(LogError::io("writing", WITNESS_NEW))?;
    files.rename(WITNESS_NEW, WITNESS).map_err(LogError::io("replacing", WITNESS))?;
    files.sync_folder(LOG_FOLDER).map_err(LogError::io("syncing", LOG_FOLDER))
}

/// Reads the witness.
pub(in crate::store) fn witness(files: &dyn FileSystem) -> Result<Witness, LogError> {
    let bytes = match files.read(WITNESS) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Witness::Silent),
        Err(error) => return Err(LogError::io("reading", WITNESS)(error)),
    };
    let mut reader = Reader::new(&bytes);
    let parts = reader.array::<8>("folded").and_then(|number| Ok((number, reader.array::<4>("check")?)));
    Ok(match parts {
        Ok((number, check)) if reader.is_empty() && check == crc32c::crc32c(&number).to_le_bytes() => {
            Witness::Folded(Seq(u64::from_le_bytes(number)))
        }
        _ => Witness::Damaged,
    })
}
