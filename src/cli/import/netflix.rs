//! `ViewingActivity.csv`, the personal-data export that Netflix gives its members: one row a playback session, newest first.
//!
//! Only reading happens here; what a session means as events is in [`viewer`](super::viewer). Columns are found by name, so a file with
//! further or reordered columns reads the same.

use std::io::Read;

use csv::StringRecord;

use crate::limits::POSITION_MS_MAX;
use crate::progress::{DeviceId, Position, ProfileId, TitleId};
use crate::time::WallTime;

/// One playback session of a title.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Session {
    /// Line of the file it stands on, for messages; the header is line 1.
    pub(super) line: u64,
    /// Who watched.
    pub(super) profile: ProfileId,
    /// What.
    pub(super) title: TitleId,
    /// On which device.
    pub(super) device: DeviceId,
    /// When the session began.
    pub(super) began: WallTime,
    /// How long it lasted on the wall clock, in milliseconds.
    pub(super) lasted_ms: u64,
    /// Where it ended in the title.
    pub(super) bookmark: Position,
    /// The platform's own resume point, if this was the latest view of the title.
    pub(super) latest: Option<Position>,
}

impl Session {
    /// When the session ended.
    pub(super) fn ended(&self) -> WallTime {
        self.began.shifted(i64::try_from(self.lasted_ms).unwrap_or(i64::MAX))
    }

    /// Where in the title it began: as far before its bookmark as it lasted.
    pub(super) fn start(&self) -> Position {
        Position::from_millis(self.bookmark.as_millis().saturating_sub(self.lasted_ms))
    }
}

/// A file of sessions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct History {
    /// The sessions of titles, by their end; of equal ends the one further down in the file, which is the earlier, comes first.
    pub(super) sessions: Vec<Session>,
    /// Rows of trailers, hooks and the like, which are no progress.
    pub(super) preview_count: u64,
}

/// Why the file could not be read. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum HistoryError {
    /// The file is not CSV.
    #[error("not a CSV file: {0}")]
    Csv(#[from] csv::Error),
    /// A column is not there.
    #[error("the file has no column '{0}': is it a ViewingActivity.csv?")]
    Column(&'static str),
    /// A cell cannot be understood.
    #[error("line {line}: {column} '{value}': {reason}")]
    Cell {
        /// Line of the file.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

const PROFILE: &str = "Profile Name";
const START: &str = "Start Time";
const DURATION: &str = "Duration";
const TITLE: &str = "Title";
const PREVIEW: &str = "Supplemental Video Type";
const DEVICE: &str = "Device Type";
const BOOKMARK: &str = "Bookmark";
const LATEST: &str = "Latest Bookmark";
const NOT_LATEST: &str = "Not latest view";

/// Reads a whole file. Memory grows with its sessions: they have to be sorted by their end before the first event can be made.
pub(super) fn read(file: impl Read) -> Result<History, HistoryError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let columns = Columns::find(reader.headers()?)?;
    let mut history = History::default();
    for row in reader.records() {
        let row = row?;
        if text(&row, columns.preview).is_empty() {
            history.sessions.push(columns.session(&row)?);
        } else {
            history.preview_count += 1;
        }
    }
    history.sessions.sort_by_key(|session| (session.ended(), std::cmp::Reverse(session.line)));
    Ok(history)
}

fn text(row: &StringRecord, column: usize) -> &str {
    row.get(column).unwrap_or_default().trim()
}

struct Columns {
    profile: usize,
    start: usize,
    duration: usize,
    title: usize,
    preview: usize,
    device: usize,
    bookmark: usize,
    latest: usize,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, HistoryError> {
        let column = |name: &'static str| {
            let is_it = |found: &str| found.trim_start_matches('\u{feff}').trim() == name;
            header.iter().position(is_it).ok_or(HistoryError::Column(name))
        };
        Ok(Self {
            profile: column(PROFILE)?,
            start: column(START)?,
            duration: column(DURATION)?,
            title: column(TITLE)?,
            preview: column(PREVIEW)?,
            device: column(DEVICE)?,
            bookmark: column(BOOKMARK)?,
            latest: column(LATEST)?,
        })
    }

    fn session(&self, row: &StringRecord) -> Result<Session, HistoryError> {
        let line = row.position().map_or(0, csv::Position::line);
        let bad = |column: &'static str, value: &str, reason: String| HistoryError::Cell { line, column, value: value.to_owned(), reason };
        macro_rules! id {
            ($id:ident, $name:ident, $column:expr) => {{
                // As they are: an id is the cell byte for byte, spaces at its ends included.
                let text = row.get($column).unwrap_or_default();
                $id::new(text).map_err(|error| bad($name, text, error.to_string()))?
            }};
        }
        let span = |name: &'static str, column: usize| {
            let cell = text(row, column);
            span_ms(cell).ok_or_else(|| bad(name, cell, "not a time HH:MM:SS".to_owned()))
        };
        let began = text(row, self.start);
        let latest = text(row, self.latest);
        Ok(Session {
            line,
            profile: id!(ProfileId, PROFILE, self.profile),
            title: id!(TitleId, TITLE, self.title),
            device: id!(DeviceId, DEVICE, self.device),
            began: date_time(began).ok_or_else(|| bad(START, began, "not a date YYYY-MM-DD HH:MM:SS".to_owned()))?,
            lasted_ms: span(DURATION, self.duration)?,
            bookmark: Position::from_millis(span(BOOKMARK, self.bookmark)?),
            latest: if latest == NOT_LATEST || latest.is_empty() { None } else { Some(Position::from_millis(span(LATEST, self.latest)?)) },
        })
    }
}

fn number(text: &str) -> Option<u64> {
    // Digits only: `parse` alone would take a sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn span_ms(text: &str) -> Option<u64> {
    let mut parts = text.split(':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let ms = hours.checked_mul(3_600_000)?.checked_add(minutes * 60_000 + seconds * 1_000)?;
    (ms <= POSITION_MS_MAX).then_some(ms)
}

fn date_time(text: &str) -> Option<WallTime> {
    let (date, time) = text.split_once(' ')?;
    let mut parts = date.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let time_ms = span_ms(time).filter(|ms| *ms < 86_400_000)?;
    Some(WallTime::from_millis(days_since_epoch(year, month, day) * 86_400_000 + time_ms))
}

/// Days from 1970-01-01 in the Gregorian calendar, for years from 1970 on.
///
/// After Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`: years begin in March, so that the leap day is last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Profile Name,Start Time,Duration,Attributes,Title,Supplemental Video Type,Device Type,Bookmark,Latest Bookmark,Country\n";

    #[test]
    fn sessions_are_sorted_by_their_end_and_previews_are_counted() {
        let rows = format!(
            "{HEADER}\
             Ann,2022-03-01 12:00:00,00:10:00,,\"Film, the\",,TV,00:30:00,00:30:00,X\n\
             Ann,2022-03-01 11:59:00,00:00:05,\"Autoplayed; \",\"Film, the_hook\",HOOK,TV,00:00:05,00:00:05,X\n\
             Ann,2022-02-28 23:59:59,00:00:01,,\"Film, the\",,TV,00:20:00,Not latest view,X\n"
        );
        let history = read(rows.as_bytes()).unwrap();
        assert_eq!(history.preview_count, 1);
        assert_eq!(history.sessions.iter().map(|session| session.line).collect::<Vec<_>>(), [4, 2]);
        let [first, last] = &history.sessions[..] else { panic!("two sessions") };
        assert_eq!(first.ended(), WallTime::from_millis(1_646_092_800_000), "2022-03-01 00:00:00 UTC");
        assert_eq!((first.latest, last.latest), (None, Some(Position::from_millis(1_800_000))));
        assert_eq!(last.start(), Position::from_millis(1_200_000));
        assert_eq!(last.title.as_str(), "Film, the");
    }

    #[test]
    fn a_session_longer_than_its_bookmark_began_at_zero() {
        let rows = format!("{HEADER}Ann,2022-03-01 12:00:00,02:00:00,,Film,,TV,01:00:00,Not latest view,X\n");
        assert_eq!(read(rows.as_bytes()).unwrap().sessions[0].start(), Position::ZERO);
    }

    #[test]
    fn a_bad_cell_is_named_with_its_line() {
        for (row, told) in [
            ("Ann,2022-13-01 12:00:00,00:00:01,,F,,TV,00:00:01,,X", "line 2: Start Time '2022-13-01 12:00:00'"),
            ("Ann,2022-03-01 12:00:00,-0:00:01,,F,,TV,00:00:01,,X", "line 2: Duration '-0:00:01'"),
            ("Ann,2022-03-01 12:00:00,00:00:01,,,,TV,00:00:01,,X", "line 2: Title ''"),
            ("Ann,2022-03-01 12:00:00,00:00:01,,F,,TV,99999999:00:01,,X", "line 2: Bookmark"),
        ] {
            let error = read(format!("{HEADER}{row}\n").as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
        assert!(matches!(read(&b"a,b\n1,2\n"[..]), Err(HistoryError::Column("Profile Name"))));
    }

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(days_since_epoch(1970, 1, 1), 0);
        assert_eq!(days_since_epoch(2000, 2, 29), 11_016);
        assert_eq!(days_since_epoch(2026, 11, 21), 20_778);
    }
}
