//! The tool calls of a turn: approvals, external tools and inputs that join (protocol reference, sections 9.3, 10,
//! 13 and 14).

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::super::options::ScriptedCall;
use super::commands::lifecycle;
use super::frames::{Draft, timestamp, uuid};
use super::modes;
use super::turn::{Turn, ids_of, tell_user_message};
use super::world::{Approval, ExternalCall, Input, Offered, Scope, State, Step};

/// How a tool call ended.
pub(super) struct Outcome {
    pub(super) call: String,
    pub(super) status: &'static str,
    pub(super) text: String,
}

/// Tells how tool calls ended: of all that they have, then of each what it returned.
pub(super) fn tell_tool_ends(
    state: &mut State,
    scope: &Scope,
    run: Option<&str>,
    outcomes: &[Outcome],
) {
    for Outcome { call, status, .. } in outcomes {
        let fields = json!({ "tool_call_id": call, "status": status });
        let draft = lifecycle(state, "client_tool_end", run, fields);
        state.broadcast(scope, &draft);
    }
    for outcome in outcomes {
        tell_tool_return(state, scope, run, outcome);
    }
}

fn tell_tool_return(state: &mut State, scope: &Scope, run: Option<&str>, outcome: &Outcome) {
    let Outcome { call, status, text } = outcome;
    let prefix = if state.is_single() { "synthetic-tool-return" } else { "message-tool-return" };
    let single = json!({ "tool_call_id": call, "status": status, "tool_return": text });
    let delta = json!({
        "type": "message", "message_type": "tool_return_message",
        "id": format!("{prefix}-{}", uuid(state.count("lifecycle"))), "date": timestamp(),
        "run_id": run, "status": status, "tool_call_id": call, "tool_return": text,
        "tool_returns": [single],
    });
    state.store_delta(scope, &delta);
    state.broadcast(scope, &Draft::new("stream_delta", &json!({ "delta": delta })));
}

/// A tool call with the id it got.
struct Call {
    id: String,
    script: ScriptedCall,
    /// The text of a denial; the call is not executed then.
    denial: Option<String>,
}

impl Turn {
    /// The first run, which only calls tools, up to the second request to the model.
    pub(super) async fn use_tools(&mut self) {
        self.begin_run();
        let scripts = std::mem::take(&mut self.script.tool_calls);
        let mut calls = Vec::new();
        for script in scripts {
            let id = format!("call_{:04}", self.world.lock().count("call"));
            let arguments = script.input.to_string();
            let call = json!({ "tool_call_id": id, "name": script.name, "arguments": arguments });
            self.delta("approval_request_message", json!({ "tool_call": call }));
            calls.push(Call { id, script, denial: None });
        }
        self.end_run("requires_approval");
        for call in &mut calls {
            call.denial = self.missing(call);
            if call.denial.is_none() && self.is_asked(call) {
                self.ask(call).await;
            }
        }
        self.execute(&calls).await;
        self.join_queue();
    }

    /// What is said of a call of an external tool in which a required parameter is missing, or null.
    fn missing(&self, call: &Call) -> Option<String> {
        let ScriptedCall { name, input, .. } = &call.script;
        let (_, offered) = self.offer(&self.world.lock(), name)?;
        let missing: Vec<_> =
            offered.required.into_iter().filter(|name| input[name.as_str()].is_null()).collect();
        let plural = if missing.len() > 1 { "s" } else { "" };
        let received: Vec<_> =
            input.as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
        let (missing, received) = (missing.join(", "), received.join(", "));
        (!missing.is_empty()).then(|| {
            format!("{name} tool missing required parameter{plural}: {missing}. Received parameters: {received}")
        })
    }

    /// Whether the mode, as it is now, wants a decision.
    fn is_asked(&self, call: &Call) -> bool {
        let state = &mut *self.world.lock();
        let is_external = self.offer(state, &call.script.name).is_some();
        let mode = state.runtime(&self.scope).mode.as_deref();
        modes::asks(mode.unwrap_or(modes::UNSET), &call.script, is_external)
    }

    async fn ask(&self, call: &mut Call) {
        let (answer, answered) = oneshot::channel();
        {
            let state = &mut *self.world.lock();
            let (scope, name) = (&self.scope, &call.script.name);
            let request = json!({
                "subtype": "can_use_tool", "tool_name": name, "input": call.script.input,
                "tool_call_id": call.id, "blocked_path": null,
                "permission_suggestions": [{
                    "id": "save-default",
                    "text": format!("Yes, allow {name} operations during this session"),
                }],
            });
            let request_id = format!("perm-{}", call.id);
            state.enter(scope, Step::Asking);
            state.runtime(scope).approval = Some(Approval { request_id, request, answer });
            if let Some(draft) = state.control_request(scope) {
                state.broadcast(scope, &draft);
            }
            state.enter(scope, Step::Asking);
            state.tell_device(scope);
        }
        // The sender goes away only together with this task.
        let Ok(payload) = answered.await else { return };
        let decision = &payload["decision"];
        if decision["behavior"] == "allow" {
            if decision["updated_input"].is_object() {
                call.script.input = decision["updated_input"].clone();
            }
        } else {
            let text = decision["message"].as_str().or(payload["error"].as_str());
            call.denial = Some(text.unwrap_or_default().to_owned());
        }
    }

    async fn execute(&self, calls: &[Call]) {
        let run = self.active_run();
        {
            let state = &mut *self.world.lock();
            let allowed = calls.iter().filter(|call| call.denial.is_none());
            state.runtime(&self.scope).executing = allowed.map(|call| call.id.clone()).collect();
            state.enter(&self.scope, Step::Executing);
            state.enter(&self.scope, Step::Executing);
            state.tell_device(&self.scope);
        }
        let mut outcomes = Vec::new();
        for call in calls {
            let (status, text) = match &call.denial {
                Some(text) => ("error", text.clone()),
                None => self.perform(call, &run).await,
            };
            outcomes.push(Outcome { call: call.id.clone(), status, text });
        }
        tell_tool_ends(&mut self.world.lock(), &self.scope, Some(&run), &outcomes);
    }

    /// Executes a call, by the client that offers the tool if there is one.
    async fn perform(&self, call: &Call, run: &str) -> (&'static str, String) {
        let result = {
            let state = &mut *self.world.lock();
            let (name, input) = (&call.script.name, &call.script.input);
            let fields = json!({
                "tool_call_id": call.id, "tool_name": name, "tool_args": input.to_string(),
            });
            let draft = lifecycle(state, "client_tool_start", Some(run), fields);
            state.broadcast(&self.scope, &draft);
            if let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.contains(name)) {
                let there = allowed.join(", ");
                return ("error", format!("Tool not found: {name}. Available tools: {there}"));
            }
            self.call_owner(state, call)
        };
        // Frames of the client can only arrive while this task waits.
        let Some(result) = result else {
            yield_now().await;
            return ("success", call.script.result.clone());
        };
        let Ok(response) = result.await else {
            return ("error", String::new());
        };
        if let Some(error) = response["error"].as_str() {
            return ("error", format!("External tool execution error: {error}"));
        }
        let parts = response["result"]["content"].as_array().into_iter().flatten();
        let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
        let status = if response["result"]["is_error"] == true { "error" } else { "success" };
        (status, texts.join("\n"))
    }

    /// Which client offers a tool, and what it has said of it.
    fn offer(&self, state: &State, tool: &str) -> Option<(u64, Offered)> {
        let offers = |tools: &Vec<Offered>| {
            let is_meant = |offered: &&Offered| {
                let group = offered.group.as_ref();
                let selected = group.is_none_or(|group| self.tool_scopes.contains(group));
                offered.name == tool && selected
            };
            tools.iter().find(is_meant).cloned()
        };
        state
            .clients
            .iter()
            .find_map(|(id, client)| Some((*id, offers(client.tools.get(&self.scope)?)?)))
    }

    fn call_owner(&self, state: &mut State, call: &Call) -> Option<oneshot::Receiver<Value>> {
        let (owner, Offered { group, .. }) = self.offer(state, &call.script.name)?;
        let request_id = format!("external-tool-{}", uuid(state.count("external")));
        let mut frame = json!({
            "type": "external_tool_call_request", "request_id": request_id,
            "runtime": self.scope.to_json(),
            "tool_call_id": call.id, "tool_name": call.script.name, "input": call.script.input,
        });
        if let Some(group) = group {
            frame["scope_id"] = group.into();
        }
        state.reply(owner, &frame);
        let (answer, answered) = oneshot::channel();
        let scope = self.scope.clone();
        state.external_calls.insert(request_id, ExternalCall { owner, scope, answer });
        Some(answered)
    }

    /// After the tools the model is asked again, together with all inputs that came meanwhile.
    fn join_queue(&mut self) {
        let state = &mut *self.world.lock();
        let scope = &self.scope;
        let runtime = state.runtime(scope);
        runtime.executing.clear();
        let joined: Vec<Input> = runtime.queue.drain(..).collect();
        if !joined.is_empty() {
            self.ids.extend(ids_of(&joined));
            runtime.batches += 1;
            let turn_id = format!("batch-{}", runtime.batches);
            if let Some(turn) = &mut runtime.turn {
                turn.turn_id = turn_id;
            }
            state.store_inputs(scope, &joined);
            tell_user_message(state, scope, &joined);
        }
        state.enter(scope, Step::Sending);
        state.enter(scope, Step::Waiting);
        if !joined.is_empty() {
            state.tell_queue(scope, &joined, "dequeued");
        }
        state.runtime(scope).active_run = None;
        state.enter(scope, Step::Processing);
        state.tell_device(scope);
    }
}
