//! The frames of a turn as a one-socket server sends them, of realistic size. What differs from turn to turn has a
//! fixed width, so that it can be written over.

use serde_json::{Value, json};

/// Stands for the number of a conversation, of a run and of an event: ten digits.
pub const CONVERSATION: &str = "1000000011";
/// See [`CONVERSATION`].
pub const RUN: &str = "1000000022";
/// See [`CONVERSATION`].
pub const EVENT: &str = "1000000033";

/// The agent of all conversations.
pub const AGENT: &str = "agent-local-74216ab3-8135-4151-b712-b407cf4cc82e";

/// The sizes of the three `update_device_status` frames around a turn.
const DEVICE_BYTES: [usize; 3] = [2 * 1024, 5 * 1024, 10 * 1024];

/// What a turn consists of.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Pieces of text.
    pub deltas: usize,
    /// Outputs of tools.
    pub outputs: usize,
    /// The size of each.
    pub output_bytes: usize,
    /// Whether the server acknowledges inputs and says when a turn is over.
    pub single: bool,
}

/// The runtime of a numbered conversation.
#[must_use]
pub fn runtime(conversation: &str) -> Value {
    json!({ "agent_id": AGENT, "conversation_id": format!("local-conv-{conversation}") })
}

fn seal(kind: &str, fields: &Value) -> String {
    let fields = fields.to_string();
    let inner = fields.trim_start_matches('{').strip_suffix('}').unwrap_or_default();
    let runtime = runtime(CONVERSATION);
    format!(
        r#"{{"type":"{kind}",{inner},"runtime":{runtime},"event_seq":{EVENT},"emitted_at":"2026-11-23T02:42:13.080Z","idempotency_key":"{kind}:{EVENT}:23e1fe17-f568-4eee-844f-2de16445a05a"}}"#
    )
}

/// `update_loop_status`; `client_ids` only where the server lists them.
fn status(status: &str, running: bool, client_ids: Option<&[String]>) -> String {
    let run = format!("local-run-{RUN}");
    let runs = if running { vec![run.clone()] } else { Vec::new() };
    let mut state = json!({ "status": status, "active_run_ids": runs });
    if let Some(ids) = client_ids.filter(|_| running) {
        state["client_message_ids_by_run_id"] = json!({ run: ids });
    }
    seal("update_loop_status", &json!({ "loop_status": state }))
}

fn device(busy: bool, bytes: usize) -> String {
    let skill = json!({ "id": "review", "name": "review", "path": "/home/u/.letta/skills/review/SKILL.md",
        "description": "Reads a change and says what is wrong with it, file by file. Use it before a commit." });
    let count = bytes.saturating_sub(500) / skill.to_string().len();
    seal(
        "update_device_status",
        &json!({ "device_status": {
            "is_processing": busy, "current_working_directory": "/home/u/project",
            "current_permission_mode": "standard", "pending_control_requests": [],
            "current_loaded_tools": ["Bash", "Read", "Edit", "Write", "Grep", "Glob"],
            "current_available_skills": vec![skill; count],
        } }),
    )
}

fn delta(message_type: &str, fields: Value) -> String {
    let mut delta = json!({
        "id": "letta-msg-513", "date": "2026-11-23T02:42:13.073Z", "agent_id": AGENT,
        "conversation_id": format!("local-conv-{CONVERSATION}"), "message_type": message_type,
        "run_id": format!("local-run-{RUN}"), "seq_id": 1, "type": "message",
    });
    if let Value::Object(fields) = fields {
        for (key, value) in fields {
            delta[key] = value;
        }
    }
    seal("stream_delta", &json!({ "delta": delta }))
}

/// A piece of text: about 650 bytes.
#[must_use]
pub fn text_delta() -> String {
    delta(
        "assistant_message",
        json!({ "otid": "provider-assistant-0-156f3b67-f727-433a-a784-256aa1648b86",
            "content": [{ "type": "text", "text": "the \"wörds\" and\n" }] }),
    )
}

fn output(index: usize, bytes: usize) -> String {
    // As a program prints: lines, so that there is an escape every 80 bytes.
    let line = format!("{index:06} {}\n", "x".repeat(72));
    let text = line.repeat(bytes / (line.len() + 1) + 1);
    let text = text.get(..bytes.min(text.len())).unwrap_or_default();
    delta(
        "tool_return_message",
        json!({ "tool_call_id": format!("call_{index:04}"), "status": "success", "tool_return": text }),
    )
}

/// What comes before the deltas: the ids are those of the input.
#[must_use]
pub fn opening(shape: Shape, request_id: Option<&str>, client_ids: &[String]) -> Vec<String> {
    let listed = shape.single.then_some(client_ids);
    let mut frames = Vec::new();
    if let Some(id) = request_id.filter(|_| shape.single) {
        let accepted = json!({ "type": "input_accepted", "request_id": id,
            "runtime": runtime(CONVERSATION), "accepted": true, "disposition": "started" });
        frames.push(accepted.to_string());
    }
    frames.push(status("SENDING_API_REQUEST", false, None));
    frames.push(device(true, DEVICE_BYTES[0]));
    frames.push(status("WAITING_FOR_API_RESPONSE", false, None));
    frames.push(status("PROCESSING_API_RESPONSE", true, listed));
    frames
}

/// The deltas.
#[must_use]
pub fn deltas(shape: Shape) -> Vec<String> {
    let pieces = std::iter::repeat_n(text_delta(), shape.deltas);
    pieces.chain((0..shape.outputs).map(|index| output(index, shape.output_bytes))).collect()
}

/// What comes after them.
#[must_use]
pub fn closing(shape: Shape) -> Vec<String> {
    let mut frames = vec![
        delta(
            "usage_statistics",
            json!({ "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "step_count": 1 }),
        ),
        delta("stop_reason", json!({ "stop_reason": "end_turn" })),
        device(false, DEVICE_BYTES[1]),
        status("WAITING_ON_INPUT", false, None),
    ];
    if shape.single {
        let finished = json!({ "turn_id": format!("batch-direct-{RUN}"), "stop_reason": "end_turn",
            "run_id": format!("local-run-{RUN}") });
        frames.push(seal("turn_finished", &finished));
    }
    frames.push(device(false, DEVICE_BYTES[2]));
    frames
}
