//! `input`: messages and answers to approvals (protocol reference, sections 5.1, 8.1, 10 and 13).

use serde_json::{Value, json};

use super::commands::{is_busy, violation};
use super::frames::{timestamp, uuid};
use super::sessions;
use super::turn;
use super::world::{Input, Scope, State, Step, World};

/// Handles an input for a known runtime.
pub(super) fn input(
    world: &World,
    state: &mut State,
    client: u64,
    scope: &Scope,
    request_id: Option<&str>,
    payload: &Value,
) {
    let verdict = match payload["kind"].as_str() {
        _ if !payload.is_object() => {
            Err("Protocol violation: input.payload must be an object".to_owned())
        }
        Some("create_message") => create_message(world, state, client, scope, request_id, payload),
        Some("approval_response") => approval_response(state, client, scope, request_id, payload),
        kind => Err(format!("Unsupported input payload kind: {}", kind.unwrap_or("undefined"))),
    };
    if let Err(message) = verdict {
        violation(state, scope, &message);
    }
}

/// Acknowledges an input, as far as this server does so.
fn acknowledge(
    state: &State,
    client: u64,
    scope: &Scope,
    request_id: Option<&str>,
    fields: &[(&str, Value)],
) {
    let Some(id) = request_id.filter(|_| state.has_turn_events()) else {
        return;
    };
    let mut frame =
        json!({ "type": "input_accepted", "request_id": id, "runtime": scope.to_json() });
    for (key, value) in fields {
        frame[*key] = value.clone();
    }
    state.reply(client, &frame);
}

fn accept(state: &State, client: u64, scope: &Scope, request_id: Option<&str>, disposition: &str) {
    let fields = [("accepted", true.into()), ("disposition", disposition.into())];
    acknowledge(state, client, scope, request_id, &fields);
}

fn create_message(
    world: &World,
    state: &mut State,
    client: u64,
    scope: &Scope,
    request_id: Option<&str>,
    payload: &Value,
) -> Result<(), String> {
    let Some(messages) = payload["messages"].as_array() else {
        return Err(
            "Protocol violation: input.kind=create_message requires payload.messages[]".to_owned()
        );
    };
    if messages.iter().any(|message| message["type"] == "approval") {
        let error = "Approval payloads require approval_response";
        acknowledge(
            state,
            client,
            scope,
            request_id,
            &[("accepted", false.into()), ("error", error.into())],
        );
        return Err("Protocol violation: approval payloads are not allowed in \
                    input.kind=create_message. Use input.kind=approval_response."
            .to_owned());
    }
    if state.loses_input() {
        sessions::cut(world, state, client);
        return Ok(());
    }
    let strings = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
    };
    let ids = messages.iter().map(|message| message["client_message_id"].clone()).collect();
    let mut input = Input {
        owner: client,
        client_message_ids: strings(&Value::Array(ids)),
        content: merged_content(messages.iter().map(|message| &message["content"])),
        tool_scopes: strings(&payload["external_tool_scope_ids"]),
        allowed: payload["client_tool_allowlist"]
            .is_array()
            .then(|| strings(&payload["client_tool_allowlist"])),
        queued: None,
    };
    if let Some(disposition) = repeated(state, scope, &input) {
        accept(state, client, scope, request_id, disposition);
        return Ok(());
    }
    let disposition = if is_busy(state, scope) { "queued" } else { "started" };
    if let Some(id) = input.client_message_ids.first() {
        state.runtime(scope).accepted.insert(id.clone(), disposition);
    }
    if disposition == "started" {
        accept(state, client, scope, request_id, "started");
        turn::start(world, state, scope, vec![input]);
        return Ok(());
    }
    let number = state.count("queued");
    let runtime = state.runtime(scope);
    runtime.queue_ids += 1;
    input.queued = Some((format!("q-{}", runtime.queue_ids), timestamp()));
    if input.client_message_ids.is_empty() {
        input.client_message_ids.push(format!("cm-submit-{}", uuid(number)));
    }
    runtime.queue.push_back(input);
    let starts_at_once = runtime.turn.is_none() && runtime.lingering.is_none();
    accept(state, client, scope, request_id, "queued");
    state.tell_queue(scope, &[], "");
    if starts_at_once {
        turn::start_queued(world, state, scope);
    }
    Ok(())
}

/// The first disposition of an input that is sent again before the conversation is at rest.
fn repeated(state: &mut State, scope: &Scope, input: &Input) -> Option<&'static str> {
    if !state.is_single() {
        return None;
    }
    let id = input.client_message_ids.first()?;
    state.runtime(scope).accepted.get(id).copied()
}

/// The content of several messages as one: a single one as it is, more as parts with newlines between them.
pub(super) fn merged_content<'a>(contents: impl Iterator<Item = &'a Value>) -> Value {
    let contents: Vec<&Value> = contents.collect();
    if let [only] = contents.as_slice() {
        return (*only).clone();
    }
    let mut parts = Vec::new();
    for content in contents {
        if !parts.is_empty() {
            parts.push(json!({ "type": "text", "text": "\n" }));
        }
        parts.extend(content_parts(content));
    }
    Value::Array(parts)
}

/// A content as a list of parts.
pub(super) fn content_parts(content: &Value) -> Vec<Value> {
    match content {
        Value::Array(parts) => parts.clone(),
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        _ => Vec::new(),
    }
}

fn approval_response(
    state: &mut State,
    client: u64,
    scope: &Scope,
    request_id: Option<&str>,
    payload: &Value,
) -> Result<(), String> {
    let decision = &payload["decision"];
    let is_decided = match decision["behavior"].as_str() {
        Some("allow") => true,
        Some("deny") => decision["message"].is_string(),
        _ => payload["error"].is_string(),
    };
    let Some(asked) = payload["request_id"].as_str().filter(|_| is_decided) else {
        return Err(
            "Protocol violation: input.kind=approval_response requires payload.request_id \
                    and either payload.decision or payload.error"
                .to_owned(),
        );
    };
    let runtime = state.runtime(scope);
    let Some(approval) = runtime.approval.take_if(|approval| approval.request_id == asked) else {
        let error = "Approval request is no longer pending";
        acknowledge(
            state,
            client,
            scope,
            request_id,
            &[("accepted", false.into()), ("error", error.into())],
        );
        return Ok(());
    };
    state.enter(scope, Step::Asking);
    state.tell_device(scope);
    acknowledge(state, client, scope, request_id, &[("accepted", true.into())]);
    let _ = approval.answer.send(payload.clone());
    Ok(())
}
