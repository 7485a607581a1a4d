//! Events as lines of JSON: one `PlaybackEvent` a line, as `POST /v1/events` takes them.

use std::io::BufRead;

use crate::progress::PlaybackEvent;

/// A line that is longer than this is no event, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Reads events line by line; empty lines are skipped.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    line: u64,
}

/// Why a line is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum LineError {
    /// The file could not be read on.
    #[error("the file could not be read: {0}")]
    Read(#[from] std::io::Error),
    /// The line is no event.
    #[error("line {line}: {reason}")]
    Event {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

impl<R: BufRead> Lines<R> {
    /// Reads from the beginning.
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 0 }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<(u64, PlaybackEvent), LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line += 1;
            let line = self.line;
            let mut text = Vec::new();
            match std::io::Read::take(&mut self.reader, LINE_BYTES_MAX + 1).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
            if text.len() as u64 > LINE_BYTES_MAX && !text.ends_with(b"\n") {
                // Its rest is no line of its own.
                if let Err(error) = self.reader.skip_until(b'\n') {
                    return Some(Err(error.into()));
                }
                return Some(Err(LineError::Event { line, reason: format!("longer than {LINE_BYTES_MAX} bytes") }));
            }
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let event = serde_json::from_slice(text).map_err(|error| LineError::Event { line, reason: error.to_string() });
            return Some(event.map(|event| (line, event)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_events_and_a_bad_one_is_named() {
        let good = r#"{"profile_id":"p","title_id":"t","device_id":"d","kind":"PLAY","position_ms":1}"#;
        let file = format!("{good}\n\n{good}\r\n{{\"kind\":1}}\n{good}");
        let read: Vec<_> = Lines::new(file.as_bytes()).collect();
        assert_eq!(read.len(), 4);
        assert_eq!(read[1].as_ref().unwrap().0, 3);
        assert!(read[2].as_ref().unwrap_err().to_string().starts_with("line 4: "));
        assert!(read[3].is_ok());
    }

    #[test]
    fn a_line_without_an_end_is_not_read_into_memory() {
        let file = "x".repeat(1 << 20);
        assert!(Lines::new(file.as_bytes()).next().unwrap().is_err());
        let good = r#"{"profile_id":"p","title_id":"t","device_id":"d","kind":"PLAY","position_ms":1}"#;
        let file = format!("{file}\n{good}");
        let read: Vec<_> = Lines::new(file.as_bytes()).collect();
        assert_eq!((read.len(), read[1].as_ref().unwrap().0), (2, 2), "it is one line, and the next is the next");
    }
}
