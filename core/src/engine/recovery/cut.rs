//! A turn whose connection was lost before its end was seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::super::context::Context;
use super::super::delivery::{Delivery, Token};
use super::super::event::TurnEvent;
use super::super::resend::Resend;
use super::super::result::{InputDelivery, ToolCall, TurnResult, TurnStatus, Usage};
use super::super::turn::{End, Phase, Turn, TurnOptions};
use super::stored::texts_of;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::edits::Edits;
use crate::protocol::node::{Json, Node};

/// See the module's text.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent observation")]
pub(crate) struct Cut {
    pub(crate) token: Token,
    pub(crate) request_id: String,
    pub(crate) client_ids: Vec<String>,
    pub(crate) options: TurnOptions,
    /// The frame.
    pub(crate) input: Text,
    /// Nobody waits for it any more.
    pub(crate) let_go: bool,
    /// Whether it was sent on the connection that was lost.
    pub(crate) sent: bool,
    /// Whether it was sent at all.
    pub(crate) was_sent: bool,
    /// The server was seen to take it, so it is not still on its way.
    pub(crate) taken: bool,
    /// When it was sent for the first time.
    pub(crate) since: Duration,
    /// What is known of it, from its first connection.
    pub(crate) partial: TurnResult,
    /// How tool calls were seen to end, by their ids: in the stored messages each has succeeded.
    pub(crate) tools_ended: HashMap<String, String>,
    /// How it ended, where that was seen.
    pub(crate) end: Option<End>,
    /// Its runs, as the server tells on the next connection.
    pub(crate) runs: Vec<Arc<str>>,
    /// Its events say already that something is missing.
    pub(crate) marked: bool,
    /// The loss.
    pub(crate) error: Error,
}

impl Cut {
    pub(crate) fn new(
        turn: Turn,
        request_id: String,
        partial: TurnResult,
        end: Option<End>,
        error: &Error,
    ) -> Self {
        let mut cut = Self {
            token: turn.token,
            request_id,
            sent: turn.phase != Phase::Held,
            was_sent: turn.phase != Phase::Held || turn.first_sent.is_some(),
            taken: turn.acked || matches!(turn.phase, Phase::Queued | Phase::Ours),
            since: turn.since(),
            let_go: turn.is_let_go(),
            partial,
            tools_ended: HashMap::new(),
            client_ids: turn.client_ids,
            options: turn.options,
            input: turn.input,
            end,
            runs: Vec::new(),
            marked: turn.resumed.is_some(),
            error: error.clone(),
        };
        cut.see_tools(&cut.partial.tool_calls.clone());
        if let Some(before) = turn.resumed {
            cut.partial = before.partial;
            cut.tools_ended.extend(before.tools_ended);
        }
        cut
    }

    /// Of a turn that goes on where it is, and of which something is missing. What it counts, it goes on to count.
    pub(crate) fn with_gap(
        turn: &Turn,
        request_id: String,
        partial: TurnResult,
        error: &Error,
    ) -> Self {
        let partial = TurnResult { usage: Usage::default(), retries: 0, ..partial };
        Self {
            runs: turn.runs.clone(),
            marked: true,
            ..Self::new(turn.clone(), request_id, partial, None, error)
        }
    }

    /// Remembers how tool calls have ended.
    pub(crate) fn see_tools(&mut self, calls: &[ToolCall]) {
        let ended = calls.iter().filter_map(|call| Some((call.id.clone(), call.status.clone()?)));
        self.tools_ended.extend(ended);
    }

    /// Whether the server was seen to end it: what it said is stored, whatever the conversation does now.
    pub(crate) fn is_over(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.by.is_some())
    }

    /// Nobody waits for it any more.
    pub(crate) fn let_go(&mut self) {
        self.let_go = true;
        (self.options.events, self.options.check) = (false, false);
        self.options.timeout = None;
    }

    /// Gives the messages new ids. A server answers one whose id it has had, and taken out of its queue with the
    /// connection, as if it were still there, and does nothing (PROTOCOL.md section 10). It is known by the old ones too.
    pub(crate) fn rename(&mut self, ctx: &Context) {
        let Ok(mut object) = Node::object(&self.input) else { return };
        let mut edits = Edits::new(&self.input, &object);
        let messages = object.get_mut("payload").and_then(|payload| payload.get_mut("messages"));
        let Some(Node { json: Json::Array(messages), .. }) = messages else { return };
        let mut ids = Vec::with_capacity(messages.len());
        for message in messages {
            let id = ctx.ids.next("message");
            edits.set(message, "client_message_id", id.clone());
            ids.push(id);
        }
        if let Ok(text) = ctx.fits("the input", edits.apply()) {
            self.input = Text::from(text);
            self.client_ids.extend(ids);
        }
    }

    /// Whether it may be sent once more.
    pub(crate) fn may_resend(&self) -> bool {
        self.options.resend == Some(Resend::IfUncommitted)
    }

    /// What is to be said of its input while nothing is found out.
    pub(crate) fn unknown(&self) -> InputDelivery {
        if self.sent { InputDelivery::Unknown } else { InputDelivery::Undelivered }
    }

    /// Whether the agent was seen to answer.
    pub(crate) fn answered(&self) -> bool {
        !self.partial.messages.is_empty() || !self.partial.tool_calls.is_empty()
    }

    pub(crate) fn owns(&self, run: &str) -> bool {
        self.runs.iter().any(|known| **known == *run)
    }

    pub(crate) fn has_client_id(&self, id: &str) -> bool {
        self.client_ids.iter().any(|own| own == id)
    }

    /// Whether a message is its own, or was answered by the same turn.
    pub(crate) fn is_with(&self, id: &str) -> bool {
        self.has_client_id(id) || self.partial.merged_with.iter().any(|other| other == id)
    }

    /// When the limit for the whole turn passes.
    pub(crate) fn total_deadline(&self) -> Option<Duration> {
        self.options.timeout.map(|limit| self.since.saturating_add(limit))
    }

    /// The texts of its messages; `None` where something in them is not text.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        let frame: Value = serde_json::from_str(&self.input).ok()?;
        let mut texts = Vec::new();
        for message in frame["payload"]["messages"].as_array()? {
            texts.extend(texts_of(&message["content"])?);
        }
        Some(texts)
    }

    /// The turn, as one that is to be sent, or that goes on.
    pub(crate) fn into_turn(self, delivery: InputDelivery, now: Duration) -> Turn {
        let first_sent = self.was_sent.then_some(self.since);
        let mut turn = Turn::new(self.token, self.client_ids, self.options, self.input, now);
        turn.first_sent = first_sent;
        if self.let_go {
            turn.let_go();
            turn.owes_end = true;
        }
        turn.delivery = delivery;
        turn
    }

    /// Ends it with what is stored. What of that no event has told is told to be missing from them.
    pub(crate) fn complete(self, result: TurnResult, status: TurnStatus, ctx: &mut Context) {
        let calls = |of: &TurnResult| of.tool_calls.len();
        let whole = result.text == self.partial.text && calls(&result) == calls(&self.partial);
        if self.options.events && !self.marked && !whole {
            ctx.deliveries.push_back(Delivery::turn_event(self.token, TurnEvent::Resumed));
        }
        self.finish(result, status, ctx);
    }

    /// Ends it as the server did.
    pub(crate) fn finish(self, mut result: TurnResult, status: TurnStatus, ctx: &mut Context) {
        result.status = Some(status);
        if self.let_go {
            ctx.deliveries.push_back(Delivery::Done { token: self.token });
        } else {
            ctx.turn_over(self.token, result, self.options.check);
        }
    }

    /// Ends it without its end having been seen. `why` says what was found out.
    pub(crate) fn interrupt(
        self,
        delivery: InputDelivery,
        (why, hint): (&str, &'static str),
        ctx: &mut Context,
    ) {
        let lost = self.error.message();
        let error = if self.was_sent {
            let message = format!("the connection ended during the turn ({lost}), {why}");
            Error::new(ErrorKind::TurnInterrupted, message).with_hint(hint)
        } else {
            Error::new(self.error.kind(), format!("the input was not sent: {lost}, {why}"))
        };
        let error = error
            .with_close_code(self.error.close_code())
            .with_will_reconnect(self.error.will_reconnect());
        self.fail(delivery, error, ctx);
    }

    /// Ends it with an error that carries what is known of it.
    pub(crate) fn fail(self, delivery: InputDelivery, error: Error, ctx: &mut Context) {
        let status = Some(TurnStatus::Disconnected);
        let result = TurnResult { status, delivery, ..self.partial };
        if self.let_go {
            ctx.unsent += u64::from(delivery == InputDelivery::Undelivered);
            ctx.deliveries.push_back(Delivery::Done { token: self.token });
        } else {
            ctx.fail(self.token, error.with_result(result));
        }
    }
}
