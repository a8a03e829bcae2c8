//! What a turn came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::frames::UsagePart;

/// Whole milliseconds, rounded up: a turn that took less took some time too.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// The outcome of a turn, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TurnStatus {
    /// The agent ended its turn.
    Completed,
    /// The turn was stopped (`cancelled`), or its input removed from the queue.
    Aborted,
    /// The turn ended with an error.
    Failed,
    /// The turn waits for a permission that nobody here was asked to give.
    RequiresApproval,
    /// The connection was lost, or a limit passed, before the turn's end was seen.
    Disconnected,
}

impl TurnStatus {
    /// Every status.
    pub const ALL: &'static [Self] =
        &[Self::Completed, Self::Aborted, Self::Failed, Self::RequiresApproval, Self::Disconnected];

    /// The name of the status in all three languages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::RequiresApproval => "requires_approval",
            Self::Disconnected => "disconnected",
        }
    }

    /// The error of a turn that the agent did not end itself, with the server's words for it; `None` of one
    /// that it did.
    #[must_use]
    pub fn error(self, reason: Option<&str>) -> Option<Error> {
        let reason = reason.unwrap_or("the server gave no reason");
        Some(match self {
            Self::Completed => return None,
            Self::Aborted => Error::new(ErrorKind::TurnAborted, "the turn was aborted"),
            Self::RequiresApproval => {
                let message = "the turn needs a permission and is waiting for the answer";
                Error::new(ErrorKind::ApprovalRequired, message).with_hint(
                    "answer it with the error's `respond` (in Rust, through `Client::approval_requests`)",
                )
            }
            Self::Disconnected => {
                Error::new(ErrorKind::TurnInterrupted, "the turn's end was not seen")
            }
            Self::Failed => Error::new(ErrorKind::TurnFailed, format!("the turn failed: {reason}")),
        })
    }
}

/// What showed the engine that the turn was over (PROTOCOL.md sections 17.2 and 17.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompletedBy {
    /// `turn_finished` of one of the turn's runs.
    TurnFinished,
    /// A final `stop_reason`, confirmed by an idle loop status (servers without `turn_finished`).
    StopReason,
    /// A terminal `loop_error` (servers without `turn_finished`).
    LoopError,
    /// The mark of an abort (servers without `turn_finished`).
    Interrupted,
    /// A permission is wanted and the caller asked to be told instead of waiting.
    Approval,
    /// The input was removed from the queue.
    RemovedFromQueue,
    /// The stored conversation: the turn's end was seen, but its connection was lost before all of it
    /// had come.
    Stored,
}

impl CompletedBy {
    /// The name in all three languages. The value for an approval is the reference client's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TurnFinished => "turn_finished",
            Self::StopReason => "stop_reason",
            Self::LoopError => "loop_error",
            Self::Interrupted => "interrupted",
            Self::Approval => "loop_status_waiting_on_approval",
            Self::RemovedFromQueue => "removed_from_queue",
            Self::Stored => "stored_messages",
        }
    }
}

/// How an input reached its turn, if connections were lost (section 16).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputDelivery {
    /// It was sent once, and the connection held.
    #[default]
    Sent,
    /// The connection was lost, or events with the stream socket of a server with two; the result contains what the server
    /// has stored, which may be incomplete.
    Recovered,
    /// The connection was lost, the stored conversation proved that the input had not arrived, and it was sent
    /// again: this is the outcome of that.
    Resent,
    /// It is known not to have arrived, and was not sent again.
    Undelivered,
    /// Nobody knows whether it arrived.
    Unknown,
}

impl InputDelivery {
    /// The name in all three languages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Recovered => "recovered",
            Self::Resent => "resent",
            Self::Undelivered => "undelivered",
            Self::Unknown => "unknown",
        }
    }
}

/// Token counts, summed over the runs of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Tokens of the answers.
    pub completion_tokens: u64,
    /// Their sum, as the server counts it.
    pub total_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached_input_tokens: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// Steps taken.
    pub step_count: u64,
    /// Tokens in the context window after the last run; this one is not a sum.
    pub context_tokens: Option<u64>,
}

impl Usage {
    pub(crate) fn add(&mut self, part: &UsagePart) {
        let count = |value: Option<u64>| value.unwrap_or(0);
        self.merge(&Self {
            prompt_tokens: count(part.prompt_tokens),
            completion_tokens: count(part.completion_tokens),
            total_tokens: count(part.total_tokens),
            cached_input_tokens: count(part.cached_input_tokens),
            cache_write_tokens: count(part.cache_write_tokens),
            reasoning_tokens: count(part.reasoning_tokens),
            step_count: count(part.step_count),
            context_tokens: part.context_tokens,
        });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.total_tokens, other.total_tokens);
        add(&mut self.cached_input_tokens, other.cached_input_tokens);
        add(&mut self.cache_write_tokens, other.cache_write_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        add(&mut self.step_count, other.step_count);
        self.context_tokens = other.context_tokens.or(self.context_tokens);
    }
}

/// One tool call of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// The id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as JSON text, as the model wrote them.
    pub arguments: String,
    /// `success` or `error`; `None` if it is not known.
    pub status: Option<String>,
    /// What the tool returned.
    #[serde(serialize_with = "as_text")]
    pub output: Option<Text>,
    /// The run that made the call.
    pub run_id: String,
}

#[expect(clippy::ref_option, reason = "what serde calls it with")]
fn as_text<S: Serializer>(text: &Option<Text>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

/// One message of a turn, or a tool call between messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnMessage {
    /// The agent said something.
    Assistant {
        /// The run.
        run_id: String,
        /// The same as in the deltas it is made of.
        message_id: String,
        /// All of it.
        text: String,
    },
    /// The agent thought something.
    Reasoning {
        /// The run.
        run_id: String,
        /// The same as in the deltas it is made of.
        message_id: String,
        /// All of it.
        text: String,
    },
    /// The agent called a tool.
    ToolCall {
        /// The call's place in [`TurnResult::tool_calls`].
        index: usize,
    },
}

/// The text that one run contributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunText {
    /// The run.
    pub run_id: String,
    /// Its assistant text.
    pub text: String,
    /// Whether the run failed and was retried, so that its text does not count.
    pub withdrawn: bool,
}

/// The outcome of a turn or, inside an error, what is known of it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TurnResult {
    /// The agent.
    pub agent_id: String,
    /// The conversation.
    pub conversation_id: String,
    /// The outcome in one word; `None` only inside an error that was raised before the outcome was known.
    pub status: Option<TurnStatus>,
    /// The assistant's text of all runs in order, without runs that failed and were retried.
    pub text: String,
    /// The text run by run.
    pub runs: Vec<RunText>,
    /// The tool calls in order.
    pub tool_calls: Vec<ToolCall>,
    /// What was said and thought, message by message, with the tool calls between them; without runs
    /// that failed and were retried.
    pub messages: Vec<TurnMessage>,
    /// Token counts, summed over the runs.
    pub usage: Usage,
    /// The part of `usage` that no turn which has ended before has in its own, where that is less than all: turns that
    /// the server has answered together (`merged_with`) share runs. What several turns used is the sum of these.
    pub own_usage: Option<Usage>,
    /// The server's word for why the turn ended, such as `end_turn`; unknown words are kept.
    pub stop_reason: Option<String>,
    /// The server's message for people, if the turn failed.
    pub error: Option<String>,
    /// The runs of the turn in order.
    pub run_ids: Vec<String>,
    /// The ids of the messages that this input carried.
    pub client_message_ids: Vec<String>,
    /// Ids of other inputs' messages that the same turn answered (section 10).
    pub merged_with: Vec<String>,
    /// The server's id of the turn's batch; it cannot be used to match a turn to its input (section 10).
    pub turn_id: Option<String>,
    /// `started` or `queued`, where the server said so.
    pub disposition: Option<String>,
    /// What showed that the turn was over.
    pub completed_by: Option<CompletedBy>,
    /// The frame that showed it.
    pub terminal_message: Option<Text>,
    /// Milliseconds from sending the input to the end.
    pub duration_ms: u64,
    /// How many runs failed and were retried.
    pub retries: u32,
    /// Whether the runtime's state was lost while the turn ran (section 18); nobody can approve or abort
    /// anything in such a turn.
    pub detached: bool,
    /// Whether the input arrived, and how that is known.
    pub delivery: InputDelivery,
}

impl TurnResult {
    /// The result, if the turn ended normally; otherwise the error for how it ended, with the result in it.
    /// This is what [`crate::TurnOptions::check`] asks for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TurnFailed`], [`ErrorKind::TurnAborted`], [`ErrorKind::ApprovalRequired`] and
    /// [`ErrorKind::TurnInterrupted`], by the status.
    pub fn checked(self) -> Result<Self, Error> {
        let reason = self.error.as_deref().or(self.stop_reason.as_deref());
        match self.status.and_then(|status| status.error(reason)) {
            Some(error) => Err(error.with_result(self)),
            None => Ok(self),
        }
    }

    /// The same, with what an earlier part of it has used.
    pub(crate) fn with_before(mut self, before: &Self) -> Self {
        let sum = |one: &Usage, other: &Usage| {
            let mut sum = *one;
            sum.merge(other);
            sum
        };
        let own = sum(before.counted(), self.counted());
        self.usage = sum(&before.usage, &self.usage);
        self.own_usage = Some(own).filter(|own| *own != self.usage);
        self
    }

    /// What the turn adds to a sum: its own usage, or all of it.
    #[must_use]
    pub fn counted(&self) -> &Usage {
        self.own_usage.as_ref().unwrap_or(&self.usage)
    }

    /// The result as one JSON value, the form in which it crosses into another language.
    ///
    /// `terminal_message` is in it as the text that came in, not parsed.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!(self)
    }

    /// The same as text. Nothing is copied on the way: outputs of tools may be large.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same without outputs of tools above so many bytes, which are `null` in it: [`TurnResult::long_outputs`]
    /// has them. They need not be escaped on the way into another language, and read there.
    #[must_use]
    pub fn to_short_json(&self, most: usize) -> String {
        serde_json::to_string(&Short { result: self, most }).unwrap_or_default()
    }

    /// Outputs above so many bytes, each with its call's place in [`TurnResult::tool_calls`].
    pub fn long_outputs(&self, most: usize) -> impl Iterator<Item = (usize, &str)> {
        let outputs = self.tool_calls.iter().map(|call| call.output.as_deref());
        outputs.enumerate().filter_map(move |(index, output)| {
            Some((index, output.filter(|output| output.len() > most)?))
        })
    }

    fn write<S: Serializer>(
        &self,
        serializer: S,
        tool_calls: &impl Serialize,
    ) -> Result<S::Ok, S::Error> {
        let runtime = [("agent_id", &self.agent_id), ("conversation_id", &self.conversation_id)];
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("runtime", &BTreeMap::from(runtime))?;
        map.serialize_entry("status", &self.status.map(TurnStatus::as_str))?;
        map.serialize_entry("text", &self.text)?;
        map.serialize_entry("runs", &self.runs)?;
        map.serialize_entry("tool_calls", tool_calls)?;
        map.serialize_entry("messages", &self.messages)?;
        map.serialize_entry("usage", &self.usage)?;
        if let Some(own) = &self.own_usage {
            map.serialize_entry("own_usage", own)?;
        }
        map.serialize_entry("stop_reason", &self.stop_reason)?;
        map.serialize_entry("error", &self.error)?;
        map.serialize_entry("run_ids", &self.run_ids)?;
        map.serialize_entry("client_message_ids", &self.client_message_ids)?;
        map.serialize_entry("merged_with", &self.merged_with)?;
        map.serialize_entry("turn_id", &self.turn_id)?;
        map.serialize_entry("disposition", &self.disposition)?;
        map.serialize_entry("completed_by", &self.completed_by.map(CompletedBy::as_str))?;
        map.serialize_entry("terminal_message", &self.terminal_message.as_deref())?;
        map.serialize_entry("duration_ms", &self.duration_ms)?;
        map.serialize_entry("retries", &self.retries)?;
        map.serialize_entry("detached", &self.detached)?;
        map.serialize_entry("delivery", &self.delivery.as_str())?;
        map.end()
    }
}

impl Serialize for TurnResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write(serializer, &self.tool_calls)
    }
}

/// A result without the outputs that are long.
struct Short<'a> {
    result: &'a TurnResult,
    most: usize,
}

impl Serialize for Short<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let short = |call: &ToolCall| {
            let is_long = call.output.as_ref().is_some_and(|output| output.len() > self.most);
            let output = call.output.as_deref().filter(|_| !is_long);
            let ToolCall { id, name, arguments, status, run_id, .. } = call;
            json!({
                "id": id, "name": name, "arguments": arguments, "status": status, "output": output,
                "run_id": run_id,
            })
        };
        let calls: Vec<_> = self.result.tool_calls.iter().map(short).collect();
        self.result.write(serializer, &calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_outputs_are_apart() {
        let call = |id: &str, output: Option<&str>| ToolCall {
            id: id.to_owned(),
            output: output.map(Text::from),
            ..ToolCall::default()
        };
        let tool_calls = vec![call("a", None), call("b", Some("12345")), call("c", Some("1234"))];
        let result = TurnResult { tool_calls, ..TurnResult::default() };
        let mut short: Value = serde_json::from_str(&result.to_short_json(4)).expect("JSON");
        assert_eq!(short["tool_calls"][1]["output"], Value::Null);
        assert_eq!(short["tool_calls"][2]["output"], "1234");
        for (index, output) in result.long_outputs(4) {
            short["tool_calls"][index]["output"] = output.into();
        }
        assert_eq!(short, result.to_value());
    }
}
