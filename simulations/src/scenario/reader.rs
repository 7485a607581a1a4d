//! Reading a table of a scenario file: each value by its key's kind, default and bounds, each mistake with its line.
//!
//! Nothing stops at the first mistake: a value that makes no sense is told and its default taken, so that one look shows all of them.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Key, Kind};
use super::quantity;

/// A mistake in a scenario file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The key, with the path to it; empty: the file's syntax.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Everything that is wrong with a scenario file.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// The mistakes, in order of lines; at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
            write!(f, "{gap}{}:{}: {key}{}", self.file, problem.line, problem.what)?;
        }
        Ok(())
    }
}

/// The mistakes found so far in a file.
pub(super) struct Problems<'a> {
    text: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a mistake at a place of the text.
    pub(super) fn push(&mut self, at: usize, key: impl Into<String>, what: impl Into<String>) {
        let line = 1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        self.found.push(Problem { line, key: key.into(), what: what.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_error(mut self, file: &str) -> ScenarioError {
        self.found.sort_by_key(|problem| problem.line);
        ScenarioError { file: file.to_owned(), problems: self.found }
    }
}

/// A table of the file, or the defaults of one that is not there.
pub(super) struct Section<'a, 'p> {
    /// The section of [`keys`] it is.
    pub(super) of: &'static str,
    /// Its path in the file: `faults[2]`.
    pub(super) path: String,
    /// Where it begins.
    pub(super) at: usize,
    table: Option<&'a DeTable<'a>>,
    /// The names that it may have; the others are mistakes.
    known: Vec<&'static str>,
    problems: &'p mut Problems<'a>,
}

impl<'a, 'p> Section<'a, 'p> {
    pub(super) fn new(
        section: &'static str,
        path: String,
        table: Option<(&'a DeTable<'a>, usize)>,
        problems: &'p mut Problems<'a>,
    ) -> Self {
        let known = keys::names(section);
        Self { of: section, path, at: table.map_or(0, |(_, at)| at), table: table.map(|(table, _)| table), known, problems }
    }

    /// Fewer keys than the section has.
    pub(super) fn known(&mut self, names: &[&'static str]) {
        self.known = names.to_vec();
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Notes a mistake in a key's value.
    pub(super) fn wrong(&mut self, name: &str, what: impl Into<String>) {
        let at = self.raw(name).map_or(self.at, |(_, span)| span.start);
        let path = self.path_of(name);
        self.problems.push(at, path, what);
    }

    pub(super) fn problems(&mut self) -> &mut Problems<'a> {
        self.problems
    }

    /// The value of a key, as it stands there.
    pub(super) fn raw(&self, name: &str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
        let table = self.table?;
        let (_, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some((value.get_ref(), value.span()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Tells of keys that are none.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let near =
                self.known.iter().filter(|known| distance(known, name) <= 1 + known.len() / 4).min_by_key(|known| distance(known, name));
            let hint =
                near.map_or_else(|| format!("the keys here are {}", self.known.join(", ")), |near| format!("did you mean `{near}`?"));
            let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
            self.problems.push(key.span().start, path, format!("there is no such key; {hint}"));
        }
    }

    fn key(&self, name: &str) -> Key {
        // A name that is not in the table is a mistake of this crate, found by the test that reads every key.
        keys::find(self.of, name).copied().unwrap_or(Key {
            section: self.of,
            name: "",
            kind: Kind::Special,
            default: "",
            none: "",
            bounds: ("", ""),
            about: "",
        })
    }

    /// The text of the value, if it is written, of the right type and within its bounds; else of the default.
    fn checked(&mut self, name: &str) -> Option<String> {
        let key = self.key(name);
        let Some((value, _)) = self.raw(name) else {
            if key.default.is_empty() {
                self.wrong(name, "must be written");
                return None;
            }
            return Some(key.default.to_owned());
        };
        let text = match text_of(key.kind, value) {
            Some(text) if !key.none.is_empty() && text == key.none => return Some(text),
            Some(text) if parsed(key.kind, &text).is_some() => text,
            None if matches!(value, DeValue::Integer(_)) && !key.bounds.0.is_empty() && is_number(key.kind) => {
                self.wrong(name, format!("must be {} to {}, not {}", key.bounds.0, key.bounds.1, shown(value)));
                return Some(key.default.to_owned());
            }
            _ => {
                let quoted = matches!(value, DeValue::String(text) if is_number(key.kind) && text.parse::<f64>().is_ok());
                let hint = if quoted { ": write it without quotes" } else { "" };
                let or = if key.none.is_empty() { String::new() } else { format!(", or \"{}\"", key.none) };
                self.wrong(name, format!("{} is not {}{or}{hint}", shown(value), expected(key.kind)));
                return Some(key.default.to_owned());
            }
        };
        let (least, most) = key.bounds;
        let bound = |text: &str| parsed(key.kind, text);
        if let (Some(value), Some(low), Some(high)) = (parsed(key.kind, &text), bound(least), bound(most))
            && !(low..=high).contains(&value)
        {
            self.wrong(name, format!("must be {least} to {most}, not {text}"));
            return Some(key.default.to_owned());
        }
        Some(text)
    }

    /// As [`Self::checked`], none where the word for "no value" stands.
    fn optional(&mut self, name: &str) -> Option<String> {
        let none = self.key(name).none;
        self.checked(name).filter(|text| text != none)
    }

    pub(super) fn text(&mut self, name: &str) -> String {
        self.checked(name).unwrap_or_default()
    }

    pub(super) fn text_or_none(&mut self, name: &str) -> Option<String> {
        self.optional(name)
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        self.checked(name).as_deref() == Some("true")
    }

    pub(super) fn count<T: TryFrom<u64> + Default>(&mut self, name: &str) -> T {
        self.count_or_none(name).unwrap_or_default()
    }

    pub(super) fn count_or_none<T: TryFrom<u64>>(&mut self, name: &str) -> Option<T> {
        self.optional(name)?.parse().ok().and_then(|count: u64| T::try_from(count).ok())
    }

    pub(super) fn integer(&mut self, name: &str) -> i64 {
        self.checked(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    pub(super) fn number(&mut self, name: &str) -> f64 {
        self.number_or_none(name).unwrap_or_default()
    }

    pub(super) fn number_or_none(&mut self, name: &str) -> Option<f64> {
        self.optional(name)?.parse().ok()
    }

    pub(super) fn share(&mut self, name: &str) -> f64 {
        self.checked(name).and_then(|text| quantity::share(&text)).unwrap_or_default()
    }

    pub(super) fn time(&mut self, name: &str) -> Duration {
        self.time_or_none(name).unwrap_or_default()
    }

    pub(super) fn time_or_none(&mut self, name: &str) -> Option<Duration> {
        self.optional(name).and_then(|text| quantity::duration(&text))
    }

    /// A time in units of so many nanoseconds, exactly as written.
    pub(super) fn time_in(&mut self, name: &str, nanos: u64) -> f64 {
        self.checked(name).and_then(|text| quantity::time_in(&text, nanos)).unwrap_or_default()
    }

    pub(super) fn time_in_or_none(&mut self, name: &str, nanos: u64) -> Option<f64> {
        self.optional(name).and_then(|text| quantity::time_in(&text, nanos))
    }

    pub(super) fn size(&mut self, name: &str) -> u64 {
        self.checked(name).and_then(|text| quantity::size(&text)).unwrap_or_default()
    }

    pub(super) fn bandwidth(&mut self, name: &str) -> Option<u64> {
        self.optional(name).and_then(|text| quantity::bandwidth(&text))
    }

    /// A selector or a list of them; empty where nothing is written.
    pub(super) fn selectors(&mut self, name: &str) -> Vec<(String, usize)> {
        match self.raw(name) {
            None => Vec::new(),
            Some((DeValue::String(one), span)) => vec![(one.to_string(), span.start)],
            Some((DeValue::Array(list), _)) => {
                let mut found = Vec::new();
                for item in list {
                    match item.get_ref() {
                        DeValue::String(one) => found.push((one.to_string(), item.span().start)),
                        other => {
                            let path = self.path_of(name);
                            self.problems.push(item.span().start, path, format!("{} is not {}", shown(other), expected(Kind::Host)));
                        }
                    }
                }
                found
            }
            Some((other, _)) => {
                self.wrong(name, format!("{} is not {}", shown(other), expected(Kind::Hosts)));
                Vec::new()
            }
        }
    }
}

/// The value of a spanned table entry with where it stands.
pub(super) fn place<'a>(value: &'a Spanned<DeValue<'a>>) -> (&'a DeValue<'a>, usize) {
    (value.get_ref(), value.span().start)
}

/// The value as the text that the kind is read from; none: of the wrong type.
fn text_of(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    let integer = |value: &DeValue<'_>| match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|value| value.to_string()),
        _ => None,
    };
    match (kind, value) {
        (Kind::Flag, DeValue::Boolean(flag)) => Some(flag.to_string()),
        (Kind::Count | Kind::Integer | Kind::Number | Kind::Share | Kind::Size | Kind::Bandwidth, DeValue::Integer(_)) => integer(value),
        (Kind::Time | Kind::Offset, DeValue::Integer(_)) => integer(value).filter(|text| text == "0"),
        (Kind::Number | Kind::Share, DeValue::Float(float)) => Some(float.as_str().to_owned()),
        (Kind::Count | Kind::Integer | Kind::Number, DeValue::String(text)) if !text.chars().any(|c| c.is_ascii_digit()) => {
            // Only the word for "no value" is a text here; whether it is, the caller sees.
            Some(text.to_string())
        }
        (Kind::Text | Kind::Host | Kind::Share | Kind::Time | Kind::Offset | Kind::Size | Kind::Bandwidth, DeValue::String(text)) => {
            Some(text.to_string())
        }
        _ => None,
    }
}

/// The value as a number that bounds are compared by; 0 for what has no order. None: it cannot be read.
fn parsed(kind: Kind, text: &str) -> Option<f64> {
    match kind {
        Kind::Text | Kind::Host | Kind::Hosts | Kind::Special => Some(0.0),
        Kind::Flag => matches!(text, "true" | "false").then_some(0.0),
        Kind::Count => text.parse::<u64>().ok().map(|count| count as f64),
        Kind::Integer => text.parse::<i64>().ok().map(|integer| integer as f64),
        Kind::Number => text.parse::<f64>().ok().filter(|number| number.is_finite()),
        Kind::Share => quantity::share(text),
        Kind::Time => quantity::duration(text).map(|duration| duration.as_secs_f64()),
        Kind::Offset => quantity::time_in(text, quantity::MILLISECOND),
        Kind::Size => quantity::size(text).map(|bytes| bytes as f64),
        Kind::Bandwidth => quantity::bandwidth(text).map(|bytes| bytes as f64),
    }
}

/// Whether its values stand without quotes.
const fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Count | Kind::Integer | Kind::Number)
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Flag => "true or false",
        Kind::Count => "a whole number, not negative",
        Kind::Integer => "a whole number",
        Kind::Number => "a number",
        Kind::Share => "a share such as \"5 %\" or 0.05",
        Kind::Time => "a time with its unit such as \"250ms\" or \"1h 30m\"",
        Kind::Offset => "a time with its unit such as \"1d\" or \"-90s\"",
        Kind::Size => "a size such as \"8 MiB\"",
        Kind::Bandwidth => "a bandwidth such as \"2 Mbit/s\" or \"500 kB/s\"",
        Kind::Hosts => "a selector of hosts, or a list of them",
        Kind::Host => "a selector of one host",
        Kind::Special => "what this key takes",
    }
}

/// A value for an error message.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// How many letters differ, as in spelling checkers (Levenshtein).
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
