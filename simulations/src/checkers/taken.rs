//! Frames of records that hosts took and have not answered for, each with what the taker's clock showed: what an answer says of a record can be held
//! against the record.

use std::collections::VecDeque;
use std::rc::Rc;

use leftoff::limits::REFUSED_PER_ACK_COUNT_MAX;
use leftoff::progress::codec::Reader;
use leftoff::progress::{ProfileId, TitleId};
use leftoff::store::Record;
use leftoff::sync::frame::FrameType;
use leftoff::sync::message::Records;
use leftoff::time::WallTime;

use super::clocks;
use super::mix::Map;
use crate::observation::{HostId, LinkId, Observation, Stop, View};

/// A frame as it arrived.
#[derive(Debug)]
struct Frame {
    /// Counted from 1 on its link, as its answer counts it.
    number: u64,
    /// What the taker's clock showed.
    at: WallTime,
    body: Rc<[u8]>,
}

#[derive(Debug, Default)]
struct Way {
    arrived: u64,
    frames: VecDeque<Frame>,
}

/// See the module's head. Kept as bytes, and read only when something is said of them: records are many, and refusals few.
#[derive(Debug, Default)]
pub struct Taken {
    /// By link, and the side that takes.
    ways: Map<(LinkId, HostId), Way>,
}

impl Taken {
    /// Takes note of frames that arrive, of what is answered for, and of links that end.
    pub fn note(&mut self, seen: &Observation<'_>, view: &dyn View) {
        match seen {
            Observation::FrameArrived { link, host, number, body, .. } if *number == FrameType::Records as u8 => {
                let way = self.ways.entry((*link, *host)).or_default();
                way.arrived += 1;
                let before = way.frames.back().filter(|before| *before.body == **body);
                let body = before.map_or_else(|| Rc::from(*body), |before| Rc::clone(&before.body));
                way.frames.push_back(Frame { number: way.arrived, at: clocks::reading(view, *host), body });
            }
            Observation::FrameArrived { link, peer, number, body, .. } if *number == FrameType::Ack as u8 => {
                let Some(way) = self.ways.get_mut(&(*link, *peer)) else { return };
                let mut reader = Reader::new(body);
                let (Ok(up_to), Ok(listed)) = (reader.varint("up to"), reader.varint("refused")) else { return };
                // With so many, more of the same frames may be listed in the next.
                if listed < REFUSED_PER_ACK_COUNT_MAX as u64 {
                    while way.frames.front().is_some_and(|frame| frame.number <= up_to) {
                        way.frames.pop_front();
                    }
                }
            }
            Observation::PutOff { link, host } => {
                if let Some(way) = self.ways.get_mut(&(*link, *host)) {
                    way.arrived -= usize::from(way.frames.pop_back().is_some()) as u64;
                }
            }
            Observation::LinkEnded { link, host, .. } => _ = self.ways.remove(&(*link, *host)),
            Observation::Stopped { host, how: Stop::Graceful | Stop::Crash } => self.ways.retain(|(_, taker), _| taker != host),
            _ => {}
        }
    }

    /// The records of a key, a title's register or an erasure, that were taken and not answered for, each with what the taker's clock showed then.
    pub fn of(&self, link: LinkId, host: HostId, profile: &ProfileId, title: Option<&TitleId>) -> Vec<(WallTime, Record)> {
        let mut found = Vec::new();
        for frame in self.ways.get(&(link, host)).into_iter().flat_map(|way| &way.frames) {
            let Ok(records) = Records::decode(&frame.body) else { continue };
            let mut reader = Reader::new(records.bytes);
            while !reader.is_empty()
                && let Ok(record) = Record::decode(&mut reader)
            {
                let of = match &record {
                    Record::Register { title, .. } => Some(title),
                    Record::Erased { .. } => None,
                };
                if record.profile() == profile && of == title {
                    found.push((frame.at, record));
                }
            }
        }
        found
    }
}
