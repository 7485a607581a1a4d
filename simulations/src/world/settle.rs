//! After everything is healed: until all who are entitled to it hold the same, or the time is over.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use leftoff::progress::{ProfileId, TitleId};
use leftoff::store::KeyRange;

use super::World;
use super::host::{Host, Kind};
use super::queue::{Event, Micros};
use crate::scenario::{Fault, FaultKind};

/// How often it is looked whether all is equal, at first.
const LOOK_US: Micros = 500_000;

impl World<'_> {
    /// Runs until all replicas are equal and nobody waits to be heard.
    pub(super) fn settle(&mut self) {
        let end = self.duration + super::micros(self.scenario.settle + self.ahead());
        let mut pause = LOOK_US;
        loop {
            let until = (self.stage.now() + pause).min(end);
            while let Some(event) = self.stage.queue.pop(until) {
                // Viewers have gone to bed.
                if !matches!(event, Event::Viewer(_)) {
                    self.happen(event);
                }
            }
            self.stage.queue.advance(until);
            let unsettled = self.unsettled();
            if unsettled.is_none() || until >= end {
                self.settled = unsettled.is_none();
                self.unsettled = unsettled;
                break;
            }
            pause = (pause + pause / 8).min(60_000_000);
        }
        self.watch.measure.sample(&self.stage);
        self.watch.measure.divergence.look(&self.stage);
        self.watch.at_rest(&self.stage, self.settled);
    }

    /// How far any clock can have been ahead. What was stamped by it is refused until it is due: only then can all be equal. Faults of one clock
    /// add up while they last together.
    fn ahead(&self) -> Duration {
        let ahead = |fault: &Fault| match fault.kind {
            FaultKind::Clock { offset_ms, drift_ppm, frozen, .. } => {
                let drift_ppm = if frozen { 0 } else { drift_ppm };
                let crept_ms = fault.lasts.as_millis() as i64 / 1_000_000 * drift_ppm
                    + fault.lasts.as_millis() as i64 % 1_000_000 * drift_ppm / 1_000_000;
                Duration::from_millis(offset_ms.max(0).saturating_add(crept_ms.max(0)).unsigned_abs())
            }
            _ => Duration::ZERO,
        };
        let most = self.scenario.faults.iter().map(ahead).sum::<Duration>();
        if most > Duration::from_millis(self.scenario.replicas.drift_ms_max) { most } else { Duration::ZERO }
    }

    /// What is still unequal, or who still waits, if anything and anybody: the first that is found.
    fn unsettled(&self) -> Option<String> {
        let hosts = &self.stage.hosts;
        if let Some(host) = hosts.iter().find(|host| !host.is_up() || host.syncing || !host.waiting.is_empty()) {
            return Some(format!("{} is not up, or still syncs", host.name));
        }
        if let Some(viewer) = self.audience.viewers.iter().position(|viewer| !viewer.held.is_empty()) {
            return Some(format!("viewer {viewer} still holds reports"));
        }
        let nodes = &hosts[..self.stage.nodes];
        let first = nodes.first()?;
        let sum = |host: &Host| {
            let core = host.core.as_deref()?;
            core.store().fingerprints().ok().map(|fingerprints| fingerprints.over_range(KeyRange::ALL))
        };
        let tombstones = |host: &Host| host.core.as_deref().map(|core| core.store().tombstones().into_iter().collect::<BTreeMap<_, _>>());
        let (first_sum, first_tombstones) = (sum(first), tombstones(first));
        if let Some(node) = nodes.iter().find(|node| sum(node) != first_sum || tombstones(node) != first_tombstones) {
            return Some(format!("{} and {} do not hold the same: {:?} and {:?}", first.name, node.name, first_sum, sum(node)));
        }
        let unlevel = hosts.iter().filter(|host| !host.hostile).find(|host| match &host.kind {
            Kind::Node => false,
            Kind::Device { profile, .. } => !is_level(first, host, profile),
        });
        unlevel.map(|device| {
            let unshared = device.core.as_deref().map_or(0, |core| core.store().figures().unshared_count);
            format!("{} does not hold of its profile what {} holds; {unshared} registers are not shared", device.name, first.name)
        })
    }

    /// Registers that the first node holds.
    pub(super) fn registers(&self) -> u64 {
        let mut count = 0;
        if let Some(core) = self.stage.hosts.first().and_then(|host| host.core.as_deref()) {
            // What cannot be read is not counted.
            let _ = core.store().scan(KeyRange::ALL, &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            });
        }
        count
    }
}

/// Whether a device holds of its profile what a node holds, and nothing of its own beside it.
fn is_level(node: &Host, device: &Host, profile: &ProfileId) -> bool {
    let (Some(node), Some(device)) = (node.core.as_deref(), device.core.as_deref()) else { return false };
    let registers = |core: &leftoff::replica::Core| -> Option<BTreeMap<TitleId, leftoff::progress::Progress>> {
        let stored = core.store().profile(profile).ok()?;
        Some(stored.profile.registers.into_iter().collect())
    };
    // An erasure that it refused while its clock was wrong is offered again within minutes.
    let erased = |core: &leftoff::replica::Core| core.store().erased(profile);
    device.store().figures().unshared_count == 0 && registers(node) == registers(device) && erased(node) == erased(device)
}
