//! A turn, for what measures the engine.

use letta_app_client::protocol::Text;
use serde_json::json;

/// How many pieces of text it has.
pub const DELTAS: usize = 50;

/// The frames of one turn as a one-socket server sends them, status frames of realistic size.
pub fn turn_frames() -> Vec<Text> {
    let runtime = json!({ "agent_id": "agent-1", "conversation_id": "conv-1" });
    let seal = |mut frame: serde_json::Value| {
        frame["runtime"] = runtime.clone();
        frame["event_seq"] = 1.into();
        frame["emitted_at"] = "2026-01-01T00:00:00.000Z".into();
        frame["idempotency_key"] = "stream_delta:1:00000000-0000-4000-8000-000000000000".into();
        Text::from(frame.to_string())
    };
    let status = |status: &str, runs: &[&str]| {
        seal(json!({ "type": "update_loop_status", "loop_status": {
            "status": status, "active_run_ids": runs, "executing_tool_call_ids": [],
            "client_message_ids_by_run_id": { "run-1": ["m1"] },
        } }))
    };
    let device = |busy: bool| {
        seal(json!({ "type": "update_device_status", "device_status": {
            "is_processing": busy, "pending_control_requests": [],
            "current_available_skills": vec![json!({ "id": "s", "description": "x".repeat(200) }); 20],
        } }))
    };
    let delta = |body: serde_json::Value| seal(json!({ "type": "stream_delta", "delta": body }));
    let mut frames = vec![
        Text::from(
            json!({ "type": "input_accepted", "request_id": "r", "runtime": runtime,
            "accepted": true, "disposition": "started" })
            .to_string(),
        ),
        status("SENDING_API_REQUEST", &[]),
        device(true),
        status("PROCESSING_API_RESPONSE", &["run-1"]),
    ];
    frames.extend((0..DELTAS).map(|n| {
        delta(json!({
            "message_type": "assistant_message", "id": format!("letta-msg-{n}"), "run_id": "run-1",
            "otid": "provider-assistant-0-00000000-0000-4000-8000-000000000000", "seq_id": n,
            "date": "2026-01-01T00:00:00.000Z", "agent_id": "agent-1", "conversation_id": "conv-1",
            "type": "message", "content": [{ "type": "text", "text": format!("token{n} ") }],
        }))
    }));
    frames.push(delta(
        json!({ "message_type": "stop_reason", "run_id": "run-1", "stop_reason": "end_turn" }),
    ));
    frames.push(status("WAITING_ON_INPUT", &[]));
    frames.push(device(false));
    frames.push(seal(json!({ "type": "turn_finished", "turn_id": "t", "run_id": "run-1",
        "stop_reason": "end_turn" })));
    frames
}
