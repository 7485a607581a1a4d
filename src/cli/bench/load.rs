//! Load over HTTP: events in batches, over several connections, at a steady rate or as fast as they are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use super::BenchError;
use super::generator::Evening;
use super::http::Connection;
use super::pace::{Pace, rest};
use crate::time::MonotonicTime;
use crate::time::system::{monotonic_now, wall_now};

/// What is sent where.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// The node's gateway.
    pub(super) url: String,
    /// A token, where the node wants one.
    pub(super) token: Option<String>,
    /// Events a second; zero: as fast as they are answered.
    pub(super) rate: f64,
    /// Events in a request.
    pub(super) batch: usize,
    /// Connections, each with one request under way.
    pub(super) connections: usize,
    /// For how long.
    pub(super) seconds: f64,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Sent {
    /// Events acknowledged.
    pub(super) acknowledged: u64,
    /// Requests that the node asked to repeat later.
    pub(super) refused: u64,
    /// From when a batch was due until it was acknowledged, in microseconds.
    pub(super) micros: Histogram<u64>,
    /// When the first batch was due.
    pub(super) begun: MonotonicTime,
    /// From the first batch to the last acknowledgement.
    pub(super) seconds: f64,
}

/// Who takes the next batch, and when it is due.
struct Source<'a> {
    evening: &'a mut Evening,
    pace: Pace,
    left: u64,
}

impl Source<'_> {
    /// Writes the next batch over `body` and answers when it is due; none: it was the last.
    fn next(&mut self, body: &mut Vec<u8>) -> Result<Option<MonotonicTime>, BenchError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let due = self.pace.next();
        body.clear();
        let now = wall_now();
        body.extend_from_slice(format!("{{\"sent_at_ms\":{},\"events\":", now.as_millis()).as_bytes());
        serde_json::to_writer(&mut *body, self.evening.batch(now))?;
        body.push(b'}');
        Ok(Some(due))
    }
}

impl Load {
    /// Sends the events of an evening.
    pub(super) fn send(&self, evening: &mut Evening) -> Result<Sent, BenchError> {
        let begun = monotonic_now();
        let batches = if self.rate > 0.0 { (self.rate * self.seconds / self.batch as f64).ceil() as u64 } else { u64::MAX };
        let source = Mutex::new(Source { evening, pace: Pace::new(self.rate, self.batch), left: batches });
        let (acknowledged, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let micros = Mutex::new(Histogram::new_with_bounds(1, 600_000_000, 3)?);
        std::thread::scope(|scope| -> Result<(), BenchError> {
            let one = || -> Result<(), BenchError> {
                let mut connection = Connection::open(&self.url, self.token.as_deref())?;
                let (mut body, mut answer) = (Vec::new(), Vec::new());
                while monotonic_now().saturating_since(begun).as_secs_f64() < self.seconds {
                    let Some(due) = source.lock().unwrap_or_else(PoisonError::into_inner).next(&mut body)? else { break };
                    loop {
                        let status = connection.request("POST", "/v1/events", &body, &mut answer)?;
                        if status == 200 {
                            break;
                        }
                        if status != 429 && status != 503 {
                            return Err(format!("the node answered {status}: {}", String::from_utf8_lossy(&answer)).into());
                        }
                        refused.fetch_add(1, Ordering::Relaxed);
                        rest(Duration::from_millis(20));
                    }
                    acknowledged.fetch_add(accepted(&answer)?, Ordering::Relaxed);
                    let took = monotonic_now().saturating_since(due).as_micros() as u64;
                    micros.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took);
                }
                Ok(())
            };
            let threads: Vec<_> = (0..self.connections).map(|_| scope.spawn(one)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a connection of the load ended in a panic")?)
        })?;
        let micros = micros.into_inner().unwrap_or_else(PoisonError::into_inner);
        let seconds = monotonic_now().saturating_since(begun).as_secs_f64();
        Ok(Sent { acknowledged: acknowledged.into_inner(), refused: refused.into_inner(), micros, begun, seconds })
    }
}

/// How many events a node's answer says were accepted.
fn accepted(answer: &[u8]) -> Result<u64, BenchError> {
    // The first field; the rest of the answer is not worth a load client's time.
    let start = answer.get(..64.min(answer.len())).unwrap_or_default();
    let digits: Option<String> = std::str::from_utf8(start).ok().and_then(|text| {
        let (_, rest) = text.split_once("\"accepted\":")?;
        Some(rest.chars().take_while(char::is_ascii_digit).collect())
    });
    if let Some(count) = digits.and_then(|digits| digits.parse().ok()) {
        return Ok(count);
    }
    let whole: Value = serde_json::from_slice(answer)?;
    whole["accepted"].as_u64().ok_or_else(|| "the node's answer does not say how many events it accepted".into())
}
