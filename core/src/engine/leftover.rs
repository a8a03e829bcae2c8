//! Turns that nobody waits for any more and that may still begin, on servers that do not say which input a
//! turn answers (PROTOCOL.md section 17.3). They keep their place, so that what they do is not taken for
//! what a later input's turn does.

use super::context::Context;
use super::runtime::Runtime;
use super::turn::{Approvals, Cause, Phase, Stop, Turn};

impl Runtime {
    /// What stays of a turn whose call is about to end, where its input may still be answered.
    pub(crate) fn left_over(&self, index: usize, ctx: &Context) -> Option<Turn> {
        let turn = &self.turns[index];
        let may_begin = matches!(turn.phase, Phase::Sent | Phase::Queued);
        if ctx.features.turn_finished || !may_begin {
            return None;
        }
        let mut left = turn.clone();
        left.left_over = true;
        left.options.events = false;
        // Where nobody was to be asked the server is told so, as long as it is: the question would keep later
        // inputs waiting.
        if left.options.approvals() != Approvals::Deny {
            left.options.approvals = Some(Approvals::Wait);
        }
        let nothing_to_send =
            Stop { cause: Cause::Gone, until: Stop::NEVER, removing: true, aborting: true };
        // One that was to stop is stopped when it begins after all.
        left.stop.get_or_insert(nothing_to_send).cause = Cause::Gone;
        Some(left)
    }

    /// Puts it where the turn was.
    pub(crate) fn leave(&mut self, index: usize, left: Option<Turn>) {
        if let Some(left) = left {
            self.turns.insert(index, left);
        }
    }

    /// Forgets those that have not begun although the runtime has been alive for as long as the server
    /// may take: it never got their inputs.
    pub(crate) fn forget_left_over(&mut self, ctx: &Context) {
        self.turns.retain_mut(|turn| {
            if !turn.left_over || turn.phase != Phase::Sent {
                return true;
            }
            let since = *turn.alive_at.get_or_insert(ctx.now);
            ctx.now < since.saturating_add(turn.options.accept_timeout)
        });
    }
}
