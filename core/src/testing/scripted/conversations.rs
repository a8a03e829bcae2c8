//! The conversations there are (protocol reference, sections 19 and 20.3).

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
use super::frames;
use super::frames::timestamp;
use super::store::Stored;
use super::world::{Scope, State};

/// The commands that this file answers.
pub(super) const COMMANDS: [&str; 5] = [
    "conversation_list",
    "conversation_retrieve",
    "conversation_create",
    "conversation_update",
    "conversation_fork",
];

/// Handles one of them.
pub(super) fn handle(state: &mut State, client: u64, id: &str, frame: &Value) -> Option<()> {
    let kind = frame["type"].as_str()?;
    match kind {
        "conversation_list" => return list(state, client, id, frame),
        "conversation_create" => {
            let body = frame["body"].as_object()?;
            let agent_id = body.get("agent_id")?.as_str()?.to_owned();
            let conversation = state.make_conversation(&agent_id, body);
            answer(state, client, kind, id, conversation);
            return Some(());
        }
        _ => {}
    }
    let conversation_id = frame["conversation_id"].as_str()?;
    let Some(scope) = state.scope_of(conversation_id, frame["body"]["agent_id"].as_str()) else {
        let error = format!("Conversation {conversation_id} not found");
        let fields = json!({ "success": false, "conversation": null, "error": error });
        respond(state, client, kind, id, fields.as_object()?.clone());
        return Some(());
    };
    let conversation = match kind {
        "conversation_update" => {
            let body = frame["body"].as_object()?.clone();
            state.conversation(&scope);
            let known = state.conversations.get_mut(&scope)?;
            known["updated_at"] = timestamp().into();
            known.as_object_mut()?.extend(body);
            known.clone()
        }
        "conversation_fork" => {
            let made = state.make_conversation(&scope.agent_id, &Map::new());
            let fork = Scope {
                agent_id: scope.agent_id.clone(),
                conversation_id: made["id"].as_str()?.to_owned(),
            };
            let said: Vec<Stored> = state.runtime(&scope).stored.clone();
            state.runtime(&fork).stored = said;
            json!({ "id": made["id"] })
        }
        _ => state.conversation(&scope),
    };
    answer(state, client, kind, id, conversation);
    Some(())
}

fn answer(state: &State, client: u64, kind: &str, id: &str, conversation: Value) {
    let fields = Map::from_iter([("conversation".to_owned(), conversation)]);
    respond(state, client, kind, id, fields);
}

fn list(state: &State, client: u64, id: &str, frame: &Value) -> Option<()> {
    let query = &frame["query"];
    let agent = optional(query, "agent_id")?;
    let after = optional(query, "after")?;
    let limit = query["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
    let ours = |(scope, _): &(&Scope, &Value)| agent.is_none_or(|agent| scope.agent_id == agent);
    let mut found: Vec<&Value> =
        state.conversations.iter().filter(ours).map(|(_, conversation)| conversation).collect();
    // The newest first; their numbers grow.
    found.sort_by_key(|it| {
        let number = it["id"].as_str().and_then(|id| id.rsplit('-').next()?.parse::<u64>().ok());
        std::cmp::Reverse(number.unwrap_or(0))
    });
    let mut found = found.into_iter();
    if let Some(after) = after {
        found.by_ref().find(|conversation| conversation["id"] == after);
    }
    let page: Vec<&Value> = found.take(limit.unwrap_or(usize::MAX)).collect();
    let fields = Map::from_iter([("conversations".to_owned(), json!(page))]);
    respond(state, client, "conversation_list", id, fields);
    Some(())
}

impl State {
    /// A new conversation of an agent.
    pub(super) fn make_conversation(&mut self, agent: &str, body: &Map<String, Value>) -> Value {
        let conversation_id = format!("local-conv-{}", self.count("conversation"));
        let scope = Scope { agent_id: agent.to_owned(), conversation_id };
        self.conversation(&scope);
        self.runtime(&scope);
        if let Some(known) = self.conversations.get_mut(&scope)
            && let Some(summary) = body.get("summary")
        {
            known["summary"] = summary.clone();
        }
        self.conversation(&scope)
    }

    /// A conversation, which exists because somebody says so. The default one is not stored.
    pub(super) fn conversation(&mut self, scope: &Scope) -> Value {
        if scope.conversation_id == "default" {
            return frames::conversation(scope);
        }
        let make = || frames::conversation(scope);
        self.conversations.entry(scope.clone()).or_insert_with(make).clone()
    }

    /// Which conversation an id names.
    fn scope_of(&self, id: &str, agent: Option<&str>) -> Option<Scope> {
        let is_it = |scope: &&Scope| {
            scope.conversation_id == id
                && (id != "default" || agent == Some(scope.agent_id.as_str()))
        };
        self.conversations.keys().chain(self.runtimes.keys()).find(is_it).cloned()
    }
}
