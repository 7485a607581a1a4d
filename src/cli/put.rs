//! `leftoff put`: records one event.

use std::process::ExitCode;

use serde_json::json;

use super::client::NodeArgs;
use super::failure::Failure;
use super::{get, output};
use crate::progress::{EventKind, PlaybackEvent};
use crate::time::system::wall_now;

/// Record one event
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose progress
    profile: String,
    /// In which title
    title: String,
    /// Where the playhead is: 1:02:16, 18:42, 90s, 10m, 1500ms, or milliseconds
    #[arg(long, value_name = "POSITION", value_parser = position_ms)]
    position: u64,
    /// What happened
    #[arg(long, value_parser = ["play", "heartbeat", "pause", "seek", "stop", "end"], default_value = "pause")]
    kind: String,
    /// On which device
    #[arg(long, default_value = "cli")]
    device: String,
    /// With --kind play: start from the beginning
    #[arg(long)]
    restart: bool,
    /// Length of the title, like the position
    #[arg(long, value_name = "LENGTH", value_parser = position_ms)]
    duration: Option<u64>,
    /// The show it belongs to
    #[arg(long)]
    series: Option<String>,
    /// When it happened, Unix milliseconds; now, if left out
    #[arg(long, value_name = "UNIX_MS")]
    at_ms: Option<u64>,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let kind: EventKind = serde_json::from_value(json!(args.kind.to_uppercase())).map_err(|error| Failure::of("--kind", &error))?;
    let event = PlaybackEvent {
        series_id: args.series.clone(),
        restart: args.restart,
        duration_ms: args.duration,
        at_ms: args.at_ms,
        ..PlaybackEvent::new(&args.profile, &args.title, &args.device, kind, args.position)
    };
    let body = json!({"sent_at_ms": wall_now().as_millis(), "events": [event]});
    let answer = args.node.client()?.post("/v1/events?return=progress", &body)?;
    if args.json {
        output::json(&answer)?;
    }
    if let Some(refused) = answer["refused"].as_array().and_then(|refused| refused.first()) {
        return Err(Failure::new(format!("refused: {} ({})", output::text(refused, "reason"), output::text(refused, "code"))));
    }
    if !args.json {
        get::show(&answer["progress"][0])?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A position as people write it.
fn position_ms(text: &str) -> Result<u64, String> {
    let bad = || "say it like 1:02:16, 18:42, 90s, 10m, 1500ms, or in milliseconds".to_owned();
    let digits = |part: &str| if part.bytes().all(|byte| byte.is_ascii_digit()) { part.parse::<u64>().ok() } else { None };
    let parsed = if text.contains(':') {
        let parts: Vec<&str> = text.split(':').collect();
        let small = |part: &str| digits(part).filter(|number| *number < 60);
        match parts[..] {
            [minutes, seconds] => digits(minutes).zip(small(seconds)).and_then(|(m, s)| m.checked_mul(60)?.checked_add(s)),
            [hours, minutes, seconds] => {
                digits(hours).zip(small(minutes).zip(small(seconds))).and_then(|(h, (m, s))| h.checked_mul(3_600)?.checked_add(m * 60 + s))
            }
            _ => None,
        }
        .and_then(|seconds| seconds.checked_mul(1_000))
    } else {
        let (number, factor) = match text {
            _ if text.ends_with("ms") => (&text[..text.len() - 2], 1),
            _ if text.ends_with('s') => (&text[..text.len() - 1], 1_000),
            _ if text.ends_with('m') => (&text[..text.len() - 1], 60_000),
            _ if text.ends_with('h') => (&text[..text.len() - 1], 3_600_000),
            _ => (text, 1),
        };
        digits(number).and_then(|number| number.checked_mul(factor))
    };
    parsed.ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_people_write_them() {
        for (text, ms) in [
            ("1:02:16", 3_736_000),
            ("18:42", 1_122_000),
            ("90s", 90_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1500ms", 1_500),
            ("7", 7),
        ] {
            assert_eq!(position_ms(text), Ok(ms), "{text}");
        }
        for text in ["", ":", "1:60", "1:2:3:4", "-5", "1.5s", "s", "99999999999999999999", "99999999999999999:00"] {
            assert!(position_ms(text).is_err(), "{text}");
        }
    }
}
