//! `leftoff status`: members, links, lag and store figures of a node.

use std::process::ExitCode;

use super::client::AdminArgs;
use super::failure::Failure;
use super::output::{self, bytes, number, text};

/// Members, links, lag and store figures of a node
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let status = args.admin.client()?.get("/v1/status")?;
    if args.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (node, store) = (&status["node"], &status["store"]);
    let ready = if status["ready"].as_bool() == Some(true) { "ready" } else { "NOT READY" };
    output::line(format!(
        "{} in {}: {ready}, version {}, up {} s",
        text(node, "name"),
        text(node, "region"),
        text(&status, "version"),
        number(&status, "uptime_s")
    ))?;
    for reason in status["reasons"].as_array().into_iter().flatten().filter_map(|reason| reason.as_str()) {
        output::line(format!("  because {reason}"))?;
    }
    output::line(format!(
        "  replica {} in epoch {}, durable up to {}",
        text(node, "replica_id"),
        text(node, "epoch"),
        number(node, "durable")
    ))?;
    output::line(format!(
        "  table {} registers in {}, log {} in {} segments ({} not folded), {} playheads",
        number(store, "table_registers"),
        bytes(number(store, "table_bytes")),
        bytes(number(store, "log_bytes")),
        number(store, "log_segments"),
        bytes(number(store, "log_unfolded_bytes")),
        number(&status, "playheads"),
    ))?;
    let links = status["links"].as_array().map(Vec::as_slice).unwrap_or_default();
    if links.is_empty() {
        output::line("  no links")?;
    }
    for link in links {
        output::line(format!(
            "  {} {} in {}: {}, {} records behind, {:.1} ms away at {}",
            text(link, "role"),
            text(link, "peer"),
            text(link, "region"),
            text(link, "state"),
            number(link, "lag_records"),
            link["rtt_ms"].as_f64().unwrap_or(0.0),
            text(link, "address"),
        ))?;
    }
    for member in status["members"].as_array().into_iter().flatten().filter(|member| member["linked"].as_bool() == Some(false)) {
        output::line(format!("  not linked: {} ({})", text(member, "address"), text(member, "last_error")))?;
    }
    Ok(ExitCode::SUCCESS)
}
