//! Frames of the server, field by field as the recordings have them.

use serde_json::{Value, json};

pub const AGENT: &str = "agent-1";

pub fn scope(conversation: &str) -> Value {
    json!({ "agent_id": AGENT, "conversation_id": conversation })
}

/// A delta of a run.
pub fn delta(kind: &str, run: Option<&str>, mut fields: Value) -> Value {
    fields["message_type"] = kind.into();
    if let Some(run) = run {
        fields["run_id"] = run.into();
    }
    json!({ "type": "stream_delta", "delta": fields })
}

pub fn words(run: &str, otid: &str, text: &str) -> Value {
    let content = json!([{ "type": "text", "text": text }]);
    delta("assistant_message", Some(run), json!({ "otid": otid, "content": content }))
}

pub fn echo(client_id: &str, text: &str) -> Value {
    let content = json!([{ "type": "text", "text": text }]);
    delta("user_message", None, json!({ "otid": client_id, "content": content }))
}

pub fn question(call: &str, tool: &str) -> Value {
    json!({
        "request_id": format!("perm-{call}"),
        "request": {
            "subtype": "can_use_tool", "tool_name": tool, "input": {}, "tool_call_id": call,
            "permission_suggestions": [], "blocked_path": null,
        },
    })
}

/// A message as `conversation_messages_list` gives it.
pub fn stored(kind: &str, id: u64, texts: &[&str], otid: Option<&str>) -> Value {
    let role = if kind == "user_message" { "user" } else { "assistant" };
    let parts: Value = texts.iter().map(|text| json!({ "type": "text", "text": text })).collect();
    let mut message = json!({
        "id": format!("ui-msg-{id}"), "message_type": kind, "role": role, "content": parts,
    });
    if let Some(otid) = otid {
        message["otid"] = otid.into();
    }
    message
}
