//! Reading the log back: what survived, what was torn, what is damaged.

use std::sync::Arc;

use super::LogError;
use super::files::FileSystem;
use super::segment::{
    FRAME_HEADER_BYTES, Frame, LOG_FOLDER, LOG_VERSION, SEGMENT_HEADER_BYTES, SegmentHeader, segment_number, segment_path,
};
use super::writer::Segment;
use crate::store::{Damage, Lives, OpenError, Seq};

/// Folder that damaged files are copied or moved to.
pub(in crate::store) const QUARANTINE_FOLDER: &str = "quarantine";

/// A segment's file and its head, if that reads back.
#[derive(Clone, Debug)]
pub(in crate::store) struct Listed {
    pub(in crate::store) number: u64,
    pub(in crate::store) header: Option<SegmentHeader>,
}

/// What was found in one segment.
#[derive(Debug, Default)]
pub(in crate::store) struct SegmentFindings {
    /// Damage: a stretch that does not read back though something after it proves that it was synced.
    pub(in crate::store) damage: Vec<Damage>,
    /// Where the torn tail begins, if there is one.
    pub(in crate::store) torn_at: Option<usize>,
    pub(in crate::store) bytes: usize,
    /// The last sequence number used in it.
    pub(in crate::store) last: Option<Seq>,
}

/// The log as it lies on disk.
pub(in crate::store) struct LogReader {
    files: Arc<dyn FileSystem>,
    pub(in crate::store) listed: Vec<Listed>,
}

impl LogReader {
    /// Lists the segments and reads the heads.
    pub(in crate::store) fn new(files: Arc<dyn FileSystem>) -> Result<Self, OpenError> {
        let names = files.list(LOG_FOLDER).map_err(LogError::io("listing", LOG_FOLDER))?;
        let mut listed = Vec::new();
        for number in names.iter().filter_map(|name| segment_number(name)) {
            let path = segment_path(number);
            let bytes = files.read_head(&path, SEGMENT_HEADER_BYTES).map_err(LogError::io("reading", &path))?;
            let header = SegmentHeader::decode(&bytes).filter(|header| header.number == number);
            if let Some(header) = header.filter(|header| header.version > LOG_VERSION) {
                return Err(OpenError::Version { found: header.version, known: LOG_VERSION });
            }
            listed.push(Listed { number, header });
        }
        Ok(Self { files, listed })
    }

    /// Whether everything in a segment lies at or before `seq`, told by its successor's head.
    pub(in crate::store) fn ends_by(&self, index: usize, seq: Seq) -> bool {
        let next = self.listed.get(index + 1).and_then(|next| next.header.as_ref());
        next.is_some_and(|next| next.first.0 <= seq.0.saturating_add(1))
    }

    /// Reads a segment, handing its frames to `visit` in order, marks left out.
    ///
    /// A torn tail is looked for in the last segment only: an earlier one was synced to its end before the next was begun.
    pub(in crate::store) fn read(&self, index: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> Result<SegmentFindings, LogError> {
        let is_last = index + 1 == self.listed.len();
        let Some(listed) = self.listed.get(index) else { return Ok(SegmentFindings::default()) };
        let path = segment_path(listed.number);
        let bytes = self.files.read(&path).map_err(LogError::io("reading", &path))?;
        let mut findings = SegmentFindings { bytes: bytes.len(), ..SegmentFindings::default() };
        let mut at = SEGMENT_HEADER_BYTES.min(bytes.len());
        if listed.header.is_none() {
            // A crash while the segment was begun leaves a file without a head and with nothing after it. A frame, and be it a mark and the only one
            // that reads back, was written when the head had been synced.
            if is_last && Frame::read(&bytes[at..]).is_none() && next_frame(&bytes, at, 0).is_none() {
                findings.torn_at = Some(0);
                return Ok(findings);
            }
            findings.damage.push(Damage {
                file: path.clone(),
                offset: 0,
                bytes: at as u64,
                key: None,
                what: "the segment's head does not read back".into(),
            });
        }
        let mut last = listed.header.map_or(0, |header| header.first.0.saturating_sub(1));
        while at < bytes.len() {
            if let Some(frame) = Frame::read(&bytes[at..]) {
                at += frame.bytes;
                last = last.max(frame.last().0);
                findings.last = Some(Seq(last));
                if !frame.is_mark {
                    visit(&frame);
                }
                continue;
            }
            let resumed = next_frame(&bytes, at, last);
            if is_last && !resumed.is_some_and(|at| synced_before(&bytes, at, last)) {
                findings.torn_at = Some(at);
                return Ok(findings);
            }
            let end = resumed.unwrap_or(bytes.len());
            let what = "the bytes are not a frame, or its checksum does not match".into();
            findings.damage.push(Damage { file: path.clone(), offset: at as u64, bytes: (end - at) as u64, key: None, what });
            at = end;
        }
        Ok(findings)
    }

    /// Notes as damage that a segment ends before a number that it had. A file that was cut off at the border of a frame reads back well to its end:
    /// what is missing is told by where the next segment of the same life begins, and by where the life ended, as the lives after it remember.
    /// What lies at or before `folded` is not missed.
    pub(in crate::store) fn note_early_end(&self, index: usize, findings: &mut SegmentFindings, folded: Seq, lives: Option<&Lives>) {
        let head = |index: usize| self.listed.get(index).and_then(|listed| listed.header);
        let (Some(own), Some(next)) = (head(index), head(index + 1)) else { return };
        let known = if own.identity.epoch == next.identity.epoch {
            Some(Seq(next.first.0.saturating_sub(1)))
        } else {
            lives.and_then(|lives| lives.end_of(own.identity.epoch))
        };
        let last = findings.last.unwrap_or(Seq(own.first.0.saturating_sub(1))).max(folded);
        if let Some(known) = known.filter(|known| last < *known && findings.damage.is_empty()) {
            let what = format!("the segment ends with number {}, and it had {}", last.0, known.0);
            findings.damage.push(Damage { file: self.path(index), offset: findings.bytes as u64, bytes: 0, key: None, what });
        }
    }

    /// Cuts a torn tail; a segment without a head is removed.
    pub(in crate::store) fn cut(&self, index: usize, at: usize) -> Result<(), LogError> {
        let Some(listed) = self.listed.get(index) else { return Ok(()) };
        let path = segment_path(listed.number);
        if at < SEGMENT_HEADER_BYTES {
            self.files.remove(&path).map_err(LogError::io("removing", &path))?;
            return self.files.sync_folder(LOG_FOLDER).map_err(LogError::io("syncing", LOG_FOLDER));
        }
        self.files.truncate(&path, at as u64).map_err(LogError::io("cutting", &path))
    }

    /// Copies a damaged segment to the quarantine, where nothing removes it. Copied once, however often the log is opened.
    pub(in crate::store) fn quarantine(&self, index: usize) -> Result<(), LogError> {
        let Some(number) = self.listed.get(index).map(|listed| listed.number) else { return Ok(()) };
        let (from, to) = (segment_path(number), format!("{QUARANTINE_FOLDER}/{number:016x}.log"));
        let bytes = self.files.read(&from).map_err(LogError::io("reading", &from))?;
        if self.files.size(&to).is_ok() {
            return Ok(());
        }
        // Under its name only when it is whole: a crash in between leaves half a copy under the other.
        let half = format!("{to}.new");
        match self.files.remove(&half) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(LogError::io("removing", &half)(error)),
            _ => {}
        }
        let mut copy = self.files.create(&half).map_err(LogError::io("creating", &half))?;
        super::writer::write_all(copy.as_mut(), &bytes).and_then(|()| copy.sync()).map_err(LogError::io("writing", &half))?;
        self.files.rename(&half, &to).map_err(LogError::io("naming", &to))?;
        self.files.sync_folder(QUARANTINE_FOLDER).map_err(LogError::io("syncing", QUARANTINE_FOLDER))
    }

    /// The file of a segment.
    pub(in crate::store) fn path(&self, index: usize) -> String {
        self.listed.get(index).map(|listed| segment_path(listed.number)).unwrap_or_default()
    }

    /// The size of a segment that need not be read, in bytes.
    pub(in crate::store) fn size(&self, index: usize) -> Result<usize, LogError> {
        let path = self.path(index);
        let size = self.files.size(&path).map_err(LogError::io("measuring", &path))?;
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// The segment as the writer keeps it.
    pub(in crate::store) fn segment(&self, index: usize, findings: &SegmentFindings, fallback: Seq) -> Option<Segment> {
        let listed = self.listed.get(index)?;
        let first = listed.header.map_or(fallback, |header| header.first);
        let bytes = findings.torn_at.unwrap_or(findings.bytes) as u64;
        Some(Segment { number: listed.number, first, bytes, damaged: !findings.damage.is_empty() })
    }
}

/// Where the next frame begins after one that does not read back: first where its own length says, else wherever a frame reads back whose
/// sequence number may follow. `last` rules out nearly every wrong place before a checksum is computed.
fn next_frame(bytes: &[u8], at: usize, last: u64) -> Option<usize> {
    let follows = |at: usize| {
        let rest = bytes.get(at..)?;
        let (_, _, first) = Frame::peek(rest)?;
        if first.0 < last || first.0 - last > 1 << 40 {
            return None;
        }
        Frame::read(rest).map(|_| at)
    };
    let claimed = bytes.get(at..).and_then(Frame::peek).map(|(length, ..)| at + FRAME_HEADER_BYTES + length as usize);
    claimed.and_then(follows).or_else(|| (at + 1..bytes.len()).find_map(follows))
}

/// Whether a mark stands at or after `at`: then everything before that mark was synced, the bytes before `at` included.
///
/// What reads back without a mark after it proves nothing: parts of an unsynced group reach the disk in any order, with holes between them.
fn synced_before(bytes: &[u8], at: usize, last: u64) -> bool {
    let mut next = Some(at);
    while let Some(at) = next {
        next = match bytes.get(at..).and_then(Frame::read) {
            Some(frame) if frame.is_mark => return true,
            Some(frame) => Some(at + frame.bytes),
            None => next_frame(bytes, at, last),
        };
    }
    false
}
