//! Everything there is at one moment: what checkers look at.

use std::collections::BTreeSet;

use leftoff::progress::ProfileId;
use leftoff::replica::Core;
use leftoff::store::ReplicaId;
use leftoff::sync::LinkFigures;
use leftoff::time::Hlc;

use super::clock::true_wall;
use super::conn::Conns;
use super::host::{Host, Kind};
use super::queue::{Micros, Queue};
use crate::observation::{HostId, View, VirtualTime};

/// Hosts, connections, the time.
pub(super) struct Stage {
    pub(super) queue: Queue,
    pub(super) hosts: Vec<Host>,
    pub(super) conns: Conns,
    pub(super) nodes: usize,
    /// The identities that nodes have, or have had.
    pub(super) node_ids: BTreeSet<ReplicaId>,
}

impl Stage {
    pub(super) const fn now(&self) -> Micros {
        self.queue.now()
    }

    pub(super) const fn at(&self) -> VirtualTime {
        VirtualTime::from_micros(self.queue.now())
    }

    fn host(&self, host: HostId) -> Option<&Host> {
        self.hosts.get(host.0 as usize)
    }
}

impl View for Stage {
    fn hosts(&self) -> Vec<HostId> {
        (0..self.hosts.len() as u32).map(HostId).collect()
    }

    fn name(&self, host: HostId) -> String {
        self.host(host).map(|host| host.name.clone()).unwrap_or_default()
    }

    fn is_node(&self, host: HostId) -> bool {
        self.host(host).is_some_and(Host::is_node)
    }

    fn is_up(&self, host: HostId) -> bool {
        self.host(host).is_some_and(Host::is_up)
    }

    fn core(&self, host: HostId) -> Option<&Core> {
        self.host(host)?.core.as_deref()
    }

    fn holds(&self, host: HostId, profile: &ProfileId) -> bool {
        self.host(host).is_some_and(|host| match &host.kind {
            Kind::Node => true,
            Kind::Device { profile: own, .. } => own == profile,
        })
    }

    fn clock_error_ms(&self, host: HostId) -> i64 {
        self.host(host).map_or(0, |host| host.clock.error_ms(self.now()))
    }

    fn true_stamp(&self) -> Hlc {
        Hlc::from_wall(true_wall(self.now()))
    }

    fn is_hostile(&self, host: HostId) -> bool {
        self.host(host).is_some_and(|host| host.hostile)
    }

    fn links(&self, host: HostId) -> Vec<LinkFigures> {
        let Some(found) = self.host(host) else { return Vec::new() };
        let Some(core) = found.core.as_deref() else { return Vec::new() };
        let conns = found.links.iter().filter_map(|index| self.conns.get(*index));
        let sides = conns.flat_map(|conn| conn.sides.iter()).filter(|side| side.host == host.0 as usize);
        sides.filter_map(|side| Some(side.link.as_ref()?.figures(core))).collect()
    }
}
