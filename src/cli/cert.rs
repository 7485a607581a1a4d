//! `leftoff cert`: the cluster's authority and its nodes' certificates.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::failure::Failure;
use super::output;
use crate::daemon::certificates::{self, CA_FILE, CA_KEY_FILE, SECRET_FILE};
use crate::daemon::check_label;

/// Make the cluster's authority, and certificates for its nodes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make an authority and a cluster secret
    Ca {
        /// The folder to keep them in
        #[arg(long, value_name = "DIR", default_value = "certs")]
        dir: PathBuf,
    },
    /// Issue a node's certificate
    Node {
        /// The node's name: a-z, 0-9 and '-'
        #[arg(value_parser = node_name)]
        name: String,
        /// The folder with the authority
        #[arg(long, value_name = "DIR", default_value = "certs")]
        dir: PathBuf,
        /// A host name or address that it is reached at; may be given several times
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Ca { dir } => {
            certificates::make_authority(dir).map_err(|error| Failure::of("the authority was not made", &error))?;
            output::line(format!("{}  for every node and device", dir.join(CA_FILE).display()))?;
            output::line(format!("{}  for every node; keep it secret", dir.join(SECRET_FILE).display()))?;
            output::line(format!("{}  for no node: keep it where certificates are issued", dir.join(CA_KEY_FILE).display()))?;
        }
        What::Node { name, dir, hosts } => {
            let files = certificates::issue_node(dir, name, hosts)
                .map_err(|error| Failure::of("the certificate was not issued ('leftoff cert ca' makes the authority)", &error))?;
            output::line(format!("{}\n{}  keep it secret", files.cert.display(), files.key.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn node_name(text: &str) -> Result<String, String> {
    check_label(text).map(|()| text.to_owned()).map_err(|reason| format!("a name is {reason}"))
}
