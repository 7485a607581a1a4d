//! The figures of a benchmark, gathered over its runs and printed.
#![expect(clippy::print_stdout, reason = "the figures are what the command is for")]

use hdrhistogram::Histogram;
use serde_json::json;

use super::Common;
use super::process::{load_average, machine};
use crate::time::WallTime;
use crate::time::system::wall_now;

#[derive(Debug)]
struct Figure {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

/// Figures of all runs.
#[derive(Debug)]
pub(super) struct Report {
    command: String,
    date: String,
    load_before: String,
    quiet: bool,
    figures: Vec<Figure>,
}

impl Report {
    /// Begins a report: notes command, date and load.
    pub(super) fn begin(common: &Common) -> Self {
        let mut words = std::env::args();
        words.next();
        let command = std::iter::once("leftoff".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
        Self { command, date: date(wall_now()), load_before: load_average(), quiet: common.json, figures: Vec::new() }
    }

    /// Notes the figure of one run, and says it.
    pub(super) fn note(&mut self, name: &str, unit: &'static str, value: f64) {
        self.note_quietly(name, unit, value);
        if !self.quiet {
            println!("  {name:<44} {} {unit}", shown(value));
        }
    }

    /// Notes the figure of one run among many.
    pub(super) fn note_quietly(&mut self, name: &str, unit: &'static str, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { name: name.to_owned(), unit, values: vec![value] }),
        }
    }

    /// Notes the percentiles of a histogram of microseconds, in milliseconds.
    pub(super) fn note_latencies(&mut self, name: &str, micros: &Histogram<u64>) {
        for (label, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            self.note(&format!("{name} {label}"), "ms", micros.value_at_quantile(quantile) as f64 / 1e3);
        }
    }

    /// Says what is being done, unless the output is for a program.
    pub(super) fn say(&self, what: &str) {
        if !self.quiet {
            println!("{what}");
        }
    }

    /// Prints medians, lowest and highest.
    pub(super) fn print(&self, as_json: bool) {
        let load_after = load_average();
        if as_json {
            let figures: serde_json::Map<String, serde_json::Value> = self
                .figures
                .iter()
                .map(|figure| (figure.name.clone(), json!({"unit": figure.unit, "median": median(&figure.values), "runs": figure.values})))
                .collect();
            let all = json!({
                "command": self.command, "date": self.date, "machine": machine(),
                "load_average": {"before": self.load_before, "after": load_after}, "figures": figures,
            });
            println!("{all:#}");
            return;
        }
        println!("\n{}\n{}; {}; load average before {}, after {load_after}\n", self.command, self.date, machine(), self.load_before);
        println!("{:<46} {:>12}  {:<14} {:>12} {:>12}", "median of the runs", "", "unit", "lowest", "highest");
        for Figure { name, unit, values } in &self.figures {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            println!("{name:<46} {:>12}  {unit:<14} {:>12} {:>12}", shown(median(values)), shown(low), shown(high));
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        Some(upper) if sorted.len().is_multiple_of(2) => f64::midpoint(sorted[middle - 1], *upper),
        Some(only) => *only,
        None => 0.0,
    }
}

fn shown(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// A day and time as `2026-11-21 09:15 UTC`.
fn date(at: WallTime) -> String {
    let (days, minutes) = (at.as_millis() / 86_400_000, at.as_millis() / 60_000 % 1_440);
    // Days to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`, for days after 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_shown_as_people_write_it() {
        assert_eq!(date(WallTime::from_millis(1_795_252_500_000)), "2026-11-21 09:15 UTC");
        assert_eq!(date(WallTime::from_millis(951_782_400_000)), "2000-02-29 00:00 UTC");
    }

    #[test]
    fn the_middle_of_the_runs_is_shown() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }
}
