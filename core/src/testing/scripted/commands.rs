//! The commands of clients, except for inputs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::http::app_server_info;
use super::super::parse::parsed;
use super::abort;
use super::agents;
use super::answers;
use super::conversations;
use super::files;
use super::frames::{self, Draft, timestamp, uuid};
use super::inputs;
use super::modes;
use super::start;
use super::store;
use super::watch;
use super::world::{Scope, State, Step, World};

const LIST: &str = "conversation_messages_list";

/// Handles a frame. `false` when a real server would have treated it as unknown: it says nothing then.
pub(super) fn handle(world: &World, socket: u64, text: &str) -> bool {
    let Some(frame) = parsed(text) else {
        return false;
    };
    // The stream socket of a split session is not a client of its own: commands there are ignored.
    if !world.lock().clients.contains_key(&socket) {
        return false;
    }
    dispatch(world, socket, &frame).is_some()
}

/// How long the server takes to look for a directory.
const CHANGE_DIRECTORY: Duration = Duration::from_millis(15);

/// `None` for an unknown command or one with a field that is missing or of the wrong type.
fn dispatch(world: &World, client: u64, frame: &Value) -> Option<()> {
    let request_id = match &frame["request_id"] {
        Value::Null => None,
        Value::String(id) => Some(id.as_str()),
        _ => return None,
    };
    let state = &mut *world.lock();
    let kind = frame["type"].as_str()?;
    // What a test says comes before what is built in.
    if let Some(answer) = state.options.answers.get(kind).cloned() {
        return answers::give(state, client, request_id, frame, &answer);
    }
    match kind {
        "runtime_start" => start::runtime_start(state, client, request_id?, frame),
        "input" => {
            let scope = Scope::from_json(&frame["runtime"])?;
            state.subscribe(client, &scope);
            inputs::input(world, state, client, &scope, request_id, &frame["payload"]);
            Some(())
        }
        "sync" => sync(state, client, request_id, frame),
        "abort_message" => abort_message(world, state, client, request_id, frame),
        "remove_queue_item" => remove_queue_item(state, client, request_id?, frame),
        "change_device_state" => change_device_state(world, state, client, frame),
        "app_server_info" if state.is_single() => {
            state.reply(client, &app_server_info(request_id?));
            Some(())
        }
        kind if agents::COMMANDS.contains(&kind) => {
            agents::handle(state, client, request_id?, frame)
        }
        kind if conversations::COMMANDS.contains(&kind) => {
            conversations::handle(state, client, request_id?, frame)
        }
        kind if files::COMMANDS.contains(&kind) && state.folder.is_some() => {
            let folder = state.folder.clone()?;
            files::handle(state, &folder, client, request_id, frame)
        }
        kind if watch::COMMANDS.contains(&kind) && state.folder.is_some() => {
            let folder = state.folder.clone()?;
            watch::handle(world, state, &folder, client, frame)
        }
        "list_models" if state.options.models.is_some() => {
            list_models(state, client, request_id?);
            Some(())
        }
        "update_model" if state.options.models.is_some() => {
            update_model(state, client, request_id?, frame)
        }
        LIST => store::list(state, client, request_id?, frame),
        "runtime_external_tools_update" if state.is_single() => {
            start::tools_update(state, client, request_id?, frame)
        }
        "external_tool_call_response" => external_result(state, client, request_id?, frame),
        _ => None,
    }
}

fn list_models(state: &State, client: u64, id: &str) {
    let handles = state.options.models.as_deref().unwrap_or_default();
    let entry = |(index, handle): (usize, &String)| {
        json!({
            "id": handle, "handle": handle, "label": handle, "description": "",
            "isDefault": index == 0,
        })
    };
    let entries: Vec<Value> = handles.iter().enumerate().map(entry).collect();
    let fields = json!({ "entries": entries, "available_handles": handles });
    respond(state, client, "list_models", id, fields.as_object().cloned().unwrap_or_default());
}

/// Handles that are not known are taken too, and would fail only when used.
fn update_model(state: &mut State, client: u64, id: &str, frame: &Value) -> Option<()> {
    let scope = Scope::from_json(&frame["runtime"])?;
    let payload = frame["payload"].as_object()?;
    let handle = payload.get("model_handle").or(payload.get("model_id"))?.as_str()?.to_owned();
    state.subscribe(client, &scope);
    let name = handle.rsplit('/').next().unwrap_or_default();
    let told = json!({ "message": format!("Model updated to {name}."), "level": "info" });
    let draft = lifecycle(state, "status", None, told);
    state.broadcast(&scope, &draft);
    state.tell_device(&scope);
    let fields = json!({
        "runtime": scope.to_json(), "applied_to": "conversation", "model_id": handle,
        "model_handle": handle, "model_settings": null,
    });
    respond(state, client, "update_model", id, fields.as_object().cloned().unwrap_or_default());
    Some(())
}

pub(super) fn respond(
    state: &State,
    client: u64,
    kind: &str,
    id: &str,
    fields: Map<String, Value>,
) {
    let mut response =
        json!({ "type": format!("{kind}_response"), "request_id": id, "success": true });
    for (key, value) in fields {
        response[key] = value;
    }
    state.reply(client, &response);
}

/// A string that may be left out; `None` when the field has another type.
#[expect(clippy::option_option, reason = "invalid, missing and a value are three cases")]
pub(super) fn optional<'a>(frame: &'a Value, key: &str) -> Option<Option<&'a str>> {
    match &frame[key] {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text)),
        _ => None,
    }
}

fn external_result(state: &mut State, client: u64, request_id: &str, frame: &Value) -> Option<()> {
    let content = frame["result"]["content"].as_array();
    let is_result = content.is_some_and(|parts| parts.iter().all(Value::is_object));
    if !is_result && !frame["error"].is_string() {
        return None;
    }
    // Another client cannot answer.
    if state.external_calls.get(request_id)?.owner != client {
        return None;
    }
    let call = state.external_calls.remove(request_id)?;
    let _ = call.answer.send(frame.clone());
    Some(())
}

fn sync(state: &mut State, client: u64, request_id: Option<&str>, frame: &Value) -> Option<()> {
    let scope = Scope::from_json(&frame["runtime"])?;
    state.subscribe(client, &scope);
    if state.is_single()
        && let Some(request) = state.control_request(&scope)
    {
        state.send_event(client, &scope, &request);
    }
    state.send_snapshot(client, &scope);
    if let Some(id) = request_id {
        let mut fields = Map::new();
        fields.insert("runtime".to_owned(), scope.to_json());
        respond(state, client, "sync", id, fields);
    }
    Some(())
}

fn abort_message(
    world: &World,
    state: &mut State,
    client: u64,
    request_id: Option<&str>,
    frame: &Value,
) -> Option<()> {
    let scope = Scope::from_json(&frame["runtime"])?;
    state.subscribe(client, &scope);
    let aborted = abort::interrupt(state, &scope);
    if let Some(id) = request_id {
        let mut fields = Map::new();
        fields.insert("runtime".to_owned(), scope.to_json());
        fields.insert("aborted".to_owned(), aborted.is_some().into());
        respond(state, client, "abort_message", id, fields);
    }
    if let Some(aborted) = aborted {
        abort::conclude(world, state, &scope, aborted);
    }
    Some(())
}

fn remove_queue_item(
    state: &mut State,
    client: u64,
    request_id: &str,
    frame: &Value,
) -> Option<()> {
    let scope = Scope::from_json(&frame["runtime"])?;
    let item = frame["item_id"].as_str()?;
    state.subscribe(client, &scope);
    let queue = &mut state.runtime(&scope).queue;
    let is_it =
        |input: &super::world::Input| input.queued.as_ref().is_some_and(|(id, _)| id == item);
    let removed: Vec<_> =
        queue.iter().position(is_it).and_then(|at| queue.remove(at)).into_iter().collect();
    state.reply(
        client,
        &json!({
            "type": "remove_queue_item_response", "request_id": request_id,
            "success": !removed.is_empty(), "item_id": item,
        }),
    );
    if !removed.is_empty() || state.is_single() {
        state.tell_queue(&scope, &[], "");
    }
    if !removed.is_empty() && state.is_single() {
        state.tell_queue(&scope, &removed, "cancelled");
    }
    Some(())
}

fn change_device_state(world: &World, state: &mut State, client: u64, frame: &Value) -> Option<()> {
    let scope = Scope::from_json(&frame["runtime"])?;
    let payload = frame["payload"].as_object()?;
    state.subscribe(client, &scope);
    // While a turn runs its own statuses go on.
    let idle = state.runtime(&scope).step == Step::Idle;
    if idle {
        state.enter(&scope, Step::Command);
    }
    let mode = payload.get("mode").and_then(Value::as_str);
    if let Some(mode) = mode.filter(|mode| !modes::is_known(state, mode)) {
        violation(state, &scope, &format!("Unsupported permission mode: {mode}"));
    } else {
        if let Some(mode) = mode {
            state.runtime(&scope).mode = Some(mode.to_owned());
        }
        if let Some(cwd) = payload.get("cwd").and_then(Value::as_str) {
            if idle {
                // Said, but no reason for inputs to wait.
                state.runtime(&scope).step = Step::Idle;
            }
            tokio::spawn(change_directory(world.clone(), scope, cwd.to_owned()));
            return Some(());
        }
        state.tell_device(&scope);
    }
    if idle {
        state.enter(&scope, Step::Idle);
    }
    Some(())
}

/// Takes a moment, in which other commands are answered.
async fn change_directory(world: World, scope: Scope, cwd: String) {
    tokio::time::sleep(CHANGE_DIRECTORY).await;
    let state = &mut *world.lock();
    state.change_directory(&scope, &cwd);
    state.tell_device(&scope);
    if !is_busy(state, &scope) {
        state.enter(&scope, Step::Idle);
    }
}

/// Tells everyone on a runtime that a client has broken the rules; nothing else happens.
pub(super) fn violation(state: &mut State, scope: &Scope, message: &str) {
    let id = state.count("lifecycle");
    let draft = frames::loop_error(id, message, "error", None, false);
    state.broadcast(scope, &draft);
}

/// A delta made by the server about the turn.
pub(super) fn lifecycle(
    state: &mut State,
    message_type: &str,
    run: Option<&str>,
    fields: Value,
) -> Draft {
    let prefix = if state.is_single() { "lifecycle" } else { "message" };
    let id = format!("{prefix}-{}", uuid(state.count("lifecycle")));
    let mut delta = json!({ "id": id, "date": timestamp(), "message_type": message_type });
    if let Some(run) = run {
        delta["run_id"] = run.into();
    }
    if let Value::Object(fields) = fields {
        for (key, value) in fields {
            delta[key] = value;
        }
    }
    Draft::new("stream_delta", &json!({ "delta": delta }))
}

/// Whether a runtime has something to do, so that an input has to wait.
pub(super) fn is_busy(state: &mut State, scope: &Scope) -> bool {
    let runtime = state.runtime(scope);
    runtime.step != Step::Idle
        || runtime.turn.is_some()
        || runtime.interrupted
        || runtime.lingering.is_some()
        || !runtime.queue.is_empty()
}
