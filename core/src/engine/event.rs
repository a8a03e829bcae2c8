//! What happens in a turn, as its follower sees it.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::result::Usage;
use crate::protocol::Text;

/// One thing that happened in a turn (PROTOCOL.md sections 9 to 13).
///
/// Serialized, it is an object with the variant's name as `type`: the form in which it crosses into
/// another language.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnEvent {
    /// The input waits in the server's queue.
    Queued {
        /// Its place, counted from 1.
        position: usize,
    },
    /// A model call of the turn began.
    RunStarted {
        /// The run.
        run_id: Arc<str>,
    },
    /// The run failed and was tried again: what it said is withdrawn, and is not in the result.
    RunWithdrawn {
        /// The run.
        run_id: Arc<str>,
    },
    /// The agent said something.
    AssistantDelta {
        /// The run.
        run_id: Arc<str>,
        /// The same for all pieces of one message within a run.
        message_id: Arc<str>,
        /// The piece.
        text: String,
    },
    /// The agent thought something.
    ReasoningDelta {
        /// The run.
        run_id: Arc<str>,
        /// The same for all pieces of one message within a run.
        message_id: Arc<str>,
        /// The piece.
        text: String,
    },
    /// The agent calls a tool.
    ToolCallStart {
        /// The run.
        run_id: Arc<str>,
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
    },
    /// A piece of a tool call's arguments, or all of them, as JSON text.
    ToolCallArguments {
        /// The call.
        call_id: String,
        /// The piece.
        arguments: String,
    },
    /// What a tool has printed so far; each such event replaces the one before.
    ToolOutput {
        /// The call.
        call_id: String,
        /// The whole output so far.
        #[serde(serialize_with = "as_text")]
        output: Text,
    },
    /// A tool has returned.
    ToolCallEnd {
        /// The call.
        call_id: String,
        /// `success` or `error`.
        status: String,
        /// What it returned.
        #[serde(serialize_with = "as_text")]
        output: Text,
    },
    /// A permission is requested.
    ApprovalRequested {
        /// The server's id of the question.
        request_id: String,
        /// The `control_request`, or one made of the device status that lists the question.
        #[serde(serialize_with = "as_text")]
        frame: Text,
    },
    /// A permission was given or refused, or is no longer needed.
    ApprovalDecided {
        /// The server's id of the question.
        request_id: String,
        /// What this client answered: `allow` or `deny`. `None` when somebody else decided, or nobody
        /// had to.
        decision: Option<String>,
    },
    /// The server did not take this client's answer: somebody else was first, or the question is gone.
    ApprovalRefused {
        /// The server's id of the question.
        request_id: String,
        /// The server's reason.
        reason: String,
    },
    /// A run's token counts.
    Usage {
        /// The run.
        run_id: Arc<str>,
        /// The counts.
        usage: Usage,
    },
    /// The server will try again.
    Retry {
        /// A text for humans to read.
        message: String,
        /// Which attempt comes next, counted from 1, if the server said so.
        attempt: Option<u64>,
        /// How many there will be at most.
        max_attempts: Option<u64>,
        /// How long the server waits before it, in milliseconds.
        delay_ms: Option<u64>,
    },
    /// The connection was lost, or the stream socket of a server with two (section 2.1), and the turn goes on with a new
    /// one, or has ended meanwhile. No event reports what was said in between, but the result contains it.
    Resumed,
    /// The runtime's loop status changed.
    Status {
        /// `SENDING_API_REQUEST`, …
        status: String,
    },
    /// Another delta of the turn: `error_message`, `loop_error`, `status`, … (section 11), or one that only a newer
    /// server sends.
    Unknown {
        /// The `stream_delta`.
        #[serde(serialize_with = "as_text")]
        frame: Text,
    },
}

fn as_text<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl TurnEvent {
    /// Whether it may be dropped for a follower who does not keep up.
    pub(crate) fn droppable(&self) -> bool {
        matches!(
            self,
            Self::AssistantDelta { .. }
                | Self::ReasoningDelta { .. }
                | Self::ToolOutput { .. }
                | Self::Status { .. }
                | Self::Unknown { .. }
        )
    }

    /// Takes in the event right behind it, where both are pieces of one message's text or of one call's
    /// arguments, or where it replaces this one; gives it back otherwise.
    pub(crate) fn absorb(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (
                Self::AssistantDelta { run_id, message_id, text },
                Self::AssistantDelta { run_id: run, message_id: message, text: more },
            )
            | (
                Self::ReasoningDelta { run_id, message_id, text },
                Self::ReasoningDelta { run_id: run, message_id: message, text: more },
            ) if *run_id == run && *message_id == message => text.push_str(&more),
            (
                Self::ToolCallArguments { call_id, arguments },
                Self::ToolCallArguments { call_id: call, arguments: more },
            ) if *call_id == call => arguments.push_str(&more),
            (
                Self::ToolOutput { call_id, output },
                Self::ToolOutput { call_id: call, output: newer },
            ) if *call_id == call => *output = newer,
            (_, next) => return Some(next),
        }
        None
    }

    /// A rough size in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::AssistantDelta { run_id, message_id, text }
            | Self::ReasoningDelta { run_id, message_id, text } => {
                run_id.len() + message_id.len() + text.len()
            }
            Self::ToolCallArguments { call_id, arguments } => call_id.len() + arguments.len(),
            Self::ToolOutput { call_id, output } | Self::ToolCallEnd { call_id, output, .. } => {
                call_id.len() + output.len()
            }
            Self::ApprovalRequested { frame, .. } | Self::Unknown { frame } => frame.len(),
            _ => 0,
        }
    }
}
