//! The report: one page that opens from disk, with everything in it, for screens light and dark and for paper.
//!
//! It is made of a run's outcome alone, so that the same seed gives the same page but for the real time it took. No script and nothing from
//! elsewhere: whoever gets the file has all of it.

mod axis;
mod bytes;
mod convergence;
mod html;
mod links;
mod propagation;
mod timeline;

use std::fmt::Write as _;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::scenario::quantity::{show_bytes, show_count, show_duration, trimmed};
use crate::summary::Checked;
use html::{escaped, folded, table};

const STYLE: &str = include_str!("style.css");

/// Violations that the page lists.
const VIOLATIONS_COUNT_MAX: usize = 500;

/// The page. `checked` are the checkers that looked on, `again` is the command that runs the same world again.
pub fn page(scenario: &Scenario, outcome: &Outcome, checked: &[Checked], again: &str) -> String {
    let title = format!("{}, seed {}", scenario.name, outcome.seed);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"generator\" content=\"leftoff-sim\"><title>{}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n",
        escaped(&title)
    );
    head(&mut page, scenario, outcome, checked);
    let mut number = 1;
    page.push_str(&timeline::section(number, scenario, outcome));
    if let Some(section) = convergence::section(number + 1, outcome) {
        page.push_str(&section);
        number += 1;
    }
    if !outcome.propagation.is_empty() {
        number += 1;
        page.push_str(&propagation::section(number, outcome));
    }
    number += 1;
    page.push_str(&bytes::section(number, outcome));
    if let Some(section) = links::section(number + 1, scenario, outcome) {
        page.push_str(&section);
    }
    counts(&mut page, outcome);
    checks(&mut page, outcome, checked);
    replay(&mut page, scenario, outcome, again);
    page.push_str("</main></body></html>\n");
    page
}

fn head(page: &mut String, scenario: &Scenario, outcome: &Outcome, checked: &[Checked]) {
    let (class, verdict) = if outcome.failed() {
        ("broken", format!("Violated: {}", outcome.failed_checkers().into_iter().collect::<Vec<_>>().join(", ")))
    } else {
        let idle = checked.iter().filter(|(name, _)| outcome.had_nothing(name)).count();
        let more = if idle == 0 { String::new() } else { format!("; {idle} had nothing to check") };
        ("held", format!("Held: {} checkers found nothing, all replicas ended equal{more}", checked.len() - idle))
    };
    let _ = write!(
        page,
        "<header><h1>{}</h1><p>{}</p><p class=\"verdict {class}\">{verdict}</p></header>\n<dl class=\"facts\">",
        escaped(&scenario.name),
        escaped(&scenario.about)
    );
    let slowest = outcome.faults.iter().filter_map(|fault| fault.converged).max();
    let worst = outcome.propagation.iter().max_by(|a, b| a.p99_ms.total_cmp(&b.p99_ms));
    let facts = [
        ("seed", outcome.seed.to_string(), format!("commit {}", outcome.commit)),
        ("virtual time", show_duration(outcome.virtual_time), format!("in {} of real time", show_duration(outcome.real_time))),
        ("slowest convergence", slowest.map_or("–".into(), show_duration), format!("of {} faults", outcome.faults.len())),
        (
            "worst p99 of propagation",
            worst.map_or("–".into(), |pair| show_duration(Duration::from_secs_f64(pair.p99_ms / 1e3))),
            worst.map_or_else(String::new, |pair| format!("{} → {}", pair.from, pair.to)),
        ),
        ("updates", show_count(outcome.updates), format!("{} reports, {} joins", show_count(outcome.reports), show_count(outcome.joins))),
        ("bytes per update", trimmed(outcome.bytes_per_update(), 1), format!("{} on all links", show_bytes(outcome.bytes_all()))),
    ];
    for (name, value, more) in facts {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{}<small>{}</small></dd></div>", escaped(&value), escaped(&more));
    }
    page.push_str("</dl>\n");
    let mut rows: Vec<Vec<String>> = scenario.options().into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    rows.push(vec!["trace".into(), format!("{} ({} events)", outcome.trace_hash, show_count(outcome.steps))]);
    page.push_str(&table("What was run", &["option", "<value"], &rows));
}

fn counts(page: &mut String, outcome: &Outcome) {
    page.push_str("<section><h2>Counts</h2>");
    let mut rows = vec![
        vec!["reports handed in".into(), show_count(outcome.reports), "what players said".into()],
        vec!["accepted".into(), show_count(outcome.accepted), "kept by the host they were handed to".into()],
    ];
    let mut push = |what: String, count: u64, says: &str| rows.push(vec![what, show_count(count), says.to_owned()]);
    for (reason, count) in &outcome.refused {
        push(format!("refused: {reason}"), *count, "reports that a host did not take");
    }
    push("updates".into(), outcome.updates, "registers that reports made or changed at their own host");
    push("joins".into(), outcome.joins, "records applied at all hosts, their own included");
    push("coalesced".into(), outcome.coalesced, "updates that went with a later one of the same register");
    for (reason, count) in &outcome.refused_records {
        push(format!("refused between replicas: {reason}"), *count, "records that a replica did not take from a peer");
    }
    push("lost by design".into(), outcome.lost_by_design, "acknowledged reports whose every holder's disk was lost");
    push("registers at rest".into(), outcome.registers, "one for each profile and title");
    page.push_str(&table("What was done", &["what", "count", "<meaning"], &rows));
    let rows: Vec<Vec<String>> = outcome
        .peaks
        .iter()
        .map(|(name, peak)| {
            let show = if name.contains("bytes") { show_bytes } else { show_count };
            let part = format!("{} %", trimmed(100.0 * peak.most as f64 / peak.bound.max(1) as f64, 1));
            vec![name.clone(), show(peak.most), show(peak.bound), part]
        })
        .collect();
    if !rows.is_empty() {
        page.push_str(&table("Tables and queues: the most at any host", &["what", "most", "bound", "filled"], &rows));
    }
    let rows: Vec<Vec<String>> = outcome.where_time_goes.iter().map(|(part, time)| vec![part.clone(), show_duration(*time)]).collect();
    if !rows.is_empty() {
        page.push_str(&folded("Where real time went", &table("Real time by part of the simulator", &["part", "time"], &rows)));
    }
    page.push_str("</section>\n");
}

fn checks(page: &mut String, outcome: &Outcome, checked: &[Checked]) {
    page.push_str("<section><h2>What was checked</h2><p>Every checker looked on at every step, and once more at rest.</p>");
    let mut rows: Vec<Vec<String>> = checked
        .iter()
        .map(|(name, about)| {
            let result = match outcome.found_by(name) {
                0 if outcome.had_nothing(name) => "nothing to check".into(),
                0 => "held".into(),
                found => format!("violated {} times", show_count(found)),
            };
            vec![(*name).to_owned(), (*about).to_owned(), result]
        })
        .collect();
    let settled =
        if outcome.settled { "held".into() } else { format!("replicas were not equal after {}", show_duration(outcome.virtual_time)) };
    rows.push(vec!["settling".into(), "after the faults all replicas become equal within the time to settle".into(), settled]);
    page.push_str(&table("Checkers", &["checker", "<what it looks for", "<result"], &rows));
    if !outcome.violations.is_empty() {
        page.push_str("<ul class=\"violations broken\">");
        for violation in outcome.violations.iter().take(VIOLATIONS_COUNT_MAX) {
            let _ = write!(page, "<li>{}</li>", escaped(violation));
        }
        let (found, kept) = (outcome.found_all(), outcome.violations.len());
        let shown = kept.min(VIOLATIONS_COUNT_MAX) as u64;
        if found > shown {
            let (more, found) = (show_count(found - shown), show_count(found));
            let _ = write!(page, "<li>… and {more} more: {found} were found, {kept} are kept, the first of each checker</li>");
        }
        page.push_str("</ul>");
    }
    page.push_str("</section>\n");
}

fn replay(page: &mut String, scenario: &Scenario, outcome: &Outcome, again: &str) {
    let _ = write!(
        page,
        "<section><h2>How to run it again</h2><p>The same seed of the same commit ({}) gives the same history: the trace’s hash is {} again.</p><pre>{}</pre>",
        escaped(&outcome.commit),
        escaped(&outcome.trace_hash),
        escaped(again)
    );
    let _ = writeln!(
        page,
        "<details><summary>The scenario, as a file</summary><pre>{}</pre></details></section>",
        escaped(&scenario.to_toml())
    );
}
