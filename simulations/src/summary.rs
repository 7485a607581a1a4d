//! What a run came to, for a terminal: what was run first, then what it measured, and last whether everything held.

use std::fmt::Write as _;
use std::time::Duration;

use crate::checkers;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::scenario::quantity::{show_bytes, show_count, show_duration, show_ms, trimmed};

/// Violations that a summary lists; the report and the JSON have all that are kept.
const VIOLATIONS_SHOWN_MAX: usize = 10;

/// A checker's name, and what it promises to find.
pub type Checked = (&'static str, &'static str);

/// The checkers of a scenario.
pub fn checked(scenario: &Scenario) -> Vec<Checked> {
    // The ledger only keeps the books that the others look things up in.
    let all = checkers::all(scenario);
    all.iter().map(|checker| (checker.name(), checker.about())).filter(|(name, _)| *name != "ledger").collect()
}

/// The lines that say what is run: before it is run, so that a run that never ends can be repeated too.
pub fn heading(scenario: &Scenario, seed: u64, commit: &str) -> String {
    let mut text = format!("{}, seed {seed}, commit {commit}\n{}\n", scenario.name, scenario.about);
    for (name, value) in scenario.options() {
        let _ = writeln!(text, "  {name:<10} {value}");
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        let name = if index == 0 { "faults" } else { "" };
        let lasts = if fault.lasts.is_zero() { String::new() } else { format!(" for {}", show_duration(fault.lasts)) };
        let _ = writeln!(text, "  {name:<10} at {}{lasts}: {}", show_duration(fault.at), fault.kind);
    }
    text
}

/// What came of it. `checked` are the checkers that looked on, with what each promises.
pub fn summary(outcome: &Outcome, checked: &[Checked]) -> String {
    let mut text = String::new();
    let speed = outcome.virtual_time.as_secs_f64() / outcome.real_time.as_secs_f64().max(1e-9);
    let _ = writeln!(
        text,
        "  {:<10} {} of virtual time in {} ({} times as fast), {} events ({}/s), {} joins ({}/s); trace {}\n",
        "run",
        show_duration(outcome.virtual_time),
        show_duration(outcome.real_time),
        show_count(speed as u64),
        show_count(outcome.steps),
        show_count(outcome.steps_per_s() as u64),
        show_count(outcome.joins),
        show_count(outcome.joins_per_s() as u64),
        outcome.trace_hash,
    );
    faults(&mut text, outcome);
    propagation(&mut text, outcome);
    counts(&mut text, outcome);
    peaks(&mut text, outcome);
    where_time_goes(&mut text, outcome);
    verdict(&mut text, outcome, checked);
    text
}

fn faults(text: &mut String, outcome: &Outcome) {
    if outcome.faults.is_empty() {
        return;
    }
    let mut table = Table::new(&["convergence", "from", "until", "unequal at most", "equal again after"]);
    for fault in &outcome.faults {
        let again = fault.converged.map_or("not before the end".into(), show_duration);
        table.row([fault.what.clone(), show_duration(fault.at), show_duration(fault.until), show_count(fault.unequal_max), again]);
    }
    table.write(text);
}

fn propagation(text: &mut String, outcome: &Outcome) {
    if outcome.propagation.is_empty() {
        return;
    }
    let mut table = Table::new(&["propagation, in ms", "changes", "one way", "p50", "p99", "max"]);
    for pair in &outcome.propagation {
        let ms = show_ms;
        let name = format!("{} → {}", pair.from, pair.to);
        table.row([name, show_count(pair.count), ms(pair.one_way_ms), ms(pair.p50_ms), ms(pair.p99_ms), ms(pair.max_ms)]);
    }
    table.write(text);
}

fn counts(text: &mut String, outcome: &Outcome) {
    let reasons = |refused: &std::collections::BTreeMap<String, u64>| {
        let list: Vec<String> = refused.iter().map(|(reason, count)| format!("{reason} {}", show_count(*count))).collect();
        if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) }
    };
    let mut table = Table::new(&["what", "count", ""]);
    let refused: u64 = outcome.refused.values().sum();
    let refused_records: u64 = outcome.refused_records.values().sum();
    table.row(["reports".into(), show_count(outcome.reports), format!("{} accepted", show_count(outcome.accepted))]);
    table.row(["reports refused".into(), show_count(refused), reasons(&outcome.refused)]);
    table.row(["updates sent".into(), show_count(outcome.updates), "registers that reports made or changed".into()]);
    table.row(["updates coalesced".into(), show_count(outcome.coalesced), "went with a later one of the same register".into()]);
    table.row(["records refused".into(), show_count(refused_records), reasons(&outcome.refused_records)]);
    table.row(["lost by design".into(), show_count(outcome.lost_by_design), "acknowledged, and every disk that held them was lost".into()]);
    table.row(["registers at rest".into(), show_count(outcome.registers), String::new()]);
    table.write(text);

    let mut table = Table::new(&["bytes on all links", "", "share"]);
    let all = outcome.bytes_all();
    for (kind, bytes) in &outcome.bytes {
        table.row([kind.clone(), show_bytes(*bytes), format!("{} %", trimmed(100.0 * *bytes as f64 / all.max(1) as f64, 1))]);
    }
    table.row(["all".into(), show_bytes(all), String::new()]);
    table.row(["per update".into(), format!("{} B", trimmed(outcome.bytes_per_update(), 1)), String::new()]);
    table.write(text);
}

fn peaks(text: &mut String, outcome: &Outcome) {
    if outcome.peaks.is_empty() {
        return;
    }
    let mut table = Table::new(&["most at any host", "", "of"]);
    for (name, peak) in &outcome.peaks {
        let show = if name.contains("bytes") { show_bytes } else { show_count };
        table.row([name.clone(), show(peak.most), show(peak.bound)]);
    }
    table.write(text);
}

fn where_time_goes(text: &mut String, outcome: &Outcome) {
    let all: f64 = outcome.where_time_goes.values().map(Duration::as_secs_f64).sum();
    if all <= 0.0 {
        return;
    }
    let mut parts: Vec<(&String, f64)> = outcome.where_time_goes.iter().map(|(part, took)| (part, took.as_secs_f64() / all)).collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut table = Table::new(&["where real time goes", "share"]);
    for (part, share) in parts {
        table.row([part.clone(), format!("{} %", trimmed(100.0 * share, 1))]);
    }
    table.write(text);
}

fn verdict(text: &mut String, outcome: &Outcome, checked: &[Checked]) {
    if !outcome.failed() {
        let (idle, looked): (Vec<&str>, Vec<&str>) = checked.iter().map(|checked| checked.0).partition(|name| outcome.had_nothing(name));
        let _ = write!(text, "held: {} checkers found nothing, and all replicas are equal ({})", looked.len(), looked.join(", "));
        let _ = if idle.is_empty() { writeln!(text) } else { writeln!(text, "\nnothing to check: {}", idle.join(", ")) };
        return;
    }
    for violation in outcome.violations.iter().take(VIOLATIONS_SHOWN_MAX) {
        let _ = writeln!(text, "VIOLATED: {violation}");
    }
    let (found, kept) = (outcome.found_all(), outcome.violations.len());
    let shown = kept.min(VIOLATIONS_SHOWN_MAX) as u64;
    if found > shown {
        let _ = writeln!(text, "… and {} more: {} were found, {kept} are kept", show_count(found - shown), show_count(found));
    }
}

/// Columns of a terminal: the first to the left, the others to the right; a last one without a heading is prose.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    fn write(&self, text: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                let prose = column + 1 == columns && self.rows[0][column].is_empty();
                let _ = if column == 0 || prose { write!(line, " {cell}{gap}") } else { write!(line, "  {gap}{cell}") };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
}
