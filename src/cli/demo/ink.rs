//! Colour, where there is a terminal to show it, and the measuring and breaking of text.

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// Beside the point.
    Quiet,
    /// A heading.
    Strong,
    /// As it should be.
    Good,
    /// Worth a look: cut off, behind.
    Warning,
    /// What was measured.
    Figure,
    /// Wrong.
    Bad,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ink {
    /// With the terminal's own colours.
    Colour,
    /// Without.
    Plain,
}

impl Ink {
    /// The text in its tone.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Self::Plain, _) | (_, Tone::Plain) => return text.to_owned(),
            (_, Tone::Quiet) => "2",
            (_, Tone::Strong) => "1",
            (_, Tone::Good) => "32",
            (_, Tone::Warning) => "33",
            (_, Tone::Figure) => "36",
            (_, Tone::Bad) => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Breaks a text at its spaces into lines of at most `width` characters. A longer word stands alone, uncut: it may be a command to paste.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let taken = lines.last().map_or(0, |line| line.chars().count());
        if taken > 0 && taken + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The first `width` characters of a text that has no colours in it.
pub(super) fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_words_stay_whole() {
        assert_eq!(wrap("the phone goes on watching", 10), ["the phone", "goes on", "watching"]);
        assert_eq!(wrap("http://127.0.0.1:7400/v1/events", 10), ["http://127.0.0.1:7400/v1/events"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn without_colours_text_is_as_it_was() {
        assert_eq!(Ink::Plain.paint(Tone::Bad, "apart"), "apart");
        assert_eq!(Ink::Colour.paint(Tone::Good, "in step"), "\u{1b}[32min step\u{1b}[0m");
    }
}
