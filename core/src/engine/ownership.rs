//! Whose turn is it: when a running turn starts to answer an input, and which runs belong to it
//! (PROTOCOL.md sections 17.2 steps 3–6, and 17.3 "ours begins").

use std::collections::HashSet;

use super::context::{Context, Timer};
use super::delivery::{Delivery, Token};
use super::event::TurnEvent;
use super::result::TurnStatus;
use super::runs::Runs;
use super::runtime::{IDLE, Runtime};
use super::turn::{End, Phase, Turn};
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::frames::{Delta, InputAcceptedFrame, LoopState, QueueFrame};

impl Runtime {
    /// The server answered a turn's input.
    pub(crate) fn input_accepted(
        &mut self,
        index: usize,
        frame: InputAcceptedFrame,
        text: &Text,
        ctx: &mut Context,
    ) {
        ctx.features.turn_finished = true;
        if !frame.accepted {
            let reason = frame.reason();
            let error = Error::new(ErrorKind::Request, format!("the input was refused: {reason}"))
                .with_response(text.as_str());
            self.fail_turn(index, error, &End::default(), TurnStatus::Failed, ctx);
            return;
        }
        let turn = &mut self.turns[index];
        turn.acked = true;
        match frame.disposition.as_deref() {
            Some("queued") => {
                withdraw_runs(turn, &self.runs, ctx);
                ctx.timers.set(turn.accept_by(), Timer::Turn(turn.token));
            }
            // The answer may come behind the first frames of the turn.
            Some("started") => turn.begin(turn.seen_at_send),
            _ => {}
        }
        turn.disposition = frame.disposition;
    }

    /// Reads a loop status for what it says about runs; completion looks at it afterwards.
    pub(crate) fn own_by_status(&mut self, state: &mut LoopState, ctx: &mut Context) {
        self.active = std::mem::take(&mut state.active_run_ids);
        if !self.turns.is_empty() {
            for run in &self.active {
                self.runs.note(run);
            }
        }
        self.answering = false;
        if let Some(pairs) = state.client_message_ids_by_run_id.take() {
            ctx.features.correlation = true;
            ctx.features.turn_finished = true;
            self.answering = pairs.0.iter().any(|(run, _)| self.active.contains(run));
            self.own_by_correlation(&pairs.0);
        }
        self.take_back_guesses(ctx);
        self.forget_left_over(ctx);
        // Statuses may be coalesced, so the first one need not be the first of the turn.
        if state.status != IDLE {
            self.begin_first(ctx, |_| true);
        }
        for turn in &mut self.turns {
            if turn.phase == Phase::Sent && state.status == IDLE {
                // The turn that kept the server busy ended before our input arrived, else the queue
                // would have listed us by now. Its runs are not ours.
                turn.busy &= turn.listed;
                if !ctx.features.turn_finished {
                    turn.seen_at_send = self.runs.seen();
                }
            }
            if turn.is_ours() && !turn.status_seen {
                turn.status_seen = true;
                turn.detached = turn.disposition.as_deref() == Some("started")
                    && state.status == IDLE
                    && !has_live_run(&self.runs, turn);
            } else if state.status != IDLE {
                turn.detached = false;
            }
        }
        self.own_by_activity(ctx);
        self.prove_lost(ctx);
    }

    /// A run of a turn shows itself while every status has said that nothing runs: the turn is on a lost runtime, and
    /// the settle pause was too short. The first status alone does not prove it, because the server also tells how
    /// things stood when somebody starts the runtime once more (section 18).
    fn prove_lost(&mut self, ctx: &mut Context) {
        for turn in &mut self.turns {
            if turn.detached && !turn.proved_lost && has_live_run(&self.runs, turn) {
                turn.proved_lost = true;
                ctx.lengthen_settle_pause();
            }
        }
    }

    /// The exact way: the server says which client messages a run answers.
    fn own_by_correlation(&mut self, correlation: &[(String, Vec<String>)]) {
        let seen = self.runs.seen();
        for turn in &mut self.turns {
            if turn.phase == Phase::Held {
                continue;
            }
            for (run, ids) in correlation {
                if !ids.iter().any(|id| turn.client_ids.contains(id)) {
                    continue;
                }
                turn.add_run(run);
                if !self.runs.has_ended(run) {
                    turn.begin(seen);
                }
                for id in ids {
                    if !turn.client_ids.contains(id) && !turn.merged.contains(id) {
                        turn.merged.push(id.clone());
                    }
                }
            }
        }
    }

    /// The other way: what is first seen after the turn became ours is its own.
    fn own_by_activity(&mut self, ctx: &Context) {
        if ctx.features.correlation || self.turns.is_empty() {
            return;
        }
        for run in &self.active {
            let seen = self.runs.note(run);
            own_if_new(&mut self.turns, run, seen);
        }
    }

    /// Reads a delta (not a subagent's) for what it says about ownership.
    pub(crate) fn own_by_delta(&mut self, delta: &Delta<'_>, ctx: &mut Context) {
        if delta.message_type == "user_message" {
            let (seen, under_way) = (self.runs.seen(), self.runs.under_way());
            for turn in &mut self.turns {
                turn.echoed = true;
                let Some(echoed) = delta.otid.as_deref() else { continue };
                if turn.phase != Phase::Held && turn.has_client_id(echoed) {
                    turn.join(seen, under_way);
                } else if turn.phase == Phase::Sent {
                    // Somebody else's input leaves the queue: what begins now is not ours.
                    turn.busy = true;
                }
            }
            return;
        }
        let terminal = delta.message_type == "loop_error" && delta.is_terminal == Some(true);
        let seen = delta.run_id.as_deref().map(|run| self.runs.note(run));
        if seen.is_some() || terminal {
            // A run from before the input was sent is somebody else's.
            self.begin_first(ctx, |turn| seen.is_none_or(|seen| seen > turn.seen_at_send));
        }
        if let (Some(run), Some(seen), false) =
            (delta.run_id.as_deref(), seen, ctx.features.correlation)
        {
            own_if_new(&mut self.turns, run, seen);
        }
        self.prove_lost(ctx);
    }

    /// Something begins, and may be a turn of ours: the first that waits. An input that went behind others
    /// is listed, or comes to an idle server when they are over.
    fn begin_first(&mut self, ctx: &Context, fits: impl Fn(&Turn) -> bool) {
        let waits = |turn: &Turn| turn.phase == Phase::Sent && !turn.listed;
        let Some(index) = self.turns.iter().position(waits) else { return };
        let (ahead, rest) = self.turns.split_at_mut(index);
        let turn = &mut rest[0];
        let blocked = turn.behind && ahead.iter().any(Turn::is_ours);
        if !blocked && may_begin(turn, ctx) && fits(turn) {
            turn.begin_inferred();
        }
    }

    /// A server that acknowledges inputs says itself when one begins. What was guessed before it was known
    /// as such, in the first moments of a connection, is taken back.
    pub(crate) fn take_back_guesses(&mut self, ctx: &mut Context) {
        if !ctx.features.turn_finished {
            return;
        }
        for turn in self.turns.iter_mut().filter(|turn| turn.inferred && !turn.acked) {
            withdraw_runs(turn, &self.runs, ctx);
            turn.phase = Phase::Sent;
        }
    }

    /// Sent turns whose message ids a later one repeats: a listing of those ids means the later one.
    fn repeated(&self) -> HashSet<Token> {
        let sent = || self.turns.iter().filter(|turn| turn.phase != Phase::Held);
        if sent().nth(1).is_none() {
            return HashSet::new();
        }
        let (mut later, mut repeated) = (HashSet::new(), HashSet::new());
        for turn in sent().rev() {
            if turn.client_ids.iter().any(|id| later.contains(id)) {
                repeated.insert(turn.token);
            }
            later.extend(&turn.client_ids);
        }
        repeated
    }

    /// Reads a queue snapshot with its transitions.
    pub(crate) fn own_by_queue(&mut self, frame: &QueueFrame, text: &Text, ctx: &mut Context) {
        // Only servers that send `turn_finished` tell how an input left the queue (section 1).
        ctx.features.turn_finished |= frame.removed.is_some();
        self.take_back_guesses(ctx);
        let mut cancelled = Vec::new();
        let (seen, under_way) = (self.runs.seen(), self.runs.under_way());
        let repeated = self.repeated();
        for turn in &mut self.turns {
            if turn.phase == Phase::Held {
                continue;
            }
            let item = frame.queue.iter().find(|item| turn.has_client_id(&item.client_message_id));
            if let Some(item) = item {
                turn.queue_item = Some(item.id.clone());
                turn.listed = true;
                turn.echoed = false;
                if !repeated.contains(&turn.token) {
                    withdraw_runs(turn, &self.runs, ctx);
                }
            }
            if let Some(removed) = &frame.removed {
                let own = removed.iter().find(|one| turn.has_client_id(&one.client_message_id));
                match own.map(|one| one.disposition.as_str()) {
                    Some("cancelled") => cancelled.push(turn.token),
                    Some(_) => turn.join(seen, under_way),
                    None => {}
                }
            } else if turn.listed && item.is_none() && turn.phase == Phase::Queued {
                // A server that does not tell how an input left the queue: an echo tells.
                if turn.echoed {
                    turn.join(seen, under_way);
                } else {
                    cancelled.push(turn.token);
                }
            }
            if item.is_none() {
                turn.listed = false;
            }
        }
        for token in cancelled {
            if let Some(index) = self.turn_index(token) {
                self.removed_from_queue(index, text, ctx);
            }
        }
    }
}

/// Whether a sign of activity on the runtime may be the begin of this turn: the server neither
/// acknowledges inputs nor was it busy with something else, and the queue does not hold us.
fn may_begin(turn: &Turn, ctx: &Context) -> bool {
    turn.phase == Phase::Sent && !turn.busy && !turn.listed && !ctx.features.turn_finished
}

/// A turn waits in the queue: its follower learns that runs it was told of are somebody else's.
fn withdraw_runs(turn: &mut Turn, known: &Runs, ctx: &mut Context) {
    let runs = turn.wait_in_queue();
    // Ended runs were not announced.
    let told = runs.into_iter().filter(|run| turn.options.events && !known.has_ended(run));
    for run_id in told {
        let (token, event) = (turn.token, TurnEvent::RunWithdrawn { run_id });
        ctx.deliveries.push_back(Delivery::turn_event(token, event));
    }
}

/// Whether a turn has a run that is not an earlier turn's: a repeated message id brings those along.
pub(crate) fn has_live_run(runs: &Runs, turn: &Turn) -> bool {
    turn.runs.iter().any(|run| !runs.has_ended(run))
}

fn own_if_new(turns: &mut [Turn], run: &str, seen: u64) {
    for turn in turns {
        if turn.is_ours() && seen > turn.ours_at {
            turn.add_run(run);
        }
    }
}
