//! Backups: every register and tombstone of a node in one file, written while it serves, and read back as a node of its own.
//!
//! A backup holds what the registers mean and not how this node kept them: no sequence numbers, no peers' cursors. So a restored node has a
//! new identity by construction, and peers meet it as one that they have never seen. Registers are joins, so the copy needs no moment at
//! which nothing changes: it has everything that was acknowledged before it began, and perhaps more.
//!
//! ```text
//! registers.leftoff   magic "leftbak\n", then frames: length u32, CRC-32C u32 (of what follows), kind u8, payload
//!                     kind 1: count u32, records as in the log      kind 2, last: registers u64, tombstones u64, floor day u32
//! manifest.json       for people
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::limits::LOG_FRAME_BYTES_MAX;
use crate::progress::codec::{DecodeError, Reader};
use crate::replica::Core;
use crate::store::{
    AppendError, Batch, CloseError, Epoch, FlushError, FoldError, Fresh, KeyRange, OpenError, ReadError, Record, ReplicaId, SLOT_COUNT,
    Slot, Store, StoreOptions,
};
use crate::time::WallTime;

const MAGIC: &[u8; 8] = b"leftbak\n";
const DATA_FILE: &str = "registers.leftoff";
const MANIFEST_FILE: &str = "manifest.json";
/// Where a node keeps its store in its data folder.
const STORE_FOLDER: &str = "store";
const RECORDS: u8 = 1;
const END: u8 = 2;
/// Frames are closed when they have grown to this.
const FRAME_BYTES: usize = 1 << 20;

/// What a backup holds, for people.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of the backup.
    pub format: u32,
    /// When it was begun, Unix milliseconds.
    pub made_ms: u64,
    /// Which replica it is a copy of.
    pub replica_id: String,
    /// Registers in it.
    pub registers: u64,
    /// Tombstones of erased profiles in it.
    pub tombstones: u64,
    /// Its data file, in bytes.
    pub bytes: u64,
}

/// Why a backup was not made or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds something already.
    #[error("{} is not empty; name a new folder", path.display())]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
    /// The backup does not read back.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The node could not be read.
    #[error("the registers could not be read: {0}")]
    Read(#[from] ReadError),
    /// The new store could not be made.
    #[error("the new store: {0}")]
    Open(#[from] OpenError),
    /// The new store took nothing.
    #[error("the new store: {0}")]
    Append(#[from] AppendError),
    /// The new store could not be written.
    #[error("the new store: {0}")]
    Flush(#[from] FlushError),
    /// The new store could not be folded.
    #[error("the new store: {0}")]
    Fold(#[from] FoldError),
    /// The new store could not be closed.
    #[error("the new store: {0}")]
    Close(#[from] CloseError),
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// Copies a running node's registers into a new folder. Slot by slot, so that memory holds little of them at a time.
pub fn make(now: WallTime, core: &Core, folder: &Path) -> Result<Manifest, BackupError> {
    if folder.exists() && fs::read_dir(folder).map_err(file_error(folder))?.next().is_some() {
        return Err(BackupError::NotEmpty { path: folder.to_owned() });
    }
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let store = core.store();
    let path = folder.join(DATA_FILE);
    let mut frames = FrameWriter::create(&path).map_err(file_error(&path))?;
    let mut registers = 0;
    for slot in 0..SLOT_COUNT as u16 {
        // Gathered first and written outside the scan, so that a slow disk does not hold the store up.
        let mut records = Vec::new();
        store.scan(KeyRange::of_slot(Slot(slot)), &mut |item| {
            records.push(Record::Register { profile: item.profile, title: item.title, state: item.progress });
            ControlFlow::Continue(())
        })?;
        registers += records.len() as u64;
        records.iter().try_for_each(|record| frames.push(record)).map_err(file_error(&path))?;
    }
    // After the registers: what was erased during the scan must not come back from it.
    let erased = store.tombstones();
    let tombstones = erased.len() as u64;
    for (profile, erased) in erased {
        frames.push(&Record::Erased { profile, erased }).map_err(file_error(&path))?;
    }
    let bytes = frames.finish(registers, tombstones, store.floor_day()).map_err(file_error(&path))?;
    let manifest = Manifest { format: 1, made_ms: now.as_millis(), replica_id: store.id().to_string(), registers, tombstones, bytes };
    let path = folder.join(MANIFEST_FILE);
    let json = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::File { path: path.clone(), source: error.into() })?;
    let written = fs::write(&path, json).and_then(|()| File::open(&path)?.sync_all()).and_then(|()| File::open(folder)?.sync_all());
    written.map_err(file_error(&path))?;
    Ok(manifest)
}

/// Whether a folder holds a backup.
pub fn is_backup(folder: &Path) -> bool {
    folder.join(DATA_FILE).is_file()
}

/// Reads a whole backup and answers what it holds: registers and tombstones.
pub fn verify(folder: &Path) -> Result<(u64, u64), BackupError> {
    let end = read(folder, &mut |_| Ok(()))?;
    Ok((end.registers, end.tombstones))
}

/// Makes the store of a new node from a backup, in a data folder that has none. The node draws its identity anew.
pub fn restore(folder: &Path, data_folder: &Path, key_secret: [u8; 16]) -> Result<(u64, u64), BackupError> {
    let store_folder = data_folder.join(STORE_FOLDER);
    if store_folder.exists() {
        return Err(BackupError::NotEmpty { path: store_folder });
    }
    // Built beside and renamed: a restore that breaks off leaves no store that looks whole.
    let beside = data_folder.join("store.restoring");
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(file_error(&beside))?;
    }
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| file_error(data_folder)(io::Error::other(error.to_string())))?;
    let (id, epoch) = random.split_at(16);
    let fresh =
        Fresh { id: ReplicaId(id.try_into().unwrap_or_default()), epoch: Epoch(u64::from_le_bytes(epoch.try_into().unwrap_or_default())) };
    let options = StoreOptions { key_secret, ..StoreOptions::default() };
    let (store, _) = Store::open_folder(&beside, options, fresh)?;
    let end = read(folder, &mut |records| {
        let mut batch = Batch::local();
        for record in &records {
            batch.push(record);
        }
        append(&store, batch)
    })?;
    if end.floor_day > 0 {
        let mut batch = Batch::local();
        batch.raise_floor(end.floor_day);
        append(&store, batch)?;
    }
    store.fold_all()?;
    store.close()?;
    drop(store);
    fs::rename(&beside, &store_folder).and_then(|()| File::open(data_folder)?.sync_all()).map_err(file_error(&store_folder))?;
    Ok((end.registers, end.tombstones))
}

fn append(store: &Store, batch: Batch) -> Result<(), BackupError> {
    // Each batch is folded away before the table is full, so no writer has to wait.
    if store.figures().table_bytes > store.options().table_bytes_max / 2 {
        store.fold_all()?;
    }
    store.append(batch)?;
    store.flush(&mut |_| ())?;
    Ok(())
}

struct FrameWriter {
    file: BufWriter<File>,
    frame: Vec<u8>,
    count: u32,
    bytes: u64,
}

impl FrameWriter {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create_new(path)?);
        file.write_all(MAGIC)?;
        Ok(Self { file, frame: Vec::new(), count: 0, bytes: MAGIC.len() as u64 })
    }

    fn push(&mut self, record: &Record) -> io::Result<()> {
        record.encode(&mut self.frame);
        self.count += 1;
        if self.frame.len() >= FRAME_BYTES { self.close_frame() } else { Ok(()) }
    }

    fn close_frame(&mut self) -> io::Result<()> {
        if self.count > 0 {
            let records = std::mem::take(&mut self.frame);
            let head = [&[RECORDS], &self.count.to_le_bytes()[..]].concat();
            self.count = 0;
            self.write_frame(&head, &records)?;
        }
        Ok(())
    }

    fn write_frame(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let check = crc32c::crc32c_append(crc32c::crc32c(head), body);
        let length = (head.len() + body.len()) as u32;
        for part in [&length.to_le_bytes()[..], &check.to_le_bytes(), head, body] {
            self.file.write_all(part)?;
            self.bytes += part.len() as u64;
        }
        Ok(())
    }

    fn finish(mut self, registers: u64, tombstones: u64, floor_day: u32) -> io::Result<u64> {
        self.close_frame()?;
        let end = [&[END][..], &registers.to_le_bytes(), &tombstones.to_le_bytes(), &floor_day.to_le_bytes()].concat();
        self.write_frame(&end, &[])?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(self.bytes)
    }
}

struct End {
    registers: u64,
    tombstones: u64,
    floor_day: u32,
}

/// Reads frame by frame, handing over the records of each.
fn read(folder: &Path, visit: &mut dyn FnMut(Vec<Record>) -> Result<(), BackupError>) -> Result<End, BackupError> {
    let path = folder.join(DATA_FILE);
    let mut file = BufReader::new(File::open(&path).map_err(file_error(&path))?);
    let damaged = |offset: u64, what: &str| BackupError::Damaged { path: path.clone(), offset, what: what.to_owned() };
    let mut magic = [0; 8];
    file.read_exact(&mut magic).map_err(|_| damaged(0, "it ends before its head does"))?;
    if magic != *MAGIC {
        return Err(damaged(0, "it is no backup of leftoff"));
    }
    let (mut offset, mut registers, mut tombstones) = (MAGIC.len() as u64, 0, 0);
    loop {
        let frame = read_frame(&mut file).map_err(|what| damaged(offset, &what))?;
        let decoded = decode(&frame).map_err(|error| damaged(offset, &error.to_string()))?;
        match decoded {
            Decoded::Records(records) => {
                let erased = records.iter().filter(|record| matches!(record, Record::Erased { .. })).count() as u64;
                tombstones += erased;
                registers += records.len() as u64 - erased;
                visit(records)?;
            }
            Decoded::End(end) if (end.registers, end.tombstones) == (registers, tombstones) => return Ok(end),
            Decoded::End(_) => return Err(damaged(offset, "it holds another number of records than it says")),
        }
        offset += 8 + frame.len() as u64;
    }
}

fn read_frame(file: &mut impl Read) -> Result<Vec<u8>, String> {
    let cut = |_| "it ends in the middle of a frame".to_owned();
    let (mut length, mut check) = ([0; 4], [0; 4]);
    file.read_exact(&mut length).and_then(|()| file.read_exact(&mut check)).map_err(cut)?;
    let (length, check) = (u32::from_le_bytes(length), u32::from_le_bytes(check));
    if length as usize > LOG_FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes is longer than {LOG_FRAME_BYTES_MAX}"));
    }
    let mut frame = vec![0; length as usize];
    file.read_exact(&mut frame).map_err(cut)?;
    if crc32c::crc32c(&frame) == check { Ok(frame) } else { Err("a frame's checksum does not match".to_owned()) }
}

enum Decoded {
    Records(Vec<Record>),
    End(End),
}

fn decode(frame: &[u8]) -> Result<Decoded, DecodeError> {
    let mut reader = Reader::new(frame);
    let decoded = match reader.u8("frame kind")? {
        RECORDS => {
            let count = u32::from_le_bytes(reader.array("record count")?);
            let mut records = Vec::new();
            for _ in 0..count {
                records.push(Record::decode(&mut reader)?);
            }
            Decoded::Records(records)
        }
        END => Decoded::End(End {
            registers: u64::from_le_bytes(reader.array("registers")?),
            tombstones: u64::from_le_bytes(reader.array("tombstones")?),
            floor_day: u32::from_le_bytes(reader.array("floor day")?),
        }),
        _ => return Err(DecodeError::Invalid { field: "frame kind" }),
    };
    reader.finish()?;
    Ok(decoded)
}
