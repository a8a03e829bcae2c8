//! Calls of external tools that the server made and that have not been answered: the other
//! direction of the request table (PROTOCOL.md section 14).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;

use super::context::{Context, Timer};
use super::delivery::Delivery;
use crate::protocol::Text;
use crate::protocol::frames::{Delta, ToolCallFrame};
use crate::protocol::node::Node;
use crate::protocol::raw::quoted;
use crate::protocol::validate::validate_node;

/// How many calls run at once, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ToolLimits {
    /// Further calls wait until one of these has been answered.
    pub concurrency: usize,
    /// From the call to its answer; then the engine answers with an error. The server itself gives up
    /// after five minutes. Where nobody handles tools ([`crate::Client::tool_calls`], the tools of a session), calls are
    /// left to whoever answers them by hand, and have no limit here.
    pub timeout: Duration,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self { concurrency: 16, timeout: Duration::from_secs(290) }
    }
}

#[derive(Debug)]
struct Open {
    /// Its runtime (agent, conversation), where the server said so.
    runtime: Option<(String, String)>,
    /// The model's id of the call.
    call_id: String,
    tool_name: String,
    deadline: Duration,
    /// It was handed out, and does not wait for its place any more.
    running: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    open: HashMap<String, Open>,
    /// Calls that wait for their place, in order.
    waiting: VecDeque<(String, Text)>,
    running: usize,
    limits: ToolLimits,
    /// Whether anybody here runs tools; without, calls are left to whoever answers them raw.
    pub(crate) handled: bool,
}

impl ToolCalls {
    pub(crate) fn new(limits: ToolLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether any call is open.
    pub(crate) fn any(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a certain call is.
    pub(crate) fn is_open(&self, request_id: &str) -> bool {
        self.open.contains_key(request_id)
    }

    /// The server wants a tool to run.
    pub(crate) fn called(
        &mut self,
        request_id: &str,
        text: &Text,
        ctx: &mut Context,
    ) -> Result<(), serde_json::Error> {
        if !self.handled || self.open.contains_key(request_id) {
            return Ok(());
        }
        let frame: ToolCallFrame = serde_json::from_str(text)?;
        let deadline = ctx.now.saturating_add(self.limits.timeout);
        ctx.timers.set(deadline, Timer::Tool(request_id.to_owned()));
        let runtime = frame.runtime.map(|scope| (scope.agent_id, scope.conversation_id));
        let ToolCallFrame { tool_call_id: call_id, tool_name, .. } = frame;
        let open = Open { runtime, call_id, tool_name, deadline, running: false };
        self.open.insert(request_id.to_owned(), open);
        self.waiting.push_back((request_id.to_owned(), text.clone()));
        self.run_next(ctx);
        Ok(())
    }

    /// Hands out calls while there is room.
    fn run_next(&mut self, ctx: &mut Context) {
        while self.running < self.limits.concurrency {
            let Some((request_id, text)) = self.waiting.pop_front() else { return };
            // A call that is over by now has no entry any more.
            if let Some(open) = self.open.get_mut(&request_id) {
                open.running = true;
                self.running += 1;
                ctx.deliveries.push_back(Delivery::ToolCall { text });
            }
        }
    }

    /// Sends a tool's answer, `result` as JSON text or the text of an error. The server ignores an
    /// invalid result and waits for ever, so that becomes an error of the tool instead, and is told.
    pub(crate) fn answer(
        &mut self,
        request_id: &str,
        answer: Result<String, String>,
        ctx: &mut Context,
    ) {
        let Some(open) = self.close(request_id) else { return };
        let failed = |error: &str| {
            ctx.fits("the tool's error", with_error(request_id, error))
                .unwrap_or_else(|error| with_error(request_id, &error))
        };
        let checked = answer.map(|result| {
            with_result(request_id, result)
                .and_then(|command| ctx.fits("the tool's result", command))
        });
        let (command, refused) = match checked {
            Ok(Ok(command)) => (command, None),
            Ok(Err(reason)) => (failed(&reason), Some(reason)),
            Err(error) => (failed(&error), None),
        };
        ctx.send_own(command);
        if let Some(reason) = refused {
            let (request_id, tool_name) = (request_id.to_owned(), open.tool_name);
            ctx.deliveries.push_back(Delivery::ToolRefused { request_id, tool_name, reason });
        }
        self.run_next(ctx);
    }

    /// A call's time may be over: it is answered, so that the turn goes on with a reason.
    pub(crate) fn due(&mut self, request_id: &str, ctx: &mut Context) {
        if self.open.get(request_id).is_none_or(|open| open.deadline > ctx.now) {
            return;
        }
        let seconds = self.limits.timeout.as_secs_f64();
        let reason = format!("the tool did not answer within {seconds} s");
        ctx.send_own(with_error(request_id, &reason));
        self.end(request_id, &reason, ctx);
    }

    /// A delta may say that calls are over: the server has a result already, or the turn was aborted.
    /// What their tools answer is not wanted any more.
    pub(crate) fn heard(
        &mut self,
        agent: &str,
        conversation: &str,
        delta: &Delta<'_>,
        ctx: &mut Context,
    ) {
        let aborted = delta.is_interruption();
        let ended = |call_id: &str| match &*delta.message_type {
            "client_tool_end" => delta.tool_call_id.as_deref() == Some(call_id),
            "tool_return_message" if !delta.is_preview() => {
                delta.outputs().any(|(id, ..)| id == call_id)
            }
            _ => false,
        };
        let over = |open: &Open| match &open.runtime {
            Some((a, c)) => a == agent && c == conversation && (aborted || ended(&open.call_id)),
            None => ended(&open.call_id),
        };
        let mut ids: Vec<_> =
            self.open.iter().filter(|(_, open)| over(open)).map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        let reason = if aborted { "the turn was aborted" } else { "the server has given up" };
        for id in ids {
            if aborted {
                // A server that has aborted a turn still waits for its external tools to answer, and
                // everything else in the conversation waits with it.
                ctx.send_own(with_error(&id, reason));
            }
            self.end(&id, reason, ctx);
        }
    }

    /// Ends a call without an answer of its tool.
    fn end(&mut self, request_id: &str, reason: &str, ctx: &mut Context) {
        if self.close(request_id).is_some_and(|open| open.running) {
            let (request_id, reason) = (request_id.to_owned(), reason.to_owned());
            ctx.deliveries.push_back(Delivery::ToolOver { request_id, reason });
        }
        self.run_next(ctx);
    }

    fn close(&mut self, request_id: &str) -> Option<Open> {
        let open = self.open.remove(request_id)?;
        self.running -= usize::from(open.running);
        Some(open)
    }

    /// The connection is gone and with it every open call.
    pub(crate) fn clear(&mut self, ctx: &mut Context) {
        self.waiting.clear();
        let mut ids: Vec<_> = self.open.keys().cloned().collect();
        ids.sort_unstable();
        for id in ids {
            self.end(&id, "the connection has ended", ctx);
        }
    }
}

fn with_error(request_id: &str, error: &str) -> String {
    json!({ "type": "external_tool_call_response", "request_id": request_id, "error": error })
        .to_string()
}

fn with_result(request_id: &str, result: String) -> Result<String, String> {
    let invalid = |what: String| format!("the tool returned an invalid result: {what}");
    let result = RawValue::from_string(result).map_err(|error| invalid(error.to_string()))?;
    let text = format!(
        r#"{{"type":"external_tool_call_response","request_id":{},"result":{result}}}"#,
        quoted(request_id)
    );
    let command = Node::object(&text).map_err(|error| invalid(error.to_string()))?;
    validate_node(&command).map_err(|violation| invalid(violation.to_string()))?;
    Ok(text)
}
