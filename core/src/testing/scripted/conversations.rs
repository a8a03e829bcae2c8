//! The conversations there are (protocol reference, sections 19 and 20.3).

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
use super::existence::{no_agent, no_conversation};
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

/// How many conversations a page has when nothing is said of it.
const PAGE: usize = 20;

/// Handles one of them.
pub(super) fn handle(state: &mut State, client: u64, id: &str, frame: &Value) -> Option<()> {
    let kind = frame["type"].as_str()?;
    match kind {
        "conversation_list" => return list(state, client, id, frame),
        "conversation_create" => {
            let body = frame["body"].as_object()?;
            let agent = optional(&frame["body"], "agent_id")?;
            let missing = agent.map_or_else(|| Some(no_agent(None)), |id| state.missing_agent(id));
            match (agent, missing) {
                (Some(agent), None) => {
                    let conversation = state.make_conversation(agent, body);
                    answer(state, client, kind, id, conversation);
                }
                (_, error) => refuse(state, client, kind, id, error),
            }
            return Some(());
        }
        _ => {}
    }
    let conversation_id = frame["conversation_id"].as_str()?;
    let Some(scope) = state.scope_of(conversation_id, frame["body"]["agent_id"].as_str()) else {
        refuse(state, client, kind, id, Some(no_conversation(conversation_id)));
        return Some(());
    };
    let conversation = match kind {
        "conversation_update" => {
            let body = frame["body"].as_object()?.clone();
            state.conversation(&scope);
            update(state.conversations.get_mut(&scope)?, body);
            state.conversation(&scope)
        }
        "conversation_fork" => {
            let last = optional(&frame["body"], "message_id")?;
            let Some(said) = said_up_to(&state.runtime(&scope).stored, last) else {
                let error = format!("Message {} not found", last.unwrap_or_default());
                refuse(state, client, kind, id, Some(error));
                return Some(());
            };
            fork(state, &scope, said)
        }
        _ => state.conversation(&scope),
    };
    answer(state, client, kind, id, conversation);
    Some(())
}

/// What may be changed; the rest is left as it is.
const CHANGEABLE: [&str; 6] =
    ["summary", "last_message_at", "model", "model_settings", "hidden", "tags"];

fn update(conversation: &mut Value, body: Map<String, Value>) {
    let now = timestamp();
    if let Some(archived) = body.get("archived").filter(|it| it.is_boolean() || it.is_null()) {
        let archived = *archived == true;
        conversation["archived"] = archived.into();
        conversation["archived_at"] = match &conversation["archived_at"] {
            _ if !archived => Value::Null,
            Value::Null => now.as_str().into(),
            earlier => earlier.clone(),
        };
    }
    for (field, value) in body.into_iter().filter(|(field, _)| CHANGEABLE.contains(&&**field)) {
        conversation[field] = value;
    }
    conversation["updated_at"] = now.into();
}

/// What was said up to a message; `None` when there is no such message.
fn said_up_to(stored: &[Stored], last: Option<&str>) -> Option<Vec<Stored>> {
    let Some(last) = last else { return Some(stored.to_vec()) };
    let at = stored.iter().position(|stored| stored.message["id"] == last)?;
    Some(stored[..=at].to_vec())
}

/// A new conversation in which the same was said. Its messages are others, with ids of their own.
fn fork(state: &mut State, source: &Scope, said: Vec<Stored>) -> Value {
    let summary = state.conversation(source)["summary"].clone();
    let body = Map::from_iter([("summary".to_owned(), summary)]);
    let made = state.make_conversation(&source.agent_id, &body)["id"].clone();
    let conversation_id = made.as_str().unwrap_or_default().to_owned();
    let scope = Scope { agent_id: source.agent_id.clone(), conversation_id };
    for mut stored in said {
        stored.message["id"] = format!("ui-msg-{}", state.count("stored")).into();
        stored.message["conversation_id"] = made.clone();
        state.runtime(&scope).stored.push(stored);
    }
    json!({ "id": made })
}

fn refuse(state: &State, client: u64, kind: &str, id: &str, error: Option<String>) {
    let fields = [
        ("success".to_owned(), false.into()),
        ("conversation".to_owned(), Value::Null),
        ("error".to_owned(), error.into()),
    ];
    respond(state, client, kind, id, Map::from_iter(fields));
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
    let limit = limit.unwrap_or(PAGE);
    let ours = |(scope, _): &(&Scope, &Value)| agent.is_none_or(|agent| scope.agent_id == agent);
    let mut found: Vec<Value> =
        state.conversations.iter().filter(ours).map(|(scope, it)| state.shown(scope, it)).collect();
    // The one where something was said last comes first; within a millisecond their numbers tell, which grow.
    found.sort_by_cached_key(|it| {
        let number = it["id"].as_str().and_then(|id| id.rsplit('-').next()?.parse::<u64>().ok());
        let said = it["last_message_at"].as_str().or(it["updated_at"].as_str());
        std::cmp::Reverse((said.unwrap_or_default().to_owned(), number.unwrap_or(0)))
    });
    let after = after.and_then(|after| found.iter().position(|it| it["id"] == after));
    let page = found.iter().skip(after.map_or(0, |at| at + 1)).take(limit);
    let page: Vec<&Value> = page.collect();
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
        self.conversations.entry(scope.clone()).or_insert_with(make);
        self.conversations.get(scope).map(|it| self.shown(scope, it)).unwrap_or_default()
    }

    /// A conversation as it is told, with the ids of what was said.
    fn shown(&self, scope: &Scope, conversation: &Value) -> Value {
        let stored = self.runtimes.get(scope).map_or(&[][..], |runtime| &runtime.stored);
        let ids: Vec<&Value> = stored.iter().map(|stored| &stored.message["id"]).collect();
        let mut shown = conversation.clone();
        shown["in_context_message_ids"] = json!(ids);
        shown
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
