//! A WebSocket client: blocking, with deadlines, and nothing hidden.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::support::DEADLINE;

pub struct Socket {
    pub inner: WebSocket<TcpStream>,
}

/// What a node answered to the request to upgrade.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub text: String,
}

impl Socket {
    /// Opens a WebSocket that must be let in.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address, &[]).unwrap()
    }

    /// Opens a WebSocket with further headers.
    pub fn try_open(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: leftoff.v1\r\n"
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let (head, rest) = head(&mut stream);
        if !head.starts_with("HTTP/1.1 101") {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            let mut text = rest;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse::<usize>().ok());
            let mut more = vec![0; length.unwrap_or(0).saturating_sub(text.len())];
            let _ = stream.read_exact(&mut more);
            text.extend(more);
            return Err(Refused { status, text: format!("{head}{}", String::from_utf8_lossy(&text)) });
        }
        assert!(head.to_lowercase().contains("sec-websocket-protocol: leftoff.v1"), "{head}");
        let config = WebSocketConfig::default();
        let inner = WebSocket::from_partially_read(stream, rest, tungstenite::protocol::Role::Client, Some(config));
        Ok(Self { inner })
    }

    /// Opens a WebSocket, follows profiles, and answers it with its welcome.
    #[track_caller]
    pub fn follow(address: SocketAddr, profiles: &[&str]) -> (Self, Value) {
        let mut socket = Self::open(address);
        let welcome = socket.hello(json!({"device_id": "d", "profiles": profiles}));
        (socket, welcome)
    }

    /// Says hello, and answers the welcome.
    #[track_caller]
    pub fn hello(&mut self, mut hello: Value) -> Value {
        hello["type"] = json!("hello");
        self.send(&hello);
        self.expect("welcome")
    }

    pub fn send(&mut self, message: &Value) {
        self.inner.send(Message::text(message.to_string())).unwrap();
    }

    /// Sends events, and answers the id that they were sent with.
    pub fn report(&mut self, id: u64, events: &[Value]) {
        self.send(&json!({"type": "events", "id": id, "events": events}));
    }

    /// The next message of the node other than of presence, which comes and goes by itself.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        loop {
            let message = self.next_of_any();
            if message["type"] != "presence" {
                return message;
            }
        }
    }

    /// Waits until the node says of a profile's devices what is wanted; everything else is skipped.
    #[track_caller]
    pub fn wait_for_presence(&mut self, profile: &str, wanted: &Value) {
        loop {
            let message = self.next_of_any();
            if message["type"] == "presence" && message["profile_id"] == profile && message["devices"] == *wanted {
                return;
            }
        }
    }

    /// Waits until the node says of a party what is wanted; everything else is skipped.
    #[track_caller]
    pub fn wait_for_party(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..1_000 {
            let message = self.next_of_any();
            if message["type"] == "party" {
                if wanted(&message) {
                    return message;
                }
                last = message;
            }
        }
        panic!("{what}: {last}")
    }

    /// The next message of the node, whatever it is.
    #[track_caller]
    pub fn next_of_any(&mut self) -> Value {
        let begun = leftoff::time::system::monotonic_now();
        loop {
            // Pings of the node are no answer.
            assert!(leftoff::time::system::monotonic_now().saturating_since(begun) < 2 * DEADLINE, "the node has nothing to say");
            match self.inner.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    /// The next message, which must be of this type.
    #[track_caller]
    pub fn expect(&mut self, kind: &str) -> Value {
        let message = self.next();
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// The code and the close code that the node says goodbye with; what comes before is skipped.
    #[track_caller]
    pub fn goodbye(&mut self) -> (Value, u16) {
        let mut bye = Value::Null;
        let begun = leftoff::time::system::monotonic_now();
        loop {
            assert!(leftoff::time::system::monotonic_now().saturating_since(begun) < 2 * DEADLINE, "the node does not say goodbye");
            match self.inner.read() {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] == "bye" {
                        bye = message;
                    }
                }
                Ok(Message::Close(frame)) => return (bye, frame.map_or(CloseCode::Status, |frame| frame.code).into()),
                Ok(_) => {}
                Err(error) => panic!("closed without a word: {error}; {bye}"),
            }
        }
    }

    /// Asserts that the node has nothing to say: a pong comes first.
    #[track_caller]
    pub fn assert_silent(&mut self) {
        self.send(&json!({"type": "ping", "id": "silent?"}));
        let answer = self.next();
        assert_eq!((&answer["type"], &answer["id"]), (&json!("pong"), &json!("silent?")), "{answer}");
    }

    pub fn set_patience(&self, patience: Duration) {
        self.inner.get_ref().set_read_timeout(Some(patience)).unwrap();
    }
}

fn head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), rest);
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed before an answer: {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..count]);
    }
}
