//! What is taken out of a frame before it is written.

use serde_json::Value;

/// What stands in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Shorter texts are no secrets, and would make holes everywhere.
const SHORTEST_SECRET: usize = 4;

/// Where commands and answers carry secrets (PROTOCOL.md sections 19 and 20): the type, and the path to the values.
const SECRET_FIELDS: [(&str, &str); 3] = [
    ("secret_list_response", "secrets.*.value"),
    ("secret_apply", "set.*"),
    ("connect_provider", "fields.*"),
];

/// The rules of one recording, and the secrets it has seen.
#[derive(Debug)]
pub(super) struct Redaction {
    fields: Vec<Vec<String>>,
    /// As they stand in a JSON text.
    secrets: Vec<String>,
}

impl Redaction {
    pub(super) fn new(fields: &[String], secrets: &[String]) -> Self {
        let fields = fields.iter().map(|field| path(field)).collect();
        let mut redaction = Self { fields, secrets: Vec::new() };
        for secret in secrets {
            redaction.remember(secret);
        }
        redaction
    }

    fn remember(&mut self, secret: &str) {
        if secret.len() < SHORTEST_SECRET {
            return;
        }
        let text = Value::from(secret).to_string();
        let inner = text[1..text.len() - 1].to_owned();
        if !self.secrets.contains(&inner) {
            self.secrets.push(inner);
            // One may be part of another.
            self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// The text of a frame as it may be written. It is the same text where there is nothing to take out.
    pub(super) fn frame(&mut self, text: &str) -> String {
        let secret = SECRET_FIELDS.iter().find(|(kind, _)| text.contains(kind));
        let mut text = text.to_owned();
        if secret.is_some() || !self.fields.is_empty() {
            let Ok(mut frame) = serde_json::from_str::<Value>(&text) else {
                return self.text(&text);
            };
            let mut found = Vec::new();
            for (kind, at) in SECRET_FIELDS {
                if frame["type"] == kind {
                    mask(&mut frame, &path(at), &mut found);
                }
            }
            let mut masked = Vec::new();
            for field in &self.fields {
                match field.as_slice() {
                    [name] => mask_named(&mut frame, name, &mut masked),
                    path => mask(&mut frame, path, &mut masked),
                }
            }
            if !found.is_empty() || !masked.is_empty() {
                text = frame.to_string();
            }
            for secret in found.iter().filter_map(Value::as_str) {
                self.remember(secret);
            }
        }
        self.text(&text)
    }

    /// Any text without the secrets that are known.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = std::borrow::Cow::Borrowed(text);
        // JSON has several ways to write a character; what is written in another one than here is a secret too.
        if !self.secrets.is_empty() && (text.contains("\\u") || text.contains("\\/")) {
            let plain = serde_json::from_str::<Value>(&text).map(|value| value.to_string());
            if let Ok(plain) = plain
                && self.secrets.iter().any(|secret| plain.contains(secret.as_str()))
            {
                text = plain.into();
            }
        }
        let hide = |text: String, secret: &String| text.replace(secret, REDACTED);
        self.secrets.iter().fold(text.into_owned(), hide)
    }
}

fn path(field: &str) -> Vec<String> {
    field.split('.').map(str::to_owned).collect()
}

fn hide(value: &mut Value, taken: &mut Vec<Value>) {
    taken.push(std::mem::replace(value, REDACTED.into()));
}

/// Hides what is at the end of a path.
fn mask(value: &mut Value, path: &[String], taken: &mut Vec<Value>) {
    let Some((step, rest)) = path.split_first() else { return hide(value, taken) };
    match value {
        Value::Object(fields) if step == "*" => {
            for value in fields.values_mut() {
                mask(value, rest, taken);
            }
        }
        Value::Object(fields) => {
            if let Some(value) = fields.get_mut(step) {
                mask(value, rest, taken);
            }
        }
        Value::Array(items) if step == "*" => {
            for value in items {
                mask(value, rest, taken);
            }
        }
        Value::Array(items) => {
            let item = step.parse().ok().and_then(|index: usize| items.get_mut(index));
            if let Some(value) = item {
                mask(value, rest, taken);
            }
        }
        _ => {}
    }
}

/// Hides all fields of a name.
fn mask_named(value: &mut Value, name: &str, taken: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                if key == name { hide(value, taken) } else { mask_named(value, name, taken) }
            }
        }
        Value::Array(items) => {
            for item in items {
                mask_named(item, name, taken);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Redaction;

    #[test]
    fn secrets_are_hidden_where_they_stand_and_wherever_they_come_again() {
        let mut redaction = Redaction::new(&[], &["t0ken\"".to_owned()]);
        let list = json!({"type": "secret_list_response", "secrets": [
            {"key": "A", "value": "hunter22"}, {"key": "B", "value": "no"},
        ]});
        let written = redaction.frame(&list.to_string());
        assert!(!written.contains("hunter22") && !written.contains("\"no\""), "{written}");
        assert!(written.contains("\"key\":\"A\""));
        let later = r#"{"type":"stream_delta","text":"it is hunter22, no t0ken\"!"}"#;
        let hidden = r#"{"type":"stream_delta","text":"it is [redacted], no [redacted]!"}"#;
        assert_eq!(redaction.frame(later), hidden);
        let escaped = r#"{"text":"\u0068unter22"}"#;
        assert_eq!(redaction.frame(escaped), r#"{"text":"[redacted]"}"#);
        let apply = r#"{"type":"secret_apply","set":{"K":"v-12345"},"unset":[]}"#;
        assert!(!redaction.frame(apply).contains("v-12345"));
    }

    #[test]
    fn fields_are_hidden_by_name_or_by_path() {
        let fields = ["content".to_owned(), "payload.*.0.id".to_owned()];
        let mut redaction = Redaction::new(&fields, &[]);
        let frame = json!({"type": "input", "id": 1, "payload": {
            "messages": [{"content": [1], "id": 2}, {"content": "x", "id": 3}],
        }});
        let written: serde_json::Value =
            serde_json::from_str(&redaction.frame(&frame.to_string())).unwrap();
        let hidden = "[redacted]";
        let messages = json!([{"content": hidden, "id": hidden}, {"content": hidden, "id": 3}]);
        assert_eq!(written["payload"]["messages"], messages);
        assert_eq!(written["id"], 1);
    }

    #[test]
    fn what_has_nothing_to_hide_keeps_every_byte() {
        let mut redaction = Redaction::new(&["nothing".to_owned()], &[]);
        let text = r#"{ "n": 1.50, "big": 12345678901234567890123 }"#;
        assert_eq!(redaction.frame(text), text);
    }
}
