//! Turns that nobody waits for any more. They keep their place: what they ask for is decided, and what they do is
//! not taken for what a later input's turn does.

use std::time::Duration;

use super::context::Context;
use super::resend::Resend;
use super::runtime::Runtime;
use super::turn::{Approvals, Cause, Phase, Stop, Turn};
use crate::protocol::envelope::Envelope;

impl Runtime {
    /// What stays of a turn whose call is about to end, where its input may still be answered: on servers that do
    /// not say which input a turn answers (PROTOCOL.md section 17.3), and on a lost runtime, which no abort reaches
    /// (section 18). One that was to stop, of which the server has not said where it is, or who shares its run, is
    /// stopped when it has.
    pub(crate) fn left_over(&mut self, index: usize, ctx: &Context) -> Option<Turn> {
        let turn = &mut self.turns[index];
        let may_begin = matches!(turn.phase, Phase::Sent | Phase::Queued);
        let begins_unsaid = may_begin && !ctx.features.turn_finished;
        let goes_on = turn.detached && turn.is_ours();
        let to_stop = turn.is_to_be_stopped();
        if !goes_on && !to_stop && !begins_unsaid {
            return None;
        }
        let mut left = turn.clone();
        left.left_over = true;
        left.let_go();
        // It is over when what is left of it is.
        turn.owes_end = false;
        Some(left)
    }

    /// Leaves a turn behind the one whose call is about to end with a question: once that is answered it goes on, and
    /// may ask more.
    pub(crate) fn leave_asking(&mut self, index: usize) {
        let mut left = self.turns[index].clone();
        left.left_over = true;
        left.let_go();
        self.turns.insert(index + 1, left);
    }

    /// Where the turn is that was left over of an input.
    pub(crate) fn left_over_index(&self, request_id: &str) -> Option<usize> {
        let is_it = |turn: &Turn| {
            let input = Envelope::read(&turn.input);
            input.is_ok_and(|input| input.request_id.as_deref() == Some(request_id))
        };
        self.turns.iter().position(|turn| turn.left_over && is_it(turn))
    }

    /// Puts it where the turn was.
    pub(crate) fn leave(&mut self, index: usize, left: Option<Turn>) {
        if let Some(left) = left {
            self.turns.insert(index, left);
        }
    }

    /// Forgets those that have not begun although the runtime has been alive for as long as the server
    /// may take: it never got their inputs.
    pub(crate) fn forget_left_over(&mut self, ctx: &mut Context) {
        self.turns.retain_mut(|turn| {
            let begins = turn.phase == Phase::Sent || (turn.phase == Phase::Queued && !turn.listed);
            if !turn.left_over || !begins {
                return true;
            }
            let since = *turn.alive_at.get_or_insert(ctx.now);
            let stays = ctx.now < since.saturating_add(turn.options.accept_timeout);
            if !stays {
                ctx.let_go_over(turn);
            }
            stays
        });
    }
}

impl Turn {
    /// Nobody waits for it any more. It goes on, without limits, and tells nothing.
    pub(crate) fn let_go(&mut self) {
        let options = &mut self.options;
        (options.events, options.check) = (false, false);
        (options.timeout, options.idle_timeout) = (None, None);
        (options.tool_timeout, options.approval_timeout) = (None, None);
        // Where it denies without a handler of its own it goes on to do so: the question would keep later inputs
        // waiting.
        if !matches!(options.approvals(), Approvals::Deny | Approvals::AskOrDeny) {
            options.approvals = Some(Approvals::Wait);
        }
        if self.phase == Phase::Held {
            // It has not left yet, and does so on the next connection where it has to.
            options.resend = Some(Resend::IfUncommitted);
        } else {
            options.recover_timeout = Duration::ZERO;
        }
        let nothing_to_send =
            Stop { cause: Cause::Gone, until: Stop::NEVER, removing: true, aborting: true };
        // One that was to stop is stopped when it begins after all.
        self.stop.get_or_insert(nothing_to_send).cause = Cause::Gone;
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.stop.as_ref().is_none_or(|stop| stop.cause != Cause::Gone)
    }

    /// Whether its input has not left, and nobody waits for it.
    pub(crate) fn is_kept_back(&self) -> bool {
        self.is_let_go() && self.phase == Phase::Held
    }

    /// Whether it goes on without anybody who waits for it.
    pub(crate) fn is_let_go(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| !stop.is_meant())
    }
}
