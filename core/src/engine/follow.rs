//! What happens in a turn, told as it happens: deltas become typed events of the turn they belong
//! to.

use std::sync::Arc;

use serde_json::Value;

use super::context::Context;
use super::delivery::{Delivery, Token};
use super::event::TurnEvent;
use super::result::Usage;
use super::runs::{Run, SAID_BY_RUNS, Said};
use super::runtime::Runtime;
use super::turn::Turn;
use crate::protocol::Text;
use crate::protocol::frames::{Delta, Output, QueueFrame, ToolCallPart, UsageFrame};

fn tell(ctx: &mut Context, token: Token, event: TurnEvent) {
    ctx.deliveries.push_back(Delivery::turn_event(token, event));
}

impl Runtime {
    /// The tokens of the turns that are followed and meet a condition: the first, and the others. There is
    /// hardly ever more than one.
    fn followers(&self, wanted: impl Fn(&Turn) -> bool) -> Option<(Token, Vec<Token>)> {
        let followed = self.turns.iter().filter(|turn| turn.options.events && wanted(turn));
        let mut tokens = followed.map(|turn| turn.token);
        Some((tokens.next()?, tokens.collect()))
    }

    /// Tells an event to every followed turn that is running.
    pub(crate) fn tell_ours(&self, event: &TurnEvent, ctx: &mut Context) {
        self.tell_those(Turn::is_ours, event, ctx);
    }

    /// Tells an event to the followed turns among these.
    pub(crate) fn tell_those(
        &self,
        wanted: impl Fn(&Turn) -> bool,
        event: &TurnEvent,
        ctx: &mut Context,
    ) {
        if let Some((first, others)) = self.followers(wanted) {
            for token in std::iter::once(first).chain(others) {
                tell(ctx, token, event.clone());
            }
        }
    }

    /// Tells what a delta means.
    pub(crate) fn follow_delta(&mut self, delta: &Delta<'_>, frame: &Text, ctx: &mut Context) {
        let tokens = match delta.run_id.as_deref() {
            // What is said after the end is not in the result either.
            Some(run) if self.runs.has_ended(run) => return,
            Some(run) => self.followers(|turn| turn.owns_run(run)),
            // Nobody knows whose words these are.
            None if SAID_BY_RUNS.contains(&&*delta.message_type) => return,
            None => self.followers(Turn::is_ours),
        };
        let Some((first, others)) = tokens else { return };
        let run = delta.run_id.as_deref().and_then(|run| self.runs.get(run));
        let mut emit = |event: TurnEvent| {
            for token in &others {
                tell(ctx, *token, event.clone());
            }
            tell(ctx, first, event);
        };
        events_of(delta, run, frame, &mut emit);
    }

    /// Announces runs that have become a turn's own, with what they have said already: deltas may
    /// come before it is known whose they are, and an input may join a run that is under way.
    pub(crate) fn announce_runs(&mut self, ctx: &mut Context) {
        for turn in self.turns.iter_mut().filter(|turn| turn.options.events) {
            while let Some(run_id) = turn.runs.get(turn.announced).cloned() {
                let before = turn.announced.checked_sub(1).and_then(|index| turn.runs.get(index));
                let failed = before.filter(|id| {
                    !self.runs.has_ended(id) && self.runs.get(id).is_some_and(|run| run.failed)
                });
                if let Some(failed) = failed.cloned() {
                    tell(ctx, turn.token, TurnEvent::RunWithdrawn { run_id: failed });
                }
                turn.announced += 1;
                // An ended run is an earlier turn's, listed because the input repeats that turn's id.
                if self.runs.has_ended(&run_id) {
                    continue;
                }
                tell(ctx, turn.token, TurnEvent::RunStarted { run_id: run_id.clone() });
                for event in self.runs.get(&run_id).map(so_far).unwrap_or_default() {
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

/// What a run has said and done so far, in order.
fn so_far(run: &Run) -> Vec<TurnEvent> {
    let mut events = Vec::new();
    for said in &run.said {
        let run_id = Arc::clone(&run.id);
        match said {
            Said::Message { reasoning: true, id, text } => {
                let (message_id, text) = (id.clone(), text.clone());
                events.push(TurnEvent::ReasoningDelta { run_id, message_id, text });
            }
            Said::Message { reasoning: false, id, text } => {
                let (message_id, text) = (id.clone(), text.clone());
                events.push(TurnEvent::AssistantDelta { run_id, message_id, text });
            }
            Said::Call(index) => {
                let Some(call) = run.tool_calls.get(*index) else { continue };
                let (call_id, name) = (call.id.clone(), call.name.clone());
                events.push(TurnEvent::ToolCallStart { run_id, call_id: call_id.clone(), name });
                let arguments = call.arguments.clone();
                events.push(TurnEvent::ToolCallArguments { call_id: call_id.clone(), arguments });
                if let (Some(status), Some(output)) = (call.status.clone(), call.output.clone()) {
                    events.push(TurnEvent::ToolCallEnd { call_id, status, output });
                }
            }
        }
    }
    events
}

/// What a delta means, after its run has recorded it; nothing for the frames that only steer the engine.
fn events_of(delta: &Delta<'_>, run: Option<&Run>, frame: &Text, emit: &mut impl FnMut(TurnEvent)) {
    let run_id = match run {
        Some(run) => Arc::clone(&run.id),
        None => delta.run_id.as_deref().unwrap_or_default().into(),
    };
    let message_id = || match run.and_then(Run::last_message) {
        Some(id) if **id == *delta.message_id() => Arc::clone(id),
        _ => delta.message_id().into(),
    };
    let event = match &*delta.message_type {
        "assistant_message" => {
            let text = delta.text().into_owned();
            TurnEvent::AssistantDelta { run_id, message_id: message_id(), text }
        }
        "reasoning_message" => {
            let text = delta.reasoning.as_deref().unwrap_or_default().to_owned();
            TurnEvent::ReasoningDelta { run_id, message_id: message_id(), text }
        }
        "approval_request_message" | "tool_call_message" => {
            return delta.calls().for_each(|part| call_events(part, run, &run_id, emit));
        }
        "tool_return_message" => return output_events(delta, run, emit),
        "usage_statistics" => {
            let mut usage = Usage::default();
            if let Ok(frame) = serde_json::from_str::<UsageFrame>(frame) {
                usage.add(&frame.delta);
            }
            TurnEvent::Usage { run_id, usage }
        }
        "retry" => retry_event(frame, "/delta"),
        // The backend's own attempts within one call of the model (section 9.4).
        "event_message" if delta.event_type.as_deref() == Some("retry") => {
            retry_event(frame, "/delta/event_data")
        }
        // Marks that say nothing the other events do not say.
        "stop_reason" | "client_tool_start" | "client_tool_end" | "user_message" | "ping" => return,
        _ => TurnEvent::Unknown { frame: frame.clone() },
    };
    emit(event);
}

fn retry_event(frame: &str, place: &str) -> TurnEvent {
    let frame: Value = serde_json::from_str(frame).unwrap_or_default();
    let field = |name: &str| frame.pointer(&format!("{place}/{name}"));
    let number = |name: &str| field(name).and_then(Value::as_u64);
    TurnEvent::Retry {
        message: field("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        attempt: number("attempt"),
        max_attempts: number("max_attempts"),
        delay_ms: number("delay_ms"),
    }
}

/// A call's first piece has its name, later ones only arguments.
fn call_events(
    part: &ToolCallPart,
    run: Option<&Run>,
    run_id: &Arc<str>,
    emit: &mut impl FnMut(TurnEvent),
) {
    let call_id = run.and_then(|run| run.call_id(part)).or(part.tool_call_id.as_deref());
    let call_id = call_id.unwrap_or_default().to_owned();
    if let Some(name) = part.name.clone() {
        let (run_id, call_id) = (Arc::clone(run_id), call_id.clone());
        emit(TurnEvent::ToolCallStart { run_id, call_id, name });
    }
    if let Some(arguments) = part.arguments.clone().filter(|arguments| !arguments.is_empty()) {
        emit(TurnEvent::ToolCallArguments { call_id, arguments });
    }
}

fn output_events(delta: &Delta<'_>, run: Option<&Run>, emit: &mut impl FnMut(TurnEvent)) {
    for (call_id, status, output) in delta.outputs() {
        // The run has just read it; outputs may be large.
        let read = run.and_then(|run| run.output_of(call_id).cloned());
        let output = read.or_else(|| output.map(Output::text)).unwrap_or_default();
        let call_id = call_id.to_owned();
        emit(if delta.is_preview() {
            TurnEvent::ToolOutput { call_id, output }
        } else {
            let status = status.unwrap_or_default().to_owned();
            TurnEvent::ToolCallEnd { call_id, status, output }
        });
    }
}
