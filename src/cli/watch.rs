//! `leftoff watch`: a profile's changes as they come, until interrupted.
//!
//! Over server-sent events. A broken line is opened again where it broke, with waits that grow and differ, so that nothing is missed and a node
//! that returns is not overrun.

use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::Value;

use super::client::{NodeArgs, Refused, segment};
use super::failure::Failure;
use super::output::{self, pause};
use crate::sync::Backoff;

/// A node shows that it lives every 15 s; a line silent for three times as long is broken.
const SILENCE_MAX: Duration = Duration::from_secs(45);
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What has been read and not shown. With more, nothing is read, and the node sees that its reader is slow.
const READ_COUNT_MAX: usize = 64;
/// The longest line of a stream, in bytes: a register with all its places is far below.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// A profile's changes as they come
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose
    profile: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Begin with what arrived after this cursor, as a register or an earlier watch told it
    #[arg(long, value_name = "CURSOR")]
    since: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

/// One event of a stream; without data it is only an id to remember.
#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<String>,
    data: String,
    retry: Option<Duration>,
}

/// What a stream's reading thread says.
enum Read {
    Event(Event),
    /// A sign of life.
    Alive,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut cursor = args.since.clone();
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    let mut was_connected = false;
    loop {
        let mut asked = None;
        let reason = match follow(args, &mut cursor, &mut asked, &mut || {
            was_connected = true;
            backoff.reset();
        }) {
            Ok(()) => "the node closed the stream".to_owned(),
            // Whoever mistyped an address wants to know at once.
            Err(Refused::Never(failure)) => return Err(failure),
            Err(Refused::Later(failure, _)) if !was_connected => return Err(failure),
            Err(Refused::Later(failure, wait)) => {
                asked = asked.max(Some(wait));
                failure.to_string()
            }
        };
        let drawn = getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX));
        let wait = wait(backoff.next(drawn), asked, drawn);
        output::note(format!("{reason}; connecting again in {:.1} s", wait.as_secs_f64()));
        pause(wait);
    }
}

/// How long to stay away: as long as the node asked at least, and from then on not all at once.
fn wait(own: Duration, asked: Option<Duration>, drawn: f64) -> Duration {
    own.max(asked.map_or(Duration::ZERO, |asked| asked + asked.mul_f64(drawn)))
}

/// Follows one stream until it ends.
fn follow(args: &Args, cursor: &mut Option<String>, retry: &mut Option<Duration>, connected: &mut impl FnMut()) -> Result<(), Refused> {
    let since = cursor.as_ref().map(|cursor| format!("?since={}", segment(cursor))).unwrap_or_default();
    let client = args.node.client().map_err(Refused::Never)?;
    let stream = client.follow(&format!("/v1/profiles/{}/changes{since}", segment(&args.profile)), SILENCE_MAX)?;
    connected();
    let (sender, receiver) = sync_channel(READ_COUNT_MAX);
    let lines = BufReader::new(stream.into_body().into_reader());
    // A thread, because a read may wait for long on a line that is dead. It ends with the connection, or soon after nobody listens to it.
    std::thread::Builder::new()
        .name("leftoff-watch".to_owned())
        .spawn(move || read(lines, &sender))
        .map_err(|error| Refused::Never(Failure::of("no thread to read with", &error)))?;
    show_all(args, &receiver, cursor, retry)
}

fn show_all(args: &Args, events: &Receiver<Read>, cursor: &mut Option<String>, retry: &mut Option<Duration>) -> Result<(), Refused> {
    loop {
        match events.recv_timeout(SILENCE_MAX) {
            Ok(Read::Event(event)) => {
                *retry = event.retry.or(*retry);
                if !event.data.is_empty() {
                    show(args.json, &event.data).map_err(Refused::Never)?;
                }
                // After it was shown: what is cut off here is shown again rather than never.
                *cursor = event.id.or_else(|| cursor.take());
            }
            Ok(Read::Alive) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => return Err(Refused::Later(Failure::new("the node is silent"), Duration::ZERO)),
        }
    }
}

/// Reads a stream as its format says (WHATWG HTML, section 9.2.6), until it ends or nobody listens.
fn read(mut lines: impl BufRead, sender: &SyncSender<Read>) {
    let mut event = Event::default();
    let mut line = String::new();
    loop {
        line.clear();
        match std::io::Read::take(&mut lines, LINE_BYTES_MAX).read_line(&mut line) {
            Ok(count) if count > 0 && line.ends_with('\n') => {}
            _ => return,
        }
        let text = line.trim_end_matches(['\r', '\n']);
        let read = if text.is_empty() {
            Read::Event(std::mem::take(&mut event))
        } else {
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = Some(value.to_owned()),
                "data" => event.data.push_str(value),
                "retry" => event.retry = value.parse().ok().map(Duration::from_millis),
                _ => {}
            }
            Read::Alive
        };
        if sender.send(read).is_err() {
            return;
        }
    }
}

fn show(as_json: bool, data: &str) -> Result<(), Failure> {
    let change: Value = serde_json::from_str(data).map_err(|error| Failure::of("the node's words cannot be read", &error))?;
    let kind = change["type"].as_str().unwrap_or_default();
    if kind == "bye" {
        return Ok(());
    }
    if as_json { output::json(&change) } else { output::line(words(kind, &change)) }
}

fn words(kind: &str, change: &Value) -> String {
    let profile = output::text(change, "profile_id");
    match kind {
        "erased" => format!("{profile} was erased"),
        "reset" => format!("{profile}: everything that is known follows"),
        _ => {
            let of = change["duration_ms"].as_u64().map(|_| format!(" of {}", output::position(change, "duration_ms"))).unwrap_or_default();
            let is = |mark: &str| change[mark].as_bool() == Some(true);
            let completed = if is("completed") { ", completed" } else { "" };
            let hidden = if is("hidden") { ", hidden" } else { "" };
            format!(
                "{}  {}  {}{of}  {} on {}{completed}{hidden}",
                output::date(output::number(change, "at_ms")),
                output::text(change, "title_id"),
                output::position(change, "position_ms"),
                output::text(change, "state"),
                output::text(change, "device_id"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_event_by_event() {
        let (sender, receiver) = sync_channel(READ_COUNT_MAX);
        let text = "retry: 2000\nid: a-1\n\n:\n\nevent: progress\nid: a-2\ndata: {\"x\":\ndata: 1}\n\nid: a-3\ndata: {\"cut";
        read(text.as_bytes(), &sender);
        drop(sender);
        let events: Vec<Event> =
            receiver.iter().filter_map(|read| if let Read::Event(event) = read { Some(event) } else { None }).collect();
        assert_eq!(
            events,
            [
                Event { id: Some("a-1".to_owned()), retry: Some(Duration::from_secs(2)), ..Event::default() },
                Event::default(),
                Event { id: Some("a-2".to_owned()), data: "{\"x\":1}".to_owned(), retry: None },
            ],
            "what broke off is no event"
        );
    }

    #[test]
    fn a_node_that_asks_to_be_left_alone_is_left_alone_for_as_long() {
        let (own, asked) = (Duration::from_millis(500), Duration::from_secs(10));
        for drawn in [0.0, 0.5, 1.0] {
            assert!((asked..=2 * asked).contains(&wait(own, Some(asked), drawn)));
        }
        assert_ne!(wait(own, Some(asked), 0.2), wait(own, Some(asked), 0.7), "not all at once");
        assert_eq!(wait(own, None, 1.0), own);
    }

    #[test]
    fn a_terminal_that_stands_still_stops_the_reading() {
        let (sender, receiver) = sync_channel(READ_COUNT_MAX);
        let text = "data: {}\n\n".repeat(10_000);
        let reading = std::thread::spawn(move || read(text.as_bytes(), &sender));
        let first: Vec<Read> = receiver.iter().take(READ_COUNT_MAX).collect();
        assert_eq!(first.len(), READ_COUNT_MAX);
        assert!(!reading.is_finished(), "what nobody takes is not held");
        drop(receiver);
        reading.join().unwrap();
    }

    #[test]
    fn a_change_is_one_line() {
        let change = serde_json::json!({"type": "progress", "profile_id": "ada", "title_id": "film", "position_ms": 540_500, "duration_ms": 600_000,
            "completed": true, "hidden": false, "state": "paused", "device_id": "tv", "at_ms": 0});
        assert_eq!(words("progress", &change), "1970-01-01 00:00:00Z  film  0:09:00 of 0:10:00  paused on tv, completed");
    }
}
