//! `leftoff backup`: a copy of a running node's data.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::client::AdminArgs;
use super::failure::Failure;
use super::output::{self, bytes, number};

/// Copy a running node's data
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to make, on the node's machine
    folder: PathBuf,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let folder = std::path::absolute(&args.folder).map_err(|error| Failure::of(args.folder.display(), &error))?;
    let manifest = args.admin.client()?.post_patiently("/v1/backup", &json!({ "path": folder }))?;
    if args.json {
        output::json(&manifest)?;
    } else {
        let (registers, tombstones) = (number(&manifest, "registers"), number(&manifest, "tombstones"));
        let size = bytes(number(&manifest, "bytes"));
        output::line(format!("{registers} registers and {tombstones} erasures in {size} at {}", folder.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
