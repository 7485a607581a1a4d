//! `leftoff export`: a node's registers as lines of JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::client::{AdminArgs, NodeArgs};
use super::failure::Failure;
use super::{list, output};

/// Write a node's registers as lines of JSON
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these profiles, through the gateway and with a token; otherwise everything, through the admin listener
    #[arg(long, value_name = "ID", conflicts_with = "admin_url")]
    profile: Vec<String>,
    /// A file to write; stdout if left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.profile.is_empty() && args.node.is_told() {
        return Err(Failure::new(
            "--url, --token, --token-file and --tls-ca are for the gateway: say which --profile, or --admin-url instead",
        ));
    }
    let mut sink = Sink::open(args.output.as_ref())?;
    let bar = output::bar(None, "registers");
    if args.profile.is_empty() {
        let mut answer = args.admin.client()?.open("/v1/export")?;
        let lines = BufReader::new(answer.body_mut().with_config().limit(u64::MAX).reader());
        for line in lines.split(b'\n') {
            let mut line = line.map_err(|error| Failure::of("the export broke off; what was written is not everything", &error))?;
            line.push(b'\n');
            sink.write(&line)?;
            bar.inc(1);
        }
    } else {
        let client = args.node.client()?;
        for profile in &args.profile {
            list::history(&client, profile, |item| {
                bar.inc(1);
                sink.write(format!("{item}\n").as_bytes())
            })?;
        }
    }
    bar.finish_and_clear();
    let count = bar.position();
    sink.finish()?;
    output::note(format!("{count} registers"));
    Ok(ExitCode::SUCCESS)
}

enum Sink {
    Stdout(Vec<u8>),
    File(PathBuf, BufWriter<File>),
}

const STDOUT_CHUNK_BYTES: usize = 64 << 10;

impl Sink {
    fn open(path: Option<&PathBuf>) -> Result<Self, Failure> {
        match path {
            None => Ok(Self::Stdout(Vec::new())),
            Some(path) => {
                let file = File::create(path).map_err(|error| Failure::of(path.display(), &error))?;
                Ok(Self::File(path.clone(), BufWriter::new(file)))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout(chunk) => {
                chunk.extend_from_slice(bytes);
                if chunk.len() >= STDOUT_CHUNK_BYTES { output::write(&std::mem::take(chunk)) } else { Ok(()) }
            }
            Self::File(path, file) => file.write_all(bytes).map_err(|error| Failure::of(path.display(), &error)),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stdout(chunk) => output::write(&chunk),
            Self::File(path, file) => {
                let synced = file.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
                synced.map_err(|error| Failure::of(path.display(), &error))
            }
        }
    }
}
