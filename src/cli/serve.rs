//! `leftoff serve`: a regional node.

use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::output;
use crate::daemon::certificates::{CA_FILE, DEV_CERTIFICATES};
use crate::daemon::{self, Config};

/// Run a regional node
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration (see leftoff.example.toml)
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dev", "check"])]
    config: Option<PathBuf>,
    /// Development: data under ./leftoff-data, certificates made on the first start, tokens off, loopback only
    #[arg(long)]
    dev: bool,
    /// Check the configuration, look at the files it names, and end
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let read = || Config::load(args.config.as_deref(), args.dev);
    let config = read().map_err(|error| Failure::of("configuration", &error))?;
    if args.check {
        output::line("the configuration is sound")?;
        // It may be checked where they are not, so that is no fault of the configuration.
        for told in daemon::unusable_files(&config) {
            output::note(format!("the node would not start here: {told}"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (dev, data_dir) = (config.dev, config.data_dir.clone());
    daemon::run(config, read, |node| {
        if dev {
            let gateway = node.gateway_addr();
            let files = data_dir.join(DEV_CERTIFICATES).join(CA_FILE);
            if let Some(quic) = node.network().local_addr() {
                output::note(format!("devices connect to {quic} with {} and, as their token, the list of their profiles", files.display()));
            }
            output::note(format!("leftoff serves http://{gateway} (development: no tokens, this machine only); try: leftoff put ann film --position 10m --url http://{gateway}"));
        }
    })
    .map_err(|error| Failure::of("the node did not start", &error))
}
