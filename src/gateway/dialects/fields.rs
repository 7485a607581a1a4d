//! Values as players write them: ids that are texts or numbers, positions in seconds or as `18:42`, times in seconds or milliseconds.

use serde_json::Value;

use crate::limits::POSITION_MS_MAX;

/// The code of a report that is no object, or has a field of a wrong type that has no code of its own.
pub(super) const MALFORMED: &str = "malformed";

/// Unix times below this are seconds: as milliseconds they would lie in 1973, as seconds beyond the year 5000.
const SECONDS_BELOW: f64 = 1e11;

/// For the description only: what these players write of ids, and of positions.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "values are read as they come")]
pub(in crate::gateway) enum TextOrNumber {
    Text(String),
    Number(f64),
}

/// Why a report is no event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::gateway) struct Fault {
    /// For programs, as of refused events.
    pub(in crate::gateway) code: &'static str,
    /// For people.
    pub(in crate::gateway) reason: String,
}

fn fault(code: &'static str, name: &str, expected: &str, value: &Value) -> Fault {
    let shown: String = value.to_string().chars().take(64).collect();
    Fault { code, reason: if value.is_null() { format!("{name} is missing") } else { format!("{name} must be {expected}, not {shown}") } }
}

/// An id: a text, or a whole number, which counts as the text of its digits.
pub(super) fn id(name: &str, value: &Value, unsaid: Option<&str>) -> Result<String, Fault> {
    match (optional_id(name, value)?, unsaid) {
        (Some(id), _) => Ok(id),
        (None, Some(unsaid)) => Ok(unsaid.to_owned()),
        (None, None) => Err(fault("bad_id", name, "a text or a whole number", value)),
    }
}

/// The same where it may be missing.
pub(super) fn optional_id(name: &str, value: &Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) if number.is_u64() || number.is_i64() => Ok(Some(number.to_string())),
        _ => Err(fault("bad_id", name, "a text or a whole number", value)),
    }
}

/// A position in milliseconds.
pub(super) fn millis(name: &str, value: &Value) -> Result<u64, Fault> {
    let expected = "a number of milliseconds from 0";
    value.as_u64().or_else(|| value.as_f64().and_then(whole)).ok_or_else(|| fault("bad_position", name, expected, value))
}

/// A position in seconds, with or without a fraction, in milliseconds.
pub(super) fn seconds(name: &str, value: &Value) -> Result<u64, Fault> {
    value
        .as_f64()
        .and_then(|seconds| whole(seconds * 1_000.0))
        .ok_or_else(|| fault("bad_position", name, "a number of seconds from 0", value))
}

/// A position in seconds or as people write it, `18:42` or `1:02:03`, in milliseconds.
pub(super) fn seconds_or_clock(name: &str, value: &Value) -> Result<u64, Fault> {
    let Value::String(text) = value else { return seconds(name, value) };
    clock(text).ok_or_else(|| fault("bad_position", name, "a number of seconds from 0, or like \"18:42\"", value))
}

/// A duration in seconds, if there is one, in milliseconds. Players that do not know it yet say nothing, zero, or what JSON has for NaN.
pub(super) fn duration_seconds(name: &str, value: &Value) -> Result<Option<u64>, Fault> {
    match value {
        Value::Null => Ok(None),
        _ => seconds(name, value).map(Some).map_err(|error| Fault { code: "bad_duration", ..error }),
    }
}

/// A time since 1970 in seconds or in milliseconds, if there is one, in milliseconds.
pub(super) fn time(name: &str, value: &Value) -> Result<Option<u64>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    let millis = value.as_f64().and_then(|time| whole(if time < SECONDS_BELOW { time * 1_000.0 } else { time }));
    millis.map(Some).ok_or_else(|| fault("bad_time", name, "seconds or milliseconds since 1970", value))
}

/// A playback rate, if there is one.
pub(super) fn speed(name: &str, value: &Value) -> Result<Option<f32>, Fault> {
    match value {
        Value::Null => Ok(None),
        _ => {
            value.as_f64().map(|speed| Some(speed as f32)).ok_or_else(|| fault("bad_speed", name, "a number above 0 and at most 16", value))
        }
    }
}

/// A word, in lower case, if there is one.
pub(super) fn word(name: &str, value: &Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(word) if word.len() <= 32 => Ok(Some(word.to_ascii_lowercase())),
        _ => Err(fault("bad_kind", name, "a word", value)),
    }
}

/// Why a word is none that is known.
pub(super) fn unknown_word(name: &str, word: &str, known: &str) -> Fault {
    fault("bad_kind", name, &format!("one of {known}"), &Value::from(word))
}

// Larger than any position is kept as it is, for the event's own check to refuse with its own words.
#[expect(clippy::cast_sign_loss, reason = "checked to be positive; what is beyond a u64 is cut to it")]
fn whole(millis: f64) -> Option<u64> {
    (millis.is_finite() && millis >= 0.0).then(|| millis.round() as u64)
}

fn clock(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    let (seconds, larger) = parts.split_last().filter(|(_, larger)| larger.len() <= 2)?;
    let digits = |text: &str| !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole_seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if !digits(whole_seconds) || !digits(fraction) || !larger.iter().all(|part| digits(part)) {
        return None;
    }
    let mut total: u64 = 0;
    for (index, part) in larger.iter().chain([&whole_seconds]).enumerate() {
        let number: u64 = part.parse().ok()?;
        // Only the first of several may be above 59.
        if index > 0 && number > 59 {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(number)?;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(total.min(POSITION_MS_MAX) * 1_000 + thousandths.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_position_is_seconds_or_what_a_player_shows() {
        for (value, expected) in [
            (json!(1122), 1_122_000),
            (json!(1122.0004), 1_122_000),
            (json!(0), 0),
            (json!("18:42"), 1_122_000),
            (json!("1:02:03"), 3_723_000),
            (json!("90:00"), 5_400_000),
            (json!("0:07.5"), 7_500),
            (json!("1122"), 1_122_000),
        ] {
            assert_eq!(seconds_or_clock("position", &value), Ok(expected), "{value}");
        }
        for bad in [
            json!(null),
            json!(-1),
            json!("NaN"),
            json!("18:99"),
            json!("1:2:3:4"),
            json!(":5"),
            json!("18:"),
            json!(""),
            json!("-1:00"),
            json!([]),
        ] {
            assert_eq!(seconds_or_clock("position", &bad).unwrap_err().code, "bad_position", "{bad}");
        }
        assert!(seconds_or_clock("position", &json!("9999999999:00")).unwrap() > POSITION_MS_MAX, "for the event's own check to refuse");
    }

    #[test]
    fn a_time_is_in_seconds_or_milliseconds() {
        assert_eq!(time("t", &json!(1_705_820_000)), Ok(Some(1_705_820_000_000)));
        assert_eq!(time("t", &json!(1_705_820_000.25)), Ok(Some(1_705_820_000_250)));
        assert_eq!(time("t", &json!(1_705_820_000_123_u64)), Ok(Some(1_705_820_000_123)));
        assert_eq!(time("t", &Value::Null), Ok(None));
        assert_eq!(time("t", &json!("yesterday")).unwrap_err().code, "bad_time");
        assert_eq!(time("t", &json!(-5)).unwrap_err().code, "bad_time");
    }

    #[test]
    fn an_id_is_a_text_or_a_number_or_known_from_elsewhere() {
        assert_eq!(id("userId", &json!(12_345), None).unwrap(), "12345");
        assert_eq!(id("userId", &json!("ann"), Some("ben")).unwrap(), "ann");
        assert_eq!(id("userId", &Value::Null, Some("ben")).unwrap(), "ben");
        for bad in [json!(null), json!(1.5), json!({}), json!(true)] {
            assert_eq!(id("userId", &bad, None).unwrap_err().code, "bad_id", "{bad}");
        }
    }
}
