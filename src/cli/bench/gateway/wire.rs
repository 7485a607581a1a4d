//! The load client's end of a WebSocket (RFC 6455): just enough of it to cost little beside the node that is measured.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::cli::bench::BenchError;
use crate::cli::bench::generator::mixed;

const PATIENCE: Duration = Duration::from_secs(30);
/// What a node may say before it has said that the socket is open.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The masking bit, and the bit of a frame that is a whole message.
const MASKED: u8 = 0x80;
const WHOLE: u8 = 0x80;
/// Lengths that do not fit the first two bytes follow them, in so many.
const TWO_BYTES: u8 = 0x7E;
const EIGHT_BYTES: u8 = 0x7F;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// One WebSocket, open. It is read and written without waiting.
pub(super) struct Wire {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come yet.
    unfinished: Vec<u8>,
    to_send: Vec<u8>,
    frames: u64,
}

impl Wire {
    /// Opens a WebSocket and says the first thing on it; waits until the node has let it in.
    pub(super) fn open(address: &str, first: &str) -> Result<Self, BenchError> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /v1/ws HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: bGVmdG9mZi1iZW5jaC0wMQ==\r\nsec-websocket-protocol: leftoff.v1\r\n\r\n"
        )?;
        let mut said = Vec::new();
        let mut buffer = [0; 4 << 10];
        let head = loop {
            let count = stream.read(&mut buffer)?;
            said.extend_from_slice(&buffer[..count]);
            if let Some(end) = said.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            if count == 0 || said.len() > HEAD_BYTES_MAX {
                return Err(format!("the node opens no WebSocket: {}", String::from_utf8_lossy(&said)).into());
            }
        };
        if !said.starts_with(b"HTTP/1.1 101") {
            return Err(format!("the node opens no WebSocket: {}", String::from_utf8_lossy(&said)).into());
        }
        stream.set_nonblocking(true)?;
        let unfinished = said.split_off(head);
        let mut wire = Self { stream: TcpStream::from_std(stream), unfinished, to_send: Vec::new(), frames: 0 };
        wire.queue(first.as_bytes());
        wire.send()?;
        Ok(wire)
    }

    /// Has events of this socket told under a token.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Result<(), BenchError> {
        Ok(self.stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)?)
    }

    /// Puts a text behind what is to be sent.
    pub(super) fn queue(&mut self, text: &[u8]) {
        self.frame(TEXT, text);
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.frames += 1;
        let mask = (mixed(self.frames) as u32).to_le_bytes();
        self.to_send.push(WHOLE | opcode);
        match payload.len() {
            length @ 0..126 => self.to_send.push(MASKED | length as u8),
            length @ 126..0x1_0000 => {
                self.to_send.push(MASKED | TWO_BYTES);
                self.to_send.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                self.to_send.push(MASKED | EIGHT_BYTES);
                self.to_send.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        self.to_send.extend_from_slice(&mask);
        let begun = self.to_send.len();
        self.to_send.extend_from_slice(payload);
        for four in self.to_send[begun..].chunks_mut(4) {
            for (byte, mask) in four.iter_mut().zip(mask) {
                *byte ^= mask;
            }
        }
    }

    /// Sends what is to be sent, in one go, as far as the system takes it.
    pub(super) fn send(&mut self) -> Result<(), BenchError> {
        while !self.to_send.is_empty() {
            match self.stream.write(&self.to_send) {
                Ok(0) => return Err("the node closed a socket".into()),
                Ok(count) => drop(self.to_send.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there and shows each text to `heard`.
    pub(super) fn receive(&mut self, buffer: &mut [u8], mut heard: impl FnMut(&[u8]) -> Result<(), BenchError>) -> Result<(), BenchError> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err("the node closed a socket".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if self.unfinished.is_empty() {
                let taken = self.take(&buffer[..count], &mut heard)?;
                self.unfinished.extend_from_slice(&buffer[taken..count]);
            } else {
                let mut bytes = std::mem::take(&mut self.unfinished);
                bytes.extend_from_slice(&buffer[..count]);
                let taken = self.take(&bytes, &mut heard)?;
                bytes.drain(..taken);
                self.unfinished = bytes;
            }
            // With less than was asked for, there is no more; what comes later is told anew.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Takes the whole frames; answers how many bytes they had.
    fn take(&mut self, bytes: &[u8], heard: &mut impl FnMut(&[u8]) -> Result<(), BenchError>) -> Result<usize, BenchError> {
        let mut taken = 0;
        while let Some((opcode, payload, end)) = frame_of(&bytes[taken..]) {
            let payload = &bytes[taken + payload..taken + end];
            match opcode {
                TEXT => heard(payload)?,
                PING => {
                    self.frame(PONG, payload);
                    self.send()?;
                }
                CLOSE => return Err(format!("the node closed a socket: {}", String::from_utf8_lossy(payload)).into()),
                _ => {}
            }
            taken += end;
        }
        Ok(taken)
    }
}

/// The first frame, if it is there: its opcode, where its payload begins, and where it ends. What a node sends is not masked.
fn frame_of(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (begin, length) = match second & !MASKED {
        TWO_BYTES => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        EIGHT_BYTES => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    let end = usize::try_from(length).ok()?.checked_add(begin)?;
    (bytes.len() >= end).then_some((first & 0xF, begin, end))
}
