//! `leftoff bench reconcile`: what it costs on the wire to catch up after a cut.
//!
//! Two replicas over stores on disk, and the links that ship between them, without a network: every byte of every frame is counted, in both
//! directions, from the hello to the last acknowledgement. The records' own bytes are what the changed registers take up encoded, ids included.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::generator::{HEARTBEAT_MS, Population};
use super::node::{self, Workplace};
use super::{BenchError, Common, Report};
use crate::progress::{EventKind, PlaybackEvent};
use crate::replica::{Core, CoreOptions};
use crate::store::{Epoch, FoldBudget, FoldStep, Fresh, Record, ReplicaId, Store, StoreOptions};
use crate::sync::{Handled, Link, LinkConfig, LinkState, frame};
use crate::time::MonotonicTime;
use crate::time::system::wall_now;

/// Options of `leftoff bench reconcile`.
#[derive(Args, Clone, Debug)]
pub(super) struct Reconcile {
    /// Registers at both replicas
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    registers: u64,
    /// Profiles that they belong to
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    profiles: u64,
    /// Registers changed during the cut
    #[arg(long, default_values_t = [1, 100, 10_000], value_delimiter = ',')]
    changed: Vec<u64>,
}

/// How the one who was cut off finds out what it missed.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Both stayed up, and remember how far they were.
    Cursor,
    /// The other was restarted, and its log is folded and gone: by the numbers under which registers arrived.
    TailGone,
    /// It has forgotten how far it was: fingerprints and lists.
    Fingerprints,
}

impl Way {
    const ALL: [Self; 3] = [Self::Cursor, Self::TailGone, Self::Fingerprints];

    const fn name(self) -> &'static str {
        match self {
            Self::Cursor => "by cursor",
            Self::TailGone => "by cursor, log gone",
            Self::Fingerprints => "by FPS and LIST",
        }
    }
}

pub(super) fn run(options: &Reconcile, common: &Common, report: &mut Report) -> Result<(), BenchError> {
    let population = Population { registers: options.registers.max(options.profiles), profiles: options.profiles };
    let workplace = Workplace::new(common)?;
    for run in 1..=common.runs {
        report.say(&format!("run {run}"));
        let folders = [workplace.empty("one")?, workplace.empty("other")?];
        let mut cores = [open(&folders[0], 1)?, open(&folders[1], 2)?];
        let now = wall_now();
        for core in &cores {
            node::fill_core(core, population, now, &|core| settle(core))?;
        }
        let mut session = Session { salt: 0 };
        report.note("first meeting, nothing differs: bytes", "", session.meet(&cores)?.bytes as f64);
        let mut beat = 1;
        for &changed in &options.changed {
            for way in Way::ALL {
                let own = change(&cores[0], population, changed.min(population.profiles), beat)?;
                beat += 1;
                match way {
                    Way::Cursor => {}
                    Way::TailGone => {
                        cores[0].store().fold_all()?;
                        cores[0].store().close()?;
                        let [old, other] = cores;
                        drop(old);
                        cores = [open(&folders[0], 1)?, other];
                    }
                    Way::Fingerprints => {
                        cores[1].store().forget_cursors()?;
                        settle(&cores[1])?;
                    }
                }
                let met = session.meet(&cores)?;
                check_equal(&cores, population, changed.min(population.profiles))?;
                let name = format!("{changed} changed, {}", way.name());
                report.note(&format!("{name}: bytes"), "", met.bytes as f64);
                report.note(&format!("{name}: the records' own bytes"), "", own as f64);
                report.note(&format!("{name}: times the records' own"), "", met.bytes as f64 / own as f64);
                report.note(&format!("{name}: frames"), "", met.frames as f64);
            }
        }
    }
    Ok(())
}

fn open(folder: &Path, number: u8) -> Result<Core, BenchError> {
    // No folded log is kept, so that "gone" means gone.
    let mut options = StoreOptions::default();
    (options.log_retention_bytes, options.log_retention_segments) = (0, 0);
    std::fs::create_dir_all(folder)?;
    let fresh = Fresh { id: ReplicaId([number; 16]), epoch: Epoch(u64::from(number)) };
    let (store, _) = Store::open_folder(folder, options, fresh)?;
    Ok(Core::new(store, CoreOptions::default()))
}

/// Makes durable what was appended, and folds if it is time.
fn settle(core: &Core) -> Result<(), BenchError> {
    while core.flush()? {}
    while !matches!(core.fold_step(FoldBudget { slots: 64, force: false })?, FoldStep::Idle) {}
    Ok(())
}

/// A heartbeat in so many titles, each of another profile; answers what their registers take up, encoded.
fn change(core: &Core, population: Population, count: u64, beat: u64) -> Result<u64, BenchError> {
    let mut own = 0;
    for profile in spread(population, count) {
        let register = population.first_register(profile);
        let (profile, title) = population.ids(register)?;
        let position = Population::first_position_ms(register) + beat * HEARTBEAT_MS;
        let event = PlaybackEvent::new(profile.as_str(), title.as_str(), "bench", EventKind::Heartbeat, position);
        let now = wall_now();
        core.record(now, Some(now), &[event])?;
        settle(core)?;
        let stored = core.store().register(&profile, &title)?.ok_or("a register that was just recorded is not there")?;
        let mut bytes = Vec::new();
        Record::Register { profile, title, state: stored.progress }.encode(&mut bytes);
        own += bytes.len() as u64;
    }
    Ok(own)
}

fn spread(population: Population, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |index| index * population.profiles / count)
}

fn check_equal(cores: &[Core; 2], population: Population, count: u64) -> Result<(), BenchError> {
    for profile in spread(population, count) {
        let (profile, title) = population.ids(population.first_register(profile))?;
        let [one, other] = cores.each_ref().map(|core| core.store().register(&profile, &title));
        if one?.map(|stored| stored.progress) != other?.map(|stored| stored.progress) {
            return Err("the replicas differ after they met".into());
        }
    }
    Ok(())
}

/// What a meeting took.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    bytes: u64,
    frames: u64,
}

/// When neither side has anything to do for so long, they have met.
const SILENCE: Duration = Duration::from_mins(1);

/// Meetings of the two replicas.
struct Session {
    salt: u8,
}

impl Session {
    /// Connects the two, lets them settle everything, and cuts them again.
    fn meet(&mut self, cores: &[Core; 2]) -> Result<Met, BenchError> {
        let mut mono = MonotonicTime::ZERO;
        let mut link = |core: &Core, dialed| {
            self.salt = self.salt.wrapping_add(1);
            // Clocks are compared once: what a quiet line costs is not what a meeting costs.
            let ping_interval = Duration::from_hours(1);
            let config = LinkConfig {
                dialed,
                peer_is_node: true,
                salt: [self.salt; 16],
                scrub_interval: None,
                ping_interval,
                ..LinkConfig::default()
            };
            Link::new(wall_now(), mono, core, config)
        };
        let mut links = [link(&cores[0], true), link(&cores[1], false)];
        let mut met = Met::default();
        for _ in 0..1_000_000 {
            let mut busy = false;
            for from in [0, 1] {
                let to = 1 - from;
                let mut out = Vec::new();
                while links[from].poll_frame(mono, &cores[from], &mut out)? {}
                met.bytes += out.len() as u64;
                let mut rest = out.as_slice();
                while let Some(found) = frame::split(rest)? {
                    busy = true;
                    met.frames += 1;
                    while let Handled::Busy(pause) = links[to].handle_frame(wall_now(), mono, &cores[to], found.number, found.body)? {
                        settle(&cores[to])?;
                        mono = mono + pause;
                    }
                    rest = &rest[found.bytes..];
                }
                settle(&cores[to])?;
                while links[from].poll_event().is_some() {}
            }
            if busy {
                continue;
            }
            let open = links.iter().all(|link| link.state() == LinkState::Open);
            let next = links.iter().filter_map(Link::poll_timeout).min();
            match next {
                Some(next) if !open || next.saturating_since(mono) < SILENCE => mono = mono.max(next),
                Some(_) if open => return Ok(met),
                _ => return Err("the links wait for nothing".into()),
            }
            for index in [0, 1] {
                links[index].handle_timeout(wall_now(), mono, &cores[index])?;
            }
        }
        Err("the links did not settle".into())
    }
}
