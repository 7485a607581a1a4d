//! Every queue and table within its bound, on every host and every link.
//!
//! Looked at when it is fullest: a buffer, the table and the ring before each group is written, what is in flight with each frame. What is in flight is
//! counted here from the frames that are seen.

use leftoff::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX, LOG_FRAME_BYTES_MAX, RECORD_BYTES_MAX};

use super::in_flight::InFlight;
use super::mix::Map;
use super::{Checker, Kinds, Violation};
use crate::observation::{HostId, Observation, View, VirtualTime};

/// What locks much, or goes over all links, is looked at once in so many frames that are sent.
const EVERY: u32 = 256;

/// Keys that wait to be offered again on one link: `docs/protocol.md`.
const WAITING_OUT_MAX: usize = 16_384;

/// Frames of records that are not acknowledged, on one link, and the records of what one step adds while there is room for one: the same document.
const IN_FLIGHT_FRAMES_MAX: usize = 256;
const STEP_BYTES_MAX: usize = (256 << 10) + RECORD_BYTES_MAX;
/// The heads of the two frames that a step may be.
const HEADS_BYTES_MAX: usize = 128;

/// A short record costs at most so many times its bytes in the log as an entry of the table.
const ENTRY_TIMES: usize = 3;

/// What has gone into the table of a host since nothing more was to be taken.
#[derive(Clone, Copy, Debug, Default)]
struct Groups {
    /// The bytes of the last group that was written, and of the one before it.
    last: usize,
    before: usize,
    /// The table has been within its bound since the host started: what a log holds is taken in first, whatever it is.
    was_within: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Bounds {
    turn: u32,
    in_flight: InFlight,
    groups: Map<HostId, Groups>,
}

type Fill = (&'static str, usize, usize);

impl Bounds {
    fn judge(at: VirtualTime, host: HostId, fills: &[Fill], found: &mut Vec<Violation>) {
        for (what, fill, bound) in fills.iter().filter(|(_, fill, bound)| fill > bound) {
            let what = format!("{what} is at {fill}, its bound is {bound}");
            found.push(Violation { checker: "within-bounds", at, host: Some(host), what });
        }
    }

    /// A group is about to be written.
    fn flushing(&mut self, at: VirtualTime, host: HostId, view: &dyn View, found: &mut Vec<Violation>) {
        let Some(core) = view.core(host) else { return };
        let (fill, options) = (core.store().fill(), core.store().options());
        let groups = self.groups.entry(host).or_default();
        // Nothing is asked for room twice: what is taken while there is some may exceed it, by a peer's frame at most. A device's own work is no peer's:
        // what it has kept apart is shared whole.
        let (taken, table_max) = if view.is_node(host) {
            // Nor while the table has room: the group that is written then, and the one that gathers, come on top of it.
            (FRAME_BYTES_MAX, options.table_bytes_max + ENTRY_TIMES * (groups.last + groups.before))
        } else {
            (LOG_FRAME_BYTES_MAX, options.table_bytes_max + ENTRY_TIMES * (options.pending_bytes_max + LOG_FRAME_BYTES_MAX))
        };
        groups.was_within |= fill.table_bytes <= options.table_bytes_max;
        let table_max = if groups.was_within { table_max } else { usize::MAX };
        let fills = [
            ("the buffer before the log", fill.pending_bytes, options.pending_bytes_max + taken),
            ("the ring of changes", fill.ring_count, options.ring_count_max),
            ("the table of changed registers", fill.table_bytes, table_max),
        ];
        (groups.before, groups.last) = (groups.last, fill.pending_bytes);
        Self::judge(at, host, &fills, found);
    }

    fn look(at: VirtualTime, host: HostId, view: &dyn View, found: &mut Vec<Violation>) {
        let Some(core) = view.core(host) else { return };
        let links = view.links(host);
        let waiting = links.iter().map(|figures| figures.waiting_out).max().unwrap_or_default();
        let in_flight = links.iter().map(|figures| figures.in_flight_bytes).max().unwrap_or_default();
        let fills = [
            ("the keys to be offered again on a link", waiting, WAITING_OUT_MAX),
            ("the bytes in flight on a link, by its own account,", in_flight, IN_FLIGHT_BYTES_MAX + STEP_BYTES_MAX + HEADS_BYTES_MAX),
            // Each of the 256 shards rounds up.
            ("the playheads", core.playheads_count(), core.options().playheads_count_max + 256),
        ];
        Self::judge(at, host, &fills, found);
    }
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "within-bounds"
    }

    fn about(&self) -> &'static str {
        "tables, buffers, rings, playheads, frames and what is in flight stay within their bounds"
    }

    fn wants(&self) -> Kinds {
        Kinds::FRAME_SENT.and(Kinds::FRAME_ARRIVED).and(Kinds::LINKS).and(Kinds::LIVES).and(Kinds::FLUSHING)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        if let Some((host, bytes, frames)) = self.in_flight.note(seen) {
            let bytes = ("the bytes in flight on a link", bytes, IN_FLIGHT_BYTES_MAX + STEP_BYTES_MAX + HEADS_BYTES_MAX);
            Self::judge(at, host, &[bytes, ("the frames in flight on a link", frames, IN_FLIGHT_FRAMES_MAX)], found);
        }
        match seen {
            Observation::Started { host, .. } => {
                self.groups.remove(host);
                Self::look(at, *host, view, found);
            }
            Observation::Flushing { host } => self.flushing(at, *host, view, found),
            Observation::FrameSent { host, bytes, .. } => {
                if *bytes > FRAME_BYTES_MAX {
                    Self::judge(at, *host, &[("a frame that was sent", *bytes, FRAME_BYTES_MAX)], found);
                }
                self.turn = self.turn.wrapping_add(1);
                if self.turn.is_multiple_of(EVERY) {
                    Self::look(at, *host, view, found);
                }
            }
            _ => {}
        }
    }

    fn at_rest(&mut self, at: VirtualTime, _settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        view.hosts().into_iter().for_each(|host| Self::look(at, host, view, found));
    }
}

#[cfg(test)]
mod tests {
    use leftoff::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX};
    use leftoff::progress::{EventKind, Progress};
    use leftoff::replica::{Core, CoreOptions};
    use leftoff::store::{Batch, Epoch, Fresh, ReplicaId, Store, StoreOptions};
    use leftoff::sync::LinkFigures;
    use leftoff::sync::frame::FrameType;
    use leftoff::sync::message::Ack;
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, ids};
    use crate::observation::{HostId, LinkId, Observation, Traffic};

    fn sent(bytes: usize) -> Observation<'static> {
        Observation::FrameSent { link: LinkId(1), host: HostId(0), peer: HostId(1), traffic: Traffic::Records, bytes }
    }

    #[test]
    fn a_frame_beyond_its_bound_is_found() {
        let mut hosts = Hosts::nodes(2);
        hosts.see(&sent(FRAME_BYTES_MAX));
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
        hosts.see(&sent(FRAME_BYTES_MAX + 1));
        assert_eq!(hosts.found(), ["within-bounds"]);
    }

    #[test]
    fn a_link_with_more_in_flight_than_its_bound_is_found() {
        for (bytes, is_found) in [(IN_FLIGHT_BYTES_MAX, false), (2 * IN_FLIGHT_BYTES_MAX, true)] {
            let mut hosts = Hosts::nodes(2);
            hosts.links.insert(0, vec![LinkFigures { in_flight_bytes: bytes, ..LinkFigures::default() }]);
            assert_eq!(!hosts.rest().is_empty(), is_found);
        }
    }

    #[test]
    fn more_frames_or_bytes_on_their_way_than_a_link_may_have_are_found_and_acknowledged_ones_are_not_counted() {
        let step = (IN_FLIGHT_BYTES_MAX / 4, 4);
        for (bytes, at_once, is_found) in [(100, 256, false), (100, 257, true), (step.0, step.1, false), (step.0, step.1 + 1, true)] {
            let mut hosts = Hosts::nodes(2);
            let mut body = Vec::new();
            for round in 1..=2 {
                for _ in 0..at_once {
                    hosts.see(&sent(bytes));
                }
                body.clear();
                Ack { up_to: round * at_once, refused: Vec::new() }.encode(&mut body);
                let (link, number) = (LinkId(1), FrameType::Ack as u8);
                hosts.see(&Observation::FrameArrived { link, host: HostId(0), peer: HostId(1), number, body: &body });
            }
            assert_eq!(!hosts.violations().is_empty(), is_found, "{at_once} frames of {bytes} bytes: {:?}", hosts.violations());
        }
    }

    #[test]
    fn a_table_may_hold_what_was_taken_while_it_had_room_and_no_more() {
        for (asks, is_found) in [(true, false), (false, true)] {
            let mut hosts = Hosts::nodes(1);
            let mut options = StoreOptions::small();
            options.table_bytes_max = 4_096;
            let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(1) };
            hosts.cores.insert(0, Core::new(Store::in_memory(options, fresh), CoreOptions::default()));
            for number in 0..200 {
                let (profile, title) = ids(&format!("profile {number}"));
                let mut batch = Batch::local();
                batch.register(&profile, &title, &Progress::hiding(Hlc::ZERO, Hlc::from_wall(hosts.now)));
                if asks && hosts.cores[&0].store().admit(batch.bytes()).is_err() {
                    break;
                }
                hosts.cores[&0].store().append(batch).unwrap();
                hosts.see(&Observation::Flushing { host: HostId(0) });
                hosts.cores[&0].flush().unwrap();
            }
            hosts.see(&Observation::Flushing { host: HostId(0) });
            assert!(hosts.cores[&0].store().figures().table_bytes > 4_096, "it is full");
            assert_eq!(!hosts.violations().is_empty(), is_found, "{:?}", hosts.violations());
        }
    }

    #[test]
    fn a_full_host_is_within_its_bounds() {
        let mut hosts = Hosts::nodes(1);
        for profile in 0..300 {
            hosts.watch(0, &format!("profile {profile}"), EventKind::Play, 100);
        }
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }
}
