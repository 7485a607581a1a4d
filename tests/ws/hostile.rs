//! Clients that mean no good, or are broken: whatever they send, the node stays well and gives their places back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::processes::dice::Dice;
use crate::socket::Socket;
use crate::support::{TestNode, event, eventually};

/// A connection that has been upgraded, and then speaks by hand.
fn upgraded(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    answer.ends_with(b"101").then_some(stream)
}

fn bytes(dice: &mut Dice, count: u64) -> Vec<u8> {
    (0..count).map(|_| dice.roll() as u8).collect()
}

/// A frame with a mask of zeros, so that its payload is what it says.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Something that no client of ours would send.
fn mischief(dice: &mut Dice) -> Vec<u8> {
    const TEXT: u8 = 0x81;
    match dice.within(0..=11) {
        0 => {
            let count = dice.within(0..=400);
            bytes(dice, count)
        }
        // Lengths that nothing follows, or far too much.
        1 => [vec![TEXT, 0xff], vec![0x7f; 8], vec![0; 4]].concat(),
        2 => [vec![TEXT, 0xff], u64::MAX.to_be_bytes().to_vec(), vec![0; 4]].concat(),
        3 => frame(TEXT, &vec![b'x'; dice.within(60_000..=300_000) as usize]),
        // Not masked; reserved bits and opcodes; control frames that are none.
        4 => vec![TEXT, 2, b'{', b'}'],
        5 => frame(0xf1, b"{}"),
        6 => frame(0x83 + (dice.roll() % 5) as u8, b"{}"),
        7 => frame(0x89, &[b'x'; 126]),
        // Not UTF-8; a fragment that never ends; a close with a code that is none.
        8 => frame(TEXT, b"\xff\xfe"),
        9 => [frame(0x01, b"{\"type\":"), frame(0x00, b"\"ping\"")].concat(),
        10 => frame(0x88, &[0, 1]),
        // Messages that are nearly sound.
        _ => {
            let kind = ["hello", "events", "state", "party.join", "party.control", "ping", "x"][dice.within(0..=6) as usize];
            let count = dice.within(0..=60);
            let noise: String = bytes(dice, count).into_iter().map(|byte| char::from(b' ' + byte % 95)).collect();
            frame(TEXT, format!("{{\"type\":\"{kind}\",\"id\":{count},\"profiles\":[{noise:?}],\"events\":[{noise}]}}").as_bytes())
        }
    }
}

/// LEFTOFF_TEST_ROUNDS=100000 makes a long run of it.
#[test]
fn whatever_comes_over_a_socket_the_node_stays_well() {
    let mut dice = Dice::of_this_run("mischief over sockets");
    let rounds = std::env::var_os("LEFTOFF_TEST_ROUNDS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(300_u64);
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__SOCKETS_MAX", "24"), ("LEFTOFF_GATEWAY__SOCKET_IDLE_MS", "2000")]);
    let mut half_open = Vec::new();
    for round in 0..rounds {
        let Some(mut stream) = upgraded(node.http.address) else {
            // The places are taken by those that were left half open: they are given back.
            half_open.clear();
            continue;
        };
        for _ in 0..dice.within(1..=4) {
            if stream.write_all(&mischief(&mut dice)).is_err() {
                break;
            }
        }
        match dice.within(0..=3) {
            0 => drop(stream),
            1 => {
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut [0; 64]);
            }
            2 => {
                stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                let _ = stream.read(&mut [0; 64]);
            }
            _ => half_open.push(stream),
        }
        if round % 50 == 0 {
            node.http.record(&[event("ada", "film", "tv", "HEARTBEAT", round * 1_000)]);
        }
    }
    drop(half_open);
    eventually("all places are free again", || {
        let opened: Vec<_> = (0..24).map_while(|_| Socket::try_open(node.http.address, &[]).ok()).collect();
        opened.len() == 24
    });
    assert_eq!(node.admin.get("/readyz").status, 200);
    eventually("a place is free", || Socket::try_open(node.http.address, &[]).is_ok());
    let (mut socket, _) = Socket::follow(node.http.address, &["ada"]);
    socket.report(1, &[event("ada", "film", "tv", "SEEK", 7_000)]);
    assert_eq!(socket.expect("ack")["accepted"], 1);
}

#[test]
fn a_client_that_stays_half_open_is_given_up() {
    let node = TestNode::with(&[("LEFTOFF_GATEWAY__SOCKETS_MAX", "1"), ("LEFTOFF_GATEWAY__SOCKET_IDLE_MS", "600")]);
    let mut stream = upgraded(node.http.address).unwrap();
    // The beginning of a frame, and then nothing.
    stream.write_all(&frame(0x81, &[b'x'; 5_000])[..100]).unwrap();
    eventually("its place is free", || Socket::try_open(node.http.address, &[]).is_ok());
}

#[test]
fn requests_that_are_no_upgrades_are_answered() {
    let node = TestNode::start();
    let head = format!("GET /v1/ws HTTP/1.1\r\nhost: {}\r\n", node.http.address);
    for (headers, status) in [
        ("", 426),
        ("connection: upgrade\r\nupgrade: h2c\r\n", 426),
        ("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 8\r\nsec-websocket-key: x\r\n", 426),
        ("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n", 426),
    ] {
        let answer = crate::support::raw(node.http.address, format!("{head}{headers}connection: close\r\n\r\n").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = node.http.send(method, "/v1/ws", &[], b"{}");
        assert_eq!(answer.status, 426, "{answer:?}");
        assert_eq!(answer.json()["code"], json!("upgrade_required"));
    }
}
