//! `leftoff list`: what a profile was watching.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Client, NodeArgs, segment};
use super::failure::Failure;
use super::output;

/// What a profile was watching
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose
    profile: String,
    /// The whole history, by title, and not only what is to be continued
    #[arg(long)]
    all: bool,
    /// At most so many of the row
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let client = args.node.client()?;
    let items = if args.all {
        let mut items = Vec::new();
        history(&client, &args.profile, |item| {
            items.push(item);
            Ok(())
        })?;
        items
    } else {
        let path = format!("/v1/profiles/{}/continue-watching?limit={}", segment(&args.profile), args.limit);
        client.get(&path)?["items"].as_array().cloned().unwrap_or_default()
    };
    if args.json {
        output::json(&json!({ "items": items }))?;
    } else {
        if items.is_empty() {
            output::line(format!("nothing for {}", args.profile.escape_default()))?;
        }
        for item in &items {
            output::line(row(item))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(item: &Value) -> String {
    let mut marks = Vec::new();
    for mark in ["completed", "hidden"] {
        if item[mark].as_bool() == Some(true) {
            marks.push(mark);
        }
    }
    let marks = if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
    format!(
        "{:>9}  {}  {}{marks}",
        output::position(item, "position_ms"),
        output::date(output::number(item, "at_ms")),
        output::text(item, "title_id")
    )
}

/// Visits the whole history of a profile, page by page.
pub(super) fn history(client: &Client, profile: &str, mut visit: impl FnMut(Value) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut after = String::new();
    loop {
        let path = format!("/v1/profiles/{}/titles?limit=1000&after={}", segment(profile), segment(&after));
        let mut page = client.get(&path)?;
        for item in page["items"].as_array_mut().into_iter().flatten() {
            visit(item.take())?;
        }
        match page["next"].as_str() {
            // A page that leads to itself would never end.
            Some(next) if next != after => next.clone_into(&mut after),
            _ => return Ok(()),
        }
    }
}
