//! One agent and conversation: its status, its queue, its open turns, and when its last turn has settled.

use std::time::Duration;

use serde_json::{Value, json};

use super::approvals::Approval;
use super::context::{Context, Timer};
use super::delivery::{Delivery, Token};
use super::event::TurnEvent;
use super::held::HeldQueue;
use super::recovery::Cut;
use super::report::with_place;
use super::resend::Resend;
use super::result::{TurnResult, TurnStatus, millis};
use super::runs::Runs;
use super::settle::Settle;
use super::turn::{Approvals, Cause, End, Limit, Phase, Turn, TurnOptions};
use super::unspoken::Unspoken;
use crate::error::Error;
use crate::protocol::Text;

/// The loop status of an idle runtime.
pub(crate) const IDLE: &str = "WAITING_ON_INPUT";

/// The loop status of a runtime that waits for a permission.
pub(crate) const ASKING: &str = "WAITING_ON_APPROVAL";

/// Loop statuses in which the model is not at work. Waiting for an approval without a question being
/// open is what newer servers say of calls they approve themselves (section 12).
const AT_TOOLS: [&str; 3] = [ASKING, "EXECUTING_CLIENT_SIDE_TOOL", "EXECUTING_COMMAND"];

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    pub(crate) agent_id: String,
    pub(crate) conversation_id: String,
    /// Whether this client has to do with it.
    pub(crate) joined: bool,
    /// The last loop status; empty before the first one.
    pub(crate) status: String,
    /// The runs the last loop status named.
    pub(crate) active: Vec<String>,
    /// It said that they answer somebody's input.
    pub(crate) answering: bool,
    pub(crate) runs: Runs,
    /// Open turns in the order in which they were asked for.
    pub(crate) turns: Vec<Turn>,
    /// When anything was last heard of the runtime.
    pub(crate) heard: Duration,
    /// Permission questions that the server waits with.
    pub(crate) approvals: Vec<Approval>,
    /// How many inputs wait in the server's queue.
    pub(crate) queued: usize,
    /// The last frame that tells what a turn is doing.
    pub(crate) sign: Option<Text>,
    /// What waits to be sent.
    pub(crate) held: HeldQueue,
    pub(crate) settle: Settle,
    pub(crate) unspoken: Unspoken,
    /// When it is looked at whether something may be sent.
    pub(crate) wakes_at: Option<Duration>,
    /// After a reconnect, until the server has the runtime back: an input that came before would run
    /// without its tools.
    restoring: bool,
}

impl Runtime {
    pub(crate) fn new(agent_id: &str, conversation_id: &str) -> Self {
        Self {
            agent_id: agent_id.to_owned(),
            conversation_id: conversation_id.to_owned(),
            ..Self::default()
        }
    }

    /// Whether nothing is known to run. A runtime that was never heard of counts as idle.
    pub(crate) fn idle(&self) -> bool {
        self.status.is_empty() || self.status == IDLE
    }

    /// The runtime as commands name it.
    pub(crate) fn scope(&self) -> Value {
        json!({ "agent_id": self.agent_id, "conversation_id": self.conversation_id })
    }

    /// What the runtime is silent for, when it is.
    pub(crate) fn silent(&self) -> Limit {
        if self.approvals.iter().any(Approval::is_open) {
            Limit::Approval
        } else if AT_TOOLS.contains(&self.status.as_str()) {
            Limit::Tool
        } else {
            Limit::Idle
        }
    }

    /// What the runtime is silent for, as a turn counts it. While it waits behind a question that is not asked of
    /// anybody here, it counts as silence: nobody may ever answer.
    pub(crate) fn silent_for(&self, turn: &Turn) -> Limit {
        let waits = turn.is_ours() || turn.options.approvals() == Approvals::Wait;
        match self.silent() {
            Limit::Approval if !waits && !self.anybody_decides() => Limit::Idle,
            silent => silent,
        }
    }

    /// Whether the server waits in it for decisions on the calls of a turn that is over: it has come up again, and
    /// offers them anew (section 13).
    pub(crate) fn is_left_with_questions(&self) -> bool {
        self.status == ASKING && self.active.is_empty()
    }

    /// Whether no turn of before is under way.
    pub(crate) fn has_ended(&self) -> bool {
        self.idle() || self.is_left_with_questions()
    }

    /// Sees to it that a turn's limits are looked at in time.
    pub(crate) fn watch(&self, turn: &Turn, ctx: &mut Context) {
        let deadline = turn.deadline(self.heard, self.silent_for(turn));
        if let Some(at) = turn.look_at(deadline, ctx.now) {
            ctx.timers.set(at, Timer::Turn(turn.token));
        }
    }

    /// Whether nothing would be lost by forgetting the runtime but what its last runs said, and a settle
    /// pause that has long passed for all but the latest.
    pub(crate) fn at_rest(&self) -> bool {
        self.turns.is_empty()
            && self.held.is_empty()
            && self.unspoken.is_empty()
            && self.approvals.is_empty()
            && self.idle()
    }

    /// Whether the server has something to do in it, or to clean up after.
    pub(crate) fn at_work(&self, now: Duration) -> bool {
        !self.at_rest() || self.settle.goes_on(now)
    }

    pub(crate) fn turn_index(&self, token: Token) -> Option<usize> {
        self.turns.iter().position(|turn| turn.token == token)
    }

    /// Takes a new turn and sends its input, now or when it may be sent.
    pub(crate) fn start_turn(
        &mut self,
        token: Token,
        client_ids: Vec<String>,
        options: TurnOptions,
        text: Text,
        ctx: &mut Context,
    ) {
        let turn = Turn::new(token, client_ids, options, text.clone(), ctx.now);
        self.watch(&turn, ctx);
        self.turns.push(turn);
        self.submit(text, true, Some(token), ctx);
        // It may wait behind a question that is nobody's, and no frame tells that.
        self.ask_next(ctx);
    }

    /// Takes a turn of an earlier connection whose input is to be sent before all that wait.
    pub(crate) fn take_turn_first(&mut self, turn: Turn, ctx: &mut Context) {
        let (token, text) = (turn.token, turn.input.clone());
        self.watch(&turn, ctx);
        self.turns.insert(0, turn);
        self.submit_first(text, token, ctx);
    }

    /// The server is asked for the runtime once more; when it was at work before the connection was
    /// lost, its turn has just been cancelled, and is cleaned up after.
    pub(crate) fn restore(&mut self, busy: bool, ctx: &mut Context) {
        self.hold_back();
        // Whatever waits there still is told anew.
        self.queued = 0;
        if busy {
            self.settle(ctx);
        }
    }

    /// The server is about to be asked for the runtime.
    pub(crate) fn hold_back(&mut self) {
        self.restoring = true;
    }

    /// The server has the runtime back, or will not have it.
    pub(crate) fn restored(&mut self, ctx: &mut Context) {
        self.restoring = false;
        self.release(ctx);
    }

    /// Whether the server is asked for the runtime.
    pub(crate) fn is_restoring(&self) -> bool {
        self.restoring
    }

    /// A turn goes on of which something is missing.
    pub(crate) fn mark_gap(&mut self, index: usize, cut: Cut, ctx: &mut Context) {
        let turn = &mut self.turns[index];
        let is_first = turn.resumed.replace(Box::new(cut)).is_none();
        if is_first && turn.options.events {
            ctx.deliveries.push_back(Delivery::turn_event(turn.token, TurnEvent::Resumed));
        }
    }

    /// Takes a turn that began on an earlier connection and goes on.
    pub(crate) fn resume(&mut self, turn: Turn, ctx: &mut Context) {
        for run in &turn.runs {
            self.runs.note(run);
        }
        if turn.options.events {
            ctx.deliveries.push_back(Delivery::turn_event(turn.token, TurnEvent::Resumed));
        }
        self.watch(&turn, ctx);
        self.turns.push(turn);
        self.ask_next(ctx);
    }

    /// The connection is gone. Takes out the turns that may be found again, if there will be another:
    /// with what is known of each, and its end where that was seen.
    pub(crate) fn cut_turns(
        &mut self,
        again: bool,
        ctx: &mut Context,
    ) -> Vec<(Turn, TurnResult, Option<End>)> {
        let mut cut = Vec::new();
        for turn in std::mem::take(&mut self.turns) {
            let recoverable = if turn.phase == Phase::Held {
                turn.options.resend == Some(Resend::IfUncommitted)
            } else {
                !turn.options.recover_timeout.is_zero()
            };
            if again && (turn.stop.is_none() || turn.is_let_go()) && recoverable {
                cut.push(self.cut(turn, ctx));
            } else {
                self.turns.push(turn);
            }
        }
        cut
    }

    /// The connection is gone, and another takes its place. Takes out the turns that are to be looked for;
    /// those that cannot be end.
    pub(crate) fn cut_turns_where(
        &mut self,
        wanted: impl Fn(&Self, &Turn) -> bool,
        error: &Error,
        ctx: &mut Context,
    ) -> Vec<(Turn, TurnResult, Option<End>)> {
        let mut cut = Vec::new();
        let mut index = 0;
        while let Some(turn) = self.turns.get(index) {
            if !wanted(self, turn) {
                index += 1;
            } else if turn.stop.is_none() && !turn.options.recover_timeout.is_zero() {
                let turn = self.turns.remove(index);
                cut.push(self.cut(turn, ctx));
            } else {
                self.interrupt(index, error, ctx);
            }
        }
        cut
    }

    /// A turn that may be found again, with what is known of it, and its end where that was seen.
    fn cut(&mut self, mut turn: Turn, ctx: &mut Context) -> (Turn, TurnResult, Option<End>) {
        // Its own handler is not asked any more.
        self.approver_gone(turn.token, ctx);
        turn.announced = turn.announced.min(turn.runs.len());
        let mut partial = self.result_of(&turn, &End::default(), ctx.now);
        self.count(&turn, &mut partial);
        let end = self.final_stop(&turn);
        (turn, partial, end)
    }

    /// The stop reason of a turn's last run, where it ends the turn.
    fn final_stop(&self, turn: &Turn) -> Option<End> {
        let run = self.runs.get(turn.runs.last()?)?;
        let reason = run.stop_reason.clone().filter(|_| !run.failed)?;
        let last = reason != "requires_approval";
        last.then(|| End { stop_reason: Some(reason), ..End::default() })
    }

    /// What is known of a turn.
    pub(crate) fn result_of(&self, turn: &Turn, end: &End, now: Duration) -> TurnResult {
        let mut result = TurnResult {
            agent_id: self.agent_id.clone(),
            conversation_id: self.conversation_id.clone(),
            stop_reason: end.stop_reason.clone(),
            error: end.error.clone(),
            turn_id: end.turn_id.clone(),
            completed_by: end.by,
            // A copy: results are kept, and a frame keeps the memory of those that came with it.
            terminal_message: end.frame.as_deref().map(Text::from),
            run_ids: turn.runs.iter().map(|run| (**run).to_owned()).collect(),
            client_message_ids: turn.client_ids.clone(),
            merged_with: turn.merged.clone(),
            disposition: turn.disposition.clone(),
            detached: turn.detached,
            duration_ms: millis(now.saturating_sub(turn.since())),
            delivery: turn.delivery,
            ..TurnResult::default()
        };
        self.runs.tell(&turn.runs, &mut result);
        result
    }

    /// Says what a turn has used by itself, where the server has answered others together with it.
    fn count(&mut self, turn: &Turn, result: &mut TurnResult) {
        if !turn.merged.is_empty() {
            let own = self.runs.count(&turn.runs);
            result.own_usage = Some(own).filter(|own| *own != result.usage);
        }
    }

    /// Takes an ended turn out, with what is known of it.
    fn take_turn(
        &mut self,
        index: usize,
        end: &End,
        status: TurnStatus,
        ctx: &mut Context,
    ) -> (Turn, TurnResult) {
        let turn = self.turns.remove(index);
        ctx.ended.push(turn.token);
        if self.turns.is_empty() {
            // It keeps alive the whole burst that it came with.
            self.sign = None;
        }
        self.approver_gone(turn.token, ctx);
        let mut result = self.result_of(&turn, end, ctx.now);
        result.status = Some(status);
        self.count(&turn, &mut result);
        self.end_runs(&turn);
        (turn, result)
    }

    /// Ends a turn with an outcome the server gave.
    pub(crate) fn finish(
        &mut self,
        index: usize,
        end: &End,
        status: TurnStatus,
        ctx: &mut Context,
    ) {
        let (mut turn, result) = self.take_turn(index, end, status, ctx);
        ctx.worked |= turn.phase == Phase::Ours;
        if turn.stop.is_none()
            && status != TurnStatus::RequiresApproval
            && let Some(cut) = turn.resumed.take()
        {
            let place = (self.agent_id.clone(), self.conversation_id.clone());
            ctx.resumed.push((place, cut, end.clone(), result));
            return;
        }
        let result = turn.without_gap(result);
        match turn.stop.as_ref().map(|stop| stop.cause) {
            None => ctx.turn_over(turn.token, result, turn.options.check),
            Some(Cause::Asked) => ctx.turn_over(turn.token, result, false),
            Some(Cause::Limit(limit)) => {
                let error = with_place(limit.error(&turn.options), &turn).with_result(result);
                ctx.fail(turn.token, self.with_blocker(error));
            }
            Some(Cause::Gone) => ctx.let_go_over(&turn),
        }
    }

    /// Ends a turn with an error that carries what is known of it.
    pub(crate) fn fail_turn(
        &mut self,
        index: usize,
        error: Error,
        end: &End,
        status: TurnStatus,
        ctx: &mut Context,
    ) {
        let (turn, result) = self.take_turn(index, end, status, ctx);
        let result = turn.without_gap(result);
        if turn.is_wanted() {
            ctx.fail(turn.token, error.with_result(result));
        } else {
            ctx.let_go_over(&turn);
        }
    }

    /// The turn's runs are over, unless another open turn shares them.
    pub(crate) fn end_runs(&mut self, turn: &Turn) {
        if self.turns.is_empty() {
            self.runs.end_all();
            return;
        }
        for run in &turn.runs {
            if !self.turns.iter().any(|other| other.owns_run(run)) {
                self.runs.end(run);
            }
        }
    }
}
