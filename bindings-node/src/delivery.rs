//! Deliveries on their way into JavaScript: numbers and texts.

use std::collections::VecDeque;

use letta_app_client::engine::{Channel, Delivery, KEPT_FRAMES};
use letta_app_client::protocol::generated::MESSAGES;
use napi_derive::napi;
use serde_json::json;

use crate::connection::number;

/// Deliveries in order, as four lists of equal length.
#[napi(object)]
pub struct Drained {
    /// `message`, `sent`, `done`, `response`, `candidate`, `turn`, `failed`, `tool`, `disconnected`,
    /// `lagged`, `tool over`, `approval`, `approval over`, `turn ready`, `state` or `restore failed`, by
    /// its place in this list.
    pub kinds: Vec<u32>,
    /// The channel (0 control, 1 stream), the token, the close code or the number of dropped frames.
    pub values: Vec<i64>,
    /// The frame, or a result or an error as JSON.
    pub texts: Vec<String>,
    /// Of a frame, the place of its type in `messageTypes`; -1 for a type that is not there, and for
    /// what is no frame.
    pub types: Vec<i32>,
    /// Whether there is more to take.
    pub more: bool,
}

/// Longer outputs of tools cross as they are, and not as JSON.
pub(crate) const LONG: usize = 1024;

/// An output of a tool.
#[napi(object)]
pub struct LongText {
    /// The place of its call in the result, or of its event.
    pub place: u32,
    /// The output.
    pub text: String,
}

/// Events of a followed turn.
#[napi(object)]
pub struct TakenEvents {
    /// A JSON list, in which outputs that are long are empty.
    pub events: String,
    /// Those.
    pub outputs: Vec<LongText>,
}

pub(crate) fn long_text(place: usize, text: String) -> LongText {
    LongText { place: u32::try_from(place).unwrap_or(u32::MAX), text }
}

/// The outputs that the results among deliveries go without.
pub(crate) fn outputs_of(deliveries: &VecDeque<Delivery>) -> Vec<(i64, LongText)> {
    let results = deliveries.iter().filter_map(|delivery| match delivery {
        Delivery::Turn { token, result } => Some((number(*token), result)),
        _ => None,
    });
    let outputs = results.flat_map(|(token, result)| {
        let long = result.long_outputs(LONG);
        long.map(move |(place, output)| (token, long_text(place, output.to_owned())))
    });
    outputs.collect()
}

/// The types of the frames that a server sends, in the order of `Drained.types`.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn message_types() -> Vec<&'static str> {
    MESSAGES.to_vec()
}

/// The types of the frames that no reader misses, however far it lags.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn kept_frames() -> Vec<&'static str> {
    KEPT_FRAMES.to_vec()
}

/// The place of a frame's type.
fn type_of(delivery: &Delivery) -> i32 {
    let Delivery::Message { kind: Some(kind), .. } = delivery else { return -1 };
    MESSAGES.binary_search(kind).ok().and_then(|place| i32::try_from(place).ok()).unwrap_or(-1)
}

impl From<VecDeque<Delivery>> for Drained {
    fn from(deliveries: VecDeque<Delivery>) -> Self {
        let count = deliveries.len();
        let mut drained = Self {
            kinds: Vec::with_capacity(count),
            values: Vec::with_capacity(count),
            texts: Vec::with_capacity(count),
            types: Vec::with_capacity(count),
            more: false,
        };
        for delivery in deliveries {
            let message_type = type_of(&delivery);
            let Some((kind, value, text)) = plain(delivery) else { continue };
            drained.kinds.push(kind);
            drained.values.push(value);
            drained.texts.push(text);
            drained.types.push(message_type);
        }
        drained
    }
}

/// A delivery as kind, number and text; the kinds are those of `ts/deliveries.ts`.
fn plain(delivery: Delivery) -> Option<(u32, i64, String)> {
    Some(match delivery {
        Delivery::Message { channel, text, .. } => {
            (0, i64::from(channel == Channel::Stream), text.to_string())
        }
        Delivery::Sent { text } => (1, 0, text.to_string()),
        Delivery::Done { token } => (2, number(token), String::new()),
        Delivery::Response { token, text, .. } => (3, number(token), text.to_string()),
        Delivery::Candidate { token, text } => (4, number(token), text.to_string()),
        Delivery::Turn { token, result } => (5, number(token), result.to_short_json(LONG)),
        Delivery::Failed { token, error } => (6, number(token), error.to_json()),
        Delivery::ToolCall { text } => (7, 0, text.to_string()),
        Delivery::Disconnected { channel, code, reason, will_reconnect } => {
            let channel = channel.as_str();
            let text =
                json!({ "channel": channel, "reason": reason, "will_reconnect": will_reconnect });
            (8, i64::from(code), text.to_string())
        }
        Delivery::Lagged { dropped, .. } => (9, number(dropped), String::new()),
        Delivery::ToolOver { request_id, reason } => {
            (10, 0, json!({ "request_id": request_id, "reason": reason }).to_string())
        }
        Delivery::Approval { token, ask, text } => {
            (11, number(token), json!({ "ask": ask, "text": text.as_str() }).to_string())
        }
        Delivery::ApprovalOver { token, ask, refused } => {
            (12, number(token), json!({ "ask": ask, "refused": refused }).to_string())
        }
        Delivery::TurnReady { token } => (13, number(token), String::new()),
        Delivery::State { state, error } => {
            let error = error.map(|error| error.to_json());
            (14, 0, json!({ "state": state.as_str(), "error": error }).to_string())
        }
        Delivery::RestoreFailed { agent_id, conversation_id, error } => {
            let error = error.to_json();
            let text = json!({
                "agent_id": agent_id, "conversation_id": conversation_id, "error": error,
            });
            (15, 0, text.to_string())
        }
        // A kind that a newer engine delivers and this binding does not know.
        _ => return None,
    })
}
