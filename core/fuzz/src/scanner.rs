//! The fields of a frame, read by the scanner and by `serde_json`: the two must agree.

use letta_app_client::protocol::envelope::Envelope;
use letta_app_client::protocol::outline::{self, Outline};
use serde_json::Value;

/// Compares the two readings of any text.
pub fn compare(text: &str) {
    let scanned = Envelope::read(text);
    let object = match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => value,
        Ok(_) => {
            assert!(scanned.is_err(), "no object: {text}");
            return;
        }
        Err(why) => {
            // What serde cannot put into a string or a number, but is well-formed JSON, concerns nobody
            // where it is passed over.
            let unrepresentable = why.to_string();
            let passed_over = unrepresentable.contains("surrogate")
                || unrepresentable.contains("number out of range")
                || unrepresentable.contains("unexpected end of hex escape");
            assert!(scanned.is_err() || passed_over, "{why}: {text}");
            return;
        }
    };
    let envelope = scanned.unwrap_or_else(|why| panic!("{why}: {text}"));
    let field = |name: &str| object[name].as_str();
    assert_eq!(envelope.kind, field("type").unwrap_or_default(), "{text}");
    assert_eq!(envelope.request_id.as_deref(), field("request_id"), "{text}");
    assert_eq!(envelope.subagent_id.as_deref(), field("subagent_id"), "{text}");
    assert_eq!(envelope.terminal_id.as_deref(), field("terminal_id"), "{text}");
    assert_eq!(envelope.teleport_id.as_deref(), field("teleport_id"), "{text}");
    assert_eq!(envelope.event_seq, object["event_seq"].as_u64(), "{text}");
    let runtime = &object["runtime"];
    let ids = runtime["agent_id"].as_str().zip(runtime["conversation_id"].as_str());
    let scanned = envelope.runtime.as_ref();
    assert_eq!(scanned.map(|scope| (&*scope.agent_id, &*scope.conversation_id)), ids, "{text}");
    compare_fields(text, &object);
}

/// Every field by its name, and what is in lists.
fn compare_fields(text: &str, object: &Value) {
    let Some(outline) = Outline::of(text) else {
        assert!(text.contains('\\'), "an object without escapes: {text}");
        return;
    };
    for (name, value) in object.as_object().into_iter().flatten() {
        let part = outline.value(text, name).unwrap_or_else(|| panic!("no {name:?}: {text}"));
        assert_eq!(serde_json::from_str::<Value>(part).ok().as_ref(), Some(value), "{text}");
        assert_eq!(outline::string(part).as_deref(), value.as_str(), "{text}");
        let items = outline::items(part);
        assert_eq!(items.as_ref().map(Vec::len), value.as_array().map(Vec::len), "{text}");
        for (item, value) in items.into_iter().flatten().zip(value.as_array().into_iter().flatten())
        {
            assert_eq!(serde_json::from_str::<Value>(item).ok().as_ref(), Some(value), "{text}");
        }
    }
    if !object.as_object().is_some_and(|fields| fields.contains_key("no such field")) {
        assert_eq!(outline.value(text, "no such field"), None, "{text}");
    }
}
