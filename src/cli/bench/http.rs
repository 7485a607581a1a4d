//! A load client's end of HTTP/1.1: one connection, kept alive, that sends a body and reads the answer. It knows just enough to cost little
//! beside the node that it measures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::BenchError;

const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    token: Option<String>,
    head: Vec<u8>,
}

impl Connection {
    /// Connects to a node's gateway: `http://host:port`.
    pub(super) fn open(url: &str, token: Option<&str>) -> Result<Self, BenchError> {
        let host = url.strip_prefix("http://").ok_or_else(|| format!("'{url}' is not an http:// URL"))?.trim_end_matches('/');
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 << 10, stream),
            host: host.to_owned(),
            token: token.map(str::to_owned),
            head: Vec::new(),
        })
    }

    /// Sends a request and reads the answer: its status and its body.
    pub(super) fn request(&mut self, method: &str, path: &str, body: &[u8], answer: &mut Vec<u8>) -> Result<u16, BenchError> {
        self.head.clear();
        write!(self.head, "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.host, body.len())?;
        if let Some(token) = &self.token {
            write!(self.head, "authorization: Bearer {token}\r\n")?;
        }
        self.head.extend_from_slice(b"content-type: application/json\r\n\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(&self.head)?;
        stream.write_all(body)?;
        self.answer(answer)
    }

    fn answer(&mut self, answer: &mut Vec<u8>) -> Result<u16, BenchError> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("the node's answer is not HTTP")?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        if length > ANSWER_BYTES_MAX {
            return Err(format!("an answer of {length} bytes").into());
        }
        answer.clear();
        answer.resize(length, 0);
        self.stream.read_exact(answer)?;
        Ok(status)
    }
}
