//! Compares what a client reported for a recorded input with what `EXPECTED.json` demands.

use super::expected::ExpectedInput;
use crate::engine::{CompletedBy, TurnResult};
use crate::error::{Error, ErrorKind};

/// Says how a reported outcome differs from the expected one; empty when it does not.
///
/// Exactly the keys that are present are compared, so any folder of the format works.
#[must_use]
pub fn differences(expected: &ExpectedInput, got: &Result<TurnResult, Error>) -> Vec<String> {
    let mut found = Vec::new();
    let result = match got {
        Ok(result) => Some(result),
        Err(error) => error.result(),
    };
    if let Some(outcome) = &expected.outcome {
        let reported = outcome_of(got);
        if *outcome != reported {
            found.push(format!("outcome: expected {outcome:?}, got {reported:?} ({got:?})"));
        }
    }
    let Some(result) = result else {
        if found.is_empty() && expected.outcome != Some(None) {
            found.push(format!("no result: {got:?}"));
        }
        return found;
    };
    let mut check = |key: &str, equal: bool, expected: String, got: String| {
        if !equal {
            found.push(format!("{key}: expected {expected}, got {got}"));
        }
    };
    let joined = expected.joined == Some(true);
    if let Some(Some(text)) = &expected.text {
        let equal = if joined { result.text.ends_with(text) } else { result.text == *text };
        check("text", equal, format!("{text:?}"), format!("{:?}", result.text));
    }
    if let Some(whole) = &expected.text_is_prefix_of {
        check(
            "text",
            whole.starts_with(&result.text),
            format!("a prefix of {whole:?}"),
            result.text.clone(),
        );
    }
    if let Some(runs) = expected.run_ids.as_ref().filter(|_| !joined) {
        check(
            "run_ids",
            *runs == result.run_ids,
            format!("{runs:?}"),
            format!("{:?}", result.run_ids),
        );
    }
    if let Some(count) = expected.tool_calls.filter(|_| !joined) {
        let got = result.tool_calls.len() as u64;
        check("tool_calls", count == got, count.to_string(), got.to_string());
    }
    if let Some(merged) = &expected.merged_with {
        let (mut wanted, mut got) = (merged.clone(), result.merged_with.clone());
        wanted.sort_unstable();
        got.sort_unstable();
        check("merged_with", wanted == got, format!("{wanted:?}"), format!("{got:?}"));
    }
    // A call that ended without the server's word has neither a turn id nor an error of its own.
    if result.completed_by.is_some() {
        if let Some(id) = &expected.turn_id {
            let equal = result.turn_id.as_ref() == Some(id);
            check("turn_id", equal, id.clone(), format!("{:?}", result.turn_id));
        }
        if let Some(failed) = expected.has_error {
            let got = result.error.is_some();
            check("has_error", failed == got, failed.to_string(), got.to_string());
        }
    }
    found
}

/// The outcome in the terms of `EXPECTED.json`: a stop reason, `removed_from_queue`, or `None`
/// when the call ended without the server's word.
fn outcome_of(got: &Result<TurnResult, Error>) -> Option<String> {
    match got {
        Ok(result) => result.stop_reason.clone(),
        Err(error) => match error.result().and_then(|result| result.completed_by) {
            Some(CompletedBy::RemovedFromQueue) => Some("removed_from_queue".to_owned()),
            Some(_) => error.result().and_then(|result| result.stop_reason.clone()),
            None => match error.kind() {
                ErrorKind::TurnInterrupted
                | ErrorKind::TurnTimeout
                | ErrorKind::TurnIdleTimeout
                | ErrorKind::Disconnected
                | ErrorKind::Closed => None,
                kind => Some(format!("error {}", kind.code())),
            },
        },
    }
}
