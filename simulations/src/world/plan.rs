//! A timeline of faults as single steps, each at its time.

use super::clock::Wrong;
use super::disk::Hurt;
use super::paths::{Effect, Rule};
use super::queue::Micros;
use super::random::Random;
use crate::observation::HostId;
use crate::scenario::{Fault, FaultKind, Scenario, Selector};

/// What is done to the world at one moment.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A fault of the timeline begins.
    Begins(usize),
    /// A fault of the timeline is over.
    Ends(usize),
    /// A rule of the network.
    Rule(Rule),
    /// The rules of a fault end; or one part of them.
    Lift {
        fault: usize,
        part: Option<u32>,
    },
    /// A host reads nothing from its links, or again.
    Stuck {
        host: usize,
        stuck: bool,
    },
    /// A clock is set wrong.
    Clock {
        host: usize,
        wrong: Wrong,
    },
    /// A clock is put right: what the fault has made wrong.
    ClockRight {
        host: usize,
        fault: usize,
    },
    /// Killed between two I/O calls.
    Crash {
        host: usize,
        down: Micros,
    },
    /// Stopped in good order.
    Stop {
        host: usize,
        down: Micros,
    },
    Pause {
        host: usize,
    },
    Resume {
        host: usize,
    },
    /// The disk is lost; the host starts again after the time.
    LoseDisk {
        host: usize,
        down: Micros,
    },
    /// The folder is restored from a backup.
    Restore {
        host: usize,
        slot: usize,
        down: Micros,
    },
    /// The next sync fails; the host is started again after the time.
    FailSync {
        host: usize,
        down: Micros,
    },
    Full {
        host: usize,
        full: bool,
    },
    /// The log is damaged, while the host is down.
    HurtLog {
        host: usize,
        hurt: Hurt,
        count: u32,
        down: Micros,
    },
    Poison {
        host: usize,
        ahead_ms: u64,
    },
    Erase {
        host: usize,
        profile: u32,
    },
    /// The viewers of a region hold everything back, or hand it in at once.
    Hold {
        place: usize,
        holds: bool,
    },
}

impl Step {
    /// The host whose process or disk it strikes: the fault is over only when that host runs again.
    const fn struck(&self) -> Option<usize> {
        match self {
            Self::Crash { host, .. }
            | Self::Stop { host, .. }
            | Self::Pause { host }
            | Self::LoseDisk { host, .. }
            | Self::Restore { host, .. }
            | Self::FailSync { host, .. }
            | Self::Full { host, .. }
            | Self::HurtLog { host, .. } => Some(*host),
            _ => None,
        }
    }

    /// The hosts that it strikes in any way: of a rule, those on its side, or, if there are no devices among them, those on the other.
    fn strikes(&self, host: usize, nodes: usize) -> bool {
        match self {
            Self::Rule(rule) if rule.from[nodes..].contains(&true) => rule.from[host],
            Self::Rule(rule) => rule.to[host],
            Self::Stuck { host: struck, .. } | Self::Clock { host: struck, .. } => *struck == host,
            other => other.struck() == Some(host),
        }
    }
}

/// Whom a fault strikes.
#[derive(Clone, Debug, Default)]
pub(super) struct Struck {
    /// Hosts that run again when it is over.
    pub(super) stopped: Vec<usize>,
    /// Devices with a replica.
    pub(super) devices: Vec<usize>,
}

/// The least time that a process is down.
const DOWN_MIN: Micros = 500_000;

/// Turns faults into steps.
pub(super) struct Planner<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    /// The place of each host, then of the clients of each region.
    pub(super) places: Vec<usize>,
    pub(super) hosts: usize,
    pub(super) nodes: usize,
    pub(super) steps: Vec<(Micros, Step)>,
    /// When a backup is to be taken, of whom: by slot.
    pub(super) backups: Vec<(Micros, usize, bool)>,
    /// Whom each fault strikes.
    pub(super) struck: Vec<Struck>,
}

impl Planner<'_> {
    pub(super) fn plan(&mut self) {
        for (index, fault) in self.scenario.faults.iter().enumerate() {
            let first = self.steps.len();
            self.plan_fault(index, fault);
            let struck = self.struck_by(&self.steps[first..]);
            self.struck.push(struck);
        }
        // Steps of one moment stay in the order in which they were planned.
        self.steps.sort_by_key(|(at, _)| *at);
    }

    fn struck_by(&self, steps: &[(Micros, Step)]) -> Struck {
        let mut stopped: Vec<usize> = steps.iter().filter_map(|(_, step)| step.struck()).collect();
        stopped.sort_unstable();
        stopped.dedup();
        let is_struck = |device: &usize| steps.iter().any(|(_, step)| step.strikes(*device, self.nodes));
        Struck { stopped, devices: (self.nodes..self.hosts).filter(is_struck).collect() }
    }

    fn push(&mut self, at: Micros, step: Step) {
        self.steps.push((at, step));
    }

    fn hosts_of(&self, selectors: &[Selector]) -> Vec<usize> {
        let mut hosts: Vec<usize> =
            selectors.iter().filter_map(|selector| self.scenario.select(selector)).flatten().map(|HostId(host)| host as usize).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// The spots that selectors mean to the network: a region is everything in it.
    fn spots_of(&self, selectors: &[Selector]) -> Vec<bool> {
        let mut spots = vec![false; self.places.len()];
        for selector in selectors {
            let region = self.scenario.regions.iter().position(|region| region.name == *selector);
            for (spot, place) in spots.iter_mut().zip(&self.places) {
                *spot |= region == Some(*place) || selector == "all";
            }
            for HostId(host) in self.scenario.select(selector).unwrap_or_default() {
                spots[host as usize] = true;
            }
        }
        spots
    }

    /// From some to others: all others, if none are named; of everybody each to everybody.
    fn sets(&self, hosts: &[Selector], to: &[Selector]) -> (Vec<bool>, Vec<bool>) {
        let from = self.spots_of(hosts);
        let everybody = from.iter().all(|spot| *spot);
        let to = if to.is_empty() { from.iter().map(|spot| everybody || !spot).collect() } else { self.spots_of(to) };
        (from, to)
    }

    fn plan_fault(&mut self, index: usize, fault: &Fault) {
        let (at, lasts) = (super::micros(fault.at), super::micros(fault.lasts));
        let until = at + lasts;
        let mut random = Random::of(self.seed, "fault", index as u64);
        self.push(at, Step::Begins(index));
        match &fault.kind {
            FaultKind::Cut { hosts, to, one_way } => {
                let (from, to) = self.sets(hosts, to);
                self.push(at, Step::Rule(Rule { fault: (index, 0), from, to, one_way: *one_way, effect: Effect::Cut }));
                self.push(until, Step::Lift { fault: index, part: None });
            }
            FaultKind::Flap { hosts, to, every } => {
                let (from, to) = self.sets(hosts, to);
                let every = super::micros(*every).max(1_000);
                let mut begins = at;
                while begins < until {
                    let rule = Rule { fault: (index, 0), from: from.clone(), to: to.clone(), one_way: false, effect: Effect::Cut };
                    self.push(begins, Step::Rule(rule));
                    self.push((begins + every).min(until), Step::Lift { fault: index, part: None });
                    begins += 2 * every;
                }
            }
            FaultKind::Swizzle { hosts } => self.plan_swizzle(index, at, lasts, hosts, &mut random),
            FaultKind::Bridge { host } => {
                let bridge = self.hosts_of(std::slice::from_ref(host));
                for node in 0..self.nodes {
                    if bridge.contains(&node) {
                        continue;
                    }
                    let mut from = vec![false; self.places.len()];
                    from[node] = true;
                    let to = (0..self.places.len()).map(|other| other < self.nodes && other != node && !bridge.contains(&other)).collect();
                    let rule = Rule { fault: (index, node as u32), from, to, one_way: false, effect: Effect::Cut };
                    self.push(at, Step::Rule(rule));
                }
                self.push(until, Step::Lift { fault: index, part: None });
            }
            FaultKind::Degrade { hosts, to, quality, slower } => {
                let (from, to) = self.sets(hosts, to);
                let effect = Effect::Worse { quality: *quality, slower: *slower };
                self.push(at, Step::Rule(Rule { fault: (index, 0), from, to, one_way: false, effect }));
                self.push(until, Step::Lift { fault: index, part: None });
            }
            FaultKind::Stuck { hosts } => {
                for host in self.hosts_of(hosts) {
                    self.push(at, Step::Stuck { host, stuck: true });
                    self.push(until, Step::Stuck { host, stuck: false });
                }
            }
            FaultKind::Clock { hosts, offset_ms, drift_ppm, frozen } => {
                let wrong = Wrong { fault: index, offset_ms: *offset_ms, drift_ppm: *drift_ppm, frozen: *frozen };
                for host in self.hosts_of(hosts) {
                    self.push(at, Step::Clock { host, wrong });
                    self.push(until, Step::ClockRight { host, fault: index });
                }
            }
            FaultKind::Crash { hosts, times, down } => {
                let hosts = self.hosts_of(hosts);
                let down = super::micros(*down).max(DOWN_MIN);
                for _ in 0..*times {
                    for host in &hosts {
                        self.push(at + random.below(lasts.max(1)), Step::Crash { host: *host, down });
                    }
                }
            }
            FaultKind::RollingRestart { hosts, down } => {
                let hosts = self.hosts_of(hosts);
                let down = super::micros(*down).max(DOWN_MIN);
                let apart = lasts / hosts.len().max(1) as u64;
                for (number, host) in hosts.into_iter().enumerate() {
                    self.push(at + apart * number as u64, Step::Stop { host, down });
                }
            }
            FaultKind::Pause { hosts } => {
                for host in self.hosts_of(hosts) {
                    self.push(at, Step::Pause { host });
                    self.push(until, Step::Resume { host });
                }
            }
            FaultKind::LoseDisk { hosts } => {
                for host in self.hosts_of(hosts) {
                    self.push(at, Step::LoseDisk { host, down: lasts.max(DOWN_MIN) });
                }
            }
            FaultKind::RestoreBackup { hosts, age, copy } => {
                for host in self.hosts_of(hosts) {
                    let slot = self.backups.len();
                    self.backups.push((at.saturating_sub(super::micros(*age)), host, *copy));
                    self.push(at, Step::Restore { host, slot, down: lasts.max(DOWN_MIN) });
                }
            }
            FaultKind::FailSync { hosts } => {
                for host in self.hosts_of(hosts) {
                    self.push(at, Step::FailSync { host, down: lasts.max(DOWN_MIN) });
                }
            }
            FaultKind::FullDisk { hosts } => {
                for host in self.hosts_of(hosts) {
                    self.push(at, Step::Full { host, full: true });
                    self.push(until, Step::Full { host, full: false });
                }
            }
            FaultKind::FlipBits { hosts, count } => self.plan_hurt(hosts, Hurt::FlippedBit, *count, at, lasts),
            FaultKind::TruncateLog { hosts, count } => self.plan_hurt(hosts, Hurt::Truncated, *count, at, lasts),
            FaultKind::ZeroLog { hosts, count } => self.plan_hurt(hosts, Hurt::Zeroed, *count, at, lasts),
            FaultKind::Offline { hosts } => {
                let (from, to) = self.sets(hosts, &[]);
                // Each by itself: two devices without a line do not reach each other either.
                for (part, host) in (0..self.hosts).filter(|host| from[*host]).enumerate() {
                    let mut one = vec![false; self.places.len()];
                    one[host] = true;
                    let others = one.iter().map(|own| !own).collect();
                    let rule = Rule { fault: (index, part as u32), from: one, to: others, one_way: false, effect: Effect::Cut };
                    self.push(at, Step::Rule(rule));
                }
                drop(to);
                self.push(until, Step::Lift { fault: index, part: None });
            }
            FaultKind::Poison { host, ahead_ms, every } => {
                for host in self.hosts_of(std::slice::from_ref(host)) {
                    for strike in (at..until).step_by(super::micros(*every).max(1_000) as usize) {
                        self.push(strike, Step::Poison { host, ahead_ms: *ahead_ms });
                    }
                }
            }
            FaultKind::Erase { host, profile } => {
                for host in self.hosts_of(std::slice::from_ref(host)).into_iter().take(1) {
                    self.push(at, Step::Erase { host, profile: *profile });
                }
            }
            FaultKind::Herd { hosts } => {
                let hosts: Vec<usize> = self.hosts_of(hosts);
                let mut places: Vec<usize> = hosts.into_iter().map(|host| self.places[host]).collect();
                places.sort_unstable();
                places.dedup();
                for place in places {
                    self.push(at, Step::Hold { place, holds: true });
                    self.push(until, Step::Hold { place, holds: false });
                }
            }
        }
        self.push(until, Step::Ends(index));
    }

    /// Logs are damaged while their hosts are down.
    fn plan_hurt(&mut self, hosts: &[Selector], hurt: Hurt, count: u32, at: Micros, lasts: Micros) {
        for host in self.hosts_of(hosts) {
            self.push(at, Step::HurtLog { host, hurt, count, down: lasts.max(DOWN_MIN) });
        }
    }

    /// One after the other stops hearing the others during the first half, and hears them again, in another order, during the second.
    fn plan_swizzle(&mut self, index: usize, at: Micros, lasts: Micros, hosts: &[Selector], random: &mut Random) {
        let mut order = self.hosts_of(hosts);
        let apart = lasts / 2 / order.len().max(1) as u64;
        random.shuffle(&mut order);
        for (number, host) in order.iter().enumerate() {
            let mut to = vec![false; self.places.len()];
            to[*host] = true;
            let from = to.iter().map(|own| !own).collect();
            let rule = Rule { fault: (index, *host as u32), from, to, one_way: true, effect: Effect::Cut };
            self.push(at + apart * number as u64, Step::Rule(rule));
        }
        random.shuffle(&mut order);
        for (number, host) in order.iter().enumerate() {
            let part = Some(*host as u32);
            self.push(at + lasts / 2 + apart * (number as u64 + 1), Step::Lift { fault: index, part });
        }
        self.push(at + lasts, Step::Lift { fault: index, part: None });
    }
}
