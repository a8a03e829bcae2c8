//! Deliveries on their way into JavaScript: numbers and texts.

use letta_app_client::engine::{Channel, Delivery, KEPT_FRAMES, TurnMessage, TurnResult};
use letta_app_client::protocol::Text;
use letta_app_client::protocol::generated::MESSAGES;
use napi::bindgen_prelude::Either;
use napi::{Env, JsString};
use napi_derive::napi;
use serde_json::json;

use crate::connection::number;
use crate::text::js_text;

/// Longer outputs of tools cross as they are, and not as JSON.
pub(crate) const LONG: usize = 1024;

/// An output of a tool on its way: itself, or its place among those of the turn that crossed as events.
#[derive(Debug)]
pub(crate) struct Long {
    /// The place of its call in the result, or of its event.
    pub(crate) place: usize,
    pub(crate) text: Either<Text, u32>,
}

/// An output of a tool.
#[napi(object, object_from_js = false)]
pub struct LongText<'env> {
    /// The place of its call in the result, or of its event.
    pub place: u32,
    /// The output, or its place among the long ones that `tool_call_end` events of the turn had.
    #[napi(ts_type = "string | number")]
    pub text: Either<JsString<'env>, u32>,
}

/// Outputs for JavaScript.
pub(crate) fn long_texts(env: &Env, outputs: Vec<Long>) -> napi::Result<Vec<LongText<'_>>> {
    let across = |Long { place, text }| {
        let text = match text {
            Either::A(text) => Either::A(js_text(env, &text)?),
            Either::B(crossed) => Either::B(crossed),
        };
        Ok(LongText { place: u32::try_from(place).unwrap_or(u32::MAX), text })
    };
    outputs.into_iter().map(across).collect()
}

/// The types of the frames that a server sends, in the order in which `drain` counts them.
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

/// The place of a frame's type, where it is known.
pub(crate) fn place_of(delivery: &Delivery) -> Option<usize> {
    let Delivery::Message { kind: Some(kind), .. } = delivery else { return None };
    MESSAGES.binary_search(kind).ok()
}

/// A result, whose long outputs were taken, as JSON: `result`. Nearly always one of its `runs` and one of its `messages`
/// have all of its text: those, by their places, are without it.
fn turn_text(mut result: TurnResult) -> String {
    let whole = std::mem::take(&mut result.text);
    let is_whole = |text: &mut String| {
        let is_whole = !whole.is_empty() && *text == whole;
        if is_whole {
            text.clear();
        }
        is_whole
    };
    let runs = places(result.runs.iter_mut().map(|run| is_whole(&mut run.text)));
    let messages = places(result.messages.iter_mut().map(|message| match message {
        TurnMessage::Assistant { text, .. } | TurnMessage::Reasoning { text, .. } => is_whole(text),
        _ => false,
    }));
    result.text = whole;
    let result = result.to_json();
    format!(r#"{{"runs":{runs:?},"messages":{messages:?},"result":{result}}}"#)
}

/// Where it is so.
fn places(items: impl Iterator<Item = bool>) -> Vec<usize> {
    items.enumerate().filter_map(|(place, is_so)| is_so.then_some(place)).collect()
}

/// A delivery as kind, number and text; the kinds are those of `ts/deliveries.ts`, the text is a frame, or a
/// result or an error as JSON.
pub(crate) fn plain(delivery: Delivery) -> Option<(usize, i64, Text)> {
    let (kind, value, text) = match delivery {
        Delivery::Message { channel, text, .. } => {
            return Some((0, i64::from(channel == Channel::Stream), text));
        }
        Delivery::Sent { text } => return Some((1, 0, text)),
        Delivery::Done { token } => (2, number(token), String::new()),
        Delivery::Response { token, text, .. } => return Some((3, number(token), text)),
        Delivery::Candidate { token, text } => return Some((4, number(token), text)),
        Delivery::Turn { token, result } => (5, number(token), turn_text(*result)),
        Delivery::Failed { token, error } => (6, number(token), error.to_json()),
        Delivery::ToolCall { text } => return Some((7, 0, text)),
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
        Delivery::ToolRefused { request_id, .. } => (16, 0, request_id),
        Delivery::Unrecorded { reason } => (17, 0, reason),
        // A kind that a newer engine delivers and this binding does not know.
        _ => return None,
    };
    Some((kind, value, text.into()))
}
