//! What the runs of one runtime said: one record per model call.
//!
//! Records are kept per runtime, not per turn, so that deltas which come before it is known whose
//! run they belong to are not lost (PROTOCOL.md section 17.2, step 6).

use std::collections::VecDeque;
use std::sync::Arc;

use super::result::{RunText, ToolCall, TurnMessage, TurnResult, Usage};
use crate::protocol::Text;
use crate::protocol::frames::{Delta, Output, ToolCallPart, UsageFrame};

/// One run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) id: Arc<str>,
    /// Position in the order in which the runtime's runs were first seen.
    pub(crate) seen: u64,
    /// What it said and did, in order.
    pub(crate) said: Vec<Said>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) usage: Usage,
    /// A turn that shares it has ended, with `usage` in its result.
    counted: bool,
    /// An error was reported for the run.
    pub(crate) failed: bool,
    /// How it ended.
    pub(crate) stop_reason: Option<String>,
    /// It is over.
    ended: bool,
}

/// One thing that a run said or did.
#[derive(Debug)]
pub(crate) enum Said {
    /// A message; its pieces are joined by their id.
    Message { reasoning: bool, id: Arc<str>, text: String },
    /// A tool call, by its place in the run's list.
    Call(usize),
}

/// Deltas that only runs send; `run_id` is optional on all of them (section 11).
pub(crate) const SAID_BY_RUNS: [&str; 8] = [
    "assistant_message",
    "reasoning_message",
    "approval_request_message",
    "tool_call_message",
    "tool_return_message",
    "client_tool_start",
    "client_tool_end",
    "usage_statistics",
];

/// Stop reasons of a run whose text is thrown away when the server tries again (section 9.4).
fn is_error_stop(reason: &str) -> bool {
    matches!(reason, "error" | "llm_api_error" | "invalid_llm_response" | "invalid_tool_call")
}

/// How many ended runs are remembered: twice what the server's correlation map keeps (section 12).
const ENDED_RUNS: usize = 64;

/// How many bytes of what ended runs said are kept: an input that repeats the id of an earlier one
/// owns the earlier one's runs too, as long as the server lists them (section 17.2, step 5).
const ENDED_BYTES: usize = 16 * 1024;

/// The runs of one runtime that were seen while a turn was open, and the latest that have ended.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// In the order of first sight. There are few, and the last ones are asked for.
    list: Vec<Run>,
    seen: u64,
    newest: Option<Arc<str>>,
    /// Ended runs in the order of their end, and how much of what they said is kept.
    ended: VecDeque<Arc<str>>,
    ended_bytes: usize,
    /// How many of the ended, from the first on, have nothing left of it.
    emptied: usize,
}

impl Runs {
    /// Notes that a run exists and returns its place in the order of first sight.
    pub(crate) fn note(&mut self, id: &str) -> u64 {
        if let Some(run) = self.get(id) {
            return run.seen;
        }
        self.seen += 1;
        let id: Arc<str> = id.into();
        self.newest = Some(Arc::clone(&id));
        self.list.push(Run { id, seen: self.seen, ..Run::default() });
        self.seen
    }

    /// How many runs have been seen so far; a later run's place is greater.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Run> {
        self.list.iter().rev().find(|run| *run.id == *id)
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.list.iter_mut().rev().find(|run| *run.id == *id)
    }

    fn remove(&mut self, id: &str) -> Option<Run> {
        let place = self.list.iter().position(|run| *run.id == *id)?;
        Some(self.list.remove(place))
    }

    /// The run that made a tool call.
    pub(crate) fn caller_of(&self, call_id: &str) -> Option<&str> {
        // Providers may use the same ids again, so the latest run that is not over is meant.
        let made = |run: &Run| run.tool_calls.iter().any(|call| call.id == call_id);
        let caller = self.list.iter().rev().find(|run| made(run) && !run.ended);
        caller.map(|run| &*run.id)
    }

    /// The run that a delta without one speaks of, where it is a run's: the caller of its tool, else the
    /// run under way.
    pub(crate) fn home_of(&self, delta: &Delta<'_>) -> Option<&str> {
        if !SAID_BY_RUNS.contains(&&*delta.message_type) {
            return None;
        }
        let call = delta.outputs().next().map(|(id, ..)| id).or(delta.tool_call_id.as_deref());
        call.and_then(|id| self.caller_of(id)).or_else(|| self.under_way().map(|run| &**run))
    }

    /// The run that was seen last.
    pub(crate) fn newest(&self) -> Option<&str> {
        self.newest.as_deref()
    }

    /// The run that was seen last, if it is not over.
    pub(crate) fn under_way(&self) -> Option<&Arc<str>> {
        self.newest.as_ref().filter(|run| !self.has_ended(run))
    }

    /// Whether a run is over.
    pub(crate) fn has_ended(&self, id: &str) -> bool {
        self.get(id).is_some_and(|run| run.ended)
    }

    /// A run is over: it is remembered, and what it said for a while.
    pub(crate) fn end(&mut self, id: &str) {
        let Some(run) = self.get_mut(id).filter(|run| !run.ended) else {
            return;
        };
        run.ended = true;
        let (id, size) = (Arc::clone(&run.id), run.size());
        self.ended_bytes += size;
        self.ended.push_back(id);
        if self.ended.len() > ENDED_RUNS
            && let Some(run) = self.ended.pop_front().and_then(|id| self.remove(&id))
        {
            self.ended_bytes -= run.size();
            self.emptied = self.emptied.saturating_sub(1);
        }
        while self.ended_bytes > ENDED_BYTES
            && let Some(id) = self.ended.get(self.emptied)
        {
            if let Some(run) = self.list.iter_mut().find(|run| run.id == *id) {
                self.ended_bytes -= run.size();
                run.forget();
            }
            self.emptied += 1;
        }
    }

    /// Another connection takes over, and perhaps to a server that has come up again: its runs may have the
    /// names of those that have ended.
    pub(crate) fn forget_ended(&mut self) {
        self.ended.clear();
        self.list.retain(|run| !run.ended);
        self.newest.take_if(|id| !self.list.iter().any(|run| run.id == *id));
        (self.ended_bytes, self.emptied) = (0, 0);
    }

    /// Ends every run, in the order of first sight.
    pub(crate) fn end_all(&mut self) {
        let open = self.list.iter().filter(|run| !run.ended);
        let ids: Vec<_> = open.map(|run| run.id.clone()).collect();
        for id in ids {
            self.end(&id);
        }
    }

    /// Adds what runs said and did to the result of their turn.
    pub(crate) fn tell(&self, ids: &[Arc<str>], result: &mut TurnResult) {
        for (index, id) in ids.iter().enumerate() {
            let Some(run) = self.get(id) else {
                continue;
            };
            let withdrawn = run.failed && index + 1 < ids.len();
            let text = run.text();
            result.retries += u32::from(withdrawn);
            if !withdrawn {
                result.text.push_str(&text);
                let calls = result.tool_calls.len();
                result.messages.extend(run.said.iter().map(|said| message_of(said, id, calls)));
            }
            if !text.is_empty() {
                result.runs.push(RunText { run_id: (**id).to_owned(), text, withdrawn });
            }
            result.tool_calls.extend(run.tool_calls.iter().cloned());
            result.usage.merge(&run.usage);
        }
    }

    /// What of these runs' usage no turn that has ended before has in its result; from now on it has.
    pub(crate) fn count(&mut self, ids: &[Arc<str>]) -> Usage {
        let mut own = Usage::default();
        for id in ids {
            // The server says what a run has used all at once, at its end.
            if let Some(run) = self.get_mut(id).filter(|run| run.usage != Usage::default())
                && !std::mem::replace(&mut run.counted, true)
            {
                own.merge(&run.usage);
            }
        }
        own
    }

    /// Adds what a delta says to its run.
    pub(crate) fn record(&mut self, delta: &Delta<'_>, frame: &str) {
        let Some(id) = delta.run_id.as_deref() else {
            return;
        };
        self.note(id);
        let Some(run) = self.get_mut(id).filter(|run| !run.ended) else {
            return;
        };
        match &*delta.message_type {
            "assistant_message" if delta.content.is_some() => {
                run.say(false, delta.message_id(), &delta.text());
            }
            "reasoning_message" => {
                if let Some(piece) = &delta.reasoning {
                    run.say(true, delta.message_id(), piece);
                }
            }
            "approval_request_message" | "tool_call_message" => {
                delta.calls().for_each(|part| run.add_call(part, id));
            }
            "client_tool_start" => {
                if let Some(call) = delta.tool_call_id.as_deref() {
                    let call = run.call(call, id);
                    if call.name.is_empty() {
                        call.name.push_str(delta.tool_name.as_deref().unwrap_or_default());
                        delta
                            .tool_args
                            .as_deref()
                            .unwrap_or_default()
                            .clone_into(&mut call.arguments);
                    }
                }
            }
            "client_tool_end" => {
                if let Some(call) = delta.tool_call_id.as_deref() {
                    run.call(call, id).status = delta.status.as_deref().map(str::to_owned);
                }
            }
            "tool_return_message" => run.add_returns(delta, id),
            "usage_statistics" => {
                if let Ok(frame) = serde_json::from_str::<UsageFrame>(frame) {
                    run.usage.add(&frame.delta);
                }
            }
            "stop_reason" => {
                run.failed = delta.stop_reason.as_deref().is_some_and(is_error_stop);
                run.stop_reason = delta.stop_reason.as_deref().map(str::to_owned);
            }
            "error_message" | "loop_error" => run.failed = true,
            _ => {}
        }
    }
}

/// What a run said, as a message of the result, in which so many tool calls come before the run's.
fn message_of(said: &Said, run_id: &str, calls: usize) -> TurnMessage {
    let run_id = run_id.to_owned();
    match said {
        Said::Message { reasoning: false, id, text } => {
            TurnMessage::Assistant { run_id, message_id: (**id).to_owned(), text: text.clone() }
        }
        Said::Message { reasoning: true, id, text } => {
            TurnMessage::Reasoning { run_id, message_id: (**id).to_owned(), text: text.clone() }
        }
        Said::Call(index) => TurnMessage::ToolCall { index: calls + index },
    }
}

impl Run {
    /// What it said and did is not needed any more.
    fn forget(&mut self) {
        (self.said, self.tool_calls) = (Vec::new(), Vec::new());
        (self.usage, self.stop_reason) = (Usage::default(), None);
    }

    /// The assistant's text.
    pub(crate) fn text(&self) -> String {
        let pieces = self.said.iter().map(|said| match said {
            Said::Message { reasoning: false, text, .. } => text.as_str(),
            _ => "",
        });
        pieces.collect()
    }

    /// The message that it has just said something of.
    pub(crate) fn last_message(&self) -> Option<&Arc<str>> {
        match self.said.last()? {
            Said::Message { id, .. } => Some(id),
            Said::Call(_) => None,
        }
    }

    fn size(&self) -> usize {
        let said = self.said.iter().map(|said| match said {
            Said::Message { id, text, .. } => id.len() + text.len() + 64,
            Said::Call(_) => 16,
        });
        let output = |call: &ToolCall| call.output.as_ref().map_or(0, |output| output.len());
        let calls = self.tool_calls.iter().map(|call| call.arguments.len() + output(call) + 64);
        said.sum::<usize>() + calls.sum::<usize>()
    }

    /// Adds a piece to its message, which is nearly always the last thing said.
    fn say(&mut self, thinking: bool, message: &str, piece: &str) {
        let same = self.said.iter_mut().rev().find_map(|said| match said {
            Said::Message { reasoning, id, text } if *reasoning == thinking && **id == *message => {
                Some(text)
            }
            _ => None,
        });
        match same {
            Some(text) => text.push_str(piece),
            None => self.said.push(Said::Message {
                reasoning: thinking,
                id: message.into(),
                text: piece.to_owned(),
            }),
        }
    }

    /// The call that a piece of one belongs to; a piece without an id continues the last call.
    pub(crate) fn call_id<'a>(&'a self, part: &'a ToolCallPart) -> Option<&'a str> {
        let last = || self.tool_calls.last().map(|call| call.id.as_str());
        part.tool_call_id.as_deref().or_else(last)
    }

    /// What a call has returned so far.
    pub(crate) fn output_of(&self, call_id: &str) -> Option<&Text> {
        self.tool_calls.iter().rev().find(|call| call.id == call_id)?.output.as_ref()
    }

    fn call(&mut self, call_id: &str, run_id: &str) -> &mut ToolCall {
        let index =
            self.tool_calls.iter().position(|call| call.id == call_id).unwrap_or_else(|| {
                self.tool_calls.push(ToolCall {
                    id: call_id.to_owned(),
                    run_id: run_id.into(),
                    ..ToolCall::default()
                });
                let index = self.tool_calls.len() - 1;
                self.said.push(Said::Call(index));
                index
            });
        &mut self.tool_calls[index]
    }

    /// Joins a call's pieces by its id.
    fn add_call(&mut self, part: &ToolCallPart, run_id: &str) {
        let Some(id) = self.call_id(part).map(str::to_owned) else {
            return;
        };
        let call = self.call(&id, run_id);
        if let Some(name) = &part.name {
            call.name.clone_from(name);
        }
        call.arguments.push_str(part.arguments.as_deref().unwrap_or_default());
    }

    /// Previews of a running command are cumulative, so the last one wins (section 11).
    fn add_returns(&mut self, delta: &Delta<'_>, run_id: &str) {
        for (call_id, status, output) in delta.outputs() {
            let call = self.call(call_id, run_id);
            call.status = status.map(str::to_owned);
            call.output = output.map(Output::text);
        }
    }
}
