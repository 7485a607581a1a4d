//! Mistakes of TOML itself, told with the key that they stand at: the parser knows the place in the text and not what it means.

use super::keys::{self, Kind};

/// The key at a place of the text, and what is wrong there, for people.
pub(super) fn told(text: &str, at: usize, message: &str) -> (String, String) {
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let paths = paths(text);
    let path = paths.get(line - 1).cloned().unwrap_or_default();
    if message.contains("duplicate key") && !path.is_empty() {
        let inner = format!("{path}.");
        let first = paths.iter().take(line - 1).position(|earlier| *earlier == path || earlier.starts_with(&inner));
        let first = first.map_or_else(String::new, |first| format!(", first in line {}", first + 1));
        return (path, format!("duplicate key: it is written twice{first}; write it once, with all that belongs to it"));
    }
    let hint = example(&path).map_or_else(String::new, |example| format!("; such as `{example}`"));
    let message = message.trim().replace('\n', ", ");
    // The parser's words for a value that is none.
    let message =
        if message.starts_with("string values must be quoted") { "the value is missing, or stands without quotes" } else { &message };
    (path, format!("{message}{hint}"))
}

/// The path of what each line sets or opens: `workload.viewers`, `faults[0].at`; empty where it is neither.
fn paths(text: &str) -> Vec<String> {
    let mut section = String::new();
    let mut tables: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            let name = line.trim_start_matches('[').split([']', '#']).next().unwrap_or_default().trim();
            let count = tables.iter().filter(|table| *table == name).count();
            section = if line.starts_with("[[") { format!("{name}[{count}]") } else { name.to_owned() };
            tables.push(name.to_owned());
            found.push(section.clone());
            continue;
        }
        let key = line.split(['=', ' ']).next().unwrap_or_default();
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        found.push(match (is_key, section.is_empty()) {
            (false, _) => String::new(),
            (true, true) => key.to_owned(),
            (true, false) => format!("{section}.{key}"),
        });
    }
    found
}

/// How a key may be written: with its default, or at its least.
fn example(path: &str) -> Option<String> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let section = section.split('[').next().unwrap_or_default();
    let key = keys::find(section, name)?;
    let value = [key.default, key.bounds.0].into_iter().find(|value| !value.is_empty())?;
    let is_bare = matches!(key.kind, Kind::Flag | Kind::Count | Kind::Integer | Kind::Number) && value != key.none;
    Some(if is_bare { format!("{name} = {value}") } else { format!("{name} = {value:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_knows_what_it_sets() {
        let text = "a = 1\n[b] # c\nd.e = 2\n\n[[f]]\n[[f]]\ng = \"x = y\"\n]\n";
        assert_eq!(paths(text), ["a", "b", "b.d.e", "", "f[0]", "f[1]", "f[1].g", ""]);
    }

    #[test]
    fn examples_are_in_quotes_where_they_must_be() {
        assert_eq!(example("duration").as_deref(), Some("duration = \"10min\""));
        assert_eq!(example("workload.viewers").as_deref(), Some("viewers = 100"));
        assert_eq!(example("faults[3].frozen").as_deref(), Some("frozen = false"));
        assert_eq!(example("checks.exchanges_max").as_deref(), Some("exchanges_max = \"none\""));
        assert_eq!(example("nowhere.x"), None);
    }
}
