//! The only file that prints. A closed pipe (`| head`) ends a command quietly.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::failure::Failure;
use crate::progress::Position;

/// Writes a line of an answer.
pub(super) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    write(format!("{}\n", text.as_ref()).as_bytes())
}

/// Writes a part of an answer.
pub(super) fn write(bytes: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(bytes) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::of("the answer could not be written", &error)),
    }
}

/// Writes a JSON value as a line.
pub(super) fn json(value: &Value) -> Result<(), Failure> {
    line(value.to_string())
}

/// Says what went wrong, on stderr.
pub(super) fn complain(failure: &Failure) {
    note(format!("leftoff: {failure}"));
}

/// Says something beside the answer, on stderr.
pub(super) fn note(text: impl AsRef<str>) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// A fault of ours is one line too, for the log or the issue; backtraces are for those who ask by `RUST_BACKTRACE`.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        note(format!("leftoff: internal fault at {place}: {}; please report it", panic.payload_as_str().unwrap_or("no words")));
    }));
}

/// A bar that moves on a terminal and is nothing elsewhere. Without a total it counts.
pub(super) fn bar(total: Option<u64>, unit: &str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    // NO_COLOR is respected by the template having none.
    let template = match total {
        Some(_) => format!("[{{elapsed_precise}}] {{bar:40}} {{pos}}/{{len}} {unit} ({{per_sec}}, {{eta}} left)"),
        None => format!("[{{elapsed_precise}}] {{spinner}} {{pos}} {unit} ({{per_sec}})"),
    };
    bar.set_draw_target(if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A text field of an answer; a dash where there is none. Control characters, which a node never sends, become spaces.
pub(super) fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str().unwrap_or("-");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A number field of an answer.
pub(super) fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or(0)
}

/// A position field of an answer, as people say it.
pub(super) fn position(value: &Value, field: &str) -> String {
    Position::from_millis(number(value, field)).to_string()
}

/// A time in Unix milliseconds as `2026-11-21 08:05:05Z`.
pub(super) fn date(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a day since 1970-01-01.
///
/// After Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Bytes as people say them.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..=1_023 => format!("{count} B"),
        1_024..=1_048_575 => format!("{:.1} KiB", count as f64 / 1_024.0),
        1_048_576..=1_073_741_823 => format!("{:.1} MiB", count as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", count as f64 / 1_073_741_824.0),
    }
}

/// Waits.
pub(super) fn pause(time: Duration) {
    // Nobody ever sends: only the time ends this.
    let (_keep, nothing) = channel::<()>();
    let _ = nothing.recv_timeout(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00Z");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(date(1_795_248_305_000), "2026-11-21 08:05:05Z");
    }
}
