//! A child process whose output is read line by line, and which never outlives the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leftoff::time::system::monotonic_now;

use super::patience::{deadline, eventually};

/// A running child; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    // Read by one at a time; the mutex only lets a process be shared.
    lines: Mutex<Receiver<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a command. What it writes to stdout is read here; stderr goes where the command says.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            // A line that a kill has cut in two is no line.
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            while matches!(stdout.read_line(&mut line), Ok(length) if length > 0) {
                if line.ends_with('\n') && sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { child, lines: Mutex::new(lines), reader: Some(reader) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line, if there is one within the time; an error once the output has ended.
    pub(crate) fn line_within(&self, time: Duration) -> Result<Option<String>, &'static str> {
        match self.lines.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(time) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("the output has ended"),
        }
    }

    /// The first line for which `wanted` answers something; fails if the process ends or the time passes before.
    pub(crate) fn expect_line<T>(&self, time: Duration, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        let until = deadline(time);
        let mut seen = Vec::new();
        loop {
            match self.line_within(until.saturating_since(monotonic_now())) {
                Ok(Some(line)) => match wanted(&line) {
                    Some(found) => return found,
                    None => seen.push(line),
                },
                Ok(None) => panic!("{what}: not within {time:?}; it said {seen:#?}"),
                Err(reason) => panic!("{what}: {reason}; it said {seen:#?}"),
            }
        }
    }

    /// `SIGKILL`: no warning, no farewell. Answers the lines that were written and not yet read.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.end();
        self.rest()
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.lock().unwrap_or_else(PoisonError::into_inner).try_recv() {
                Ok(line) => rest.push(line),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return rest,
            }
        }
    }

    /// Sends a signal by its name: `TERM`, `STOP`, `CONT`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "SIG{name} could not be sent");
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn ended_within(mut self, time: Duration) -> ExitStatus {
        eventually(time, "the process ends", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
