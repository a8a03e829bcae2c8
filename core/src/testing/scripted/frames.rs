//! The building blocks of frames: texts, ids and times.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::world::{Scope, Step};

/// An event before it gets the envelope of a connection.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) kind: &'static str,
    /// The fields without the braces around them. They are the same for all subscribers.
    fields: String,
}

impl Draft {
    /// `fields` has to be an object.
    pub(super) fn new(kind: &'static str, fields: &Value) -> Self {
        let text = fields.to_string();
        let inner = text.trim_start_matches('{').strip_suffix('}').unwrap_or_default();
        Self { kind, fields: inner.to_owned() }
    }

    /// The complete frame for a connection (protocol reference, section 6).
    pub(super) fn sealed(&self, scope: &Scope, event_seq: u64) -> String {
        let Self { kind, fields } = self;
        let comma = if fields.is_empty() { "" } else { "," };
        let runtime = scope.to_json();
        let (now, key) = (timestamp(), uuid(event_seq));
        format!(
            r#"{{"type":"{kind}"{comma}{fields},"runtime":{runtime},"event_seq":{event_seq},"emitted_at":"{now}","idempotency_key":"{kind}:{event_seq}:{key}"}}"#
        )
    }
}

/// Something that looks like a UUID. Tests are easier to read when ids are small.
pub(super) fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// The current time in ISO 8601, UTC, with milliseconds.
pub(super) fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (now.as_secs(), now.subsec_millis());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(day: u64) -> (u64, u64, u64) {
    // Years begin in March here, which puts the leap day last; an era is 400 years.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day_of_month)
}

/// The agent object of a response.
pub(super) fn agent(id: &str) -> Value {
    json!({
        "id": id, "name": "mock", "description": null, "system": "", "tools": [], "tags": [],
        "model": "mock/echo-1", "message_ids": [], "in_context_message_ids": [],
    })
}

/// The conversation object of a response.
pub(super) fn conversation(scope: &Scope) -> Value {
    let now = timestamp();
    json!({
        "id": scope.conversation_id, "agent_id": scope.agent_id, "archived": false,
        "archived_at": null, "created_at": now, "updated_at": now, "last_message_at": null,
        "summary": null, "in_context_message_ids": [],
    })
}

/// A delta that reports a fault of the client or the end of a failed turn.
pub(super) fn loop_error(
    id: u64,
    message: &str,
    stop_reason: &str,
    run: Option<&str>,
    is_terminal: bool,
) -> Draft {
    let mut delta = json!({
        "id": format!("lifecycle-{}", uuid(id)), "date": timestamp(), "message_type": "loop_error",
        "message": message, "stop_reason": stop_reason, "is_terminal": is_terminal,
    });
    if let Some(run) = run {
        delta["run_id"] = run.into();
    }
    Draft::new("stream_delta", &json!({ "delta": delta }))
}

/// The name of a step on the wire.
pub(super) const fn status(step: Step) -> &'static str {
    match step {
        Step::Idle => "WAITING_ON_INPUT",
        Step::Sending => "SENDING_API_REQUEST",
        Step::Waiting => "WAITING_FOR_API_RESPONSE",
        Step::Processing => "PROCESSING_API_RESPONSE",
        Step::Asking => "WAITING_ON_APPROVAL",
        Step::Executing => "EXECUTING_CLIENT_SIDE_TOOL",
        Step::Command => "EXECUTING_COMMAND",
    }
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_787), (2026, 11, 30));
    }
}
