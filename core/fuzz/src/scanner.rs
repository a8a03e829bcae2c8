//! The routing fields of a frame, read by the scanner and by `serde_json`: the two must agree.

use letta_app_client::protocol::envelope::Envelope;
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
}
