//! `leftoff restore`: a data folder from a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::output;
use crate::daemon::certificates::{self, SECRET_FILE};
use crate::daemon::{DEV_CERTIFICATES, backup};

/// Make a data folder from a backup, as a node of its own
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder with the backup
    backup: PathBuf,
    /// The data folder to make; it must not hold a store
    data: PathBuf,
    /// The cluster's secret (cluster.secret_file)
    #[arg(long, value_name = "FILE", required_unless_present = "dev")]
    secret_file: Option<PathBuf>,
    /// For a node that is started with --dev: the secret is in its data folder, or made there
    #[arg(long)]
    dev: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of("nothing was restored", error);
    std::fs::create_dir_all(&args.data).map_err(|error| Failure::of(args.data.display(), &error))?;
    let path = if let Some(path) = &args.secret_file {
        path.clone()
    } else {
        let certificates = args.data.join(DEV_CERTIFICATES);
        if !certificates.join(SECRET_FILE).exists() {
            certificates::make_authority(&certificates).map_err(|error| failed(&error))?;
        }
        certificates.join(SECRET_FILE)
    };
    let secret = certificates::read_secret(&path).map_err(|error| Failure::of(path.display(), &error))?;
    let (registers, tombstones) = backup::restore(&args.backup, &args.data, secret).map_err(|error| failed(&error))?;
    output::line(format!("{registers} registers and {tombstones} erasures in {}; the node has a new identity", args.data.display()))?;
    Ok(ExitCode::SUCCESS)
}
