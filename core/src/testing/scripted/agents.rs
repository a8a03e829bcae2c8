//! The agents there are (protocol reference, sections 19 and 20.2): those that were made, and those that a
//! runtime was started for.

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
use super::frames;
use super::frames::uuid;
use super::world::State;

/// The commands that this file answers.
pub(super) const COMMANDS: [&str; 6] = [
    "agent_list",
    "agent_retrieve",
    "agent_create",
    "agent_update",
    "agent_delete",
    "create_agent",
];

/// Handles one of them.
pub(super) fn handle(state: &mut State, client: u64, id: &str, frame: &Value) -> Option<()> {
    let kind = frame["type"].as_str()?;
    let fields = match kind {
        "agent_list" => list(state, frame)?,
        "agent_create" => {
            let body = frame["body"].as_object()?.clone();
            json!({ "agent": state.make_agent(body) })
        }
        "create_agent" => create(state, frame)?,
        _ => one(state, kind, frame)?,
    };
    respond(state, client, kind, id, fields.as_object()?.clone());
    Some(())
}

/// A command about one agent, which may be missing.
fn one(state: &mut State, kind: &str, frame: &Value) -> Option<Value> {
    let id = frame["agent_id"].as_str()?;
    let Some(agent) = state.agents.get_mut(id) else {
        let error = format!("Agent {id} not found");
        let mut fields = json!({ "success": false, "error": error });
        match kind {
            "agent_delete" => fields["agent_id"] = id.into(),
            _ => fields["agent"] = Value::Null,
        }
        return Some(fields);
    };
    match kind {
        "agent_update" => agent.as_object_mut()?.extend(frame["body"].as_object()?.clone()),
        "agent_delete" => {
            state.delete_agent(id);
            return Some(json!({ "agent_id": id }));
        }
        _ => {}
    }
    Some(json!({ "agent": shown(agent) }))
}

fn list(state: &State, frame: &Value) -> Option<Value> {
    let query = &frame["query"];
    let after = optional(query, "after")?;
    let limit = query["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
    let name = optional(query, "name")?;
    // The newest first, as a real server does.
    let mut newest: Vec<&Value> = state.agents.values().collect();
    newest.sort_by_key(|agent| std::cmp::Reverse(agent["created"].as_u64()));
    let mut agents =
        newest.into_iter().filter(|agent| name.is_none_or(|name| agent["name"] == name));
    if let Some(after) = after {
        agents.by_ref().find(|agent| agent["id"] == after);
    }
    let page: Vec<Value> = agents.take(limit.unwrap_or(usize::MAX)).map(shown).collect();
    Some(json!({ "agents": page }))
}

/// An agent of a preset.
fn create(state: &mut State, frame: &Value) -> Option<Value> {
    let personality = frame["personality"].as_str()?;
    let mut name = personality.to_owned();
    name[..1].make_ascii_uppercase();
    let model = frame["model"].as_str().unwrap_or("mock/echo-1");
    let agent = state.make_agent(Map::from_iter([
        ("name".to_owned(), name.into()),
        ("model".to_owned(), model.into()),
    ]));
    Some(json!({ "agent_id": agent["id"], "name": agent["name"], "model": agent["model"] }))
}

/// Without what is only for the order.
fn shown(agent: &Value) -> Value {
    let mut agent = agent.clone();
    if let Some(fields) = agent.as_object_mut() {
        fields.remove("created");
    }
    agent
}

impl State {
    /// Makes an agent of the body of a request.
    pub(super) fn make_agent(&mut self, body: Map<String, Value>) -> Value {
        let id = format!("agent-local-{}", uuid(self.count("agent")));
        self.made.insert(id.clone());
        self.agent(&id);
        if let Some(agent) = self.agents.get_mut(&id).and_then(Value::as_object_mut) {
            let kept = ["name", "description", "model", "tags", "system"];
            agent.extend(body.into_iter().filter(|(key, _)| kept.contains(&key.as_str())));
        }
        self.agent(&id)
    }

    /// An agent, which exists because somebody says so.
    pub(super) fn agent(&mut self, id: &str) -> Value {
        if !self.agents.contains_key(id) {
            let mut agent = frames::agent(id);
            agent["created"] = self.count("created").into();
            self.agents.insert(id.to_owned(), agent);
        }
        self.agents.get(id).map(shown).unwrap_or_default()
    }
}
