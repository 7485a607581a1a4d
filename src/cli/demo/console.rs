//! Where the story is told: narration that scrolls, and under it, on a terminal, live lines that are redrawn in place.

use std::io::{self, IsTerminal, Write};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use crossterm::{execute, queue};

use super::ink::{Ink, Tone, wrap};

/// Columns of a terminal that does not say, and of what is no terminal.
const COLUMNS_DEFAULT: usize = 100;
/// Longer lines are hard to read, however wide the terminal is.
const TEXT_COLUMNS_MAX: usize = 92;
const MARGIN: &str = "  ";

/// The output of one demo. On a terminal the keyboard is read key by key until this is dropped.
#[derive(Debug)]
pub(super) struct Console {
    live: bool,
    ink: Ink,
    drawn: Vec<String>,
}

impl Console {
    /// On the terminal, if there is one and `plain` does not forbid it; else lines on stdout.
    pub(super) fn open(plain: bool) -> io::Result<Self> {
        // https://no-color.org: present and not empty.
        let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let live = !plain && !colourless && io::stdout().is_terminal() && io::stdin().is_terminal();
        let ink = if live { Ink::Colour } else { Ink::Plain };
        if live {
            terminal::enable_raw_mode()?;
            execute!(io::stdout(), Hide)?;
        }
        Ok(Self { live, ink, drawn: Vec::new() })
    }

    /// Whether lines are redrawn in place, and keys are read.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// With colours or without.
    pub(super) fn ink(&self) -> Ink {
        self.ink
    }

    /// How wide lines may be.
    pub(super) fn columns(&self) -> usize {
        if !self.live {
            return COLUMNS_DEFAULT;
        }
        terminal::size().ok().map_or(COLUMNS_DEFAULT, |(columns, _)| usize::from(columns))
    }

    /// A heading, with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let painted = self.ink.paint(Tone::Strong, text);
        self.scroll(&[String::new(), painted])
    }

    /// A paragraph, in one tone.
    pub(super) fn say(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        let width = self.columns().min(TEXT_COLUMNS_MAX).saturating_sub(MARGIN.len() + 1);
        let lines: Vec<String> = wrap(text, width).iter().map(|line| format!("{MARGIN}{}", self.ink.paint(tone, line))).collect();
        self.scroll(&lines)
    }

    /// Lines as they are: to be pasted, or a table that stays.
    pub(super) fn scroll(&mut self, lines: &[String]) -> io::Result<()> {
        let mut out = Vec::new();
        let live = std::mem::take(&mut self.drawn);
        self.begin(&mut out, live.len())?;
        for line in lines {
            self.put(&mut out, line)?;
        }
        for line in &live {
            self.put(&mut out, line)?;
        }
        self.drawn = live;
        self.end(out)
    }

    /// Sets the live lines; they replace the ones before. Nothing where lines are not redrawn.
    pub(super) fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        if !self.live || lines == self.drawn {
            return Ok(());
        }
        let mut out = Vec::new();
        self.begin(&mut out, self.drawn.len())?;
        for line in &lines {
            self.put(&mut out, line)?;
        }
        self.drawn = lines;
        self.end(out)
    }

    /// Removes the live lines; what scrolled stays.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.draw(Vec::new())
    }

    // Goes to where the live lines begin and clears them. The terminal shows all of an update or nothing of it.
    fn begin(&self, out: &mut Vec<u8>, drawn: usize) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        queue!(out, BeginSynchronizedUpdate, MoveToColumn(0))?;
        if drawn > 0 {
            queue!(out, MoveUp(drawn as u16))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))
    }

    fn put(&self, out: &mut Vec<u8>, line: &str) -> io::Result<()> {
        out.write_all(line.as_bytes())?;
        // In raw mode a line feed does not return.
        out.write_all(if self.live { b"\r\n" } else { b"\n" })
    }

    fn end(&self, mut out: Vec<u8>) -> io::Result<()> {
        if self.live {
            queue!(out, EndSynchronizedUpdate)?;
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if self.live {
            // Whatever fails here, nobody could be told on this terminal.
            let _ = execute!(io::stdout(), Show);
            let _ = terminal::disable_raw_mode();
        }
    }
}
