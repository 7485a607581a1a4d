//! Where what is said goes.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leftoff::time::system::monotonic_now;

use super::CommandError;

/// A result, to standard output. A reader that has gone away is no error: `leftoff-sim list | head -1`.
pub(super) fn result(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// What is going on, to standard error.
pub(super) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// What went wrong, to standard error.
pub(super) fn error(text: &str) {
    note(&format!("leftoff-sim: {text}\n"));
}

/// Writes a file all at once: what stood there stays, until all of the new is there.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed = |error: io::Error| CommandError::new(format!("{}: cannot be written: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| CommandError::new(format!("{}: is not the name of a file", path.display())))?;
    let half = path.with_file_name(format!(".{}.half", name.to_string_lossy()));
    std::fs::write(&half, text).and_then(|()| std::fs::rename(&half, path)).map_err(|error| {
        let _ = std::fs::remove_file(&half);
        failed(error)
    })
}

/// A bar on a terminal, nothing elsewhere.
pub(super) fn bar(count: u64, what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} {elapsed} left {eta} {msg}");
    let bar = ProgressBar::new(count).with_prefix(what.to_owned());
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

/// Real time since `begin`, which this returned at first.
pub(super) fn since(begin: Duration) -> Duration {
    monotonic_now().since_start().saturating_sub(begin)
}

/// Worlds at once, if nobody says how many.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// As JSON, with a line break at its end.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| CommandError::new(format!("cannot be written as JSON: {error}")))
}
