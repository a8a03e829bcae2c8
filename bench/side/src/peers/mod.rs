//! The Rust clients that `make bench` compares.

pub mod engine;
pub mod fast;
pub mod ours;
pub mod tungstenite;

use serde::Deserialize;
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn start() -> String {
    json!({ "type": "runtime_start", "request_id": "s", "agent_id": "a", "conversation_id": "c-0",
        "mode": "standard" })
    .to_string()
}

fn input() -> String {
    let runtime = crate::frames::runtime("1000000000");
    let message = json!({ "role": "user", "content": "go", "client_message_id": "m" });
    json!({ "type": "input", "request_id": "i", "runtime": runtime,
        "payload": { "kind": "create_message", "messages": [message] } })
    .to_string()
}

/// The end of a turn, without reading more than the beginning.
fn is_end(text: &[u8]) -> bool {
    text.starts_with(br#"{"type":"turn_finished""#)
}

/// What a handler of deltas needs, read by serde.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message_type: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    content: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: std::borrow::Cow<'a, str>,
}

/// How frames are looked at: not at all, their routing by this project's scanner, or typed with their text.
fn look(way: &str, text: &str) -> usize {
    match way {
        "scanner" => {
            let envelope = letta_app_client::protocol::envelope::Envelope::read(text);
            envelope.map_or(0, |envelope| envelope.kind.len())
        }
        "serde" => serde_json::from_str::<Frame<'_>>(text).map_or(0, |frame| {
            let delta = frame.delta.filter(|delta| delta.message_type == "assistant_message");
            let parts = delta.map(|delta| delta.content).unwrap_or_default();
            frame.kind.len() + parts.iter().map(|part| part.text.len()).sum::<usize>()
        }),
        _ => text.len(),
    }
}
