//! Opening: what the engine remembers, what the log adds to it, and what a crash or damage did to both.

use std::sync::Arc;

use super::engine::Engine;
use super::fold::{Fold, StoredMeta};
use super::front::folded_of;
use super::intake::Intake;
use super::log::FileSystem;
use super::log::recovery::LogReader;
use super::log::segment::{FrameKind, Identity, LOG_FOLDER};
use super::log::witness::{WITNESS, Witness, witness};
use super::log::writer::{LogWriter, Segment};
use super::meta::{Changes, Remembered};
use super::present::{Present, Scratch};
use super::ring::Ring;
use super::{Damage, Fresh, KeyHasher, Lives, OpenError, OpenReport, Seq, StoreOptions};

/// Sequence numbers skipped after a crash: more than can have been handed out and lost between two syncs.
const SKIPPED: u64 = 1 << 20;

/// What opening makes.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) lives: Lives,
    pub(super) present: Present,
    pub(super) fold: Fold,
    pub(super) intake: Intake,
    pub(super) report: OpenReport,
    /// Registers wait in the table that came from a damaged log: fold them soon, so that the damaged segments may go.
    pub(super) fold_soon: bool,
}

pub(super) fn secret_check(hasher: &KeyHasher) -> u64 {
    hasher.bytes(b"leftoff key secret")
}

/// Opens over files and engine. `engine_lost`: the engine is new because the old one would not open.
pub(super) fn open(
    files: &Arc<dyn FileSystem>,
    engine: &dyn Engine,
    options: &StoreOptions,
    fresh: Fresh,
    engine_lost: bool,
) -> Result<Opened, OpenError> {
    let hasher = KeyHasher::new(options.key_secret);
    let remembered = Remembered::read(engine)?;
    let mut log = LogReader::new(files.clone())?;
    let in_log = log.listed.iter().rev().find_map(|listed| listed.header).map(|header| header.identity);
    let known = remembered.identity.or(in_log);
    let mut identity = known.unwrap_or(Identity { id: fresh.id, epoch: fresh.epoch, secret_check: secret_check(&hasher) });
    if identity.secret_check != secret_check(&hasher) {
        return Err(OpenError::OtherSecret);
    }
    let mut report = OpenReport { created: known.is_none(), ..OpenReport::default() };
    // A log without its database: the database is gone, with all that was folded into it.
    // Identity reaches the database before anything reaches the log.
    let engine_lost = engine_lost || (remembered.identity.is_none() && in_log.is_some());
    let folded = remembered.state.folded;
    // A database that has folded less than it once had synced has dropped the end of its file.
    let (engine_lost, witness_damaged) = match witness(files.as_ref())? {
        Witness::Silent => (engine_lost, false),
        Witness::Folded(seq) => (engine_lost || folded < seq, false),
        Witness::Damaged => (true, true),
    };
    if witness_damaged {
        let what = "the witness of the last fold does not read back".into();
        report.damage.push(Damage { file: WITNESS.into(), offset: 0, bytes: 0, key: None, what });
    } else if engine_lost {
        let what = "the database has lost what it had synced".into();
        report.damage.push(Damage { file: "engine".into(), offset: 0, bytes: 0, key: None, what });
    }

    // A log is never without its newest segment once something was appended. One that is gone, or ends before what was known to be in it, takes
    // with it what cursors say is here, and numbers that peers have seen.
    let log_is_empty = log.listed.is_empty();

    let present = Present::new(hasher, Ring::new(options.ring_count_max, folded));
    restore(&present, &remembered);
    let (segments, last) = replay(&mut log, &present, engine, (folded, remembered.lives.as_ref()), &mut report)?;

    let ends_early = remembered.lives.as_ref().and_then(Lives::ended).is_some_and(|ended| last < ended);
    let log_lost = remembered.identity.is_some() && (ends_early || remembered.clean.map_or(log_is_empty, |clean| last < clean));
    let lives = match remembered.lives.clone() {
        Some(lives) if !log_lost && !engine_lost => lives.followed_by(fresh.epoch, last),
        _ => Lives::new(fresh.epoch),
    };
    identity.epoch = lives.epoch();
    if log_lost && (ends_early || folded > Seq(0) || remembered.clean.is_some() || !remembered.cursors.is_empty()) {
        let what = "the log is gone, or ends before what it is known to have had".into();
        report.damage.push(Damage { file: LOG_FOLDER.into(), offset: 0, bytes: 0, key: None, what });
    }
    let damaged = !report.damage.is_empty();
    report.clean = !damaged && !engine_lost && remembered.clean.is_some_and(|clean| clean == last) && report.torn_bytes == 0;
    report.skipped = if report.clean || report.created { 0 } else { SKIPPED };
    #[cfg(leftoff_planted)]
    if crate::planted::is_on(crate::planted::Planted::NumberReused) {
        report.skipped = 0;
    }
    report.needs_reconciliation |= damaged || engine_lost || remembered.state.needs_reconciliation;
    if report.needs_reconciliation {
        present.cursors().clear();
    }
    let stored = StoredMeta {
        cursors: remembered.cursors.clone(),
        unshared: remembered.unshared.keys().copied().collect(),
        needs_reconciliation: report.needs_reconciliation,
    };
    // Before anything reaches the log: what is recorded from here on is of this life.
    let mut changes = Changes::default();
    changes.identity(&identity);
    changes.lives(&lives);
    if remembered.clean.is_some() {
        // No longer true from the first append on. Left standing, a log that lost its unsynced end later could look as if it were whole.
        changes.not_clean();
    }
    // Damage at the end of a log may look like a torn write. If it takes away all that the last life wrote, what is left ends where it did when that life
    // began, and the same skip would lead to the same numbers.
    let first = Seq(last.max(remembered.begun).0 + 1 + report.skipped);
    if report.skipped > 0 {
        changes.begun(first);
    }
    engine.put_meta(&changes.0)?;
    engine.sync()?;
    let writer = LogWriter::new(files.clone(), identity, options.segment_bytes, segments);
    let intake = Intake::new(writer, first.0, options.pending_bytes_max);
    Ok(Opened { identity, lives, present, fold: Fold::new(folded, stored), intake, report, fold_soon: damaged || engine_lost })
}

fn restore(present: &Present, remembered: &Remembered) {
    present.note_stamp(remembered.state.highest);
    if remembered.state.floor_day > 0 {
        present.forgetting.raise_floor(remembered.state.floor_day);
    }
    for (hash, tombstone) in &remembered.tombstones {
        #[cfg(leftoff_planted)]
        if crate::planted::is_on(crate::planted::Planted::TombstoneForgotten) {
            continue;
        }
        present.forgetting.erase(*hash, &tombstone.profile, tombstone.erased, tombstone.arrived);
    }
    present.cursors().clone_from(&remembered.cursors);
    present.set_unshared(remembered.unshared.clone());
}

/// Replays what is not folded. Answers the segments and the last sequence number known.
fn replay(
    log: &mut LogReader,
    present: &Present,
    engine: &dyn Engine,
    (folded, lives): (Seq, Option<&Lives>),
    report: &mut OpenReport,
) -> Result<(Vec<Segment>, Seq), OpenError> {
    let mut scratch = Scratch::default();
    let mut segments = Vec::new();
    let mut last = folded;
    for index in 0..log.listed.len() {
        if log.ends_by(index, folded) {
            let findings = super::log::recovery::SegmentFindings { bytes: log.size(index)?, ..Default::default() };
            segments.extend(log.segment(index, &findings, last));
            continue;
        }
        let mut broken = None;
        let mut findings = log.read(index, &mut |frame| {
            if frame.last() <= folded || broken.is_some() {
                return;
            }
            report.replayed += u64::from(frame.count);
            // A page was set aside, and no fold has noted it since.
            report.needs_reconciliation |= frame.kind == FrameKind::ForgetsCursors;
            broken = present.apply(frame, &|key| folded_of(engine, key), &mut scratch, &mut |_| ()).err();
            present.publish(frame.last(), &mut scratch);
        })?;
        log.note_early_end(index, &mut findings, folded, lives);
        last = last.max(findings.last.unwrap_or_default());
        let mut segment = log.segment(index, &findings, Seq(last.0 + 1));
        if let Some(error) = broken {
            // The sum of the frame is right and its content is not: written by a mistake, not by a fault. Keep it for whoever looks.
            let what = format!("a frame holds a record that does not decode: {error}");
            report.damage.push(Damage { file: log.path(index), offset: 0, bytes: 0, key: None, what });
            segment = segment.map(|segment| Segment { damaged: true, ..segment });
        }
        if segment.as_ref().is_some_and(|segment| segment.damaged) {
            log.quarantine(index)?;
        }
        if let Some(at) = findings.torn_at {
            report.torn_bytes += (findings.bytes - at) as u64;
            log.cut(index, at)?;
            if at < super::log::segment::SEGMENT_HEADER_BYTES {
                segment = None;
            }
        }
        // What was written and not synced when the process died is still in the page cache, and has just been read from there. From here on it
        // counts as durable, so it has to be.
        if findings.torn_at.is_none() && findings.bytes > 0 && index + 1 == log.listed.len() {
            log.cut(index, findings.bytes)?;
        }
        #[cfg(leftoff_planted)]
        let findings = misjudged(findings, &log.path(index));
        report.damage.extend(findings.damage);
        segments.extend(segment);
    }
    present.publish(last, &mut scratch);
    Ok((segments, last))
}

#[cfg(leftoff_planted)]
fn misjudged(mut findings: super::log::recovery::SegmentFindings, file: &str) -> super::log::recovery::SegmentFindings {
    use crate::planted::{Planted, is_on};
    if is_on(Planted::DamagePassedOver) {
        findings.damage.clear();
    }
    if let Some(at) = findings.torn_at.filter(|_| is_on(Planted::TornCalledDamaged)) {
        let bytes = (findings.bytes - at) as u64;
        findings.damage.push(Damage {
            file: file.to_owned(),
            offset: at as u64,
            bytes,
            key: None,
            what: "the log ends in a torn write".into(),
        });
    }
    findings
}
