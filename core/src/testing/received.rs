//! What clients have sent, as tests demand it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::parse::parsed;

/// How many frames a message shows.
const SHOWN: usize = 5;

/// Says how the frames that came differ from what was demanded: so many of a type (at least one, where no number
/// is given) that have these fields; `None` when they do not.
pub(super) fn complaint(
    received: &[String],
    kind: &str,
    times: Option<usize>,
    fields: &Map<String, Value>,
) -> Option<String> {
    let all = received.iter().filter_map(|text| parsed(text));
    let (ours, others): (Vec<_>, Vec<_>) = all.partition(|frame| frame["type"] == kind);
    let wanted = Value::Object(fields.clone());
    let differing: Vec<_> = ours
        .iter()
        .enumerate()
        .map(|(index, frame)| (index, differences("", &wanted, frame)))
        .collect();
    let count = differing.iter().filter(|(_, found)| found.is_empty()).count();
    if times.map_or(count > 0, |times| count == times) {
        return None;
    }
    let number = times.map_or("at least 1".to_owned(), |times| times.to_string());
    let with = if fields.is_empty() { String::new() } else { format!(" with {wanted}") };
    let mut text = format!("expected {number} frames of type {kind:?}{with}, got {count}");
    for (index, found) in differing.iter().filter(|(_, found)| !found.is_empty()).take(SHOWN) {
        // Writing to a string cannot fail.
        write!(text, "\n  {kind} {}: {}", index + 1, found.join("; ")).unwrap_or_default();
    }
    if ours.is_empty() {
        let mut counts = BTreeMap::<String, usize>::new();
        for frame in &others {
            *counts.entry(frame["type"].as_str().unwrap_or("?").to_owned()).or_default() += 1;
        }
        let came: Vec<String> =
            counts.iter().map(|(kind, count)| format!("{kind} x{count}")).collect();
        let came = if came.is_empty() { "nothing".to_owned() } else { came.join(", ") };
        write!(text, "\n  what came: {came}").unwrap_or_default();
    }
    Some(text)
}

/// Where a value lacks what is wanted. Objects may have more than that, lists may not.
fn differences(at: &str, wanted: &Value, got: &Value) -> Vec<String> {
    let below = |step: &str| if at.is_empty() { step.to_owned() } else { format!("{at}.{step}") };
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => wanted
            .iter()
            .flat_map(|(key, wanted)| match got.get(key) {
                Some(got) => differences(&below(key), wanted, got),
                None => vec![format!("{} is missing, expected {wanted}", below(key))],
            })
            .collect(),
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            let pairs = wanted.iter().zip(got).enumerate();
            pairs
                .flat_map(|(index, (wanted, got))| {
                    differences(&below(&index.to_string()), wanted, got)
                })
                .collect()
        }
        _ if wanted == got => Vec::new(),
        _ => vec![format!("{at} is {got}, expected {wanted}")],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::complaint;

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_demanded_and_came_is_no_complaint() {
        let came = [json!({"type": "sync", "runtime": {"a": 1, "b": 2}}).to_string()];
        let wanted = fields(&json!({"runtime": {"a": 1}}));
        assert_eq!(complaint(&came, "sync", None, &wanted), None);
        assert_eq!(complaint(&came, "sync", Some(1), &Map::new()), None);
        assert_eq!(complaint(&came, "input", Some(0), &Map::new()), None);
    }

    #[test]
    fn a_complaint_names_the_places() {
        let came = [
            json!({"type": "input", "payload": {"messages": [{"content": "a"}]}}).to_string(),
            json!({"type": "input", "payload": {"messages": []}}).to_string(),
            json!({"type": "sync"}).to_string(),
        ];
        let wanted = fields(&json!({"payload": {"messages": [{"content": "b", "role": "user"}]}}));
        let text = complaint(&came, "input", None, &wanted).unwrap();
        let expected = "expected at least 1 frames of type \"input\" with \
            {\"payload\":{\"messages\":[{\"content\":\"b\",\"role\":\"user\"}]}}, got 0\n  \
            input 1: payload.messages.0.content is \"a\", expected \"b\"; \
            payload.messages.0.role is missing, expected \"user\"\n  \
            input 2: payload.messages is [], expected [{\"content\":\"b\",\"role\":\"user\"}]";
        assert_eq!(text, expected);
        let text = complaint(&came, "abort_message", Some(2), &Map::new()).unwrap();
        assert_eq!(
            text,
            "expected 2 frames of type \"abort_message\", got 0\n  what came: input x2, sync x1"
        );
    }
}
