//! `leftoff verify`: reads everything in a data folder, or a backup, and reports damage.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::daemon::backup;
use crate::store::verify_folder;

const CACHE_BYTES: u64 = 64 << 20;

/// Read everything in a data folder and report damage
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A node's or device's data folder, or a backup; no process may have it open
    folder: PathBuf,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if backup::is_backup(&args.folder) {
        let (registers, tombstones) = backup::verify(&args.folder).map_err(|error| Failure::of("the backup is not whole", &error))?;
        if args.json {
            output::json(&json!({"registers": registers, "tombstones": tombstones, "damage": []}))?;
        } else {
            output::line(format!("the backup is whole: {registers} registers and {tombstones} erasures"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let within = args.folder.join("store");
    let folder = if within.is_dir() { &within } else { &args.folder };
    let report = verify_folder(folder, CACHE_BYTES).map_err(|error| Failure::of("the folder could not be verified", &error))?;
    if args.json {
        let damage: Vec<_> = report
            .damage
            .iter()
            .map(|damage| json!({"file": damage.file, "offset": damage.offset, "bytes": damage.bytes, "what": damage.what, "key": damage.key.map(|key| format!("{key:032x}"))}))
            .collect();
        output::json(&json!({
            "segments": report.segments, "frames": report.frames, "records": report.records, "log_bytes": report.log_bytes,
            "torn_bytes": report.torn_bytes, "pages": report.pages, "registers": report.registers, "damage": damage,
        }))?;
    } else {
        let size = output::bytes(report.log_bytes);
        output::line(format!("log: {} segments, {} frames, {} records, {size}", report.segments, report.frames, report.records))?;
        output::line(format!("database: {} registers in {} pages", report.registers, report.pages))?;
        if report.torn_bytes > 0 {
            output::line(format!(
                "log: the last {} bytes were cut by a crash; never acknowledged, and removed when opened",
                report.torn_bytes
            ))?;
        }
        for damage in &report.damage {
            let key = damage.key.map(|key| format!(", key {key:032x}")).unwrap_or_default();
            output::line(format!("damage: {} at byte {}{key}: {} ({} bytes)", damage.file, damage.offset, damage.what, damage.bytes))?;
        }
    }
    if report.damage.is_empty() {
        if !args.json {
            output::line("no damage")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let count = report.damage.len();
    Err(Failure::new(format!("{count} damaged places; start the node with a peer in reach, and it reconciles what is missing")))
}
