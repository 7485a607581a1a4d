//! The matrix of links: who sent how much to whom, and how far apart they are.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::{Drawing, WIDTH};
use super::html::{figure, folded, table};
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::scenario::quantity::{show_bytes, show_count, trimmed};

const LEFT: f64 = 170.0;
const TOP: f64 = 120.0;
/// Rows and columns; with more nodes, those of a region are taken together.
const PLACES_COUNT_MAX: usize = 16;
/// Links in the table.
const LINKS_COUNT_MAX: usize = 40;

/// What passed from one place to another.
#[derive(Clone, Copy, Default)]
struct Cell {
    bytes: u64,
    frames: u64,
    links: u64,
    one_way_ms: f64,
    count: u32,
}

/// None where there are no links.
pub(super) fn section(number: usize, scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    if outcome.links.is_empty() {
        return None;
    }
    let by_region = scenario.node_count() as usize > PLACES_COUNT_MAX;
    let place = |host: &str| -> String {
        if host.starts_with("device/") {
            "devices".into()
        } else if by_region {
            host.split('/').next().unwrap_or(host).to_owned()
        } else {
            host.to_owned()
        }
    };
    let mut cells: BTreeMap<(String, String), Cell> = BTreeMap::new();
    for link in &outcome.links {
        let cell = cells.entry((place(&link.from), place(&link.to))).or_default();
        cell.bytes += link.bytes;
        cell.frames += link.frames;
        cell.links += link.links;
        cell.one_way_ms += link.one_way_ms;
        cell.count += 1;
    }
    let mut places: Vec<String> = Vec::new();
    for name in scenario.host_names().iter().map(|host| place(host)) {
        if !places.contains(&name) {
            places.push(name);
        }
    }
    let used: BTreeSet<&String> = cells.keys().flat_map(|(from, to)| [from, to]).collect();
    places.retain(|name| used.contains(name));
    let mut busiest: Vec<_> = outcome.links.iter().collect();
    busiest.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
    let rows: Vec<Vec<String>> = busiest
        .iter()
        .take(LINKS_COUNT_MAX)
        .map(|link| {
            let name = format!("{} → {}", link.from, link.to);
            vec![name, show_bytes(link.bytes), show_count(link.frames), show_count(link.links), trimmed(link.one_way_ms, 1)]
        })
        .collect();
    let caption = if busiest.len() > LINKS_COUNT_MAX {
        format!("The {LINKS_COUNT_MAX} busiest of {} links", show_count(busiest.len() as u64))
    } else {
        "All links, the busiest first".into()
    };
    let table = table(&caption, &["from → to", "bytes sent", "frames", "links begun", "one way, ms"], &rows);
    let says = "Row: who sends; column: to whom. Shade and upper figure: bytes sent; lower figure: mean one-way delay without faults, in milliseconds.";
    Some(figure(number, "Links", says, &drawing(&places, &cells), &folded("Table of links", &table)))
}

fn drawing(places: &[String], cells: &BTreeMap<(String, String), Cell>) -> String {
    let size = ((WIDTH - LEFT - 20.0) / places.len().max(1) as f64).min(92.0);
    let height = size.min(40.0);
    let bottom = TOP + height * places.len() as f64;
    let mut drawing =
        Drawing::new(bottom + 12.0, "Matrix of links: bytes sent from each host to each other, and the one-way delay between them");
    let most = cells.values().map(|cell| cell.bytes).max().unwrap_or(1).max(1) as f64;
    for (row, from) in places.iter().enumerate() {
        let y = TOP + height * row as f64;
        drawing.text("small", (LEFT - 8.0, y + height / 2.0 + 4.0), "end", from);
        let x = LEFT + size * row as f64 + size / 2.0;
        drawing.turned("small", (x - 4.0, TOP - 8.0), "start", -35.0, from);
        for (column, to) in places.iter().enumerate() {
            let x = LEFT + size * column as f64;
            let Some(cell) = cells.get(&(from.clone(), to.clone())) else {
                drawing.bar("empty", (x + 1.0, y + 1.0), (size - 2.0, height - 2.0), 1.0, "");
                continue;
            };
            let opacity = 0.08 + 0.42 * (cell.bytes as f64 / most).sqrt();
            let way = trimmed(cell.one_way_ms / f64::from(cell.count.max(1)), 1);
            let told = format!(
                "{from} → {to}: {} in {} frames, {} links begun, {way} ms",
                show_bytes(cell.bytes),
                show_count(cell.frames),
                show_count(cell.links)
            );
            drawing.bar("cell", (x + 1.0, y + 1.0), (size - 2.0, height - 2.0), opacity, &told);
            if size >= 44.0 {
                drawing.text("small strong", (x + size / 2.0, y + height / 2.0 - 2.0), "middle", &show_bytes(cell.bytes));
                drawing.text("small", (x + size / 2.0, y + height / 2.0 + 12.0), "middle", &format!("{way} ms"));
            }
        }
    }
    drawing.finish()
}
