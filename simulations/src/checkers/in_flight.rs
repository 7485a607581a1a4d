//! What is on its way on each link and not acknowledged, told from the frames that are seen and not asked of those who count it.

use std::collections::VecDeque;

use leftoff::progress::codec::Reader;
use leftoff::sync::frame::FrameType;

use super::mix::Map;
use crate::observation::{HostId, LinkId, Observation, Stop, Traffic};

/// One side's frames of records that the other has not acknowledged, oldest first: their numbers on the link, and their bytes.
#[derive(Debug, Default)]
struct Way {
    sent: u64,
    bytes: usize,
    frames: VecDeque<(u64, usize)>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct InFlight {
    /// By link, and the side that sends.
    ways: Map<(LinkId, HostId), Way>,
}

impl InFlight {
    /// Takes note of what is sent, acknowledged and broken off. Of records that are sent: by whom, and the bytes and frames that are on their way with
    /// them.
    pub fn note(&mut self, seen: &Observation<'_>) -> Option<(HostId, usize, usize)> {
        match seen {
            Observation::FrameSent { link, host, traffic: Traffic::Records, bytes, .. } => {
                let way = self.ways.entry((*link, *host)).or_default();
                way.sent += 1;
                way.bytes += bytes;
                way.frames.push_back((way.sent, *bytes));
                return Some((*host, way.bytes, way.frames.len()));
            }
            Observation::FrameArrived { link, host, number, body, .. } if *number == FrameType::Ack as u8 => {
                let Ok(up_to) = Reader::new(body).varint("up to") else { return None };
                let way = self.ways.get_mut(&(*link, *host))?;
                while let Some((number, bytes)) = way.frames.front().copied()
                    && number <= up_to
                {
                    way.bytes -= bytes;
                    way.frames.pop_front();
                }
            }
            Observation::LinkEnded { link, host, .. } => _ = self.ways.remove(&(*link, *host)),
            Observation::Stopped { host, how: Stop::Graceful | Stop::Crash } => self.ways.retain(|(_, sender), _| sender != host),
            _ => {}
        }
        None
    }
}
