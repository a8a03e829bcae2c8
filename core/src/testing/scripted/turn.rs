//! Turns: from the first status to `turn_finished` (protocol reference, sections 9, 10 and 15).

use std::future::pending;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::options::ScriptedTurn;
use super::commands::lifecycle;
use super::frames::{self, Draft, timestamp, uuid};
use super::inputs::{content_parts, merged_content};
use super::sessions;
use super::silence::Silence;
use super::world::{Input, Running, Scope, State, Step, World};

/// What retries say of the pause before them; here there is none.
const RETRY_MS: u64 = 1000;

/// Stop reasons of the last run that are no error of the turn.
const USUAL_ENDS: [&str; 3] = ["end_turn", "cancelled", "requires_approval"];

/// Starts a turn for inputs that did not wait.
pub(super) fn start(world: &World, state: &mut State, scope: &Scope, inputs: Vec<Input>) {
    let turn_id = format!("batch-direct-{}", uuid(state.count("turn")));
    launch(world, state, scope, inputs, turn_id);
}

/// Starts a turn for the first inputs of the queue, if there are any.
pub(super) fn start_queued(world: &World, state: &mut State, scope: &Scope) -> bool {
    let inputs = next_batch(state, scope);
    if inputs.is_empty() {
        return false;
    }
    state.runtime(scope).batches += 1;
    let turn_id = format!("batch-{}", state.runtime(scope).batches);
    launch(world, state, scope, inputs, turn_id);
    true
}

/// Neighbours in the queue that came over the same connection are answered together.
fn next_batch(state: &mut State, scope: &Scope) -> Vec<Input> {
    let queue = &mut state.runtime(scope).queue;
    let owner = queue.front().map(|input| input.owner);
    let count = queue.iter().take_while(|input| Some(input.owner) == owner).count();
    queue.drain(..count).collect()
}

fn launch(world: &World, state: &mut State, scope: &Scope, inputs: Vec<Input>, turn_id: String) {
    let refusal = state.missing(scope);
    let turn = Turn {
        world: world.clone(),
        scope: scope.clone(),
        script: if refusal.is_none() { state.next_script() } else { ScriptedTurn::default() },
        refusal,
        owner: inputs.first().map_or(0, |input| input.owner),
        tool_scopes: inputs.first().map(|input| input.tool_scopes.clone()).unwrap_or_default(),
        allowed: inputs.first().and_then(|input| input.allowed.clone()),
        ids: ids_of(&inputs),
        seq: 0,
        reasoned: 0,
    };
    let asked_at_once = turn.script.tool_calls.is_empty() && turn.script.cuts.is_empty();
    let silence = if asked_at_once { Silence::of(&turn.script) } else { Silence::Over };
    // The task cannot run before this function has returned: there is only one thread.
    let task = tokio::spawn(turn.run(inputs)).abort_handle();
    state.drop_partial_answer(scope);
    let runtime = state.runtime(scope);
    runtime.interrupted = false;
    runtime.turn = Some(Running { task, turn_id, run_id: None, silence });
}

pub(super) fn ids_of(inputs: &[Input]) -> Vec<String> {
    inputs.iter().flat_map(|input| input.client_message_ids.clone()).collect()
}

/// A turn on its way.
pub(super) struct Turn {
    pub(super) world: World,
    pub(super) scope: Scope,
    pub(super) script: ScriptedTurn,
    /// The client that started the turn.
    owner: u64,
    pub(super) tool_scopes: Vec<String>,
    /// The only tools there are, where the input says so.
    pub(super) allowed: Option<Vec<String>>,
    /// Why the model is not asked at all.
    refusal: Option<String>,
    /// The client message ids it answers.
    pub(super) ids: Vec<String>,
    /// The last sequence number in the current run.
    seq: u64,
    /// How many pieces of reasoning there were in it.
    reasoned: usize,
}

impl Turn {
    async fn run(mut self, inputs: Vec<Input>) {
        if let Some(error) = self.refusal.take() {
            self.refuse(&error).await;
            return;
        }
        self.begin(&inputs);
        yield_now().await;
        if !self.script.tool_calls.is_empty() {
            self.use_tools().await;
        }
        self.answer().await;
        if self.script.hang {
            pending::<()>().await;
        }
        self.end();
    }

    fn begin(&self, inputs: &[Input]) {
        let state = &mut *self.world.lock();
        let scope = &self.scope;
        let was_queued = inputs.first().is_some_and(|input| input.queued.is_some());
        state.store_inputs(scope, inputs);
        if was_queued {
            tell_user_message(state, scope, inputs);
            if state.is_single() {
                state.tell_queue(scope, &[], "");
                state.enter(scope, Step::Idle);
            }
        }
        state.enter(scope, Step::Sending);
        state.tell_device(scope);
        if was_queued {
            state.tell_queue(scope, inputs, "dequeued");
        }
        state.enter(scope, Step::Waiting);
        state.enter(scope, Step::Processing);
    }

    /// Starts a run. The correlation comes before its first delta.
    pub(super) fn begin_run(&mut self) {
        let state = &mut *self.world.lock();
        let run = format!("local-run-{}", state.count("run"));
        state.correlate(&self.scope, &run, &self.ids);
        let runtime = state.runtime(&self.scope);
        runtime.active_run = Some(run.clone());
        if let Some(turn) = &mut runtime.turn {
            turn.run_id = Some(run);
        }
        state.enter(&self.scope, Step::Processing);
        self.seq = 0;
    }

    /// Sends a delta of the current run.
    pub(super) fn delta(&mut self, message_type: &str, fields: Value) {
        self.seq += 1;
        let state = &mut *self.world.lock();
        let mut delta = json!({
            "id": format!("letta-msg-{}", state.count("message")), "date": timestamp(),
            "agent_id": self.scope.agent_id, "conversation_id": self.scope.conversation_id,
            "message_type": message_type, "run_id": state.runtime(&self.scope).active_run,
            "seq_id": self.seq, "type": "message",
        });
        if let Value::Object(fields) = fields {
            for (key, value) in fields {
                delta[key] = value;
            }
        }
        state.store_delta(&self.scope, &delta);
        state.broadcast(&self.scope, &Draft::new("stream_delta", &json!({ "delta": delta })));
    }

    pub(super) fn end_run(&mut self, stop_reason: &str) {
        let (prompt, completion) = self.script.usage;
        self.delta(
            "usage_statistics",
            json!({
                "prompt_tokens": prompt, "completion_tokens": completion,
                "total_tokens": prompt + completion, "cached_input_tokens": 0,
                "cache_write_tokens": 0, "reasoning_tokens": self.reasoned,
                "context_tokens": prompt + completion,
            }),
        );
        self.stop(stop_reason);
    }

    /// The end of a run, which says less about itself than other deltas do.
    fn stop(&mut self, stop_reason: &str) {
        self.seq += 1;
        let state = &mut *self.world.lock();
        let delta = json!({
            "message_type": "stop_reason", "stop_reason": stop_reason,
            "run_id": state.runtime(&self.scope).active_run, "seq_id": self.seq, "type": "message",
        });
        state.broadcast(&self.scope, &Draft::new("stream_delta", &json!({ "delta": delta })));
    }

    /// Runs whose stream breaks off; the model is asked again after each.
    async fn break_off(&mut self) {
        for (index, pieces) in std::mem::take(&mut self.script.cuts).into_iter().enumerate() {
            self.begin_run();
            let run = self.active_run();
            let otid = format!("provider-assistant-0-{run}");
            for piece in self.script.text.iter().take(pieces).cloned().collect::<Vec<_>>() {
                yield_now().await;
                let content = json!([{ "type": "text", "text": piece }]);
                self.delta("assistant_message", json!({ "otid": otid, "content": content }));
            }
            let error = json!({
                "message": "terminated", "detail": "terminated", "error_type": "llm_error",
                "retryable": true,
            });
            self.delta("error_message", error);
            self.stop("llm_api_error");
            let state = &mut *self.world.lock();
            let retry = json!({
                "message": "Unexpected downstream LLM API error, retrying...",
                "reason": "llm_api_error", "attempt": index + 1, "max_attempts": 3,
                "delay_ms": RETRY_MS,
            });
            let draft = lifecycle(state, "retry", Some(&run), retry);
            state.broadcast(&self.scope, &draft);
            for step in [Step::Sending, Step::Waiting, Step::Processing] {
                state.enter(&self.scope, step);
            }
        }
    }

    /// The model fails and is asked again, in the run that it answers in.
    async fn fail_and_retry(&mut self) {
        if self.script.retries > 0 {
            self.begin_run();
        }
        for attempt in 1..=self.script.retries {
            yield_now().await;
            let message = "500: the model is not available";
            let data = json!({
                "attempt": attempt, "max_attempts": 3, "delay_ms": RETRY_MS << (attempt - 1).min(8),
                "message": message,
            });
            self.delta("event_message", json!({ "event_type": "retry", "event_data": data }));
        }
    }

    /// What a stop of the turn has to wait for.
    fn fall(&self, silence: Silence) {
        if let Some(turn) = &mut self.world.lock().runtime(&self.scope).turn {
            turn.silence = silence;
        }
    }

    async fn answer(&mut self) {
        self.break_off().await;
        self.fail_and_retry().await;
        let deltas = self.script.reasoning.len() + self.script.text.len();
        let silence = Silence::of(&self.script);
        let mut pace = Pace::new(&self.script, deltas, silence != Silence::Over);
        self.fall(silence);
        if silence == Silence::Endless {
            self.cut_after(0).await;
        }
        silence.end().await;
        self.fall(Silence::Over);
        if self.script.retries == 0 {
            // The first that comes from the model begins the run.
            self.begin_run();
        }
        let run = self.active_run();
        let otid = format!("provider-assistant-0-{run}");
        let (reasoning, text) =
            (std::mem::take(&mut self.script.reasoning), std::mem::take(&mut self.script.text));
        self.reasoned = reasoning.len();
        for piece in reasoning {
            pace.wait().await;
            let otid = format!("provider-reasoning-0-{run}");
            self.delta("reasoning_message", json!({ "otid": otid, "reasoning": piece }));
        }
        self.cut_after(0).await;
        for (index, piece) in text.into_iter().enumerate() {
            pace.wait().await;
            let content = json!([{ "type": "text", "text": piece }]);
            self.delta("assistant_message", json!({ "otid": otid, "content": content }));
            self.cut_after(index + 1).await;
        }
    }

    async fn cut_after(&self, pieces: usize) {
        if self.script.disconnect_after == Some(pieces) {
            sessions::cut(&self.world, &mut self.world.lock(), self.owner);
            // Without another client the turn has just been cancelled, which takes effect here.
            yield_now().await;
        }
    }

    pub(super) fn active_run(&self) -> String {
        self.world.lock().runtime(&self.scope).active_run.clone().unwrap_or_default()
    }

    fn end(mut self) {
        let error = self.script.error.clone();
        let stop_reason = self
            .script
            .stop_reason
            .clone()
            .unwrap_or_else(|| if error.is_some() { "error" } else { "end_turn" }.to_owned());
        self.end_run(&stop_reason);
        let is_usual = USUAL_ENDS.contains(&stop_reason.as_str());
        let unexpected = || format!("Unexpected stop reason: {stop_reason}");
        let error = error.or_else(|| (!is_usual).then(unexpected));
        self.finish(&stop_reason, error.as_deref());
    }

    /// The end of a turn whose agent or conversation is not there: no run has begun.
    async fn refuse(self, error: &str) {
        {
            let state = &mut *self.world.lock();
            state.enter(&self.scope, Step::Sending);
            state.tell_device(&self.scope);
        }
        yield_now().await;
        self.finish("error", Some(error));
    }

    fn finish(self, stop_reason: &str, error: Option<&str>) {
        let Self { world, scope, .. } = self;
        let state = &mut *world.lock();
        let runtime = state.runtime(&scope);
        let run = runtime.active_run.take();
        let Some(running) = runtime.turn.take() else {
            return;
        };
        state.enter(&scope, Step::Idle);
        state.tell_device(&scope);
        if state.has_turn_events() {
            let mut body = json!({ "turn_id": running.turn_id, "stop_reason": stop_reason });
            let more = [("run_id", run.as_deref()), ("error", error)];
            for (field, value) in more.into_iter().filter_map(|(key, it)| Some((key, it?))) {
                body[field] = value.into();
            }
            state.broadcast(&scope, &Draft::new("turn_finished", &body));
        }
        if let Some(error) = error {
            let id = state.count("lifecycle");
            let draft = frames::loop_error(id, error, stop_reason, run.as_deref(), true);
            state.broadcast(&scope, &draft);
        }
        state.tell_device(&scope);
        if start_queued(&world, state, &scope) {
            return;
        }
        let runtime = state.runtime(&scope);
        runtime.batches = 0;
        runtime.rest();
        if state.is_single() && !running.turn_id.starts_with("batch-direct-") {
            state.tell_queue(&scope, &[], "");
            state.enter(&scope, Step::Idle);
        }
    }
}

/// When the deltas of an answer are sent.
struct Pace {
    delay: Duration,
    /// Where they are spread: since when, and over how long and how many.
    spread: Option<(Instant, Duration, u32)>,
    sent: u32,
    /// Whether the pause before the first one is over.
    waited: bool,
}

impl Pace {
    fn new(script: &ScriptedTurn, deltas: usize, waited: bool) -> Self {
        let spread = script.spread_ms.map(Duration::from_millis);
        let deltas = u32::try_from(deltas).unwrap_or(u32::MAX);
        Self {
            delay: Duration::from_millis(script.delay_ms),
            spread: spread.map(|spread| (Instant::now(), spread, deltas)),
            sent: 0,
            waited,
        }
    }

    /// Waits before a delta. Even without a delay others get their turn, so that an abort is seen in between.
    async fn wait(&mut self) {
        self.sent += 1;
        if std::mem::take(&mut self.waited) {
            return;
        }
        if let Some((start, time, deltas)) = self.spread {
            sleep_until(start + time / deltas * self.sent).await;
        } else if self.delay.is_zero() {
            yield_now().await;
        } else {
            sleep(self.delay).await;
        }
    }
}

/// The echo of inputs that had waited.
pub(super) fn tell_user_message(state: &mut State, scope: &Scope, inputs: &[Input]) {
    let content = merged_content(inputs.iter().map(|input| &input.content));
    let otid = inputs.first().and_then(|input| input.client_message_ids.first());
    let delta = json!({
        "type": "message", "id": format!("user-msg-{}", uuid(state.count("user"))),
        "date": timestamp(), "message_type": "user_message",
        "content": content_parts(&content), "otid": otid,
    });
    state.broadcast(scope, &Draft::new("stream_delta", &json!({ "delta": delta })));
}
