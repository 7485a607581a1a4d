//! Faults against divergence: bars of what was broken above, registers unequal beneath.

use std::time::Duration;

use super::axis::{Drawing, Scale, WIDTH};
use super::html::{figure, table};
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::scenario::quantity::{show_count, show_duration};

/// Left and right edge of the plots that share the axis of time.
pub(super) const LEFT: f64 = 64.0;
/// The right one.
pub(super) const RIGHT: f64 = WIDTH - 20.0;
/// Height of a fault's lane.
const LANE: f64 = 19.0;
/// Letters of a fault's name that are shown beside its bar; all of them are in the table beneath.
const NAME_CHARS_MAX: usize = 60;
/// Points of a curve: more cannot be seen.
const POINTS_COUNT_MAX: usize = 800;

/// The axis of time of a run.
pub(super) fn time_scale(outcome: &Outcome) -> Scale {
    Scale::linear(0.0, outcome.virtual_time.as_secs_f64(), LEFT, RIGHT)
}

pub(super) fn section(number: usize, scenario: &Scenario, outcome: &Outcome) -> String {
    let most = outcome.divergence.iter().map(|(_, unequal)| *unequal).max().unwrap_or_default();
    let says = format!(
        "Bars: what was broken. Curve: registers that are not the same at all nodes that run; at most {}. Dashed: everything is healed, from here the world must settle.",
        show_count(most)
    );
    let rows: Vec<Vec<String>> = outcome
        .faults
        .iter()
        .map(|fault| {
            let again = fault.converged.map_or_else(|| "not before the end".into(), show_duration);
            vec![fault.what.clone(), show_duration(fault.at), show_duration(fault.until), show_count(fault.unequal_max), again]
        })
        .collect();
    let rows =
        if rows.is_empty() { vec![vec!["no fault".into(), String::new(), String::new(), show_count(most), String::new()]] } else { rows };
    let table =
        table("Faults, and when all was equal again", &["fault", "from", "until", "registers unequal at most", "equal again after"], &rows);
    figure(number, "Faults and divergence", &says, &drawing(scenario, outcome, most), &table)
}

fn drawing(scenario: &Scenario, outcome: &Outcome, most: u64) -> String {
    let top = 12.0 + LANE * outcome.faults.len() as f64 + if outcome.faults.is_empty() { 20.0 } else { 34.0 };
    let bottom = top + 220.0;
    let mut drawing = Drawing::new(bottom + 44.0, "Faults over time, and registers unequal among nodes over time");
    let x = time_scale(outcome);
    let y = Scale::linear(0.0, (most as f64 * 1.08).max(1.0), bottom, top);
    drawing.upright(y, LEFT, RIGHT, "registers unequal", top);
    drawing.level_time(x, outcome.virtual_time, top, bottom);
    for (lane, fault) in outcome.faults.iter().enumerate() {
        let (begin, end) = (x.place(fault.at.as_secs_f64()), x.place(fault.until.as_secs_f64()));
        let at = 8.0 + LANE * lane as f64;
        let told = format!("{}: {} to {}", fault.what, show_duration(fault.at), show_duration(fault.until));
        drawing.bar("band", (begin, at), (end - begin, bottom - at), 0.07, "");
        drawing.bar("fault", (begin, at), ((end - begin).max(3.0), LANE - 6.0), 0.85, &told);
        // The name stands where there is room: behind the bar, or before it.
        let mut name: String = fault.what.chars().take(NAME_CHARS_MAX).collect();
        if name.len() < fault.what.len() {
            name.push('…');
        }
        let wide = 6.2 * name.chars().count() as f64;
        let room = RIGHT - end > wide;
        let (place, anchor) = if room { (end.max(begin + 3.0) + 6.0, "start") } else { (begin - 6.0, "end") };
        let clear = room || begin - LEFT > wide;
        if clear {
            drawing.text("small", (place, at + LANE - 9.0), anchor, &name);
        } else {
            drawing.text("small onbar", (begin.max(LEFT) + 6.0, at + LANE - 9.0), "start", &name);
        }
    }
    let points: Vec<(f64, f64)> =
        thinned(&outcome.divergence).into_iter().map(|(at, unequal)| (x.place(at.as_secs_f64()), y.place(unequal as f64))).collect();
    // A count holds until the next is taken: steps, not slopes.
    let mut steps = vec![(LEFT, bottom)];
    for point in points {
        let before = steps.last().map_or(bottom, |last| last.1);
        steps.push((point.0, before));
        steps.push(point);
    }
    let last = steps.last().map_or(bottom, |last| last.1);
    steps.push((RIGHT, last));
    let mut under = steps.clone();
    under.extend([(RIGHT, bottom), (LEFT, bottom)]);
    drawing.area("under", &under);
    drawing.path("curve", &steps);
    let healed = x.place(scenario.duration.as_secs_f64());
    drawing.line("healed", (healed, top), (healed, bottom));
    let (place, anchor) = if healed > RIGHT - 60.0 { (healed - 5.0, "end") } else { (healed + 5.0, "start") };
    drawing.text("small", (place, top + 12.0), anchor, "healed");
    drawing.line("axis", (LEFT, bottom), (RIGHT, bottom));
    drawing.finish()
}

/// At most so many samples, each the highest of those it stands for.
fn thinned(samples: &[(Duration, u64)]) -> Vec<(Duration, u64)> {
    let each = samples.len().div_ceil(POINTS_COUNT_MAX).max(1);
    samples.chunks(each).filter_map(|chunk| chunk.iter().max_by_key(|(_, unequal)| *unequal).copied()).collect()
}
