//! Connections between hosts, and the links over them.

use leftoff::store::ReplicaId;
use leftoff::sync::Link;
use leftoff::sync::message::Role;

use super::queue::Micros;
use super::wire::Wire;
use crate::observation::LinkId;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) host: usize,
    /// The life of the host's process that it belongs to.
    pub(super) life: u32,
    /// None before the handshake and after the end.
    pub(super) link: Option<Link>,
    /// When the link wants to be called: what it last said.
    pub(super) timer: Option<Micros>,
    /// When it will be asked whether that is now: a moment is planned once, however often the link names others in between.
    pub(super) planned: Vec<Micros>,
    /// What of its host's flushes it has been polled after, and when it was.
    pub(super) polled: (u64, Micros),
    pub(super) busy_until: Option<Micros>,
    pub(super) began: Micros,
    pub(super) opened: bool,
    /// It has taken records that a flush is to acknowledge.
    pub(super) owes: bool,
    pub(super) role: Option<Role>,
    pub(super) peer: Option<ReplicaId>,
    pub(super) run: Option<u64>,
    /// Counts up whenever the peer is heard again after a silence, so that a deadline set before means nothing.
    pub(super) silence: u16,
}

impl Side {
    pub(super) const fn new(host: usize, life: u32) -> Self {
        let (link, timer, busy_until, role, peer, run) = (None, None, None, None, None, None);
        Self {
            host,
            life,
            link,
            timer,
            planned: Vec::new(),
            polled: (0, 0),
            busy_until,
            began: 0,
            opened: false,
            owes: false,
            role,
            peer,
            run,
            silence: 0,
        }
    }
}

/// A connection: the first side dialed. `wires[s]` carries what side `s` writes.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: LinkId,
    pub(super) generation: u32,
    pub(super) sides: [Side; 2],
    pub(super) wires: [Wire; 2],
    /// The dialer of the first side that it belongs to.
    pub(super) dialer: usize,
    pub(super) established: bool,
    /// Bytes and frames that each side sent.
    pub(super) sent: [(u64, u64); 2],
}

/// All connections, by number. A number is used again; the generation tells which connection was meant.
#[derive(Debug, Default)]
pub(super) struct Conns {
    slots: Vec<(u32, Option<Box<Conn>>)>,
    free: Vec<u32>,
    begun: u64,
}

impl Conns {
    /// Enters a connection; its number and generation.
    pub(super) fn insert(&mut self, make: impl FnOnce(LinkId, u32) -> Conn) -> (u32, u32) {
        self.begun += 1;
        let id = LinkId(self.begun);
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.0 = slot.0.wrapping_add(1);
        slot.1 = Some(Box::new(make(id, slot.0)));
        (index, slot.0)
    }

    /// Takes a connection out to work on it; it is to be put back or freed.
    pub(super) fn take(&mut self, index: u32, generation: u32) -> Option<Box<Conn>> {
        let slot = self.slots.get_mut(index as usize)?;
        if slot.0 == generation { slot.1.take() } else { None }
    }

    /// The same whatever its generation.
    pub(super) fn take_any(&mut self, index: u32) -> Option<Box<Conn>> {
        self.slots.get_mut(index as usize)?.1.take()
    }

    pub(super) fn put_back(&mut self, index: u32, conn: Box<Conn>) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.1 = Some(conn);
        }
    }

    pub(super) fn free(&mut self, index: u32) {
        self.free.push(index);
    }

    pub(super) fn get(&self, index: u32) -> Option<&Conn> {
        self.slots.get(index as usize)?.1.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Conn> {
        self.slots.get_mut(index as usize)?.1.as_deref_mut()
    }

    /// All that exist, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Conn)> {
        self.slots.iter().enumerate().filter_map(|(index, (_, conn))| Some((index as u32, conn.as_deref()?)))
    }

    /// The numbers of all that exist.
    pub(super) fn indexes(&self) -> Vec<u32> {
        self.iter().map(|(index, _)| index).collect()
    }
}
