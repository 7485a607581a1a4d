//! The same by server-sent events and by long poll.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::{DEADLINE, TestNode, event};

/// An event stream, read by hand.
pub struct Stream {
    lines: BufReader<TcpStream>,
    pub status: u16,
}

#[derive(Debug, Default, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
    pub retry: String,
}

impl Stream {
    pub fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        while !line.trim().is_empty() {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        Self { lines, status }
    }

    /// The next event; none when the stream has ended. Comments and the lengths of chunks are skipped.
    pub fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let text = line.trim_end_matches(['\r', '\n']);
            match text.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(("retry", retry)) => event.retry = retry.to_owned(),
                _ if line == "\n" && event != Event::default() => return Some(event),
                _ if line == "0\r\n" => return None,
                _ => {}
            }
        }
    }
}

#[test]
fn changes_are_streamed_and_resumed_by_the_last_event_id() {
    let node = TestNode::start();
    let mut stream = Stream::open(node.http.address, "/v1/profiles/ada/changes", &[]);
    assert_eq!(stream.status, 200);
    let begun = stream.next().unwrap();
    assert!(!begun.retry.is_empty() && !begun.id.is_empty() && begun.data.is_null(), "{begun:?}");
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 1_000)]);
    let first = stream.next().unwrap();
    assert_eq!((first.name.as_str(), &first.data["position_ms"], &first.data["title_id"]), ("progress", &json!(1_000), &json!("film")));
    assert_eq!(first.data["cursor"], first.id);
    drop(stream);
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 2_000)]);
    node.http.send("POST", "/v1/profiles/ada/titles/other/hide", &[], b"");
    let path = "/v1/profiles/ada/changes";
    for (path, headers) in [(path.to_owned(), vec![("last-event-id", first.id.as_str())]), (format!("{path}?since={}", first.id), vec![])] {
        let mut stream = Stream::open(node.http.address, &path, &headers);
        stream.next().unwrap();
        assert_eq!(stream.next().unwrap().data["position_ms"], 2_000);
        assert_eq!(stream.next().unwrap().name, "hidden");
    }
    let mut foreign = Stream::open(node.http.address, path, &[("last-event-id", "0a-1-1")]);
    foreign.next().unwrap();
    assert_eq!(foreign.next().unwrap().name, "reset");
    assert_eq!(foreign.next().unwrap().name, "progress");
    assert_eq!(node.http.delete("/v1/profiles/ada").status, 202);
    assert_eq!(foreign.next().unwrap().name, "hidden");
    assert_eq!(foreign.next().unwrap().name, "erased");
}

#[test]
fn a_poll_waits_for_the_next_change_and_goes_on_from_its_cursor() {
    let node = TestNode::start();
    let path = "/v1/profiles/ada/changes";
    let now = node.http.get(&format!("{path}?wait=0"));
    assert_eq!((now.status, now.header("content-type")), (200, "application/json"));
    assert_eq!(now.json()["items"], json!([]));
    let cursor = now.json()["cursor"].as_str().unwrap().to_owned();
    let waiting = {
        let (http, path) = (node.http.clone(), format!("{path}?wait=15&since={cursor}"));
        std::thread::spawn(move || http.get(&path).json())
    };
    node.http.record(&[event("ada", "film", "tv", "PAUSE", 1_000)]);
    let answer = waiting.join().unwrap();
    assert_eq!(answer["items"][0]["position_ms"], 1_000, "{answer}");
    let again = node.http.get(&format!("{path}?wait=0&since={}", answer["cursor"].as_str().unwrap())).json();
    assert_eq!((&again["items"], &again["cursor"]), (&json!([]), &answer["cursor"]));
    let foreign = node.http.send("GET", &format!("{path}?since=x"), &[("accept", "application/json")], b"").json();
    let kinds: Vec<_> = foreign["items"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, [json!("reset"), json!("progress")]);
    for bad in ["x", "-1", "61", ""] {
        node.http.get(&format!("{path}?wait={bad}")).assert_problem(400, "bad_query");
    }
}

#[test]
fn a_node_that_stops_ends_streams_and_polls() {
    let node = TestNode::start();
    let mut stream = Stream::open(node.http.address, "/v1/profiles/ada/changes", &[]);
    stream.next().unwrap();
    let poll = {
        let http = node.http.clone();
        std::thread::spawn(move || http.get("/v1/profiles/ada/changes?wait=60"))
    };
    let mut probe = Stream::open(node.http.address, "/v1/profiles/ada/changes", &[]);
    probe.next().unwrap();
    node.http.record(&[event("bob", "film", "tv", "PAUSE", 1_000)]);
    let begun = leftoff::time::system::monotonic_now();
    node.stop();
    assert!(leftoff::time::system::monotonic_now().saturating_since(begun).as_secs() < 10);
    let last = stream.next().unwrap();
    assert_eq!((last.name.as_str(), &last.data["code"]), ("bye", &json!("restart")));
    assert!(last.retry.parse::<u64>().unwrap() >= 500);
    assert_eq!(stream.next(), None);
    drop(poll.join().unwrap());
}
