//! Stopping a turn (protocol reference, section 15).

use serde_json::json;

use super::commands::lifecycle;
use super::frames::Draft;
use super::tools::tell_tool_end;
use super::turn::start_queued;
use super::world::{Running, Scope, State, Step, World};

/// A turn that was stopped.
pub(super) struct Interrupted {
    running: Running,
    tool_calls: Vec<String>,
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
    state.enter(scope, Step::Idle);
    state.tell_device(scope);
    let fields = json!({ "message": "Interrupted", "level": "warning" });
    let draft = lifecycle(state, "status", running.run_id.as_deref(), fields);
    state.broadcast(scope, &draft);
    Some(Interrupted { running, tool_calls })
}

/// The frames after the response of the abort; then the queue goes on.
pub(super) fn conclude(world: &World, state: &mut State, scope: &Scope, interrupted: Interrupted) {
    let Interrupted { running, tool_calls } = interrupted;
    let run = running.run_id.as_deref();
    for call in tool_calls {
        tell_tool_end(state, scope, run, &call, "error", "Interrupted by user");
    }
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
