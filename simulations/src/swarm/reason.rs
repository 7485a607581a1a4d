//! What kind of failure it is: who found it, and what it says without the numbers and names that differ from world to world.
//!
//! A shorter world fails at other moments, at other hosts, of other titles. Were only the checker's name compared, shrinking could end at another
//! bug than the one that was found: nearly everything that goes wrong is unequal in the end, too.

use std::fmt;

/// Values that stand for any other: what is missing in one world is there, and wrong, in another.
const VALUES: [&str; 6] = ["Some", "None", "Ok", "Err", "true", "false"];

/// The kind of a failure. Equal kinds are, as far as words can tell, one bug.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Reason {
    /// The checker; `settling`; or `panic`.
    pub failed: String,
    /// What it says without numbers, names and values, `…` for each run of them; of a panic the place in the code.
    pub sentence: String,
}

impl Reason {
    /// The kind of a violation as the outcome has it: `CHECKER at TIME, host N: WHAT`.
    pub fn of_violation(violation: &str) -> Self {
        let (head, what) = violation.split_once(": ").unwrap_or((violation, ""));
        let failed = head.split([' ', ':']).next().unwrap_or_default().to_owned();
        Self { failed, sentence: words_of(what) }
    }

    /// The kind of a panic, whose text ends with its place: `MESSAGE (FILE:LINE)`.
    pub fn of_panic(text: &str) -> Self {
        let place = text.rsplit_once(" (").and_then(|(_, place)| place.strip_suffix(')'));
        Self { failed: "panic".into(), sentence: place.map_or_else(|| words_of(text), |place| format!("at {place}")) }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failed)?;
        if self.sentence.is_empty() { Ok(()) } else { write!(f, ": {}", self.sentence) }
    }
}

/// The words outside brackets, `…` for each run of what is none.
fn words_of(text: &str) -> String {
    let mut depth = 0_usize;
    let mut found: Vec<&str> = Vec::new();
    for token in text.split_whitespace() {
        let outside = depth == 0;
        let bare = &token[..token.find(['(', '[', '{']).unwrap_or(token.len())];
        for c in token.chars() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let word = bare.trim_end_matches([',', ';', ':', '.']);
        let is_word = outside && !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || c == '\'') && !VALUES.contains(&word);
        if is_word {
            found.push(word);
        } else if found.last() != Some(&"…") {
            found.push("…");
        }
    }
    found.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bug_in_two_worlds_is_of_one_kind() {
        let one = Reason::of_violation("converged at 61.5s, host 2: p3/t4 is missing; eu-central-1/0 has Progress { high: 3, end: None }");
        let other = Reason::of_violation("converged at 9s, host 1: p1/t9 is missing; us-west-2/1 has Progress { high: 3, end: Some(4) }");
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "converged: … is missing … has Progress …");
        let [none, some] = ["None", "Some(Facts { high: 2 })"].map(|held| {
            Reason::of_violation(&format!("reads-are-durable at 3s, host 0: p/t: read {held}, durable is Some(Facts {{ high: 1 }})"))
        });
        assert_eq!(none, some);
    }

    #[test]
    fn another_sentence_another_checker_and_another_place_are_of_other_kinds() {
        let missing = Reason::of_violation("converged at 9s, host 1: p1/t9 is missing; us-west-2/1 has Progress { high: 3 }");
        let fingerprint = Reason::of_violation("converged at 9s, host 1: its fingerprint is not that of us-west-2/1");
        let settling = Reason::of_violation("settling at 9s: us-west-2/1 is not up, or still syncs");
        assert!(missing != fingerprint && fingerprint != settling, "{missing}, {fingerprint}, {settling}");
        let [one, same, other] =
            ["index 3 of 2 (src/a.rs:7)", "index 5 of 4 (src/a.rs:7)", "index 3 of 2 (src/a.rs:8)"].map(Reason::of_panic);
        assert!(one == same && one != other);
        assert_eq!(one.to_string(), "panic: at src/a.rs:7");
    }
}
