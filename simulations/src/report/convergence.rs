//! How long after each fault all nodes were equal again.

use super::axis::{Drawing, Scale, WIDTH};
use super::html::{figure, table};
use crate::outcome::Outcome;
use crate::scenario::quantity::{show_count, show_duration};

const LEFT: f64 = 320.0;
const RIGHT: f64 = WIDTH - 90.0;
const ROW: f64 = 22.0;
const TOP: f64 = 10.0;
/// Shorter times, in seconds, are drawn as this.
const LEAST_S: f64 = 0.01;
/// Letters of a fault's name that fit before the axis.
const NAME_CHARS_MAX: usize = 50;

/// None where nothing was broken.
pub(super) fn section(number: usize, outcome: &Outcome) -> Option<String> {
    if outcome.faults.is_empty() {
        return None;
    }
    let says = "From the end of the fault, when its hosts run again, until what it had left unequal was the same at all nodes that run, and at the devices that it struck. What faults that overlap keep apart counts for both; what an earlier one had left, for that one.";
    let mut slowest: Vec<_> = outcome.faults.iter().filter_map(|fault| Some((fault.converged?, fault))).collect();
    slowest.sort_by_key(|(converged, _)| std::cmp::Reverse(*converged));
    let rows: Vec<Vec<String>> = slowest
        .iter()
        .take(5)
        .map(|(converged, fault)| vec![fault.what.clone(), show_duration(*converged), show_count(fault.unequal_max)])
        .collect();
    let table = if rows.is_empty() {
        String::new()
    } else {
        table("The slowest", &["fault", "equal again after", "registers unequal at most"], &rows)
    };
    Some(figure(number, "Convergence after each fault", says, &drawing(outcome), &table))
}

fn drawing(outcome: &Outcome) -> String {
    let bottom = TOP + ROW * outcome.faults.len() as f64;
    let mut drawing =
        Drawing::new(bottom + 44.0, "Seconds from the end of each fault until what it had left was equal, on a logarithmic axis");
    let seconds = || outcome.faults.iter().filter_map(|fault| fault.converged).map(|converged| converged.as_secs_f64().max(LEAST_S));
    let least = seconds().fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least.min(0.1) } else { 0.1 };
    let x = Scale::log(least * 0.8, seconds().fold(1.0, f64::max) * 1.25, LEFT, RIGHT);
    drawing.level(x, TOP, bottom, "seconds, logarithmic");
    for (index, fault) in outcome.faults.iter().enumerate() {
        let middle = TOP + ROW * index as f64 + ROW / 2.0;
        let mut name: String = fault.what.chars().take(NAME_CHARS_MAX).collect();
        if name.len() < fault.what.len() {
            name.push('…');
        }
        drawing.text("small", (LEFT - 8.0, middle + 4.0), "end", &name);
        match fault.converged {
            Some(converged) => {
                let end = x.place(converged.as_secs_f64().max(LEAST_S));
                drawing.line("mark2", (LEFT, middle), (end, middle));
                drawing.dot("c2", (end, middle), 5.0);
                drawing.text("small strong", (end + 10.0, middle + 4.0), "start", &show_duration(converged));
            }
            None => drawing.text("small bad", (LEFT + 8.0, middle + 4.0), "start", "not before the end"),
        }
    }
    drawing.line("axis", (LEFT, TOP), (LEFT, bottom));
    drawing.finish()
}
