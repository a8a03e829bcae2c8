//! Replaces the ids of a recorded client by those of the client that is really connected.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

/// What has been learned about the ids of the connected clients. It holds only ids that differ from the recorded ones.
#[derive(Debug, Default)]
pub(super) struct Translation {
    /// By client label, because request ids are unique per connection only.
    requests: HashMap<String, HashMap<String, String>>,
    messages: HashMap<String, String>,
}

impl Translation {
    /// Compares a recorded command with the one that a client sent in its place.
    pub(super) fn learn(&mut self, client: &str, recorded: &Value, actual: &Value) {
        // The id of a tool result was chosen by the server.
        if recorded["type"] != "external_tool_call_response" {
            let requests = self.requests.entry(client.to_owned()).or_default();
            note(requests, &recorded["request_id"], &actual["request_id"]);
        }
        let recorded = recorded["payload"]["messages"].as_array();
        let actual = actual["payload"]["messages"].as_array();
        for (recorded, actual) in recorded.into_iter().flatten().zip(actual.into_iter().flatten()) {
            let (recorded, actual) = (&recorded["client_message_id"], &actual["client_message_id"]);
            note(&mut self.messages, recorded, actual);
        }
    }

    /// The text as this client has to see it. Nothing but the ids is changed, not even white space.
    pub(super) fn apply<'a>(&self, client: &str, text: &'a str) -> Cow<'a, str> {
        let requests = self.requests.get(client).filter(|ids| !ids.is_empty());
        if requests.is_none() && self.messages.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut result = String::new();
        let mut copied = 0;
        for literal in strings(text) {
            if literal.is_key {
                continue;
            }
            let replacement = if literal.is_request_id {
                requests.and_then(|ids| ids.get(literal.content.as_ref()))
            } else {
                self.messages.get(literal.content.as_ref())
            };
            if let Some(replacement) = replacement {
                result.push_str(&text[copied..literal.start]);
                result.push_str(&Value::from(replacement.as_str()).to_string());
                copied = literal.end;
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        result.push_str(&text[copied..]);
        Cow::Owned(result)
    }
}

fn note(ids: &mut HashMap<String, String>, recorded: &Value, actual: &Value) {
    if let (Some(recorded), Some(actual)) = (recorded.as_str(), actual.as_str()) {
        if recorded == actual {
            ids.remove(recorded);
        } else {
            ids.insert(recorded.to_owned(), actual.to_owned());
        }
    }
}

/// A string literal inside a JSON text.
struct Literal<'a> {
    content: Cow<'a, str>,
    /// Byte range with the quotes.
    start: usize,
    end: usize,
    is_key: bool,
    /// Whether it is the value of `request_id` in the outermost object.
    is_request_id: bool,
}

/// All string literals of a valid JSON text.
fn strings(text: &str) -> Vec<Literal<'_>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Literal<'_>> = Vec::new();
    let mut depth = 0_usize;
    let mut key_is_request_id = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let end = (at + 1).min(text.len());
                let content = content(text, start, end);
                let rest = text[end..].trim_ascii_start();
                let is_key = rest.starts_with(':');
                if is_key && depth == 1 {
                    key_is_request_id = content == "request_id";
                }
                let is_request_id = !is_key && depth == 1 && key_is_request_id;
                found.push(Literal { content, start, end, is_key, is_request_id });
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn content(text: &str, start: usize, end: usize) -> Cow<'_, str> {
    let inner = text.get(start + 1..end.saturating_sub(1)).unwrap_or_default();
    if inner.contains('\\') {
        serde_json::from_str(&text[start..end]).map_or(Cow::Borrowed(inner), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Translation;

    fn learned() -> Translation {
        let mut translation = Translation::default();
        translation.learn(
            "A",
            &json!({"type": "input", "request_id": "r-1",
                "payload": {"messages": [{"client_message_id": "cm-1"}, {"client_message_id": "cm-2"}]}}),
            &json!({"type": "input", "request_id": "x\"1",
                "payload": {"messages": [{"client_message_id": "u-1"}, {"client_message_id": "cm-2"}]}}),
        );
        translation
    }

    #[test]
    fn replaces_ids_and_keeps_everything_else() {
        let text = r#"{ "request_id" : "r-1", "b":["cm-1","cm-2",1.50], "cm-1":{"request_id":"r-1","s":"\"cm-1"} }"#;
        let expected = r#"{ "request_id" : "x\"1", "b":["u-1","cm-2",1.50], "cm-1":{"request_id":"r-1","s":"\"cm-1"} }"#;
        assert_eq!(learned().apply("A", text), expected);
    }

    #[test]
    fn request_ids_belong_to_one_client_and_message_ids_to_all() {
        let text = r#"{"request_id":"r-1","otid":"cm-1"}"#;
        assert_eq!(learned().apply("B", text), r#"{"request_id":"r-1","otid":"u-1"}"#);
    }

    #[test]
    fn equal_ids_change_nothing() {
        let mut translation = learned();
        let command = json!({"type": "input", "request_id": "r-1",
            "payload": {"messages": [{"client_message_id": "cm-1"}]}});
        translation.learn("A", &command, &command);
        let text = r#"{"request_id":"r-1","otid":"cm-1"}"#;
        assert_eq!(translation.apply("A", text), text);
    }
}
