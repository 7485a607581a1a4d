//! Reading everything a store's folder holds and telling what does not read back: each frame of the log by file and offset, each page of the
//! engine by key. The store must not be open; nothing is repaired.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::engine::{Engine, SledEngine};
use super::folder::{ENGINE_FOLDER, FolderLock};
use super::log::recovery::LogReader;
use super::log::segment::LOG_FOLDER;
use super::log::witness::{WITNESS, Witness, witness};
use super::log::{FileSystem, OsFiles};
use super::meta::Remembered;
use super::{Damage, Lives, OpenError, Record, Seq};
use crate::progress::codec::Reader;

/// What a store's folder holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments of the log.
    pub segments: usize,
    /// Frames in them that read back.
    pub frames: u64,
    /// Records in these.
    pub records: u64,
    /// The log, in bytes.
    pub log_bytes: u64,
    /// Pages of the database that read back or not.
    pub pages: u64,
    /// Registers in them, each decoded.
    pub registers: u64,
    /// A write that a crash had cut, at the end of the log, in bytes. No damage: nothing of it was acknowledged, and opening removes it.
    pub torn_bytes: u64,
    /// What does not read back.
    pub damage: Vec<Damage>,
}

/// Verifies the store in a folder. Memory: one segment of the log, and the engine's cache of `cache_bytes`.
///
/// # Errors
///
/// There is no store, or it is open, or a file could not be read at all; damage is not an error but in the report.
pub fn verify_folder(path: &Path, cache_bytes: u64) -> Result<VerifyReport, OpenError> {
    if !path.join(LOG_FOLDER).is_dir() {
        return Err(OpenError::Io(io::Error::new(io::ErrorKind::NotFound, format!("{} holds no store", path.display()))));
    }
    let _lock = FolderLock::take(path)?;
    let mut report = VerifyReport::default();
    let folder = path.join(ENGINE_FOLDER);
    let engine = folder.is_dir().then(|| SledEngine::open(&folder, cache_bytes));
    let remembered = match &engine {
        Some(Ok(engine)) => Some(Remembered::read(engine)?),
        _ => None,
    };
    let (last, torn) = verify_log(path, remembered.as_ref(), &mut report)?;
    if let Some(engine) = engine {
        match engine {
            Ok(engine) => {
                let verified = engine.verify()?;
                report.pages = verified.pages;
                report.registers = verified.registers;
                report.damage.extend(verified.damage);
                // A log that is known to have gone on, and ends early now, was not torn by a crash.
                let remembered = remembered.unwrap_or_default();
                report.damage.extend(testimony(path, remembered.state.folded)?);
                let ended = remembered.lives.as_ref().and_then(Lives::ended).into_iter().chain(remembered.clean).max();
                if torn.is_some() && ended.is_some_and(|ended| last < ended) {
                    report.damage.extend(torn);
                    report.torn_bytes = 0;
                }
            }
            Err(error) => {
                let what = format!("the database does not open: {error}");
                report.damage.push(Damage { file: ENGINE_FOLDER.into(), offset: 0, bytes: 0, key: None, what });
            }
        }
    } else {
        report.damage.extend(testimony(path, Seq(0))?);
    }
    Ok(report)
}

/// What the witness beside the database says against it.
fn testimony(path: &Path, folded: Seq) -> Result<Option<Damage>, OpenError> {
    let (file, what) = match witness(&OsFiles::new(path))? {
        Witness::Folded(seq) if folded < seq => (ENGINE_FOLDER, "the database has lost what it had synced"),
        Witness::Damaged => (WITNESS, "the witness of the last fold does not read back"),
        Witness::Folded(_) | Witness::Silent => return Ok(None),
    };
    Ok(Some(Damage { file: file.into(), offset: 0, bytes: 0, key: None, what: what.into() }))
}

/// Answers the last sequence number in the log, and where it ends before its file does, as damage if it should turn out to be that.
fn verify_log(path: &Path, remembered: Option<&Remembered>, report: &mut VerifyReport) -> Result<(Seq, Option<Damage>), OpenError> {
    let files: Arc<dyn FileSystem> = Arc::new(OsFiles::new(path));
    let log = LogReader::new(files)?;
    report.segments = log.listed.len();
    let (mut last, mut torn) = (Seq(0), None);
    for index in 0..log.listed.len() {
        let (mut frames, mut records, mut broken) = (0, 0, Vec::new());
        let mut findings = log.read(index, &mut |frame| {
            frames += 1;
            let mut reader = Reader::new(frame.records);
            for _ in 0..frame.count {
                match Record::decode(&mut reader) {
                    Ok(_) => records += 1,
                    Err(error) => {
                        broken.push(format!("a record of the frame with number {} does not decode: {error}", frame.first.0));
                        break;
                    }
                }
            }
        })?;
        log.note_early_end(index, &mut findings, Seq(0), remembered.and_then(|remembered| remembered.lives.as_ref()));
        report.frames += frames;
        report.records += records;
        report.log_bytes += findings.bytes as u64;
        report.torn_bytes += findings.torn_at.map_or(0, |at| (findings.bytes - at) as u64);
        report.damage.extend(findings.damage);
        let before = log.listed[index].header.map_or(0, |header| header.first.0.saturating_sub(1));
        last = last.max(findings.last.unwrap_or_default()).max(Seq(before));
        let file = log.path(index);
        torn = findings.torn_at.map(|at| Damage {
            file: file.clone(),
            offset: at as u64,
            bytes: (findings.bytes - at) as u64,
            key: None,
            what: "the log is known to have gone on, and ends here now".into(),
        });
        report.damage.extend(broken.into_iter().map(|what| Damage { file: file.clone(), offset: 0, bytes: 0, key: None, what }));
    }
    Ok((last, torn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{ProfileId, Progress, TitleId};
    use crate::store::log::witness::testify;
    use crate::store::{Batch, Epoch, Fresh, ReplicaId, Store, StoreOptions};
    use crate::time::Hlc;

    fn closed_store(folder: &Path) {
        let fresh = Fresh { id: ReplicaId([7; 16]), epoch: Epoch(7) };
        let (store, _) = Store::open_folder(folder, StoreOptions::small(), fresh).unwrap();
        for n in 0..50_u64 {
            let mut batch = Batch::local();
            let title = TitleId::new(format!("t{n}")).unwrap();
            batch.register(&ProfileId::new("p").unwrap(), &title, &Progress::hiding(Hlc::ZERO, Hlc::from_u64(n + 1)));
            store.append(batch).unwrap();
            store.flush(&mut |_| ()).unwrap();
        }
        store.close().unwrap();
    }

    #[test]
    fn a_whole_store_has_no_damage_and_an_open_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        closed_store(folder.path());
        let report = verify_folder(folder.path(), 1 << 20).unwrap();
        assert!(report.damage.is_empty(), "{report:?}");
        let (_open, _) =
            Store::open_folder(folder.path(), StoreOptions::small(), Fresh { id: ReplicaId([8; 16]), epoch: Epoch(8) }).unwrap();
        assert!(matches!(verify_folder(folder.path(), 1 << 20), Err(OpenError::Locked { .. })));
    }

    #[test]
    fn a_database_behind_its_witness_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        closed_store(folder.path());
        testify(&OsFiles::new(folder.path()), Seq(1_000)).unwrap();
        let report = verify_folder(folder.path(), 1 << 20).unwrap();
        assert_eq!(report.damage.iter().map(|damage| damage.file.as_str()).collect::<Vec<_>>(), [ENGINE_FOLDER]);
    }
}
