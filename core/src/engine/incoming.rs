//! What a frame from the server is to the engine: in its order and once, told to those who listen, and handed to
//! whatever waits for it.

use std::borrow::Cow;
use std::time::Duration;

use super::requests::Correlation;
use super::runtime::ASKING;
use super::{Channel, Delivery, Engine, TurnEvent};
use crate::protocol::Text;
use crate::protocol::envelope::{Envelope, Malformed, Scope};
use crate::protocol::frames::{
    ControlRequestFrame, Delta, DeviceStatusFrame, InputAcceptedFrame, LoopStatusFrame, QueueFrame,
    TurnFinishedFrame,
};
use crate::protocol::validate::known_message;

impl Engine {
    /// Says whether somebody listens to frames that no call waits for; until it is said again, [`Delivery::Message`]s
    /// are left out where nobody does. They are told again from an item on whose receiver may begin to listen, as
    /// that of the answer to a command may. At first somebody does.
    pub fn hear(&mut self, heard: bool) {
        self.ctx.heard = heard;
    }

    /// Takes a frame from the server. A malformed one costs itself only.
    pub fn handle_frame(&mut self, now: Duration, channel: Channel, text: &Text) {
        self.ctx.now = now;
        self.ctx.last_frame = self.ctx.last_frame.and(Some(now));
        self.counters.bytes += text.len() as u64;
        let is_followed = !self.turns.is_empty() || self.tools.any();
        let mut delta = None;
        let Ok(envelope) = self.shapes.read(text, is_followed, &mut delta) else {
            self.counters.malformed += 1;
            return;
        };
        self.counters.frames += 1;
        match envelope.event_seq {
            Some(seq) if self.sequence.is_again(seq, text) => self.counters.repeated += 1,
            Some(seq) if !self.sequence.admit(now, seq, channel, text) => {}
            Some(_) if !self.is_news(&envelope, text) => {}
            _ => self.process(channel, &envelope, &mut delta, text),
        }
        self.process_ready();
    }

    /// Processes frames that waited for others, as far as their turn has come.
    pub(super) fn process_ready(&mut self) {
        if self.sequence.has_passed_over() {
            self.passed_over();
        }
        while let Some((channel, text)) = self.sequence.ready(self.ctx.now) {
            if let Ok(envelope) = Envelope::read(&text) {
                self.process(channel, &envelope, &mut None, &text);
            }
        }
    }

    /// The delta is there where it has been read with the rest.
    pub(super) fn process<'a>(
        &mut self,
        channel: Channel,
        envelope: &Envelope<'a>,
        delta: &mut Option<Delta<'a>>,
        text: &Text,
    ) {
        if self.ctx.heard {
            let kind = known_message(&envelope.kind);
            self.ctx.deliveries.push_back(Delivery::Message { channel, kind, text: text.clone() });
        }
        let before = self.ctx.deliveries.len();
        if self.route(envelope, delta, text).is_err() {
            self.counters.degraded += 1;
        }
        self.ctx.heard |= self.ctx.deliveries.range(before..).any(Delivery::opens);
        self.forget_ended();
    }

    fn route<'a>(
        &mut self,
        envelope: &Envelope<'a>,
        delta: &mut Option<Delta<'a>>,
        text: &Text,
    ) -> Result<(), serde_json::Error> {
        if let Some(id) = envelope.request_id.as_deref() {
            if envelope.kind == "input_accepted" && self.input_accepted(id, envelope, text)? {
                return Ok(());
            }
            let place = self.resync.answered(id, &envelope.kind, text, &mut self.ctx);
            self.restored(place);
            self.resync.heard(envelope, id, text);
            self.register_left();
            self.fence_answered(id, &envelope.kind);
            let key = Correlation::RequestId(id.to_owned());
            let waiting = self.requests.len();
            self.requests.answer(&key, &envelope.kind, text, &mut self.ctx);
            self.ctx.worked |= self.requests.len() < waiting;
            self.cuts_answered(id, &envelope.kind, text);
            if envelope.kind == "external_tool_call_request" {
                self.tools.called(id, text, &mut self.ctx)?;
            }
        } else if let Some(id) = envelope.terminal_id.as_deref() {
            if matches!(&*envelope.kind, "terminal_spawned" | "terminal_exited") {
                let key = Correlation::Terminal(id.to_owned());
                self.requests.answer(&key, &envelope.kind, text, &mut self.ctx);
            }
        } else if let Some(id) = envelope.teleport_id.as_deref() {
            let key = Correlation::Teleport(id.to_owned());
            self.requests.answer(&key, &envelope.kind, text, &mut self.ctx);
        }
        match &envelope.runtime {
            Some(scope) if envelope.subagent_id.is_none() => {
                self.route_event(envelope, scope, delta, text)?;
                if envelope.kind == "update_loop_status" {
                    self.look_for_lost_ends();
                }
                if self.recovery.any() {
                    let place =
                        (scope.agent_id.as_ref().into(), scope.conversation_id.as_ref().into());
                    self.cuts_heard(&place, &envelope.kind, text)?;
                }
                Ok(())
            }
            Some(scope) => {
                // It says nothing of the turn, but that it is not silent (section 9.5).
                self.runtimes.get(&scope.agent_id, &scope.conversation_id).heard = self.ctx.now;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The server speaks of an input. Says whether it is one of a turn or of an approval's answer.
    fn input_accepted(
        &mut self,
        id: &str,
        envelope: &Envelope<'_>,
        text: &Text,
    ) -> Result<bool, serde_json::Error> {
        if let Some(token) = self.inputs.remove(id) {
            let frame: InputAcceptedFrame = serde_json::from_str(text)?;
            self.with_turn(token, |runtime, ctx| {
                if let Some(index) = runtime.turn_index(token) {
                    runtime.input_accepted(index, frame, text, ctx);
                    runtime.press_stops(ctx);
                }
            });
            return Ok(true);
        }
        if let Some(scope) = &envelope.runtime {
            let runtime = self.runtimes.get(&scope.agent_id, &scope.conversation_id);
            if let Some(index) = runtime.left_over_index(id) {
                runtime.input_accepted(index, serde_json::from_str(text)?, text, &mut self.ctx);
                runtime.press_stops(&mut self.ctx);
                return Ok(true);
            }
        }
        let Some(answer) = self.ctx.approvers.confirmed(id) else {
            if let Some(scope) = &envelope.runtime {
                let runtime = self.runtimes.get(&scope.agent_id, &scope.conversation_id);
                runtime.own_answer_accepted(id, text, &mut self.ctx)?;
            }
            return Ok(false);
        };
        let frame: InputAcceptedFrame = serde_json::from_str(text)?;
        if !frame.accepted {
            let runtime = self.runtimes.get(&answer.runtime.0, &answer.runtime.1);
            runtime.answer_refused(answer, frame.reason(), &mut self.ctx);
        }
        Ok(true)
    }

    fn route_event<'a>(
        &mut self,
        envelope: &Envelope<'a>,
        scope: &Scope<'_>,
        delta: &mut Option<Delta<'a>>,
        text: &Text,
    ) -> Result<(), serde_json::Error> {
        if envelope.kind == "runtime_start_response" && !self.resync.let_go(scope) {
            self.join(&scope.agent_id, &scope.conversation_id);
        }
        let ctx = &mut self.ctx;
        let runtime = self.runtimes.get(&scope.agent_id, &scope.conversation_id);
        runtime.heard = ctx.now;
        runtime.settle.heard(&envelope.kind);
        match &*envelope.kind {
            "update_loop_status" => {
                let mut state = serde_json::from_str::<LoopStatusFrame>(text)?.loop_status;
                runtime.own_by_status(&mut state, ctx);
                runtime.announce_runs(ctx);
                if state.status != runtime.status {
                    runtime.tell_ours(&TurnEvent::Status { status: state.status.clone() }, ctx);
                }
                runtime.complete_by_status(state, ctx);
                runtime.settle.status_seen(runtime.idle());
                runtime.unspoken.status_seen(runtime.idle());
            }
            "update_queue" => {
                let frame = serde_json::from_str::<QueueFrame>(text)?;
                runtime.queued = frame.queue.len();
                runtime.follow_queue(&frame, ctx);
                runtime.own_by_queue(&frame, text, ctx);
                runtime.settle.queue_seen();
                runtime.unspoken.queue_seen(&frame);
            }
            "turn_finished" => {
                runtime.turn_finished(serde_json::from_str::<TurnFinishedFrame>(text)?, text, ctx);
            }
            "input_accepted" if !runtime.unspoken.is_empty() => {
                let frame = serde_json::from_str::<InputAcceptedFrame>(text)?;
                let id = envelope.request_id.as_deref().unwrap_or_default();
                runtime.unspoken.answered(id, frame.accepted);
            }
            "stream_delta"
                if !runtime.turns.is_empty()
                    || !runtime.unspoken.is_empty()
                    || self.tools.any() =>
            {
                let json = envelope.delta.unwrap_or_default();
                let delta = match delta {
                    Some(delta) => delta,
                    None => delta.insert(Delta::read(json).map_err(unreadable)?),
                };
                self.tools.heard(&scope.agent_id, &scope.conversation_id, delta, ctx);
                if !runtime.unspoken.is_empty() {
                    runtime.unspoken.delta_seen(delta, ctx.now);
                    runtime.wake(ctx);
                    runtime.release(ctx);
                }
                if runtime.turns.is_empty() {
                    return Ok(());
                }
                runtime.sign = Some(text.clone());
                runtime.own_by_delta(delta, ctx);
                runtime.announce_runs(ctx);
                if delta.run_id.is_none() {
                    delta.run_id =
                        runtime.runs.home_of(delta).map(|run| Cow::Owned(run.to_owned()));
                }
                runtime.runs.record(delta, text);
                runtime.follow_delta(delta, text, ctx);
                runtime.complete_by_delta(delta, text, ctx);
            }
            "control_request" => {
                let request = serde_json::from_str::<ControlRequestFrame>(text)?;
                runtime.sign = (!runtime.turns.is_empty()).then(|| text.clone());
                runtime.approval_wanted(request, text, ctx);
            }
            "update_device_status"
                if !runtime.turns.is_empty()
                    || !runtime.approvals.is_empty()
                    || (runtime.joined && runtime.status == ASKING)
                    || ctx.approvers.any() =>
            {
                let listed = match envelope.asked {
                    Some(asked) => serde_json::from_str(asked)?,
                    None => {
                        serde_json::from_str::<DeviceStatusFrame>(text)?
                            .device_status
                            .pending_control_requests
                    }
                };
                runtime.approvals_listed(&listed, ctx)?;
            }
            _ => return Ok(()),
        }
        runtime.press_stops(ctx);
        // Whose a question is may have become clear.
        runtime.ask_next(ctx);
        runtime.release(ctx);
        Ok(())
    }
}

/// A delta that does not have what it needs.
fn unreadable(why: Malformed) -> serde_json::Error {
    serde::de::Error::custom(why)
}
