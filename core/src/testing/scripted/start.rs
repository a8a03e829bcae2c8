//! Runtimes and their external tools (protocol reference, sections 8 and 14).

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
use super::modes;
use super::world::{Offered, Scope, State};

const RESPONSE: &str = "runtime_start_response";

/// Starts a runtime or joins one.
pub(super) fn runtime_start(
    state: &mut State,
    client: u64,
    request_id: &str,
    frame: &Value,
) -> Option<()> {
    let agent = optional(frame, "agent_id")?;
    let conversation = optional(frame, "conversation_id")?;
    let mode = optional(frame, "mode")?;
    let cwd = optional(frame, "cwd")?;
    if !mode.is_none_or(|mode| modes::is_known(state, mode)) {
        return None;
    }
    let tools = tool_groups(&frame["external_tools"])?;
    let refusal = if agent.is_some() == frame["create_agent"].is_object() {
        Some("runtime_start requires exactly one of agent_id or create_agent")
    } else if conversation.is_some() && frame["create_conversation"].is_object() {
        Some("runtime_start conversation_id cannot be combined with create_conversation")
    } else {
        None
    };
    let refusal = refusal.map(ToOwned::to_owned);
    let refusal = refusal.or_else(|| state.missing_agent(agent?));
    if let Some(error) = refusal {
        refuse(state, client, request_id, &Value::Null, &error);
        return Some(());
    }
    let agent_state = if let Some(id) = agent {
        state.agent(id)
    } else {
        let body = frame["create_agent"]["body"].as_object().cloned().unwrap_or_default();
        state.make_agent(body)
    };
    let agent_id = agent_state["id"].as_str().unwrap_or_default().to_owned();
    let conversation_id = conversation
        .map_or_else(|| format!("local-conv-{}", state.count("conversation")), ToOwned::to_owned);
    let scope = Scope { agent_id, conversation_id };
    if let Some(error) = conversation.and_then(|_| state.foreign(&scope)) {
        refuse(state, client, request_id, &agent_state, &error);
        return Some(());
    }
    let conversation_state = state.conversation(&scope);
    state.subscribe(client, &scope);
    let runtime = state.runtime(&scope);
    if let Some(mode) = mode {
        runtime.mode = Some(mode.to_owned());
    }
    if let Some(cwd) = cwd {
        state.change_directory(&scope, cwd);
    } else if frame.get("cwd").is_some() {
        state.runtime(&scope).cwd = None;
    }
    if let Some(client) = state.clients.get_mut(&client) {
        client.tools.insert(scope.clone(), tools);
    }
    let answer = json!({
        "type": RESPONSE, "request_id": request_id, "success": true,
        "runtime": scope.to_json(), "agent": agent_state,
        "conversation": conversation_state,
        "created": { "agent": agent.is_none(), "conversation": conversation.is_none() },
    });
    let replay_first = state.is_single() && frame["wait_for_replay"] == true;
    if !replay_first {
        state.reply(client, &answer);
    }
    state.send_snapshot(client, &scope);
    if replay_first {
        state.reply(client, &answer);
    }
    Some(())
}

fn refuse(state: &State, client: u64, request_id: &str, agent: &Value, error: &str) {
    let created = json!({ "agent": false, "conversation": false });
    let answer = json!({
        "type": RESPONSE, "request_id": request_id, "success": false, "runtime": null,
        "agent": agent, "conversation": null, "created": created, "error": error,
    });
    state.reply(client, &answer);
}

/// The tools of groups; `None` when those are malformed.
fn tool_groups(groups: &Value) -> Option<Vec<Offered>> {
    if groups.is_null() {
        return Some(Vec::new());
    }
    let mut tools = Vec::new();
    for group in groups.as_array()? {
        let scope = optional(group, "scope_id")?;
        for tool in group["tools"].as_array()? {
            let required = tool["parameters"]["required"].as_array().into_iter().flatten();
            tools.push(Offered {
                group: scope.map(ToOwned::to_owned),
                name: tool["name"].as_str()?.to_owned(),
                required: required.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            });
        }
    }
    Some(tools)
}

pub(super) fn tools_update(
    state: &mut State,
    client: u64,
    request_id: &str,
    frame: &Value,
) -> Option<()> {
    let mut changes = Vec::new();
    for update in frame["updates"].as_array()? {
        let tools = tool_groups(&update["external_tools"])?;
        for runtime in update["runtimes"].as_array()? {
            let scope = Scope::from_json(runtime)?;
            if changes.iter().any(|(other, _)| *other == scope) {
                return None;
            }
            changes.push((scope, tools.clone()));
        }
    }
    state.clients.get_mut(&client)?.tools.extend(changes);
    respond(state, client, "runtime_external_tools_update", request_id, Map::new());
    Some(())
}
