//! Failures of commands: one line that says what happened and what to do.

use std::fmt;

/// What a command failed with.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    /// A failure in these words.
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// A failure of an attempt, with every cause of the error behind it.
    pub(super) fn of(attempt: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let mut words = format!("{attempt}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            let told = error.to_string();
            // Many errors already repeat their cause.
            if !words.contains(&told) {
                words.push_str(": ");
                words.push_str(&told);
            }
            cause = error.source();
        }
        Self(words)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever the texts in it hold.
        let line: String = self.0.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        f.write_str(line.trim())
    }
}
