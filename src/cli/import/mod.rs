//! `leftoff import`: events from a file, in batches, to a node.
//!
//! An import can be interrupted and repeated: each event carries its own time, so a repeat joins what is there already and changes nothing.

mod jsonl;
mod netflix;
mod sender;
mod viewer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use self::jsonl::LineError;
use self::sender::Sender;
use self::viewer::Viewers;
use super::client::{Client, NodeArgs, segment};
use super::failure::Failure;
use super::output;
use crate::progress::{Position, ProfileId, TitleId};
use crate::time::system::wall_now;

/// Send events from a file to a node; may be interrupted and repeated
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file
    file: PathBuf,
    /// What is in it: events, one JSON object a line, or the ViewingActivity.csv that Netflix gives its members
    #[arg(long, value_parser = ["jsonl", "netflix"], default_value = "jsonl")]
    format: String,
    /// Afterwards, read every title back and compare (netflix)
    #[arg(long)]
    check: bool,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let client = args.node.client()?;
    let file = File::open(&args.file).map_err(|error| Failure::of(args.file.display(), &error))?;
    if args.format == "netflix" { netflix(args, &client, file) } else { jsonl(args, &client, file) }
}

fn jsonl(args: &Args, client: &Client, file: File) -> Result<ExitCode, Failure> {
    let bar = output::bar(file.metadata().ok().map(|data| data.len()).filter(|bytes| *bytes > 0), "bytes");
    let mut sender = Sender::new(client);
    for line in jsonl::Lines::new(BufReader::new(bar.wrap_read(file))) {
        match line {
            Ok((line, event)) => sender.push(line, event)?,
            // One bad line costs none of the others.
            Err(error @ LineError::Event { .. }) => sender.refuse(&error),
            Err(error @ LineError::Read(_)) => {
                sender.flush()?;
                return Err(Failure::of(args.file.display(), &error));
            }
        }
    }
    sender.flush()?;
    bar.finish_and_clear();
    if args.json {
        output::json(&json!({"events": sender.sent(), "accepted": sender.accepted(), "refused": sender.refused()}))?;
    } else {
        output::line(format!("{} events sent, {} accepted, {} refused", sender.sent(), sender.accepted(), sender.refused()))?;
    }
    Ok(if sender.refused() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn netflix(args: &Args, client: &Client, file: File) -> Result<ExitCode, Failure> {
    let history = netflix::read(BufReader::new(file)).map_err(|error| Failure::of(args.file.display(), &error))?;
    let now = wall_now();
    let bar = output::bar(Some(history.sessions.len() as u64), "sessions");
    let (mut viewers, mut sender) = (Viewers::default(), Sender::new(client));
    let mut latest = BTreeMap::<(ProfileId, TitleId), Position>::new();
    for session in &history.sessions {
        let line = session.line;
        let events = viewers.watch(now, session).map_err(|error| Failure::of(format!("{}: line {line}", args.file.display()), &error))?;
        for event in events {
            sender.push(line, event)?;
        }
        if let Some(position) = session.latest {
            latest.insert((session.profile.clone(), session.title.clone()), position);
        }
        bar.inc(1);
    }
    sender.flush()?;
    bar.finish_and_clear();
    let agreeing = latest.iter().filter(|((profile, title), position)| viewers.resume_position(profile, title) == **position).count();
    let differing = if args.check { differing(client, &latest)? } else { Vec::new() };
    let figures = json!({
        "sessions": history.sessions.len(), "previews": history.preview_count, "events": sender.sent(), "accepted": sender.accepted(),
        "refused": sender.refused(), "titles": latest.len(), "agreeing": agreeing, "differing": args.check.then_some(differing.len()),
    });
    if args.json {
        output::json(&figures)?;
    } else {
        let (sessions, previews) = (history.sessions.len(), history.preview_count);
        output::line(format!(
            "{sessions} sessions of {} titles sent as {} events ({previews} previews left out), {} refused",
            latest.len(),
            sender.sent(),
            sender.refused()
        ))?;
        output::line(format!("{agreeing} of {} titles resume at the platform's own Latest Bookmark by the file alone", latest.len()))?;
        for told in &differing {
            output::line(format!("  {told}"))?;
        }
        if args.check {
            let same = latest.len() - differing.len();
            output::line(format!("{same} of {} titles do so as the node answers", latest.len()))?;
        }
    }
    Ok(if sender.refused() == 0 && differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads every title back from the node and tells those that do not resume where the platform says.
fn differing(client: &Client, latest: &BTreeMap<(ProfileId, TitleId), Position>) -> Result<Vec<String>, Failure> {
    let bar = output::bar(Some(latest.len() as u64), "titles read back");
    let mut differing = Vec::new();
    for ((profile, title), position) in latest {
        let progress = client.get(&format!("/v1/profiles/{}/titles/{}", segment(profile.as_str()), segment(title.as_str())))?;
        if output::number(&progress, "position_ms") != position.as_millis() {
            differing.push(format!("{profile}, {title}: {} instead of {position}", output::position(&progress, "position_ms")));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(differing)
}
