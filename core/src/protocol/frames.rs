//! The few frames the turn rules look into, with only the fields those rules need.
//!
//! They are read on a second look, deltas only while a turn is open on their runtime. A field that
//! decides something and has the wrong type makes the read fail; the frame then counts for nothing but
//! is still handed to the message handlers. Texts for people are read leniently instead.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use super::delta::{Delta, Output, ToolReturnPart};
use super::escapes::unescaped;
use super::scan::{Malformed, Scanner};

/// `update_loop_status` (PROTOCOL.md section 12).
#[derive(Debug, Deserialize)]
pub struct LoopStatusFrame {
    /// The status with its runs.
    pub loop_status: LoopState,
}

/// `LoopState` (section 21).
#[derive(Debug, Deserialize)]
pub struct LoopState {
    /// `WAITING_ON_INPUT`, `SENDING_API_REQUEST`, …
    pub status: String,
    /// Zero or one id.
    #[serde(default)]
    pub active_run_ids: Vec<String>,
    /// Which client messages a run answers; absent when empty and on servers before 0.30.28.
    #[serde(default)]
    pub client_message_ids_by_run_id: Option<Pairs>,
}

/// A JSON object of string lists in the order of the text, which is the order of the runs.
#[derive(Debug, Default)]
pub struct Pairs(pub Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of string lists")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    pairs.push(entry);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// `update_queue` (section 10).
#[derive(Debug, Deserialize)]
pub struct QueueFrame {
    /// The whole queue.
    #[serde(default)]
    pub queue: Vec<QueueItem>,
    /// What left the queue; absent on servers before 0.30.19.
    #[serde(default)]
    pub removed: Option<Vec<QueueRemoval>>,
}

/// One queued input.
#[derive(Debug, Deserialize)]
pub struct QueueItem {
    /// The server's id of the item, wanted by `remove_queue_item`.
    #[serde(default)]
    pub id: String,
    /// The client's id of the message.
    #[serde(default)]
    pub client_message_id: String,
}

/// How an input left the queue.
#[derive(Debug, Deserialize)]
pub struct QueueRemoval {
    /// The client's id of the message.
    pub client_message_id: String,
    /// `dequeued` or `cancelled`.
    pub disposition: String,
}

/// `turn_finished` (section 9.1).
#[derive(Debug, Deserialize)]
pub struct TurnFinishedFrame {
    /// The server's id of the batch; no key for correlation (section 10).
    #[serde(default)]
    pub turn_id: Option<String>,
    /// Why the turn ended.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// The last run of the turn; absent when it failed before a run.
    #[serde(default)]
    pub run_id: Option<String>,
    /// A text for people.
    #[serde(default, deserialize_with = "free_text")]
    pub error: Option<String>,
}

/// `update_device_status`, for the approvals that are still open (section 13).
#[derive(Debug, Deserialize)]
pub struct DeviceStatusFrame {
    /// The status.
    pub device_status: DeviceStatus,
}

/// The one field of `DeviceStatus` the rules need.
#[derive(Debug, Deserialize)]
pub struct DeviceStatus {
    /// Open permission questions, each a [`ControlRequestFrame`] without its `type`.
    #[serde(default)]
    pub pending_control_requests: Vec<Box<RawValue>>,
}

/// `control_request`, and an entry of `pending_control_requests` (section 13).
#[derive(Debug, Deserialize)]
pub struct ControlRequestFrame {
    /// The server's id of the question.
    pub request_id: String,
    /// The question.
    pub request: ControlRequestBody,
}

/// The part of the question that names the call.
#[derive(Debug, Deserialize)]
pub struct ControlRequestBody {
    /// The tool that wants to run.
    #[serde(default, deserialize_with = "free_text")]
    pub tool_name: Option<String>,
    /// The call that waits.
    #[serde(default)]
    pub tool_call_id: Option<String>,
}

/// `external_tool_call_request` (section 14).
#[derive(Debug, Deserialize)]
pub struct ToolCallFrame {
    /// What its answer names.
    #[serde(default)]
    pub request_id: String,
    /// The tool.
    #[serde(default)]
    pub tool_name: String,
    /// Where the call comes from; not always said.
    #[serde(default)]
    pub runtime: Option<ScopeFields>,
    /// The model's id of the call.
    #[serde(default)]
    pub tool_call_id: String,
}

/// `RuntimeScope` (section 21).
#[derive(Debug, Deserialize)]
pub struct ScopeFields {
    /// The agent.
    pub agent_id: String,
    /// The conversation.
    pub conversation_id: String,
}

/// `input_accepted` (section 8.1).
#[derive(Debug, Deserialize)]
pub struct InputAcceptedFrame {
    /// Whether the server took the input.
    pub accepted: bool,
    /// `started` or `queued`.
    #[serde(default)]
    pub disposition: Option<String>,
    /// Why not.
    #[serde(default, deserialize_with = "free_text")]
    pub error: Option<String>,
}

impl InputAcceptedFrame {
    /// Why not, in words.
    pub(crate) fn reason(&self) -> &str {
        self.error.as_deref().filter(|words| !words.is_empty()).unwrap_or("no reason given")
    }
}

/// `success` of any response (section 5).
#[derive(Debug, Deserialize)]
pub struct ResponseHead {
    /// Absent on a few responses.
    #[serde(default)]
    pub success: Option<bool>,
}

/// A `stream_delta` whose body is `usage_statistics`.
#[derive(Debug, Deserialize)]
pub struct UsageFrame {
    /// The counts.
    pub delta: UsagePart,
}

/// Token counts of one run, as `usage_statistics` has them.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct UsagePart {
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(default)]
    pub completion_tokens: Option<u64>,
    /// Their sum.
    #[serde(default)]
    pub total_tokens: Option<u64>,
    /// Prompt tokens read from the provider's cache.
    #[serde(default)]
    pub cached_input_tokens: Option<u64>,
    /// Prompt tokens written to the provider's cache.
    #[serde(default)]
    pub cache_write_tokens: Option<u64>,
    /// Tokens spent on reasoning.
    #[serde(default)]
    pub reasoning_tokens: Option<u64>,
    /// Tokens in the context window after the run.
    #[serde(default)]
    pub context_tokens: Option<u64>,
    /// Steps taken.
    #[serde(default)]
    pub step_count: Option<u64>,
}

/// A tool call, whole or a piece of one.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct ToolCallPart {
    /// The id of the call.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    /// The tool.
    #[serde(default)]
    pub name: Option<String>,
    /// JSON text, possibly a fragment.
    #[serde(default, deserialize_with = "free_text")]
    pub arguments: Option<String>,
}

/// A value, or a list of values.
#[derive(Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object or a list of objects")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(OneOrMany(items))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<Self::Value, A::Error> {
                let item = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(OneOrMany(vec![item]))
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

/// Reads a text that decides nothing. Servers cut long texts anywhere, also in the middle of a
/// character; and what is a text today may be an object tomorrow. Neither may cost the frame.
fn free_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<Box<RawValue>>::deserialize(deserializer)?
        .map(|value| plain_text(value.get()).into_owned()))
}

/// The text in a message's `content`: a string, or the `text` parts of a list in order.
#[must_use]
pub fn content_text(json: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default, deserialize_with = "free_text")]
        text: Option<String>,
    }
    if json.starts_with('"') {
        return plain_text(json);
    }
    if let Ok(text) = parts_text(&mut Scanner::new(json)) {
        return text;
    }
    let parts = serde_json::from_str::<OneOrMany<Part>>(json);
    let texts = parts.map(|parts| parts.0.into_iter().filter_map(|part| part.text));
    Cow::Owned(texts.map(Iterator::collect).unwrap_or_default())
}

/// The same where all texts are strings that can be read.
pub(super) fn parts_text<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, Malformed> {
    let mut text = Cow::Borrowed("");
    if scanner.peek() == Some(b'[') {
        scanner.list(|scanner| add_part(scanner, &mut text))?;
    } else {
        add_part(scanner, &mut text)?;
    }
    Ok(text)
}

fn add_part<'a>(scanner: &mut Scanner<'a>, text: &mut Cow<'a, str>) -> Result<(), Malformed> {
    let mut piece = None;
    scanner.object(|scanner, key| {
        match key {
            "text" => piece = scanner.text()?,
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    // There is hardly ever a second one.
    *text += piece.unwrap_or_default();
    Ok(())
}

/// A JSON string's text, with U+FFFD for a character that was cut, or the JSON text of any other value.
#[must_use]
pub fn plain_text(json: &str) -> Cow<'_, str> {
    let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(inside) => Cow::Owned(unescaped(inside).unwrap_or_else(|| mended(inside))),
        None => Cow::Borrowed(json),
    }
}

/// The text of a JSON string's inside whose only fault is half a surrogate pair.
fn mended(inside: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(body: &str) -> Delta<'_> {
        Delta::read(body).expect("valid")
    }

    #[test]
    fn content_is_a_string_or_parts() {
        let whole = delta(r#"{"message_type":"assistant_message","content":"a\nb"}"#);
        assert_eq!(content_text(whole.content.expect("content")), "a\nb");
        let parts = delta(
            r#"{"message_type":"assistant_message","content":[{"type":"text","text":"a"},
                {"type":"image"},{"type":"text","text":"b"}]}"#,
        );
        assert_eq!(content_text(parts.content.expect("content")), "ab");
    }

    #[test]
    fn a_cut_character_costs_nothing_but_itself() {
        let cut =
            delta(r#"{"message_type":"loop_error","message":"a\"\n\u00e9 \ud83d\ude00 \ud83d"}"#);
        assert_eq!(cut.message.expect("message"), "a\"\n\u{e9} \u{1f600} \u{fffd}");
        let finished: TurnFinishedFrame =
            serde_json::from_str(r#"{"run_id":"r","error":{"code":1}}"#).expect("lenient");
        assert_eq!(finished.error.expect("error"), r#"{"code":1}"#);
        let content =
            delta(r#"{"message_type":"assistant_message","content":[{"text":"x\ud83d"}]}"#);
        assert_eq!(content_text(content.content.expect("content")), "x\u{fffd}");
    }

    #[test]
    fn tool_calls_come_as_an_object_or_a_list() {
        let one = delta(r#"{"message_type":"tool_call_message","tool_calls":{"name":"Bash"}}"#);
        assert_eq!(one.tool_calls.expect("calls").0.len(), 1);
        let many = delta(r#"{"message_type":"tool_call_message","tool_calls":[{},{}]}"#);
        assert_eq!(many.tool_calls.expect("calls").0.len(), 2);
    }

    #[test]
    fn correlation_keeps_the_order_of_the_text() {
        let frame: LoopStatusFrame = serde_json::from_str(
            r#"{"loop_status":{"status":"X","client_message_ids_by_run_id":{"b":["1"],"a":["2"]}}}"#,
        )
        .expect("valid");
        let pairs = frame.loop_status.client_message_ids_by_run_id.expect("map").0;
        assert_eq!(pairs.iter().map(|(run, _)| run.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    }
}
