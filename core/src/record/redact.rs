//! What is taken out of a frame before it is written.

use super::secrets::Secrets;
use super::walk::{Piece, Step, walk, walk_below};
use crate::protocol::scan::is_json;

/// What stands in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// The same as a JSON text.
const REDACTED_JSON: &str = "\"[redacted]\"";

/// Where commands and answers carry secrets (PROTOCOL.md sections 19 and 20): the type, and the path to the values.
const SECRET_FIELDS: [(&str, &str); 3] = [
    ("secret_list_response", "secrets.*.value"),
    ("secret_apply", "set.*"),
    ("connect_provider", "fields.*"),
];

/// The fields in which the protocol's own words, ids and times stand, besides those that end like one of
/// [`WORDS_END`]. A recording without them cannot be played.
const WORDS: [&str; 18] = [
    "action",
    "behavior",
    "code",
    "date",
    "disposition",
    "id",
    "kind",
    "level",
    "mode",
    "outcome",
    "reason",
    "role",
    "scope",
    "source",
    "state",
    "status",
    "subtype",
    "type",
];

const WORDS_END: [&str; 7] = ["_at", "_id", "_ids", "_mode", "_reason", "_status", "_type"];

/// The rules of one recording, and the secrets it has seen.
#[derive(Debug)]
pub(super) struct Redaction {
    fields: Vec<Vec<String>>,
    secrets: Secrets,
}

impl Redaction {
    pub(super) fn new(fields: &[String], secrets: &[String]) -> Self {
        let fields = fields.iter().map(|field| steps(field)).collect();
        let mut redaction = Self { fields, secrets: Secrets::default() };
        for secret in secrets {
            redaction.secrets.remember(secret);
        }
        redaction
    }

    /// The text of a frame as it may be written. It is the same text where there is nothing to take out; nothing where
    /// what has to be taken out cannot be found, as the text is no JSON.
    pub(super) fn frame(&mut self, text: &str) -> Option<String> {
        let kinds = SECRET_FIELDS.iter().any(|(kind, _)| text.contains(kind));
        let wanted = kinds || text.contains("\\u") || !self.fields.is_empty();
        if !wanted && !self.secrets.may_be_in(text) {
            return Some(text.to_owned());
        }
        if !is_json(text) {
            return (!kinds && self.fields.is_empty()).then(|| self.text(text));
        }
        let masked = if wanted { self.masked(text) } else { None };
        let text = masked.unwrap_or_else(|| text.to_owned());
        Some(self.without_secrets(&text).unwrap_or(text))
    }

    /// Any text without the secrets that are known.
    pub(super) fn text(&self, text: &str) -> String {
        self.secrets.hidden(text, false).unwrap_or_else(|| text.to_owned())
    }

    /// An address without them; a word that is one may stand in any.
    pub(super) fn url(&self, url: String) -> String {
        self.secrets.hidden(&url, true).unwrap_or(url)
    }

    /// A frame without the fields that are not written. The secrets among them are remembered.
    fn masked(&mut self, text: &str) -> Option<String> {
        let secret = secret_fields(text);
        if secret.is_empty() && self.fields.is_empty() {
            return None;
        }
        let mut found = Vec::new();
        let masked = walk(text, &mut |path, piece| {
            if matches!(piece, Piece::Key(_)) {
                return None;
            }
            let is_secret = secret.iter().any(|field| leads_to(field, path));
            if let (true, Piece::Text(text)) = (is_secret, &piece) {
                found.push(text.clone().into_owned());
            }
            if is_secret {
                return Some(REDACTED_JSON.to_owned());
            }
            without_fields(&self.fields, path, &piece)
        });
        for secret in &found {
            self.secrets.remember(secret);
        }
        masked
    }

    /// A JSON text without the secrets that are known; nothing where it has none.
    fn without_secrets(&self, json: &str) -> Option<String> {
        if !self.secrets.may_be_in(json) {
            return None;
        }
        let quoted = |text: String| serde_json::Value::from(text).to_string();
        walk(json, &mut |path, piece| match piece {
            Piece::Key(name) => self.secrets.hidden(&name, true).map(quoted),
            Piece::Text(text) => self.secrets.hidden(&text, is_word(path)).map(quoted),
            Piece::Word(word) => self.secrets.is(word).then(|| REDACTED_JSON.to_owned()),
            Piece::Open => None,
        })
    }
}

/// What a piece becomes where it, or something in it, is not written. A text may be JSON itself, as the arguments of a
/// tool are: the fields in it are fields like others.
fn without_fields(fields: &[Vec<String>], path: &[Step<'_>], piece: &Piece<'_>) -> Option<String> {
    if matches!(piece, Piece::Key(_)) || fields.is_empty() {
        return None;
    }
    if fields.iter().any(|field| is_named(field, path)) {
        return Some(REDACTED_JSON.to_owned());
    }
    let Piece::Text(text) = piece else { return None };
    if !text.trim_ascii_start().starts_with(['{', '[']) || !is_json(text) {
        return None;
    }
    let below = walk_below(path, text, &mut |path, piece| without_fields(fields, path, &piece))?;
    Some(serde_json::Value::from(below).to_string())
}

fn steps(field: &str) -> Vec<String> {
    field.split('.').map(str::to_owned).collect()
}

/// The paths to the secrets of a frame, by its type. Where it has several, each may count for somebody.
fn secret_fields(text: &str) -> Vec<Vec<String>> {
    let mut fields = Vec::new();
    walk(text, &mut |path, piece| {
        if let ([Step::Key(name)], Piece::Text(kind)) = (path, piece)
            && name == "type"
        {
            let of_kind = SECRET_FIELDS.iter().filter(|(of, _)| *of == kind);
            fields.extend(of_kind.map(|(_, field)| steps(field)));
        }
        None
    });
    fields
}

/// Whether a path is that of a value; `*` stands for every element.
fn leads_to(field: &[String], path: &[Step<'_>]) -> bool {
    let is_step = |(step, at): (&String, &Step<'_>)| match at {
        Step::Key(key) => step == "*" || step == key,
        Step::Item(number) => step == "*" || step.parse() == Ok(*number),
    };
    field.len() == path.len() && field.iter().zip(path).all(is_step)
}

/// The same where a name alone is that of a field at any depth.
fn is_named(field: &[String], path: &[Step<'_>]) -> bool {
    match (field, path) {
        ([name], [.., Step::Key(key)]) => name == key,
        ([_], _) => false,
        _ => leads_to(field, path),
    }
}

/// Whether one of the protocol's own words stands there.
fn is_word(path: &[Step<'_>]) -> bool {
    let names = path.iter().rev().filter_map(|step| match step {
        Step::Key(name) => Some(name.as_ref()),
        Step::Item(_) => None,
    });
    // Ids may be listed by another one, which is then the nearest name.
    let is_word =
        |name: &str| WORDS.contains(&name) || WORDS_END.iter().any(|end| name.ends_with(end));
    names.take(2).enumerate().any(|(nth, name)| match nth {
        0 => is_word(name),
        _ => name.ends_with("_by_run_id"),
    })
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
        let written = redaction.frame(&list.to_string()).unwrap();
        assert!(!written.contains("hunter22") && !written.contains("\"no\""), "{written}");
        assert!(written.contains("\"key\":\"A\""));
        let later = r#"{"type":"stream_delta","text":"it is hunter22, no t0ken\"!"}"#;
        let hidden = r#"{"type":"stream_delta","text":"it is [redacted], no [redacted]!"}"#;
        assert_eq!(redaction.frame(later).unwrap(), hidden);
        let escaped = r#"{"text":"\u0068unter22"}"#;
        assert_eq!(redaction.frame(escaped).unwrap(), r#"{"text":"[redacted]"}"#);
        let apply = r#"{"type":"secret_apply","set":{"K":"v-12345"},"unset":[]}"#;
        assert!(!redaction.frame(apply).unwrap().contains("v-12345"));
    }

    #[test]
    fn fields_are_hidden_by_name_or_by_path() {
        let fields = ["content".to_owned(), "payload.*.0.id".to_owned()];
        let mut redaction = Redaction::new(&fields, &[]);
        let frame = json!({"type": "input", "id": 1, "payload": {
            "messages": [{"content": [1], "id": 2}, {"content": "x", "id": 3}],
        }});
        let written: serde_json::Value =
            serde_json::from_str(&redaction.frame(&frame.to_string()).unwrap()).unwrap();
        let hidden = "[redacted]";
        let messages = json!([{"content": hidden, "id": hidden}, {"content": hidden, "id": 3}]);
        assert_eq!(written["payload"]["messages"], messages);
        assert_eq!(written["id"], 1);
    }

    #[test]
    fn fields_are_hidden_in_json_within_json() {
        let fields = ["command", "delta.arguments.1.path", "delta.*.sha"].map(str::to_owned);
        let mut redaction = Redaction::new(&fields, &[]);
        let frame = r#"{"delta":{"arguments":" [{\"command\":\"curl -H hunter2\", \"n\":1.50}, {\"path\":\"/x\",\"is\":\"{\\\"command\\\":[7]}\"}]","a":"{\"sha\":4}"},"path":"{\"path\":\"/x\"}","cut":"{\"command\":\"cu"}"#;
        let written = r#"{"delta":{"arguments":" [{\"command\":\"[redacted]\", \"n\":1.50}, {\"path\":\"[redacted]\",\"is\":\"{\\\"command\\\":\\\"[redacted]\\\"}\"}]","a":"{\"sha\":\"[redacted]\"}"},"path":"{\"path\":\"/x\"}","cut":"{\"command\":\"cu"}"#;
        assert_eq!(redaction.frame(frame).unwrap(), written);
    }

    #[test]
    fn what_has_nothing_to_hide_keeps_every_byte() {
        let mut redaction = Redaction::new(&["nothing".to_owned()], &[]);
        let text = r#"{ "n": 1.50, "big": 12345678901234567890123 }"#;
        assert_eq!(redaction.frame(text).unwrap(), text);
    }

    #[test]
    fn what_is_taken_out_leaves_all_else_as_it_came() {
        let mut redaction = Redaction::new(&["content".to_owned()], &["s3cret-t0ken".to_owned()]);
        let text =
            r#"{ "n": 1.50, "content": [1, {"a": 2}], "x": "cut \ud83d", "y": "s3cret-t0ken" }"#;
        let written =
            r#"{ "n": 1.50, "content": "[redacted]", "x": "cut \ud83d", "y": "[redacted]" }"#;
        assert_eq!(redaction.frame(text).unwrap(), written);
    }

    #[test]
    fn frames_that_no_parser_can_hold_are_redacted_too() {
        for value in [r#""cut \ud83d""#, "1e999999"] {
            let mut redaction = Redaction::new(&["content".to_owned()], &[]);
            let frame = format!(r#"{{"type":"x","content":"PRIVATE","v":{value}}}"#);
            let written = format!(r#"{{"type":"x","content":"[redacted]","v":{value}}}"#);
            assert_eq!(redaction.frame(&frame).unwrap(), written);
            let list = format!(
                r#"{{"type":"secret_list_response","secrets":[{{"key":"A","value":"hunter22"}}],"v":{value}}}"#
            );
            assert!(!redaction.frame(&list).unwrap().contains("hunter22"));
            let later = redaction.frame(r#"{"x":"hunter22"}"#).unwrap();
            assert_eq!(later, r#"{"x":"[redacted]"}"#);
        }
    }

    #[test]
    fn a_type_that_is_written_otherwise_or_twice_hides_its_secrets_too() {
        for kind in [r#""type":"secret\u005fapply""#, r#""type":"secret_apply","type":"x""#] {
            let frame = format!(r#"{{{kind},"set":{{"K":"v-12345"}}}}"#);
            assert!(!Redaction::new(&[], &[]).frame(&frame).unwrap().contains("v-12345"), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_written_where_something_is_to_be_taken_out() {
        let broken = r#"{"content":"PRIVATE"#;
        assert_eq!(Redaction::new(&["content".to_owned()], &[]).frame(broken), None);
        let mut redaction = Redaction::new(&[], &["s3cret-t0ken".to_owned()]);
        assert_eq!(redaction.frame(r#"{"type":"secret_apply","set":{"#), None);
        assert_eq!(redaction.frame("no s3cret-t0ken").as_deref(), Some("no [redacted]"));
    }

    #[test]
    fn ordinary_values_of_secrets_leave_a_frame_a_frame() {
        let secrets = ["true", "agent", "input", "2026", "user"].map(str::to_owned);
        let mut redaction = Redaction::new(&[], &secrets);
        let frame = json!({"type": "input", "request_id": "agent-1", "success": true, "ms": 2026,
            "runtime": {"agent_id": "agent-1"}, "at": [{"role": "user", "date": "2026-11-30"}],
            "status": {"active_run_ids": ["agent-2"], "client_message_ids_by_run_id": {"agent-2": ["agent-3"]}}});
        assert_eq!(redaction.frame(&frame.to_string()).unwrap(), frame.to_string());
        let said = redaction.frame(r#"{"type":"input","text":"the agent"}"#).unwrap();
        assert_eq!(said, r#"{"type":"input","text":"the [redacted]"}"#);
    }
}
