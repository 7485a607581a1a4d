//! Scales, ticks and the frame of a drawing. Colours are the page's: every mark names a class, so that one drawing serves light, dark and print.

use std::fmt::Write as _;
use std::time::Duration;

use super::html::escaped;
use crate::scenario::quantity::{show_count, trimmed, write_duration};

/// Width of every drawing, in its own units.
pub(super) const WIDTH: f64 = 960.0;

/// From values to places on the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    begin: f64,
    end: f64,
    log: bool,
}

impl Scale {
    /// A scale from 0, or from the least value, to the most.
    pub(super) fn linear(low: f64, high: f64, begin: f64, end: f64) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, begin, end, log: false }
    }

    /// A scale of sizes: each decade is as wide as the next. Both ends above 0.
    pub(super) fn log(low: f64, high: f64, begin: f64, end: f64) -> Self {
        let low = low.max(1e-6);
        Self { low: low.ln(), high: high.max(low * 1.5).ln(), begin, end, log: true }
    }

    pub(super) fn place(self, value: f64) -> f64 {
        let value = if self.log { value.max(1e-9).ln() } else { value };
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.begin + part * (self.end - self.begin)
    }

    /// Round values, about so many.
    pub(super) fn ticks(self, about: usize) -> Vec<f64> {
        if self.log {
            let (low, high) = (self.low.exp(), self.high.exp());
            let all = |steps: &[f64]| -> Vec<f64> {
                let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
                let values = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
                values.filter(|value| (low * 0.999..=high * 1.001).contains(value)).collect()
            };
            // As fine as there is room for.
            let fine = all(&[1.0, 2.0, 5.0]);
            return if fine.len() <= 2 * about { fine } else { all(&[1.0]) };
        }
        let step = nice((self.high - self.low) / about.max(1) as f64);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten, not below the value.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value * 0.999).unwrap_or(10.0 * power)
}

/// Times on an axis of so long, about so many, with their names.
pub(super) fn time_ticks(length: Duration, about: u32) -> Vec<(Duration, String)> {
    let steps = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
        2_592_000,
    ];
    let wanted = (length.as_secs() / u64::from(about.max(1))).max(1);
    let step = steps.into_iter().find(|step| *step >= wanted).unwrap_or(7_776_000);
    (0..=length.as_secs() / step).map(|index| Duration::from_secs(index * step)).map(|at| (at, write_duration(at))).collect()
}

/// A number on an axis, short.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        1e9.. => format!("{}G", trimmed(value / 1e9, 1)),
        1e6.. => format!("{}M", trimmed(value / 1e6, 1)),
        1e4.. => format!("{}k", trimmed(value / 1e3, 1)),
        1e3.. => show_count(value as u64),
        _ => trimmed(value, 3),
    }
}

/// A drawing under construction.
pub(super) struct Drawing {
    height: f64,
    title: String,
    body: String,
}

impl Drawing {
    /// `title` is read aloud instead of the drawing.
    pub(super) fn new(height: f64, title: &str) -> Self {
        Self { height, title: escaped(title), body: String::new() }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ =
            write!(self.body, "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>", from.0, from.1, to.0, to.1);
    }

    /// A rectangle by its left upper corner, with a text that is told when it is pointed at.
    pub(super) fn bar(&mut self, class: &str, at: (f64, f64), size: (f64, f64), opacity: f64, told: &str) {
        let title = if told.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(told)) };
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" opacity=\"{opacity:.2}\">{title}</rect>",
            at.0,
            at.1,
            size.0.max(0.5),
            size.1.max(0.0)
        );
    }

    pub(super) fn dot(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let _ = write!(self.body, "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"/>", at.0, at.1);
    }

    pub(super) fn diamond(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let (x, y) = at;
        let points = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)];
        self.shape("polygon", class, &points);
    }

    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        self.shape("polygon", class, points);
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        self.shape("polyline", class, points);
    }

    fn shape(&mut self, what: &str, class: &str, points: &[(f64, f64)]) {
        let _ = write!(self.body, "<{what} class=\"{class}\" points=\"");
        for (x, y) in points {
            let _ = write!(self.body, "{x:.1},{y:.1} ");
        }
        self.body.push_str("\"/>");
    }

    /// `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: &str, text: &str) {
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            at.0,
            at.1,
            escaped(text)
        );
    }

    /// A text turned about its place, in degrees.
    pub(super) fn turned(&mut self, class: &str, at: (f64, f64), anchor: &str, degrees: f64, text: &str) {
        let (x, y) = at;
        let _ = write!(
            self.body,
            "<text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate({degrees})\" text-anchor=\"{anchor}\">{}</text>",
            escaped(text)
        );
    }

    /// An upright axis at the left with its grid, and its unit above.
    pub(super) fn upright(&mut self, scale: Scale, left: f64, right: f64, unit: &str, top: f64) {
        for tick in scale.ticks(4) {
            let y = scale.place(tick);
            self.line("grid", (left, y), (right, y));
            self.text("tick", (left - 6.0, y + 4.0), "end", &short(tick));
        }
        self.text("unit", (left - 6.0, top - 8.0), "start", unit);
    }

    /// A level axis of time with its grid.
    pub(super) fn level_time(&mut self, scale: Scale, length: Duration, top: f64, bottom: f64) {
        for (at, name) in time_ticks(length, 10) {
            let x = scale.place(at.as_secs_f64());
            self.line("grid", (x, top), (x, bottom));
            self.text("tick", (x, bottom + 16.0), "middle", &name);
        }
        self.text("unit", (f64::midpoint(scale.begin, scale.end), bottom + 34.0), "middle", "virtual time since the beginning");
    }

    /// A level axis of numbers with its grid.
    pub(super) fn level(&mut self, scale: Scale, top: f64, bottom: f64, unit: &str) {
        for tick in scale.ticks(7) {
            let x = scale.place(tick);
            self.line("grid", (x, top), (x, bottom));
            self.text("tick", (x, bottom + 16.0), "middle", &short(tick));
        }
        self.text("unit", (f64::midpoint(scale.begin, scale.end), bottom + 34.0), "middle", unit);
    }

    pub(super) fn finish(self) -> String {
        format!("<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{}\">{}</svg>", self.height, self.title, self.body)
    }
}
