//! How a turn ends. Servers that send `turn_finished` (PROTOCOL.md section 17.2 steps 7–9) and
//! servers that do not (section 17.3 "ends"), side by side.

use std::time::Duration;

use super::context::{Context, Timer};
use super::ownership::has_live_run;
use super::result::{CompletedBy, TurnStatus};
use super::runtime::{IDLE, Runtime};
use super::turn::{End, Ending, Turn};
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::frames::{Delta, LoopState, TurnFinishedFrame};

/// How long to wait for the text of an error whose stop reason has come (section 17.3).
const ERROR_TEXT_WAIT: Duration = Duration::from_millis(250);

/// The outcome in one word.
pub(crate) fn status_of(stop_reason: Option<&str>, error: Option<&str>) -> TurnStatus {
    match stop_reason {
        Some("cancelled") => TurnStatus::Aborted,
        Some("requires_approval") => TurnStatus::RequiresApproval,
        Some(
            "error"
            | "llm_api_error"
            | "invalid_llm_response"
            | "invalid_tool_call"
            | "max_tokens_exceeded"
            | "insufficient_credits"
            | "context_window_overflow_in_system_prompt",
        ) => TurnStatus::Failed,
        _ if error.is_some() => TurnStatus::Failed,
        _ => TurnStatus::Completed,
    }
}

/// How long a sign that an input was invalid waits for proof of the opposite.
pub(crate) const REFUSAL_WAIT: Duration = Duration::from_secs(5);

impl Runtime {
    /// `turn_finished`: ends every turn that owns its run, and, when it names no run, the turns
    /// that failed before they had one. All others are neighbours and stay open.
    pub(crate) fn turn_finished(
        &mut self,
        frame: TurnFinishedFrame,
        text: &Text,
        ctx: &mut Context,
    ) {
        ctx.features.turn_finished = true;
        self.take_back_guesses(ctx);
        let ended = |turn: &Turn| match frame.run_id.as_deref() {
            Some(run) if turn.owns_run(run) => true,
            // The turn we joined failed before its next run.
            Some(run) => self.without_run(turn) && turn.joined.as_deref() == Some(run),
            // An abort between two runs may name none.
            None => self.without_run(turn) || turn.interrupted.is_some(),
        };
        let tokens: Vec<_> =
            self.turns.iter().filter(|turn| ended(turn)).map(|t| t.token).collect();
        let end = End {
            by: Some(CompletedBy::TurnFinished),
            stop_reason: frame.stop_reason,
            error: frame.error,
            turn_id: frame.turn_id,
            frame: Some(text.clone()),
        };
        self.finish_together(&tokens, &end, ctx);
        if let Some(run) = frame.run_id.filter(|run| !self.turns.iter().any(|t| t.owns_run(run))) {
            self.runs.end(&run);
        }
        self.approvals_open(&[], ctx);
        self.settle_after(end.turn_id.as_deref(), ctx);
    }

    /// Whether a turn is ours and has no run yet.
    fn without_run(&self, turn: &Turn) -> bool {
        turn.is_ours() && !has_live_run(&self.runs, turn)
    }

    /// Ends turns that were answered together; each learns of the others.
    pub(crate) fn finish_together(&mut self, tokens: &[u64], end: &End, ctx: &mut Context) {
        let all: Vec<(u64, Vec<String>)> = self
            .turns
            .iter()
            .filter(|turn| tokens.contains(&turn.token))
            .map(|turn| (turn.token, turn.client_ids.clone()))
            .collect();
        let status = status_of(end.stop_reason.as_deref(), end.error.as_deref());
        for token in tokens {
            let Some(index) = self.turn_index(*token) else {
                continue;
            };
            let turn = &mut self.turns[index];
            for (_, ids) in all.iter().filter(|(other, _)| other != token) {
                for id in ids {
                    if !turn.merged.contains(id) {
                        turn.merged.push(id.clone());
                    }
                }
            }
            self.finish(index, end, status, ctx);
        }
    }

    /// The tokens of the turns that are ours, on a server without `turn_finished`.
    fn unfinished(&self, ctx: &Context) -> Vec<u64> {
        if ctx.features.turn_finished {
            return Vec::new();
        }
        self.turns.iter().filter(|turn| turn.is_ours()).map(|turn| turn.token).collect()
    }

    /// A loop status, after ownership has looked at it.
    pub(crate) fn complete_by_status(&mut self, state: LoopState, ctx: &mut Context) {
        let was_idle = self.idle();
        self.status = state.status;
        if self.status != IDLE {
            return;
        }
        self.approvals_open(&[], ctx);
        if !was_idle {
            self.settle(ctx);
        }
        let mut interrupted = Vec::new();
        let mut stopped = Vec::new();
        for token in self.unfinished(ctx) {
            let Some(index) = self.turn_index(token) else {
                continue;
            };
            let turn = &mut self.turns[index];
            if turn.interrupted.is_some() {
                interrupted.push(token);
            } else if let Some(ending) = turn.ending.as_mut().filter(|e| e.until.is_none()) {
                if status_of(Some(&ending.stop_reason), None) == TurnStatus::Failed {
                    let until = ctx.now + ERROR_TEXT_WAIT;
                    ending.until = Some(until);
                    ctx.timers.set(until, Timer::Turn(token));
                } else {
                    stopped.push(token);
                }
            }
        }
        self.finish_interrupted(&interrupted, ctx);
        self.finish_stopped(&stopped, None, ctx);
    }

    /// A delta (not a subagent's), after ownership has looked at it.
    pub(crate) fn complete_by_delta(&mut self, delta: &Delta<'_>, text: &Text, ctx: &mut Context) {
        match &*delta.message_type {
            "stop_reason" => self.stop_reason(delta, text, ctx),
            "retry" => {
                for turn in &mut self.turns {
                    turn.ending = turn.ending.take().filter(|ending| ending.until.is_some());
                }
            }
            "loop_error" => self.loop_error(delta, text, ctx),
            _ if delta.is_interruption() => self.interrupted(text, ctx),
            _ => {}
        }
    }

    /// The mark of an abort. A server that sends `turn_finished` gets a moment to do so: an abort
    /// before the model's first word can leave it out for good.
    fn interrupted(&mut self, text: &Text, ctx: &mut Context) {
        for turn in self.turns.iter_mut().filter(|turn| turn.is_ours()) {
            let until = ctx.now.saturating_add(turn.options.abort_grace);
            turn.interrupted = Some((text.clone(), until));
            ctx.timers.set(until, Timer::Turn(turn.token));
        }
        // The idle status usually comes before the mark, and none follows.
        if self.idle() {
            let tokens = self.unfinished(ctx);
            self.finish_interrupted(&tokens, ctx);
        }
    }

    /// A final stop reason of the newest run ends the turn once an idle status confirms it.
    fn stop_reason(&mut self, delta: &Delta<'_>, text: &Text, ctx: &Context) {
        let (Some(reason), Some(run)) = (&delta.stop_reason, &delta.run_id) else {
            return;
        };
        if reason == "requires_approval" || self.runs.newest() != Some(run) {
            return;
        }
        for token in self.unfinished(ctx) {
            if let Some(index) = self.turn_index(token) {
                self.turns[index].ending = Some(Ending {
                    stop_reason: reason.to_string(),
                    frame: text.clone(),
                    until: None,
                });
            }
        }
    }

    fn loop_error(&mut self, delta: &Delta<'_>, text: &Text, ctx: &mut Context) {
        if delta.is_terminal == Some(true) {
            let tokens = self.unfinished(ctx);
            let end = End {
                by: Some(CompletedBy::LoopError),
                stop_reason: delta.stop_reason.as_deref().map(str::to_owned),
                error: delta.message.as_deref().map(str::to_owned),
                frame: Some(text.clone()),
                ..End::default()
            };
            self.finish_together(&tokens, &end, ctx);
            return;
        }
        // Without a run and before any sign of the turn, it may say that the input was invalid; it
        // may as well be about somebody else's command. A valid input is acknowledged in a moment.
        if delta.run_id.is_none() {
            let reason = delta.message.as_deref().unwrap_or("no reason given");
            for turn in self.turns.iter_mut().filter(|turn| turn.unseen()) {
                let until = ctx.now + REFUSAL_WAIT;
                turn.refusal.get_or_insert((reason.to_owned(), text.clone(), until));
                ctx.timers.set(turn.accept_by(), Timer::Turn(turn.token));
            }
        }
    }

    /// Ends aborted turns.
    pub(crate) fn finish_interrupted(&mut self, tokens: &[u64], ctx: &mut Context) {
        let frame = tokens
            .first()
            .and_then(|token| self.turn_index(*token))
            .and_then(|index| self.turns[index].interrupted.as_ref())
            .map(|(frame, _)| frame.clone());
        let end = End {
            by: Some(CompletedBy::Interrupted),
            stop_reason: Some("cancelled".to_owned()),
            frame,
            ..End::default()
        };
        self.finish_together(tokens, &end, ctx);
        if !tokens.is_empty() {
            self.settle(ctx);
        }
    }

    /// Ends turns whose stop reason is confirmed.
    pub(crate) fn finish_stopped(
        &mut self,
        tokens: &[u64],
        error: Option<&str>,
        ctx: &mut Context,
    ) {
        let ending = tokens
            .first()
            .and_then(|token| self.turn_index(*token))
            .and_then(|index| self.turns[index].ending.clone());
        let Some(ending) = ending else { return };
        let end = End {
            by: Some(CompletedBy::StopReason),
            stop_reason: Some(ending.stop_reason),
            error: error.map(str::to_owned),
            frame: Some(ending.frame),
            ..End::default()
        };
        self.finish_together(tokens, &end, ctx);
        self.settle(ctx);
    }

    /// The input left the queue without being answered.
    pub(crate) fn removed_from_queue(&mut self, index: usize, text: &Text, ctx: &mut Context) {
        if ctx.switching && self.turns[index].stop.is_none() {
            // The server took it away with the connection; it is looked for.
            return;
        }
        let end = End {
            by: Some(CompletedBy::RemovedFromQueue),
            frame: Some(text.clone()),
            ..End::default()
        };
        if self.turns[index].stop.is_some() {
            // That is what was asked for.
            self.finish(index, &end, TurnStatus::Aborted, ctx);
        } else {
            let error = Error::new(ErrorKind::TurnAborted, "the input was removed from the queue");
            self.fail_turn(index, error, &end, TurnStatus::Aborted, ctx);
        }
    }
}
