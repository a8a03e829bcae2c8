//! How a turn is stopped from this side: its limits, and a caller who has gone
//! (PROTOCOL.md section 17.2 step 12).

use std::time::Duration;

use serde_json::json;

use super::context::{Context, Timer};
use super::delivery::Token;
use super::result::{InputDelivery, TurnStatus};
use super::runtime::Runtime;
use super::turn::{Cause, End, Limit, Phase, Stop, Turn};
use crate::error::{Error, ErrorKind};

impl Runtime {
    /// Looks at a turn's limits.
    pub(crate) fn turn_due(&mut self, token: Token, ctx: &mut Context) {
        let Some(index) = self.turn_index(token) else {
            return;
        };
        if self.is_lost_in_queue(&self.turns[index], ctx.now) {
            let error = lost_in_queue_error();
            self.turns[index].delivery = InputDelivery::Unknown;
            self.fail_turn(index, error, &End::default(), TurnStatus::Failed, ctx);
            return;
        }
        let turn = &self.turns[index];
        let silent = self.silent_for(turn);
        if turn.deadline(self.heard, silent).is_none_or(|at| at > ctx.now) {
            self.watch(turn, ctx);
            return;
        }
        if turn.detached && turn.stop.as_ref().is_some_and(|stop| stop.cause == Cause::Asked) {
            // No abort reaches a turn on a lost runtime, whatever the server answers (section 18).
            let message = "the turn cannot be stopped and goes on: it began before the \
                           server had finished cleaning up after the previous one";
            let error = Error::new(ErrorKind::TurnInterrupted, message)
                .with_hint("a longer `settle_pause` avoids this");
            let left = self.left_over(index, ctx);
            self.fail_turn(index, error, &End::default(), TurnStatus::Disconnected, ctx);
            self.leave(index, left);
        } else if let Some(stop) = turn.stop.as_ref().filter(|stop| stop.is_meant()) {
            // The grace time is over and the end was not seen.
            let status = match stop.cause {
                Cause::Asked if stop.is_sent() => TurnStatus::Aborted,
                Cause::Asked | Cause::Limit(_) | Cause::Gone => TurnStatus::Disconnected,
            };
            if !stop.is_sent() {
                self.turns[index].delivery = InputDelivery::Unknown;
            }
            let left = self.left_over(index, ctx);
            self.finish(index, &End::default(), status, ctx);
            self.leave(index, left);
        } else if turn.ending.as_ref().is_some_and(|e| e.until.is_some_and(|at| at <= ctx.now)) {
            self.finish_stopped(&[token], None, ctx);
        } else if turn.interrupted.as_ref().is_some_and(|(_, until)| *until <= ctx.now) {
            self.finish_interrupted(&[token], ctx);
        } else if turn.unseen()
            && !turn.more_time
            && turn.refusal.is_none()
            && !turn.options.recover_timeout.is_zero()
            && turn.accept_by() <= ctx.now
            && ctx.may_be_dead(turn.options.accept_timeout)
        {
            self.turns[index].more_time = true;
            self.watch(&self.turns[index], ctx);
        } else if turn.unseen() && turn.accept_by() <= ctx.now {
            let error = unseen_error(turn);
            self.turns[index].delivery = InputDelivery::Unknown;
            let left = self.left_over(index, ctx);
            self.fail_turn(index, error, &End::default(), TurnStatus::Failed, ctx);
            self.leave(index, left);
        } else if turn.total_deadline().is_some_and(|at| at <= ctx.now) {
            self.stop_turn(token, Cause::Limit(Limit::Total), ctx);
        } else {
            self.stop_turn(token, Cause::Limit(silent), ctx);
        }
    }

    /// Whether the server has said that an input is queued, has not listed it for as long as it may take to show a
    /// sign, and has nothing to do. While it has, that is looked at again later.
    fn is_lost_in_queue(&self, turn: &Turn, now: Duration) -> bool {
        turn.is_unlisted()
            && turn.stop.is_none()
            && turn.accept_by() <= now
            && self.idle()
            && self.queued == 0
    }

    /// Stops a turn on the server and gives it the grace time to end; the engine takes what still
    /// comes.
    pub(crate) fn stop_turn(&mut self, token: Token, cause: Cause, ctx: &mut Context) {
        let Some(index) = self.turn_index(token) else {
            return;
        };
        if self.turns[index].phase == Phase::Held && self.take_back(token) {
            let stop = Stop { cause, until: ctx.now, removing: false, aborting: false };
            let turn = &mut self.turns[index];
            (turn.stop, turn.delivery) = (Some(stop), InputDelivery::Undelivered);
            self.finish(index, &End::default(), TurnStatus::Aborted, ctx);
            return;
        }
        let turn = &mut self.turns[index];
        if let Some(stop) = &mut turn.stop {
            // The caller went away while another stop was under way: nobody wants the outcome.
            if cause == Cause::Gone {
                stop.cause = cause;
            }
            return;
        }
        // Until the server has said where the input is, nothing can be sent. Nobody waits longer for that than for
        // the end: what is left over of the turn is stopped as soon as it can be.
        let until = ctx.now.saturating_add(turn.options.abort_grace);
        turn.stop = Some(Stop { cause, until, removing: false, aborting: false });
        ctx.timers.set(until, Timer::Turn(token));
        self.press_stop(index, ctx);
        self.withdraw_stopped(ctx);
    }

    /// Lets a turn go on that nobody waits for any more. An input that was not sent yet is sent all the same.
    pub(crate) fn detach_turn(&mut self, token: Token, ctx: &mut Context) {
        if let Some(index) = self.turn_index(token) {
            self.turns[index].let_go();
            self.turns[index].owes_end = true;
            self.approver_gone(token, ctx);
            self.ask_next(ctx);
        }
    }

    /// Sends what stops a turn in its present phase, once per phase. Before the server has said
    /// whether the input runs or waits, nothing can be sent: an abort would hit a neighbour. Says whether the turn has
    /// ended with that.
    pub(crate) fn press_stop(&mut self, index: usize, ctx: &mut Context) -> bool {
        let turn = &self.turns[index];
        let Some(stop) = &turn.stop else { return false };
        match turn.phase {
            Phase::Queued if !stop.removing => self.remove_from_queue(index, ctx),
            Phase::Ours if !stop.aborting => return self.abort_or_leave(index, ctx),
            _ => {}
        }
        false
    }

    /// Takes an input out of the queue, once the server has said where it stands there.
    fn remove_from_queue(&mut self, index: usize, ctx: &mut Context) {
        let runtime = self.scope();
        let turn = &mut self.turns[index];
        let (Some(item), Some(stop)) = (&turn.queue_item, &mut turn.stop) else { return };
        stop.removing = true;
        let command = json!({
            "type": "remove_queue_item", "request_id": ctx.ids.next("remove"),
            "runtime": runtime, "item_id": item,
        });
        ctx.send_own(command.to_string());
    }

    /// Aborts what runs. Where that answers another input that is still wanted, this turn alone ends, here, and the
    /// last of them is the one to abort. Says whether the turn has ended.
    fn abort_or_leave(&mut self, index: usize, ctx: &mut Context) -> bool {
        if self.is_shared(index) {
            self.finish(index, &End::default(), TurnStatus::Aborted, ctx);
            return true;
        }
        if self.may_be_shared(index) {
            return false;
        }
        let under_way = self.is_aborted_with_another(index);
        if let Some(stop) = &mut self.turns[index].stop {
            stop.aborting = true;
        }
        if under_way {
            return false;
        }
        let command = json!({
            "type": "abort_message", "request_id": ctx.ids.next("abort"),
            "runtime": self.scope(),
        });
        ctx.send_own(command.to_string());
        false
    }

    /// Whether a turn is to stop and the server has not been told.
    pub(crate) fn has_unsent(&self) -> bool {
        self.turns.iter().any(Turn::is_to_be_stopped)
    }

    /// Whether something has not left that nobody waits for: the input of a turn that was let go, or one that is no
    /// turn's, and what was given behind it.
    pub(crate) fn has_unawaited(&self) -> bool {
        self.held.has_unawaited() || self.turns.iter().any(Turn::is_kept_back)
    }

    /// How much was given and has not left: all inputs, and commands that nobody waits for.
    pub(crate) fn left_behind(&self) -> usize {
        let is_held = |turn: &&Turn| turn.phase == Phase::Held;
        self.held.unawaited() + self.turns.iter().filter(is_held).count()
    }

    /// The connection is gone: every open turn has an unknown outcome.
    pub(crate) fn interrupt_all(&mut self, cause: &Error, ctx: &mut Context) {
        while !self.turns.is_empty() {
            self.interrupt(0, cause, ctx);
        }
        // Handlers of the client may still be asked.
        self.approvals_open(&[], ctx);
    }

    /// The connection is gone: the turn has an unknown outcome.
    pub(crate) fn interrupt(&mut self, index: usize, cause: &Error, ctx: &mut Context) {
        let turn = &mut self.turns[index];
        turn.delivery = turn.unknown_delivery();
        ctx.unsent += u64::from(turn.is_kept_back());
        let error = if turn.phase == Phase::Held {
            let message = format!("the input was not sent: {}", cause.message());
            Error::new(cause.kind(), message)
        } else {
            let message = format!("the connection ended during the turn: {}", cause.message());
            Error::new(ErrorKind::TurnInterrupted, message)
                .with_hint("the server has most likely cancelled it; read the stored messages")
        };
        let error =
            error.with_close_code(cause.close_code()).with_will_reconnect(cause.will_reconnect());
        self.fail_turn(index, error, &End::default(), TurnStatus::Disconnected, ctx);
    }

    /// Another connection takes the place of the lost one: a stop that was sent may not have arrived, and
    /// the turn was not seen to end.
    pub(crate) fn repeat_stops(&mut self, ctx: &mut Context) {
        for turn in self.turns.iter_mut().filter(|turn| !turn.left_over) {
            if let Some(stop) = turn.stop.as_mut().filter(|stop| stop.is_meant()) {
                stop.aborting = false;
            }
        }
        self.press_stops(ctx);
    }

    /// After a frame changed a turn's phase: a stop that was waiting for it can now be sent.
    pub(crate) fn press_stops(&mut self, ctx: &mut Context) {
        let mut index = 0;
        while index < self.turns.len() {
            let ended = self.press_stop(index, ctx);
            index += usize::from(!ended);
        }
    }
}

/// The error of an input that the server has said to be in its queue, where it is not.
fn lost_in_queue_error() -> Error {
    let message = "the server accepted the input as queued, but does not have it in its queue";
    Error::new(ErrorKind::TurnInterrupted, message).with_hint(
        "it takes an input whose `client_message_id` it has seen before for a \
         repeat; send this one with a new id",
    )
}

/// The error of an input of which the server showed no sign.
fn unseen_error(turn: &Turn) -> Error {
    if let Some((reason, frame, _)) = &turn.refusal {
        return Error::new(ErrorKind::Request, format!("the input was refused: {reason}"))
            .with_response(frame.as_str());
    }
    let seconds = turn.accept_by().saturating_sub(turn.sent_at).as_secs_f64();
    let message = format!("the server showed no sign of the input within {seconds} s");
    // No request that may be repeated: the server may run it all the same.
    Error::new(ErrorKind::TurnInterrupted, message).with_hint(
        "it may still have arrived and run; read the stored messages before sending it again",
    )
}
