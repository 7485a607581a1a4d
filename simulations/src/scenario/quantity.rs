//! Quantities as people write them in a scenario: `1h 30m`, `250ms`, `5 %`, `8 MiB`, `2 Mbit/s`.
//!
//! Each way back writes what its way in reads to the same value, bit for bit: a shrunk timeline that is written out is the one that failed.

use std::fmt::Write as _;
use std::time::Duration;

/// Units of time with their nanoseconds, longest first; the first name of each is the one that is written.
const TIMES: [(&[&str], u64); 8] = [
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["min", "m", "minute", "minutes"], 60_000_000_000),
    (&["s", "sec", "second", "seconds"], 1_000_000_000),
    (&["ms"], 1_000_000),
    (&["us", "µs"], 1_000),
    (&["ns"], 1),
    (&["w", "week", "weeks"], 604_800_000_000_000),
];

/// Units of sizes with their bytes, largest first.
const SIZES: [(&[&str], f64); 7] = [
    (&["GiB"], 1_073_741_824.0),
    (&["MiB"], 1_048_576.0),
    (&["KiB"], 1024.0),
    (&["GB"], 1e9),
    (&["MB"], 1e6),
    (&["kB", "KB"], 1e3),
    (&["B", "byte", "bytes"], 1.0),
];

/// Units of bandwidth with their bytes a second.
const BANDWIDTHS: [(&[&str], f64); 8] = [
    (&["Gbit/s"], 125e6),
    (&["Mbit/s"], 125e3),
    (&["kbit/s"], 125.0),
    (&["GB/s"], 1e9),
    (&["MB/s"], 1e6),
    (&["kB/s", "KB/s"], 1e3),
    (&["B/s"], 1.0),
    (&["bit/s"], 0.125),
];

/// The numbers with the units behind them: `1h 30m` is two.
fn parts(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let after = after.trim_start();
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if number.is_empty() || unit.is_empty() {
            return None;
        }
        found.push((number, unit));
        rest = next.trim_start();
    }
    (!found.is_empty()).then_some(found)
}

fn unit<T: Copy>(units: &[(&[&str], T)], name: &str) -> Option<T> {
    units.iter().find(|(names, _)| names.contains(&name)).map(|(_, size)| *size)
}

fn number(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok().filter(|value: &f64| value.is_finite())
}

/// `1h 30m`, `250ms`, `1.5 days`. None: not a time.
pub fn duration(text: &str) -> Option<Duration> {
    if text.trim() == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    for (value, name) in parts(text)? {
        let nanos = unit(&TIMES, name)?;
        let part = match value.replace('_', "").parse::<u64>() {
            Ok(whole) => Duration::from_nanos(nanos.checked_mul(whole)?),
            Err(_) => Duration::try_from_secs_f64(number(value)? * nanos as f64 / 1e9).ok()?,
        };
        total = total.checked_add(part)?;
    }
    Some(total)
}

/// The time in units of `nanos` nanoseconds, without loss where it is written in that unit.
pub fn time_in(text: &str, nanos: u64) -> Option<f64> {
    let negative = text.trim().starts_with('-');
    let text = text.trim().trim_start_matches('-');
    let sum = if text.trim() == "0" {
        0.0
    } else {
        let mut sum = 0.0;
        for (value, name) in parts(text)? {
            let factor = unit(&TIMES, name)?;
            sum += if factor == nanos { number(value)? } else { number(value)? * (factor as f64 / nanos as f64) };
        }
        sum
    };
    Some(if negative { -sum } else { sum })
}

/// Nanoseconds of a millisecond and a minute, for [`time_in`].
pub const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds of a minute, for [`time_in`].
pub const MINUTE: u64 = 60_000_000_000;

/// `5 %`, or a bare number from 0 to 1. None: not a share.
pub fn share(text: &str) -> Option<f64> {
    match text.trim().strip_suffix('%') {
        Some(percent) => number(percent.trim()).map(|percent| percent / 100.0),
        None => number(text.trim()),
    }
}

/// `8 MiB`, `500 kB`, or a bare number of bytes. None: not a size.
pub fn size(text: &str) -> Option<u64> {
    measured(text, &SIZES)
}

/// `2 Mbit/s`, `500 kB/s`, or a bare number of bytes a second. None: not a bandwidth.
pub fn bandwidth(text: &str) -> Option<u64> {
    measured(text, &BANDWIDTHS)
}

fn measured(text: &str, units: &[(&[&str], f64)]) -> Option<u64> {
    if let Ok(bare) = text.trim().replace('_', "").parse() {
        return Some(bare);
    }
    let [(value, name)] = parts(text)?[..] else { return None };
    let bytes = number(value)? * unit(units, name)?;
    (bytes <= 9e15).then_some(bytes as u64)
}

/// A duration for a file: `1h 30min`.
pub fn write_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (names, nanos) in &TIMES[..7] {
        let count = rest / u128::from(*nanos);
        rest %= u128::from(*nanos);
        if count > 0 {
            let gap = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{gap}{count}{}", names[0]);
        }
    }
    if text.is_empty() { "0".into() } else { text }
}

/// A share for a file: `5 %`, or the bare number where percent would round it.
pub fn write_share(value: f64) -> String {
    let percent = format!("{} %", value * 100.0);
    if percent.len() <= 8 && share(&percent) == Some(value) { percent } else { format!("{value}") }
}

/// A size for a file, in the largest unit that holds it whole.
pub fn write_size(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// A bandwidth for a file, in the largest unit that holds it whole.
pub fn write_bandwidth(bytes_per_s: u64) -> String {
    let units = [(125_000_u64, "Mbit/s"), (125, "kbit/s")];
    match units.iter().find(|(unit, _)| bytes_per_s > 0 && bytes_per_s.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes_per_s / unit),
        None => format!("{bytes_per_s} B/s"),
    }
}

/// A duration for people, in two units at most: `2h 5min`, `1.42 s`, `17 ms`.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 60.0 {
        let whole = Duration::from_secs(duration.as_secs());
        write_duration(whole).split(' ').take(2).collect::<Vec<_>>().join(" ")
    } else if seconds >= 1.0 {
        format!("{} s", trimmed(seconds, 2))
    } else if seconds >= 0.001 {
        format!("{} ms", trimmed(seconds * 1e3, 1))
    } else if duration.is_zero() {
        "0 s".into()
    } else {
        format!("{} µs", trimmed(seconds * 1e6, 0))
    }
}

/// Milliseconds for people, without their unit: decimals only where they matter.
pub fn show_ms(millis: f64) -> String {
    if millis >= 1_000.0 { show_count(millis.round() as u64) } else { trimmed(millis, 1) }
}

/// Bytes for people: `1.3 MB`.
pub fn show_bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", trimmed(value / 1e3, 1)),
        1_000_000..1_000_000_000 => format!("{} MB", trimmed(value / 1e6, 1)),
        _ => format!("{} GB", trimmed(value / 1e9, 2)),
    }
}

/// A count for people, with commas at the thousands.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with at most so many decimals, without zeros at its end.
pub fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in
            [("250ms", 250), ("1h 30m", 5_400_000), ("1h30min", 5_400_000), ("1.5 s", 1_500), ("2 weeks", 1_209_600_000), ("0", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "ms", "1 fortnight", "-3s", "1h 30", "1e9s", "99999999999999d"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(time_in("-1h 30m", MINUTE), Some(-90.0));
        assert_eq!(time_in("0.1ms", MILLISECOND), Some(0.1));
    }

    #[test]
    fn shares_sizes_and_bandwidths_are_read_as_people_write_them() {
        assert_eq!(share("5 %"), Some(0.05));
        assert_eq!(share("0.05"), Some(0.05));
        assert_eq!(share("inf"), None);
        assert_eq!(size("8 MiB"), Some(8 << 20));
        assert_eq!(size("500 kB"), Some(500_000));
        assert_eq!(size("1 MB 2 kB"), None);
        assert_eq!(bandwidth("64 kbit/s"), Some(8_000));
        assert_eq!(bandwidth("2 Mbit"), None);
    }

    #[test]
    fn what_is_written_is_read_to_the_same_value() {
        for nanos in [0, 1, 999, 1_000_001, 60_000_000_000, 86_400_000_000_001, 5_400_250_000_000] {
            let value = Duration::from_nanos(nanos);
            assert_eq!(duration(&write_duration(value)), Some(value), "{}", write_duration(value));
        }
        for value in [0.0, 0.05, 0.07, 0.333_333_333, 1.0, 0.29, 1e-9] {
            assert_eq!(share(&write_share(value)), Some(value), "{}", write_share(value));
        }
        for value in [0, 1, 1_000, 8 << 20, 125, 8_000, 250_000] {
            assert_eq!(size(&write_size(value)), Some(value));
            assert_eq!(bandwidth(&write_bandwidth(value)), Some(value));
        }
    }

    #[test]
    fn people_are_shown_two_units_at_most() {
        assert_eq!(show_duration(Duration::from_secs(3_723)), "1h 2min");
        assert_eq!(show_duration(Duration::from_millis(1_420)), "1.42 s");
        assert_eq!(show_duration(Duration::from_micros(16_660)), "16.7 ms");
        assert_eq!(show_bytes(1_340_000), "1.3 MB");
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!((show_ms(13_094.22).as_str(), show_ms(44.25).as_str()), ("13,094", "44.2"));
    }
}
