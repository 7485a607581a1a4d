//! The end of the log that is written to.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use super::LogError;
use super::files::{FileSystem, LogFile};
use super::segment::{Identity, LOG_FOLDER, LOG_VERSION, SEGMENT_HEADER_BYTES, SegmentHeader, segment_path};
use crate::store::Seq;

/// A segment that is kept.
#[derive(Clone, Debug)]
pub(in crate::store) struct Segment {
    pub(in crate::store) number: u64,
    /// No record before it in the segment.
    pub(in crate::store) first: Seq,
    pub(in crate::store) bytes: u64,
    /// Not worth keeping once folded, because it is damaged.
    pub(in crate::store) damaged: bool,
}

/// Writes groups of frames and syncs them, one segment after another; drops segments that were folded.
pub(in crate::store) struct LogWriter {
    files: Arc<dyn FileSystem>,
    identity: Identity,
    segment_bytes: u64,
    /// Oldest first; the last one is written to if `file` is there.
    segments: Vec<Segment>,
    file: Option<Box<dyn LogFile>>,
    next_number: u64,
    written: u64,
}

impl LogWriter {
    /// Continues after the given segments, in a new one: an old one is never appended to, so what was read from it stays as it is.
    pub(in crate::store) fn new(files: Arc<dyn FileSystem>, identity: Identity, segment_bytes: u64, segments: Vec<Segment>) -> Self {
        let next_number = segments.last().map_or(1, |last| last.number + 1);
        let written = segments.iter().map(|segment| segment.bytes).sum();
        Self { files, identity, segment_bytes, segments, file: None, next_number, written }
    }

    /// Writes a group of frames and returns when they would survive a loss of power.
    ///
    /// # Errors
    /// After an error nothing more may be written: what reached the disk is known only by reading it again.
    pub(in crate::store) fn write(&mut self, first: Seq, group: &[u8]) -> Result<(), LogError> {
        if self.segments.last().is_none_or(|last| self.file.is_none() || last.bytes >= self.segment_bytes) {
            self.begin_segment(first)?;
        }
        let (Some(file), Some(segment)) = (self.file.as_mut(), self.segments.last_mut()) else {
            return Ok(());
        };
        let written = write_all(file.as_mut(), group).and_then(|()| file.sync());
        written.map_err(|error| LogError::io("writing", &segment_path(segment.number))(error))?;
        segment.bytes += group.len() as u64;
        self.written += group.len() as u64;
        Ok(())
    }

    fn begin_segment(&mut self, first: Seq) -> Result<(), LogError> {
        let number = self.next_number;
        let path = segment_path(number);
        let header = SegmentHeader { version: LOG_VERSION, number, identity: self.identity, first };
        let mut file = self.files.create(&path).map_err(LogError::io("creating", &path))?;
        write_all(file.as_mut(), &header.encode()).and_then(|()| file.sync()).map_err(LogError::io("writing", &path))?;
        self.files.sync_folder(LOG_FOLDER).map_err(LogError::io("syncing the folder of", &path))?;
        self.next_number = number + 1;
        self.segments.push(Segment { number, first, bytes: SEGMENT_HEADER_BYTES as u64, damaged: false });
        self.file = Some(file);
        Ok(())
    }

    /// Takes the segments of which everything lies at or before `folded` off the list, except the newest that the retention keeps, and answers
    /// their numbers, oldest first. Whoever asked removes the files with [`remove_segments`], outside the committer's lock.
    pub(in crate::store) fn take_folded(&mut self, folded: Seq, keep_bytes: u64, keep_segments: usize) -> Vec<u64> {
        // A segment is folded when the next one begins after what is folded; the one being written to never is.
        let done = self.segments.windows(2).take_while(|pair| pair[1].first.0 <= folded.0.saturating_add(1)).count();
        let (mut kept_bytes, mut kept) = (0, 0);
        for segment in self.segments[..done].iter().rev() {
            kept_bytes += segment.bytes;
            if segment.damaged || kept >= keep_segments || kept_bytes > keep_bytes {
                break;
            }
            kept += 1;
        }
        // A segment is kept only with all that follow it: a log with a hole would be of no use.
        self.segments.drain(..done - kept).map(|segment| segment.number).collect()
    }

    pub(in crate::store) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes written since opening, and those that opening found.
    pub(in crate::store) const fn written(&self) -> u64 {
        self.written
    }
}

/// Removes the files of segments.
pub(in crate::store) fn remove_segments(files: &dyn FileSystem, numbers: &[u64]) -> Result<(), LogError> {
    for number in numbers {
        let path = segment_path(*number);
        files.remove(&path).map_err(LogError::io("removing", &path))?;
    }
    if numbers.is_empty() { Ok(()) } else { files.sync_folder(LOG_FOLDER).map_err(LogError::io("syncing", LOG_FOLDER)) }
}

impl LogError {
    pub(in crate::store) fn io(what: &'static str, file: &str) -> impl FnOnce(Error) -> Self {
        move |source| Self::Io { what, file: file.to_owned(), source }
    }
}

pub(super) fn write_all(file: &mut dyn LogFile, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(Error::new(ErrorKind::WriteZero, "nothing was written")),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
