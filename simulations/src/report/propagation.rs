//! How soon changes of one region are in another: the distribution of each pair beside what light alone would need.

use super::axis::{Drawing, Scale, WIDTH};
use super::html::{figure, table};
use crate::outcome::{Outcome, Propagation};
use crate::scenario::quantity::{show_count, show_ms, trimmed};

const LEFT: f64 = 236.0;
const RIGHT: f64 = WIDTH - 20.0;
const ROW: f64 = 20.0;
const TOP: f64 = 34.0;
/// Pairs that are drawn; the table has all.
const PAIRS_COUNT_MAX: usize = 30;

pub(super) fn section(number: usize, outcome: &Outcome) -> String {
    let says = "From a change made durable in one region until it is durable in another. Shade: how many changes took so long. \
                Changes made while the pair was cut wait for the cut's end, and are in here too.";
    let ms = show_ms;
    let rows: Vec<Vec<String>> = outcome
        .propagation
        .iter()
        .map(|pair| {
            let over = show_ms(pair.p99_ms - pair.one_way_ms);
            vec![name(pair), show_count(pair.count), ms(pair.one_way_ms), ms(pair.p50_ms), ms(pair.p99_ms), over, ms(pair.max_ms)]
        })
        .collect();
    let headings = ["from → to", "changes", "one way", "p50", "p99", "p99 beyond one way", "max"];
    let table = table("Propagation between regions, in milliseconds", &headings, &rows);
    figure(number, "Propagation between regions", says, &drawing(outcome), &table)
}

fn name(pair: &Propagation) -> String {
    format!("{} → {}", pair.from, pair.to)
}

fn drawing(outcome: &Outcome) -> String {
    let shown = &outcome.propagation[..outcome.propagation.len().min(PAIRS_COUNT_MAX)];
    let bottom = TOP + ROW * shown.len() as f64;
    let mut drawing =
        Drawing::new(bottom + 44.0, "Distribution of propagation times for each pair of regions, in milliseconds on a logarithmic axis");
    let least = shown.iter().map(|pair| pair.one_way_ms.min(pair.p50_ms)).fold(f64::INFINITY, f64::min);
    let most = shown.iter().map(|pair| pair.max_ms).fold(1.0, f64::max);
    let least = if least.is_finite() { (least * 0.8).max(0.05) } else { 0.1 };
    let x = Scale::log(least, most * 1.1, LEFT, RIGHT);
    drawing.level(x, TOP, bottom, "milliseconds, logarithmic");
    legend(&mut drawing);
    for (index, pair) in shown.iter().enumerate() {
        let top = TOP + ROW * index as f64;
        let middle = top + ROW / 2.0;
        drawing.text("small", (LEFT - 8.0, middle + 4.0), "end", &name(pair));
        let fullest = pair.histogram.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1) as f64;
        let mut begin = None;
        for (bound, count) in &pair.histogram {
            let end = x.place(*bound);
            // The first bin is as wide, on this axis, as a step of the histogram.
            let from = begin.unwrap_or_else(|| x.place(bound / 1.22));
            if *count > 0 {
                // Rare ones must be seen, too: the root lifts them.
                let opacity = 0.12 + 0.78 * (*count as f64 / fullest).sqrt();
                let told = format!("{}: {} took up to {} ms", name(pair), show_count(*count), trimmed(*bound, 1));
                drawing.bar("cell", (from, top + 3.0), (end - from, ROW - 6.0), opacity, &told);
            }
            begin = Some(end);
        }
        let way = x.place(pair.one_way_ms);
        drawing.line("mark2", (way, top + 1.0), (way, top + ROW - 1.0));
        drawing.dot("hollow", (x.place(pair.p50_ms), middle), 4.0);
        drawing.diamond("inkfill", (x.place(pair.p99_ms), middle), 5.0);
        let max = x.place(pair.max_ms);
        drawing.line("mark", (max, top + 5.0), (max, top + ROW - 5.0));
    }
    drawing.line("axis", (LEFT, bottom), (RIGHT, bottom));
    drawing.finish()
}

fn legend(drawing: &mut Drawing) {
    let y = 14.0;
    drawing.line("mark2", (LEFT + 4.0, y - 8.0), (LEFT + 4.0, y + 6.0));
    drawing.text("small", (LEFT + 12.0, y + 3.0), "start", "one way without faults");
    drawing.dot("hollow", (LEFT + 158.0, y - 1.0), 4.0);
    drawing.text("small", (LEFT + 168.0, y + 3.0), "start", "p50");
    drawing.diamond("inkfill", (LEFT + 206.0, y - 1.0), 5.0);
    drawing.text("small", (LEFT + 216.0, y + 3.0), "start", "p99");
    drawing.line("mark", (LEFT + 254.0, y - 6.0), (LEFT + 254.0, y + 4.0));
    drawing.text("small", (LEFT + 262.0, y + 3.0), "start", "max");
}
