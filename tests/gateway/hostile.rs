//! Requests that are wrong, slow, large or too many.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::support::{DEADLINE, TestNode, event, raw};

#[test]
fn what_is_not_there_is_a_problem_document_too() {
    let node = TestNode::start();
    node.http.get("/nothing").assert_problem(404, "not_found");
    node.http.get("/v1/profiles").assert_problem(404, "not_found");
    node.http.get("/v1/profiles//titles/x").assert_problem(400, "bad_id");
    let answer = node.http.get("/v1/events");
    answer.assert_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    node.http.send("PUT", "/v1/profiles/ann/titles/film", &[], b"").assert_problem(405, "method_not_allowed");
}

#[test]
fn a_sound_request_id_is_kept_and_another_is_replaced() {
    let node = TestNode::start();
    let id = |sent: &str| node.http.send("GET", "/nothing", &[("x-request-id", sent)], b"").header("x-request-id").to_owned();
    assert_eq!(id("client-7"), "client-7");
    for bad in ["", "with space", &"x".repeat(65)] {
        let given = id(bad);
        assert!(!given.is_empty() && given != bad, "{bad}: {given}");
    }
}

#[test]
fn endless_headers_end_the_connection() {
    let node = TestNode::start();
    let answer = raw(node.http.address, format!("GET / HTTP/1.1\r\nhost: localhost\r\nlong: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200).map(|n| format!("h{n}: x\r\n")).collect();
    let answer = raw(node.http.address, format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = raw(node.http.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 garbage\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(node.http.progress("ann", "film")["started"], false, "everybody else is served");
}

#[test]
fn who_does_not_finish_headers_is_cut_off() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__HEADER_TIMEOUT_MS", "200")]);
    // Reads until the other side closes: returning at all is the proof.
    let answer = raw(node.http.address, b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn who_does_not_finish_a_body_is_told_so() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__REQUEST_TIMEOUT_MS", "400")]);
    let answer = raw(
        node.http.address,
        b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"events\":",
    );
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"body_timeout\""), "{answer}");
}

#[test]
fn a_body_without_a_length_is_bounded_as_it_comes() {
    let node = TestNode::start();
    let mut stream = TcpStream::connect(node.http.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n").unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    // The node answers in mid-body and closes, so later writes may fail.
    let _ = (0..32).try_for_each(|_| stream.write_all(chunk.as_bytes()));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(node.http.record(&[event("ann", "film", "tv", "PAUSE", 1)])["accepted"], 1);
}

#[test]
fn who_announces_large_bodies_and_sends_little_takes_no_room_from_others() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__BODIES_MIB", "2")]);
    let begin = |how: &str| {
        let mut stream = TcpStream::connect(node.http.address).unwrap();
        stream.write_all(format!("POST /v1/events HTTP/1.1\r\nhost: localhost\r\n{how}").as_bytes()).unwrap();
        stream
    };
    let announced = (0..16).map(|_| begin("content-length: 1048576\r\n\r\n{"));
    let slow: Vec<TcpStream> = announced.chain((0..16).map(|_| begin("transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"))).collect();
    for second in 1..=50 {
        node.http.record(&[event("ann", "film", "tv", "HEARTBEAT", second * 1_000)]);
    }
    drop(slow);
}

#[test]
fn connections_are_bounded_and_the_next_is_told_to_come_back() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__CONNECTIONS_MAX", "1")]);
    let mut first = TcpStream::connect(node.http.address).unwrap();
    first.set_read_timeout(Some(DEADLINE)).unwrap();
    first.write_all(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut begun = [0; 12];
    first.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 404");
    let answer = raw(node.http.address, b"");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    let (head, document) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/problem+json") && head.contains(&format!("content-length: {}", document.len())), "{answer}");
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert_eq!((&document["code"], &document["status"], &document["retry_after_ms"]), (&json!("overloaded"), &json!(503), &json!(1_000)));
    drop(first);
    crate::support::eventually("there is room again", || {
        raw(node.http.address, b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").starts_with("HTTP/1.1 404")
    });
}

#[test]
fn who_dribbles_takes_no_place_from_others() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__REQUESTS_MAX", "1")]);
    let body = json!({"events": [event("ann", "film", "tv", "PAUSE", 5_000)]}).to_string();
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let mut slow = TcpStream::connect(node.http.address).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&body.as_bytes()[..1]).unwrap();
    for second in 1..=20 {
        node.http.record(&[event("ben", "film", "tv", "HEARTBEAT", second * 1_000)]);
    }
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    slow.write_all(&body.as_bytes()[1..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.http.progress("ann", "film")["position_ms"], 5_000);
}

#[test]
fn bounds_change_without_a_restart() {
    let node = TestNode::start();
    assert_eq!(node.http.get("/v1/profiles/ann/titles").status, 200);
    node.reload(&[("LEFTOFF_GATEWAY__REQUEST_TIMEOUT_MS", "400")]);
    let head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{";
    assert!(raw(node.http.address, head).starts_with("HTTP/1.1 408"), "told after 200 ms and not after 5 s");
    assert_eq!(node.http.record(&[event("ann", "film", "tv", "PAUSE", 1)])["accepted"], 1);
}

#[test]
fn without_tokens_foreign_pages_are_refused_and_those_of_this_machine_are_not() {
    let node = TestNode::start();
    let body = json!({"events": [event("ann", "film", "tv", "PAUSE", 5_000)]}).to_string();
    // What a page may send across origins without asking first.
    let from = |origin: &str| node.http.send("POST", "/v1/events", &[("content-type", "text/plain"), ("origin", origin)], body.as_bytes());
    from("https://evil.example").assert_problem(403, "foreign_origin");
    from("null").assert_problem(403, "foreign_origin");
    let by_name = |host: &str| {
        raw(node.http.address, format!("GET /v1/profiles/ann/titles HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())
    };
    let answer = by_name("evil.example:7400");
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("\"foreign_host\""), "{answer}");
    assert_eq!(node.http.progress("ann", "film")["started"], false, "nothing of it was recorded");
    assert!(by_name("localhost:7400").starts_with("HTTP/1.1 200"));
    assert_eq!(from("http://localhost:3000").status, 200);
    assert_eq!(from(&format!("http://{}", node.http.address)).status, 200);
}
