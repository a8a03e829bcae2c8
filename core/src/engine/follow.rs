//! What happens in a turn, told as it happens: deltas become typed events of the turn they belong
//! to.

use serde_json::value::RawValue;

use super::context::Context;
use super::delivery::{Delivery, Token};
use super::result::Usage;
use super::runs::Run;
use super::runtime::Runtime;
use super::turn::Turn;
use crate::protocol::Text;
use crate::protocol::frames::{
    Delta, QueueFrame, ToolCallPart, UsageFrame, content_text, plain_text,
};

/// One thing that happened in a turn (PROTOCOL.md sections 9 to 13).
#[derive(Debug, Clone)]
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
        run_id: String,
    },
    /// The run failed and was tried again: what it said is withdrawn, and is not in the result.
    RunWithdrawn {
        /// The run.
        run_id: String,
    },
    /// The agent said something.
    AssistantDelta {
        /// The run.
        run_id: String,
        /// The same for all pieces of one message within a run.
        message_id: String,
        /// The piece.
        text: String,
    },
    /// The agent thought something.
    ReasoningDelta {
        /// The run.
        run_id: String,
        /// The same for all pieces of one message within a run.
        message_id: String,
        /// The piece.
        text: String,
    },
    /// The agent calls a tool.
    ToolCallStart {
        /// The run.
        run_id: String,
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
        output: String,
    },
    /// A tool has returned.
    ToolCallEnd {
        /// The call.
        call_id: String,
        /// `success` or `error`.
        status: String,
        /// What it returned.
        output: String,
    },
    /// A permission is wanted.
    ApprovalRequested {
        /// The server's id of the question.
        request_id: String,
        /// The `control_request`, or the device status that lists it.
        frame: Text,
    },
    /// A permission was given or refused, by whomever, or is no longer wanted.
    ApprovalDecided {
        /// The server's id of the question.
        request_id: String,
    },
    /// A run's token counts.
    Usage {
        /// The run.
        run_id: String,
        /// The counts.
        usage: Usage,
    },
    /// The server will try again.
    Retry {
        /// A text for people.
        message: String,
    },
    /// The runtime's loop status changed.
    Status {
        /// `SENDING_API_REQUEST`, …
        status: String,
    },
    /// Another delta of the turn.
    Unknown {
        /// The `stream_delta`.
        frame: Text,
    },
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

    /// A rough size in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::AssistantDelta { text, .. } | Self::ReasoningDelta { text, .. } => text.len(),
            Self::ToolCallArguments { arguments, .. } => arguments.len(),
            Self::ToolOutput { output, .. } => output.len(),
            Self::ApprovalRequested { frame, .. } | Self::Unknown { frame } => frame.len(),
            _ => 0,
        }
    }
}

fn tell(ctx: &mut Context, token: Token, event: TurnEvent) {
    ctx.deliveries.push_back(Delivery::TurnEvent { token, event });
}

impl Runtime {
    /// The tokens of the turns that are followed and meet a condition.
    fn followers(&self, wanted: impl Fn(&Turn) -> bool) -> Vec<Token> {
        let followed = self.turns.iter().filter(|turn| turn.options.events && wanted(turn));
        followed.map(|turn| turn.token).collect()
    }

    /// Tells an event to every followed turn that is running.
    pub(crate) fn tell_ours(&self, event: &TurnEvent, ctx: &mut Context) {
        for token in self.followers(Turn::is_ours) {
            tell(ctx, token, event.clone());
        }
    }

    /// Tells what a delta means.
    pub(crate) fn follow_delta(&mut self, delta: &Delta, frame: &Text, ctx: &mut Context) {
        let tokens = match delta.run_id.as_deref() {
            Some(run) => self.followers(|turn| turn.owns_run(run)),
            None => self.followers(Turn::is_ours),
        };
        if tokens.is_empty() {
            return;
        }
        let events = events_of(delta, frame);
        for token in tokens {
            for event in &events {
                tell(ctx, token, event.clone());
            }
        }
    }

    /// Announces runs that have become a turn's own, with what they have said already: deltas may
    /// come before it is known whose they are, and an input may join a run that is under way.
    pub(crate) fn announce_runs(&mut self, ctx: &mut Context) {
        for turn in self.turns.iter_mut().filter(|turn| turn.options.events) {
            while let Some(run_id) = turn.runs.get(turn.announced).cloned() {
                let before = turn.announced.checked_sub(1).and_then(|index| turn.runs.get(index));
                let failed = before.filter(|id| self.runs.get(id).is_some_and(|run| run.failed));
                if let Some(failed) = failed.cloned() {
                    tell(ctx, turn.token, TurnEvent::RunWithdrawn { run_id: failed });
                }
                turn.announced += 1;
                // An ended run is an earlier turn's, listed because the input repeats that turn's id.
                if self.runs.has_ended(&run_id) {
                    continue;
                }
                tell(ctx, turn.token, TurnEvent::RunStarted { run_id: run_id.clone() });
                for event in
                    self.runs.get(&run_id).map(|run| so_far(run, &run_id)).unwrap_or_default()
                {
                    tell(ctx, turn.token, event);
                }
            }
        }
    }

    /// Tells queued turns where they stand, when that changed.
    pub(crate) fn follow_queue(&mut self, frame: &QueueFrame, ctx: &mut Context) {
        for turn in self.turns.iter_mut().filter(|turn| turn.options.events) {
            let mut queue = frame.queue.iter();
            let place = queue.position(|item| turn.has_client_id(&item.client_message_id));
            let place = place.map(|index| index + 1);
            if let Some(position) = place.filter(|place| Some(*place) != turn.position) {
                tell(ctx, turn.token, TurnEvent::Queued { position });
            }
            turn.position = place;
        }
    }
}

/// What a run has said and done so far.
fn so_far(run: &Run, run_id: &str) -> Vec<TurnEvent> {
    let mut events = Vec::new();
    for call in &run.tool_calls {
        let (run_id, call_id, name) = (run_id.to_owned(), call.id.clone(), call.name.clone());
        events.push(TurnEvent::ToolCallStart { run_id, call_id: call_id.clone(), name });
        let arguments = call.arguments.clone();
        events.push(TurnEvent::ToolCallArguments { call_id: call_id.clone(), arguments });
        if let (Some(status), Some(output)) = (call.status.clone(), call.output.clone()) {
            events.push(TurnEvent::ToolCallEnd { call_id, status, output });
        }
    }
    if !run.text.is_empty() {
        let (run_id, message_id) = (run_id.to_owned(), run.message_id.clone());
        events.push(TurnEvent::AssistantDelta { run_id, message_id, text: run.text.clone() });
    }
    events
}

/// What a delta means; nothing for the frames that only steer the engine.
fn events_of(delta: &Delta, frame: &Text) -> Vec<TurnEvent> {
    let run_id = delta.run_id.clone().unwrap_or_default();
    let message_id = || delta.message_id().to_owned();
    let event = match delta.message_type.as_str() {
        "assistant_message" => {
            let text = delta.content.as_deref().map(content_text).unwrap_or_default();
            TurnEvent::AssistantDelta { run_id, message_id: message_id(), text }
        }
        "reasoning_message" => {
            let text = delta.reasoning.clone().unwrap_or_default();
            TurnEvent::ReasoningDelta { run_id, message_id: message_id(), text }
        }
        "approval_request_message" | "tool_call_message" => {
            return delta.calls().flat_map(|part| call_events(part, &run_id)).collect();
        }
        "tool_return_message" => return output_events(delta),
        "usage_statistics" => {
            let mut usage = Usage::default();
            if let Ok(frame) = serde_json::from_str::<UsageFrame>(frame) {
                usage.add(&frame.delta);
            }
            TurnEvent::Usage { run_id, usage }
        }
        "retry" => TurnEvent::Retry { message: delta.message.clone().unwrap_or_default() },
        // Marks that say nothing the other events do not say.
        "stop_reason" | "client_tool_start" | "client_tool_end" | "user_message" | "ping" => {
            return Vec::new();
        }
        _ => TurnEvent::Unknown { frame: frame.clone() },
    };
    vec![event]
}

/// A call's first piece has its name, later ones only arguments.
fn call_events(part: &ToolCallPart, run_id: &str) -> Vec<TurnEvent> {
    let call_id = part.tool_call_id.clone().unwrap_or_default();
    let mut events = Vec::new();
    if let Some(name) = part.name.clone() {
        let (run_id, call_id) = (run_id.to_owned(), call_id.clone());
        events.push(TurnEvent::ToolCallStart { run_id, call_id, name });
    }
    if let Some(arguments) = part.arguments.clone().filter(|arguments| !arguments.is_empty()) {
        events.push(TurnEvent::ToolCallArguments { call_id, arguments });
    }
    events
}

fn output_events(delta: &Delta) -> Vec<TurnEvent> {
    let event = |(call_id, status, output): (&str, Option<&str>, Option<&RawValue>)| {
        let (call_id, output) = (call_id.to_owned(), output.map(plain_text).unwrap_or_default());
        if delta.is_preview() {
            TurnEvent::ToolOutput { call_id, output }
        } else {
            TurnEvent::ToolCallEnd {
                call_id,
                status: status.unwrap_or_default().to_owned(),
                output,
            }
        }
    };
    delta.outputs().map(event).collect()
}
