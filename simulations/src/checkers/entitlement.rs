//! No byte of a profile at a host that is not entitled to it: not in its store, and not in a frame that reaches it.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use leftoff::progress::ProfileId;
use leftoff::progress::codec::put_id;
use leftoff::store::KeyRange;

use super::mix::{Map, Mix};
use super::{Checker, Kinds, Violation};
use crate::observation::{HostId, Observation, View, VirtualTime};
use crate::scenario::Scenario;

/// Bytes of an encoded id by which it is looked for in a frame, before all of it is compared.
const WINDOW: usize = 5;

/// An encoded id, and whose it is.
type Needle = (Box<[u8]>, ProfileId);

/// See the module's head.
///
/// Profile ids are looked for in frame bodies as the codec writes them (a length and the text, or the bytes of a UUID), whatever the type of the
/// frame, so that a body is searched and not believed. Ids of fewer than four bytes would be found by chance and are left to the stores.
#[derive(Debug)]
pub struct Entitlement {
    /// Whether there is a device, which may not hold everything.
    has_devices: bool,
    known: HashSet<Box<str>, BuildHasherDefault<Mix>>,
    /// Encoded ids by the number that their first bytes are.
    needles: Map<u64, Vec<Needle>>,
    /// Which numbers there may be, by their low bits: nearly every place of a body is passed over by one look here.
    sieve: Vec<u64>,
}

impl Entitlement {
    /// For the hosts of this scenario.
    pub fn new(scenario: &Scenario) -> Self {
        Self { has_devices: scenario.device_count() > 0, known: HashSet::default(), needles: Map::default(), sieve: vec![0; 1 << 10] }
    }
}

fn window(bytes: &[u8]) -> u64 {
    bytes.iter().take(WINDOW).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

fn spread(window: u64) -> (usize, u64) {
    let mixed = (window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize;
    (mixed >> 6, 1 << (mixed & 63))
}

impl Entitlement {
    fn learn(&mut self, profile: &ProfileId) {
        if !self.known.insert(profile.as_str().into()) {
            return;
        }
        let mut needle = Vec::new();
        put_id(&mut needle, profile.as_str());
        if needle.len() < WINDOW {
            return;
        }
        let first = window(&needle);
        let (word, bit) = spread(first);
        self.sieve[word] |= bit;
        self.needles.entry(first).or_default().push((needle.into(), profile.clone()));
    }

    fn search(&self, host: HostId, body: &[u8], view: &dyn View) -> Option<&ProfileId> {
        let mut number = window(body) >> 8;
        for (at, byte) in body.iter().enumerate().skip(WINDOW - 1) {
            number = (number << 8 | u64::from(*byte)) & ((1 << (8 * WINDOW)) - 1);
            let (word, bit) = spread(number);
            if self.sieve[word] & bit == 0 {
                continue;
            }
            let rest = &body[at + 1 - WINDOW..];
            let found = self
                .needles
                .get(&number)
                .into_iter()
                .flatten()
                .find(|(needle, profile)| rest.starts_with(needle) && !view.holds(host, profile));
            if let Some((_, profile)) = found {
                return Some(profile);
            }
        }
        None
    }

    fn violation(at: VirtualTime, host: HostId, what: String) -> Violation {
        Violation { checker: "only-entitled-hosts", at, host: Some(host), what }
    }
}

impl Checker for Entitlement {
    fn name(&self) -> &'static str {
        "only-entitled-hosts"
    }

    fn about(&self) -> &'static str {
        "no byte of a profile in the store of a host, or in a frame that reaches it, that is not entitled to the profile"
    }

    fn wants(&self) -> Kinds {
        if self.has_devices { Kinds::REPORTED.and(Kinds::APPLIED).and(Kinds::FRAME_ARRIVED) } else { Kinds::NONE }
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, found: &mut Vec<Violation>) {
        match seen {
            Observation::Reported { event, .. } => {
                if !self.known.contains(event.profile_id.as_str())
                    && let Ok(profile) = ProfileId::new(&event.profile_id)
                {
                    self.learn(&profile);
                }
            }
            Observation::Applied { host, from, record, .. } => {
                // What comes from a peer was made somewhere, and learned there.
                if from.is_none() && !self.known.contains(record.profile().as_str()) {
                    self.learn(record.profile());
                }
                if !view.is_node(*host) && !view.holds(*host, record.profile()) {
                    found.push(Self::violation(at, *host, format!("it keeps a record of {}", record.profile().as_str())));
                }
            }
            Observation::FrameArrived { host, peer, number, body, .. } if !view.is_node(*host) && body.len() >= WINDOW => {
                if let Some(profile) = self.search(*host, body, view) {
                    let what = format!("a frame of type {number:#04x} from {} names {}", view.name(*peer), profile.as_str());
                    found.push(Self::violation(at, *host, what));
                }
            }
            _ => {}
        }
    }

    fn at_rest(&mut self, at: VirtualTime, _settled: bool, view: &dyn View, found: &mut Vec<Violation>) {
        for host in view.hosts().into_iter().filter(|host| !view.is_node(*host)) {
            let Some(core) = view.core(host) else { continue };
            let mut foreign = Vec::new();
            let scanned = core.store().scan(KeyRange::ALL, &mut |item| {
                if !view.holds(host, &item.profile) {
                    foreign.push(item.profile);
                }
                std::ops::ControlFlow::Continue(())
            });
            if let Err(error) = scanned {
                found.push(Self::violation(at, host, format!("its store cannot be read: {error}")));
            }
            foreign.extend(core.store().tombstones().into_iter().map(|(profile, _)| profile).filter(|profile| !view.holds(host, profile)));
            for profile in foreign {
                found.push(Self::violation(at, host, format!("it keeps something of {}", profile.as_str())));
            }
        }
    }

    fn had_something(&self) -> bool {
        self.has_devices
    }
}

#[cfg(test)]
mod tests {
    use leftoff::progress::{EventKind, ProfileId};
    use leftoff::store::Record;
    use leftoff::time::Hlc;

    use crate::checkers::testing::{Hosts, NOW, scenario};
    use crate::observation::{HostId, LinkId, Observation};

    fn world() -> Hosts {
        let mut scenario = scenario();
        scenario.workload.replicas_share = 1.0;
        let mut hosts = Hosts::of(&scenario, 2);
        hosts.devices.insert(1, vec!["alice-1", "3f8a0c5e-0000-4000-8000-000000000001"]);
        for profile in ["alice-1", "alice-10", "3f8a0c5e-0000-4000-8000-000000000002"] {
            hosts.watch(0, profile, EventKind::Play, 100);
        }
        hosts
    }

    fn arrive(hosts: &mut Hosts, host: u32, profile: &str) {
        let record = Record::Erased { profile: ProfileId::new(profile).unwrap(), erased: Hlc::from_wall(NOW) };
        let mut body = vec![0xff; 100];
        record.encode(&mut body);
        body.extend([0xee; 50]);
        hosts.see(&Observation::FrameArrived { link: LinkId(1), host: HostId(host), peer: HostId(1 - host), number: 4, body: &body });
    }

    #[test]
    fn own_profiles_may_arrive_and_nodes_may_see_all() {
        let mut hosts = world();
        arrive(&mut hosts, 1, "alice-1");
        arrive(&mut hosts, 0, "alice-10");
        assert!(hosts.violations().is_empty(), "{:?}", hosts.violations());
    }

    #[test]
    fn another_profile_in_a_frame_is_found_as_text_and_as_bytes_of_a_uuid() {
        for foreign in ["alice-10", "3f8a0c5e-0000-4000-8000-000000000002"] {
            let mut hosts = world();
            arrive(&mut hosts, 1, foreign);
            assert_eq!(hosts.found(), ["only-entitled-hosts"]);
        }
    }

    #[test]
    fn another_profile_in_a_store_is_found() {
        let mut hosts = world();
        let record = Record::Erased { profile: ProfileId::new("alice-10").unwrap(), erased: Hlc::from_wall(NOW) };
        hosts.take(1, &record);
        assert!(hosts.found().contains(&"only-entitled-hosts"));
    }
}
