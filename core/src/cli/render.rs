//! A frame on one line, for people.

use serde_json::Value;

use super::out::{Look, Out};
use super::words::short;

/// How long a line's text may be.
const LINE: usize = 160;

/// The time, the direction, the type, whom it is about and what it says.
pub(super) fn frame(out: &Out, seconds: f64, arrow: &str, frame: &Value) -> String {
    let kind = short(frame["type"].as_str().unwrap_or("?"), 60);
    let time = out.looking(&format!("{seconds:9.3}"), Look::Faint);
    let conversation = frame["runtime"]["conversation_id"].as_str().unwrap_or_default();
    let about = if conversation.is_empty() {
        String::new()
    } else {
        format!(" {}", out.looking(&short(conversation, 40), Look::Faint))
    };
    let says = short(&says(frame), LINE);
    format!("{time} {arrow} {}{about} {says}", out.looking(&kind, Look::Bold)).trim_end().to_owned()
}

/// What a frame is about, in few words.
fn says(frame: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    match frame["type"].as_str().unwrap_or_default() {
        "stream_delta" => delta(&frame["delta"]),
        "update_loop_status" => text(&frame["loop_status"]["status"]),
        "update_queue" => format!("{} queued", frame["queue"].as_array().map_or(0, Vec::len)),
        "update_device_status" => {
            let status = &frame["device_status"];
            let mode = text(&status["current_permission_mode"]);
            format!("{mode} {}", text(&status["current_working_directory"]))
        }
        "control_request" => {
            let request = &frame["request"];
            format!("{} {}", text(&request["tool_name"]), request["input"])
        }
        "turn_finished" => format!("{} {}", text(&frame["stop_reason"]), text(&frame["error"])),
        "input" => match frame["payload"]["messages"].as_array() {
            Some(messages) => messages.iter().map(|it| content(&it["content"])).collect(),
            None => text(&frame["payload"]["kind"]),
        },
        _ => match (frame["success"].as_bool(), frame["error"].as_str()) {
            (Some(false), error) => format!("refused: {}", error.unwrap_or("no reason given")),
            _ => text(&frame["request_id"]),
        },
    }
}

fn delta(delta: &Value) -> String {
    let kind = delta["message_type"].as_str().unwrap_or("?");
    let said = match kind {
        "assistant_message" | "user_message" => content(&delta["content"]),
        "reasoning_message" => delta["reasoning"].as_str().unwrap_or_default().to_owned(),
        "approval_request_message" | "tool_call_message" => {
            let call = &delta["tool_call"];
            let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("name"), text("arguments"))
        }
        "tool_return_message" => {
            let returned = &delta["tool_returns"][0];
            format!("{} {}", returned["status"], returned["tool_return"])
        }
        "usage_statistics" => format!("{} tokens", delta["total_tokens"]),
        "stop_reason" => delta["stop_reason"].as_str().unwrap_or_default().to_owned(),
        _ => delta["message"].as_str().unwrap_or_default().to_owned(),
    };
    format!("{kind} {said}")
}

fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::says;

    #[test]
    fn frames_in_few_words() {
        let delta = json!({"message_type": "assistant_message", "content": [{"type": "text", "text": "hi"}]});
        assert_eq!(says(&json!({"type": "stream_delta", "delta": delta})), "assistant_message hi");
        let status =
            json!({"type": "update_loop_status", "loop_status": {"status": "WAITING_ON_INPUT"}});
        assert_eq!(says(&status), "WAITING_ON_INPUT");
        let refused = json!({"type": "x_response", "success": false, "error": "no such agent"});
        assert_eq!(says(&refused), "refused: no such agent");
        assert_eq!(says(&json!({"type": "news", "request_id": "r-1"})), "r-1");
    }
}
