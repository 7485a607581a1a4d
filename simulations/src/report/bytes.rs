//! Bytes over time, stacked by what is in them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::axis::{Drawing, Scale};
use super::html::{figure, table};
use super::timeline::{LEFT, RIGHT, time_scale};
use crate::outcome::Outcome;
use crate::scenario::quantity::{show_bytes, trimmed};

const TOP: f64 = 40.0;
const BOTTOM: f64 = 260.0;
/// Steps of the curve: more cannot be seen.
const STEPS_COUNT_MAX: usize = 300;

/// Kinds from the bottom of the stack up, with their classes; what else there may be shares the last.
const CLASSES: [(&str, &str); 4] = [("records", "c1"), ("reconciliation", "c2"), ("acks", "c3"), ("control", "c4")];

pub(super) fn section(number: usize, outcome: &Outcome) -> String {
    let all = outcome.bytes_all();
    let says = format!(
        "All links together, headers included: {}, which is {} bytes for each update.",
        show_bytes(all),
        trimmed(outcome.bytes_per_update(), 1)
    );
    let mut rows: Vec<Vec<String>> = kinds(outcome)
        .into_iter()
        .map(|kind| {
            let bytes = outcome.bytes.get(&kind).copied().unwrap_or_default();
            let share = format!("{} %", trimmed(100.0 * bytes as f64 / all.max(1) as f64, 1));
            let per_update = trimmed(bytes as f64 / outcome.updates.max(1) as f64, 1);
            vec![kind, show_bytes(bytes), share, per_update]
        })
        .collect();
    rows.push(vec!["all".into(), show_bytes(all), "100 %".into(), trimmed(outcome.bytes_per_update(), 1)]);
    let table = table("Bytes on all links, by what is in them", &["what", "bytes", "share", "bytes per update"], &rows);
    figure(number, "Bytes over time", &says, &drawing(outcome), &table)
}

/// The kinds of a run, in the order of the stack.
fn kinds(outcome: &Outcome) -> Vec<String> {
    let mut kinds: Vec<String> = outcome.bytes.keys().cloned().collect();
    kinds.sort_by_key(|kind| CLASSES.iter().position(|(name, _)| name == kind).unwrap_or(CLASSES.len()));
    kinds
}

fn class(kind: &str) -> &'static str {
    CLASSES.iter().find(|(name, _)| *name == kind).map_or("c4", |(_, class)| class)
}

/// Bytes a second, by kind, each from a time until a later one.
struct Step {
    from: Duration,
    until: Duration,
    bytes: BTreeMap<String, u64>,
}

impl Step {
    fn rate(&self, kind: &str) -> f64 {
        let seconds = self.until.saturating_sub(self.from).as_secs_f64();
        self.bytes.get(kind).map_or(0.0, |bytes| *bytes as f64 / seconds.max(1e-3))
    }
}

fn steps(outcome: &Outcome) -> Vec<Step> {
    let samples = &outcome.bytes_over_time;
    let each = samples.len().div_ceil(STEPS_COUNT_MAX).max(1);
    let mut from = Duration::ZERO;
    let mut found = Vec::new();
    for chunk in samples.chunks(each) {
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        for (kind, more) in chunk.iter().flat_map(|(_, bytes)| bytes) {
            *bytes.entry(kind.clone()).or_default() += more;
        }
        let until = chunk.last().map_or(from, |(at, _)| *at);
        if until > from {
            found.push(Step { from, until, bytes });
            from = until;
        }
    }
    found
}

fn drawing(outcome: &Outcome) -> String {
    let mut drawing = Drawing::new(BOTTOM + 44.0, "Bytes a second on all links over time, stacked by what is in them");
    let (steps, kinds) = (steps(outcome), kinds(outcome));
    let sum = |step: &Step| kinds.iter().map(|kind| step.rate(kind)).sum::<f64>();
    let most = steps.iter().map(sum).fold(1.0, f64::max);
    let x = time_scale(outcome);
    let y = Scale::linear(0.0, most * 1.05, BOTTOM, TOP);
    drawing.upright(y, LEFT, RIGHT, "bytes a second", TOP);
    drawing.level_time(x, outcome.virtual_time, TOP, BOTTOM);
    let mut floor = vec![0.0; steps.len()];
    let mut legend = RIGHT;
    for kind in &kinds {
        let mut upper = Vec::new();
        let mut lower = Vec::new();
        for (step, floor) in steps.iter().zip(&mut floor) {
            let (begin, end) = (x.place(step.from.as_secs_f64()), x.place(step.until.as_secs_f64()));
            lower.extend([(begin, y.place(*floor)), (end, y.place(*floor))]);
            *floor += step.rate(kind);
            upper.extend([(begin, y.place(*floor)), (end, y.place(*floor))]);
        }
        upper.extend(lower.into_iter().rev());
        drawing.area(class(kind), &upper);
        legend -= 24.0 + 7.0 * kind.len() as f64;
        drawing.bar(class(kind), (legend, 10.0), (11.0, 11.0), 1.0, "");
        drawing.text("small", (legend + 16.0, 20.0), "start", kind);
    }
    drawing.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    drawing.finish()
}
