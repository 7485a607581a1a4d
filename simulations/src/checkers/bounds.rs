//! Every queue and table within its bound, on every host and every link.

use leftoff::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX, LOG_FRAME_BYTES_MAX};

use super::{Checker, Kinds, Violation};
use crate::observation::{HostId, Observation, View, VirtualTime};

/// A host's figures are looked at once in so many frames that are sent.
const EVERY: u32 = 256;

/// Keys that wait to be offered again on one link: `docs/protocol.md`.
const WAITING_OUT_MAX: usize = 16_384;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Bounds {
    turn: u32,
}

impl Bounds {
    fn look(at: VirtualTime, host: HostId, view: &dyn View, found: &mut Vec<Violation>) {
        let Some(core) = view.core(host) else { return };
        let (figures, options) = (core.store().figures(), core.store().options());
        // What was admitted at the same moment may exceed a bound by so much: a batch each of clients and peers, and what then waits for the log.
        let admitted = LOG_FRAME_BYTES_MAX;
        let pending_max = options.pending_bytes_max + admitted;
        let mut fills = vec![
            ("the buffer before the log", figures.pending_bytes, pending_max),
            // An entry of the table costs at most twice its bytes in the buffer.
            ("the table of changed registers", figures.table_bytes, options.table_bytes_max + 2 * pending_max),
            ("the ring of changes", figures.ring_count, options.ring_count_max),
            // Each of the 256 shards rounds up.
            ("the playheads", core.playheads_count(), core.options().playheads_count_max + 256),
        ];
        for figures in view.links(host) {
            fills.push(("the bytes in flight on a link", figures.in_flight_bytes, IN_FLIGHT_BYTES_MAX + FRAME_BYTES_MAX));
            fills.push(("the keys to be offered again on a link", figures.waiting_out, WAITING_OUT_MAX));
        }
        for (what, fill, bound) in fills {
            if fill > bound {
                let what = format!("{what} is at {fill}, its bound is {bound}");
                found.push(Violation { checker: "within-bounds", at, host: Some(host), what });
            }
        }
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
        Kinds::FRAME_SENT.and(Kinds::LIVES)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Started { host, .. } => Self::look(at, *host, view, found),
            Observation::FrameSent { host, bytes, .. } => {
                if *bytes > FRAME_BYTES_MAX {
                    let what = format!("a frame of {bytes} bytes was sent, at most {FRAME_BYTES_MAX} may be");
                    found.push(Violation { checker: self.name(), at, host: Some(*host), what });
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
    use leftoff::progress::EventKind;
    use leftoff::sync::LinkFigures;

    use crate::checkers::testing::Hosts;
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
    fn a_full_host_is_within_its_bounds() {
        let mut hosts = Hosts::nodes(1);
        for profile in 0..300 {
            hosts.watch(0, &format!("profile {profile}"), EventKind::Play, 100);
        }
        assert!(hosts.rest().is_empty(), "{:?}", hosts.violations());
    }
}
