//! What a link does with answers, records and acknowledgements, and what it credits the peer with.

use super::{Link, LinkError, LinkEvent};
use crate::limits::REFUSED_PER_ACK_COUNT_MAX;
use crate::replica::{ApplyError, Core};
use crate::store::Applied;
use crate::sync::frame::FrameType;
use crate::sync::message::{Ack, Pong, Records, RefusalReason, Role, Says};
use crate::time::{MonotonicTime, WallTime};

impl Link {
    pub(super) fn take_pong(
        &mut self,
        now: WallTime,
        mono: MonotonicTime,
        core: &Core,
        pong: Pong,
        observe: &mut dyn FnMut(&Applied<'_>),
    ) -> Result<(), LinkError> {
        let comparison =
            self.clock.compare(core.corrected(now), mono, pong).ok_or(LinkError::OutOfOrder { number: FrameType::Pong as u8 })?;
        core.note_clock(now, mono);
        // Asked each time: the end of an earlier link, noticed after this one began, makes the device keep its work apart again; and the node's own
        // clock may have been wrong when they were last compared.
        let options = core.options();
        if core.keeps_apart() || (options.keeps_unshared && comparison.is_apart(options.drift_ms_max)) {
            let shared = core.share_unshared_observed(now, comparison.offset_ms, observe);
            let shared = shared.map_err(|error| LinkError::Share { reason: error.to_string() })?;
            self.push_event(LinkEvent::Shared { clock_offset_ms: shared });
        }
        self.may_send = true;
        self.clock.close(comparison);
        self.next_ping = mono + self.config.ping_interval;
        self.push_event(LinkEvent::ClockCompared(comparison));
        Ok(())
    }

    pub(super) fn take_records(&mut self, now: WallTime, core: &Core, records: &Records<'_>) -> Result<(), LinkError> {
        let Some(peer) = &self.peer else { return Ok(()) };
        let cursor = records.says.covers.map(|seq| peer.cursor(seq));
        let grant = self.narrow.as_ref().and_then(|narrow| narrow.grant.as_ref());
        self.inbox.handle(now, core, peer.id, records, cursor, grant).map_err(|error| match error {
            ApplyError::Append(error) => LinkError::Append(error),
            ApplyError::Read(error) => LinkError::Read(error),
            other => LinkError::Records(other),
        })?;
        if peer.role == Role::Node && self.config.role == Role::Node {
            let Says { made, own, .. } = records.says;
            let settled = !self.inbox.has_refused_for_later() && !self.still_owes_reconciliation();
            core.note_neighbour(peer.id, peer.lives.epoch(), own, made, self.inbox.last(), settled);
        }
        self.figures.records_in += u64::from(records.count);
        if self.filled_at.is_some_and(|seq| records.says.covers >= Some(seq)) && !self.inbox.has_refused_for_later() {
            self.note_repaired(core);
        }
        if self.inbox.is_flooded() { Err(LinkError::Flooded) } else { Ok(()) }
    }

    pub(super) fn take_ack(&mut self, mono: MonotonicTime, core: &Core, ack: Ack) -> Result<(), LinkError> {
        self.outbox.handle_ack(ack.up_to).map_err(|_| LinkError::OutOfOrder { number: FrameType::Ack as u8 })?;
        self.figures.refused_out += ack.refused.len() as u64;
        let lists_on = ack.refused.len() >= REFUSED_PER_ACK_COUNT_MAX;
        for refused in ack.refused {
            match refused.reason {
                #[cfg(leftoff_planted)]
                RefusalReason::AheadOfClock if crate::planted::is_on(crate::planted::Planted::RefusedNotOffered) => {}
                RefusalReason::AheadOfClock => self.outbox.offer_again(mono, refused),
                RefusalReason::Forbidden if self.config.role == Role::Device => {
                    self.push_event(LinkEvent::NotEntitled { profile: refused.profile });
                }
                RefusalReason::Forbidden | RefusalReason::OutOfBounds => {}
            }
        }
        self.outbox.note_listed(lists_on);
        self.credit(core);
        Ok(())
    }

    /// Tells the replica what a neighbour in the region has synced. Nothing while the neighbour lacks what it refused: its cursor covers that too.
    pub(super) fn credit(&self, core: &Core) {
        let Some(peer) = &self.peer else { return };
        if peer.role == Role::Node && peer.hello.region == self.config.region && !self.outbox.is_unsettled() {
            core.peer_synced(peer.id, self.outbox.synced_made());
        }
    }

    pub(super) fn settled(&mut self, mono: MonotonicTime, core: &Core, event: LinkEvent) {
        self.outbox.release(mono);
        self.figures.reconciled += 1;
        self.note_repaired(core);
        self.push_event(event);
    }

    /// Everything that the peer has is here. What was damaged is whole again, unless the peer is a device, which has a part of it only.
    fn note_repaired(&mut self, core: &Core) {
        if self.repairs && !self.is_from_device() {
            self.repairs = false;
            core.store().set_reconciled();
        }
    }
}
