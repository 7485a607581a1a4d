//! Measured round trips, from a CSV file that the project does not contain.
//!
//! Columns by name, in any order: provider, measured, src, dst, rtt_min_ms, rtt_avg_ms, rtt_max_ms, rtt_mdev_ms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Latency, Measured, Scenario};

/// Where the measured file is looked for when neither the scenario nor the command line names one, from the folder the command runs in.
pub const DEFAULT_FILE: &str = "../shared/data/latency/interregion_rtt.csv";

/// Longest round trip that a file may hold, in milliseconds.
const RTT_MS_MAX: f64 = 60_000.0;

const COLUMNS: [&str; 8] = ["provider", "measured", "src", "dst", "rtt_min_ms", "rtt_avg_ms", "rtt_max_ms", "rtt_mdev_ms"];

/// Why measured latencies cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatencyError {
    /// The file cannot be read.
    #[error("{file}: cannot be read as CSV, and is named by {named}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What names it: an option, a key, or nothing but its place.
        named: &'static str,
        /// Why.
        source: csv::Error,
    },
    /// A line is no line of the table.
    #[error("{file}:{line}: {what}")]
    Row {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A column is missing.
    #[error("{file}:1: has no column '{column}'; it has '{}', and needed are {}, with commas between", there.chars().take(80).collect::<String>(), COLUMNS.join(", "))]
    Column {
        /// The file.
        file: String,
        /// The one that is missing.
        column: &'static str,
        /// The columns there are.
        there: String,
    },
    /// A number is none, or out of bounds.
    #[error("{file}:{line}: {column}: must be 0 to {RTT_MS_MAX} (milliseconds), not '{found}'")]
    Number {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        found: String,
    },
    /// The file has nothing of that provider (and day).
    #[error("{file}: has no measurement of provider '{provider}'{}; it has {there}: {} must be one of them", measured.as_deref().map_or(String::new(), |day| format!(" of '{day}'")), if measured.is_some() { "network.latency.measured" } else { "network.latency.provider" })]
    Set {
        /// The file.
        file: String,
        /// The provider asked for.
        provider: String,
        /// The day asked for.
        measured: Option<String>,
        /// What there is.
        there: String,
    },
    /// A pair of regions has not been measured.
    #[error("{file}: '{set}' has no round trip from '{from}' to '{to}'; it has {there}")]
    Pair {
        /// The file.
        file: String,
        /// The provider and the day.
        set: String,
        /// From.
        from: String,
        /// To.
        to: String,
        /// The regions there are.
        there: String,
    },
}

/// The measured pairs by day; each from and to with least, mean, most, mean deviation.
type Sets = BTreeMap<String, BTreeMap<(String, String), [f64; 4]>>;

/// Fills in the measured round trips of a scenario that asks for them. `named` is the file of the command line; `folder` that of the scenario,
/// where a file that it names is looked for. Returns a notice for people, if the scenario asks for measured round trips, nobody names a file and
/// there is none at the default place: latencies then come from the distance.
///
/// # Errors
/// The named file cannot be read, or lacks a pair of the scenario's regions; the scenario is as it was.
pub fn resolve(scenario: &mut Scenario, named: Option<&Path>, folder: &Path) -> Result<Option<String>, LatencyError> {
    let Latency::Measured { file, provider, measured, .. } = &scenario.network.latency else { return Ok(None) };
    let path = match named {
        Some(path) => path.to_owned(),
        None if file.is_empty() => PathBuf::from(DEFAULT_FILE),
        None => folder.join(file),
    };
    if named.is_none() && file.is_empty() && !path.exists() && scenario.regions.iter().all(|region| region.at.is_some()) {
        scenario.network.latency = Latency::Distance;
        return Ok(Some(format!(
            "measured latencies are not there ({DEFAULT_FILE}): latencies come from the distance; --latency FILE names a file of them"
        )));
    }
    let by = match named {
        Some(_) => "--latency",
        None if file.is_empty() => "its default place",
        None => "network.latency.file",
    };
    let (sets, providers) = sets(&path, by, provider)?;
    let regions: Vec<&str> = scenario.regions.iter().map(|region| region.name.as_str()).collect();
    let pairs = choose(&path, (provider, &providers), measured.as_deref(), &regions, &sets)?;
    if let Latency::Measured { pairs: found, .. } = &mut scenario.network.latency {
        *found = pairs;
    }
    Ok(None)
}

/// The measurements of a provider, and all providers that there are.
fn sets(path: &Path, named: &'static str, provider: &str) -> Result<(Sets, BTreeSet<String>), LatencyError> {
    let file = path.display().to_string();
    let row =
        |line: Option<&csv::Position>, what| LatencyError::Row { file: file.clone(), line: line.map_or(0, csv::Position::line), what };
    let read = |source: csv::Error| match source.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            row(pos.as_ref(), format!("has {len} columns, and the first line has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { pos, .. } => row(pos.as_ref(), "is not UTF-8 text".to_owned()),
        _ => LatencyError::Read { file: file.clone(), named, source },
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(read)?;
    let headers = reader.headers().map_err(read)?.clone();
    let mut columns = [0; COLUMNS.len()];
    for (index, column) in COLUMNS.iter().enumerate() {
        let there = || headers.iter().collect::<Vec<_>>().join(",");
        let missing = || LatencyError::Column { file: file.clone(), column, there: there() };
        columns[index] = headers.iter().position(|header| header == *column).ok_or_else(missing)?;
    }
    let (mut sets, mut providers) = (Sets::new(), BTreeSet::new());
    for row in reader.records() {
        let row = row.map_err(read)?;
        let field = |index: usize| row.get(columns[index]).unwrap_or_default();
        if field(0) != provider {
            providers.insert(field(0).to_owned());
            continue;
        }
        let mut rtt_ms = [0.0; 4];
        for (offset, value) in rtt_ms.iter_mut().enumerate() {
            let text = field(4 + offset);
            let number = text.parse().ok().filter(|number| (0.0..=RTT_MS_MAX).contains(number));
            *value = number.ok_or_else(|| LatencyError::Number {
                file: file.clone(),
                line: row.position().map_or(0, csv::Position::line),
                column: COLUMNS[4 + offset],
                found: text.chars().take(40).collect(),
            })?;
        }
        sets.entry(field(1).to_owned()).or_default().insert((field(2).to_owned(), field(3).to_owned()), rtt_ms);
    }
    Ok((sets, providers))
}

fn choose(
    path: &Path,
    (provider, providers): (&str, &BTreeSet<String>),
    day: Option<&str>,
    regions: &[&str],
    sets: &Sets,
) -> Result<Vec<Measured>, LatencyError> {
    let file = || path.display().to_string();
    // `<=2020-06-02` stands before the day itself.
    let order = |day: &&String| (day.trim_start_matches("<=").to_owned(), !day.starts_with("<="));
    let mut days: Vec<&String> = sets.keys().filter(|key| day.is_none_or(|day| day == key.as_str())).collect();
    days.sort_by_key(order);
    days.reverse();
    let mut missing = None;
    for day in days {
        match pairs(&sets[day], regions) {
            Ok(pairs) => return Ok(pairs),
            Err((from, to)) => {
                let names: BTreeSet<&str> = sets[day].keys().map(|(from, _)| from.as_str()).collect();
                let there = names.into_iter().collect::<Vec<_>>().join(", ");
                // Told of the day with the most regions: the others cannot be what was meant.
                if missing.as_ref().is_none_or(|(most, _)| *most < sets[day].len()) {
                    let error = LatencyError::Pair { file: file(), set: format!("{provider}' of '{day}"), from, to, there };
                    missing = Some((sets[day].len(), error));
                }
            }
        }
    }
    Err(missing.map_or_else(
        || LatencyError::Set {
            file: file(),
            provider: provider.into(),
            measured: day.filter(|_| !sets.is_empty()).map(str::to_owned),
            there: match (sets.is_empty(), providers.is_empty()) {
                (true, true) => "none at all".into(),
                (true, false) => providers.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", "),
                (false, _) => sets.keys().cloned().collect::<Vec<_>>().join(", "),
            },
        },
        |(_, error)| error,
    ))
}

fn pairs(set: &BTreeMap<(String, String), [f64; 4]>, regions: &[&str]) -> Result<Vec<Measured>, (String, String)> {
    let mut found = Vec::new();
    for from in regions {
        for to in regions {
            let key = ((*from).to_owned(), (*to).to_owned());
            let Some(rtt_ms) = set.get(&key) else { return Err(key) };
            found.push(Measured { from: key.0, to: key.1, rtt_ms: *rtt_ms });
        }
    }
    Ok(found)
}
