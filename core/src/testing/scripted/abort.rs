//! Stopping a turn (protocol reference, section 15).

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::commands::lifecycle;
use super::frames::Draft;
use super::silence::Silence;
use super::tools::{Outcome, tell_tool_ends};
use super::turn::start_queued;
use super::world::{Running, Scope, State, Step, World};

/// A turn that was stopped.
pub(super) struct Interrupted {
    pub(super) running: Running,
    pub(super) tool_calls: Vec<String>,
}

/// Stops the running turn and tells so; the frames up to the response of the abort.
pub(super) fn interrupt(state: &mut State, scope: &Scope) -> Option<Interrupted> {
    let runtime = state.runtime(scope);
    let running = runtime.turn.take()?;
    running.task.abort();
    let tool_calls = std::mem::take(&mut runtime.executing);
    runtime.approval = None;
    runtime.active_run = None;
    runtime.interrupted = true;
    runtime.partial = true;
    state.enter(scope, Step::Idle);
    state.tell_device(scope);
    let fields = json!({ "message": "Interrupted", "level": "warning" });
    let draft = lifecycle(state, "status", running.run_id.as_deref(), fields);
    state.broadcast(scope, &draft);
    Some(Interrupted { running, tool_calls })
}

/// Ends an aborted turn. A real server does so only once the turn's external tools have answered, and the model has
/// begun to: after one that never does, the conversation is stuck.
pub(super) fn conclude(world: &World, state: &mut State, scope: &Scope, interrupted: Interrupted) {
    let calls = state.external_calls.values_mut().filter(|call| call.scope == *scope);
    let answers: Vec<oneshot::Receiver<Value>> = calls
        .map(|call| {
            let (answer, answered) = oneshot::channel();
            call.answer = answer;
            answered
        })
        .collect();
    let silence = interrupted.running.silence;
    if answers.is_empty() && silence == Silence::Over {
        finish(world, state, scope, interrupted);
        return;
    }
    let (world, place) = (world.clone(), scope.clone());
    let waiting = tokio::spawn(async move {
        silence.end().await;
        for answer in answers {
            // It does not matter what it is; a client that is gone has answered as well.
            let _ = answer.await;
        }
        let state = &mut *world.lock();
        state.runtime(&place).lingering = None;
        finish(&world, state, &place, interrupted);
    });
    state.runtime(scope).lingering = Some(waiting.abort_handle());
}

/// The frames after the response of the abort; then the queue goes on.
fn finish(world: &World, state: &mut State, scope: &Scope, interrupted: Interrupted) {
    let Interrupted { running, tool_calls } = interrupted;
    let run = running.run_id.as_deref();
    let interrupted =
        |call| Outcome { call, status: "error", text: "Interrupted by user".to_owned() };
    let outcomes: Vec<Outcome> = tool_calls.into_iter().map(interrupted).collect();
    tell_tool_ends(state, scope, run, &outcomes);
    if state.has_turn_events() {
        let mut body = json!({ "turn_id": running.turn_id, "stop_reason": "cancelled" });
        if let Some(run) = run {
            body["run_id"] = run.into();
        }
        state.broadcast(scope, &Draft::new("turn_finished", &body));
    }
    state.tell_device(scope);
    start_queued(world, state, scope);
}
