//! `leftoff get`: where to resume a title.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{NodeArgs, segment};
use super::failure::Failure;
use super::output;

/// Where to resume a title
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose progress
    profile: String,
    /// In which title
    title: String,
    /// How the position is chosen
    #[arg(long, value_parser = ["continue", "furthest", "last_activity"], default_value = "continue")]
    policy: String,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let path = format!("/v1/profiles/{}/titles/{}?policy={}", segment(&args.profile), segment(&args.title), args.policy);
    let progress = args.node.client()?.get(&path)?;
    if args.json {
        output::json(&progress)?;
    } else {
        show(&progress)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows one register to people.
pub(super) fn show(progress: &Value) -> Result<(), Failure> {
    if progress["started"].as_bool() != Some(true) {
        return output::line(format!("{} has not begun {}", output::text(progress, "profile_id"), output::text(progress, "title_id")));
    }
    let of = match progress["duration_ms"].as_u64() {
        Some(_) => format!(" of {}", output::position(progress, "duration_ms")),
        None => String::new(),
    };
    let completed = if progress["completed"].as_bool() == Some(true) { ", completed" } else { "" };
    let hidden = if progress["hidden"].as_bool() == Some(true) { ", hidden from the row" } else { "" };
    output::line(format!("{}{of}{completed}{hidden}", output::position(progress, "position_ms")))?;
    output::line(format!(
        "  {} on {} at {}",
        output::text(progress, "state"),
        output::text(progress, "device_id"),
        output::date(output::number(progress, "at_ms"))
    ))?;
    output::line(format!("  furthest {}, version {}", output::position(progress, "furthest_ms"), output::number(progress, "version")))?;
    for place in progress["places"].as_array().into_iter().flatten().skip(1) {
        let (position, touched) = (output::position(place, "position_ms"), output::date(output::number(place, "touched_ms")));
        output::line(format!("  earlier place: {position}, {touched}"))?;
    }
    Ok(())
}
