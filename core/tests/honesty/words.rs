//! The words of scenarios: commands, prompts and the turns that they make.

use std::fmt::Write as _;

use letta_app_client::testing::{ScriptedCall, ScriptedTurn};
use serde_json::{Value, json};

use crate::scenarios::Step::{self, Send, Wait};

pub fn tokens(count: usize) -> ScriptedTurn {
    let pieces: Vec<String> = (0..count).map(|number| format!("tok{number} ")).collect();
    ScriptedTurn { usage: (10, count as u64), ..ScriptedTurn::text(pieces) }
}

/// Slow enough for something to happen meanwhile.
pub fn slow(count: usize) -> ScriptedTurn {
    ScriptedTurn { delay_ms: 60, ..tokens(count) }
}

pub fn input(id: &str, text: &str) -> Step {
    Send(json!({
        "type": "input", "request_id": format!("in-{id}"), "runtime": "$runtime",
        "payload": { "kind": "create_message", "messages": [
            { "role": "user", "content": text, "client_message_id": id },
        ] },
    }))
}

pub fn answer(decision: Value) -> Step {
    Send(json!({
        "type": "input", "request_id": "answer", "runtime": "$runtime",
        "payload": { "kind": "approval_response", "request_id": "$request", "decision": decision },
    }))
}

pub fn tool_answer(fields: Value) -> Step {
    let mut frame = json!({ "type": "external_tool_call_response", "request_id": "$tool" });
    frame.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Send(frame)
}

pub fn command(kind: &str, fields: Value) -> Step {
    let mut frame = json!({ "type": kind, "request_id": format!("{kind}-1") });
    frame.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Send(frame)
}

pub fn done() -> Step {
    Wait("turn_finished")
}

/// The model has been asked.
pub fn asked() -> Step {
    Wait("PROCESSING_API_RESPONSE")
}

/// The words that make the model call a tool.
pub fn calls(name: &str, arguments: &Value) -> String {
    let mut words = format!("TOOL={name}|");
    for byte in arguments.to_string().bytes() {
        write!(words, "%{byte:02X}").unwrap();
    }
    words
}

pub fn bash(command: &str) -> Value {
    json!({ "command": command, "description": "does it" })
}

pub fn lookup() -> Value {
    json!([{ "tools": [{
        "name": "lookup", "description": "Looks things up",
        "parameters": { "type": "object", "properties": { "q": { "type": "string" } } },
    }] }])
}

/// A turn that calls tools, and what the model answers then.
pub fn calling(calls: Vec<ScriptedCall>, count: usize) -> ScriptedTurn {
    ScriptedTurn { tool_calls: calls, ..tokens(count) }
}
