//! The stored conversations (protocol reference, section 19): what was said, as `conversation_messages_list`
//! tells it.

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
use super::existence::no_agent;
use super::frames::timestamp;
use super::inputs::{content_parts, merged_content};
use super::world::{Input, Scope, State};

/// Fields that deltas have and stored messages have not.
const STREAMED: [&str; 4] = ["type", "run_id", "seq_id", "otid"];

/// How many messages a page has when nothing is said of it.
const PAGE: usize = 50;

/// A message and, while it grows, the `otid` of its pieces.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) message: Value,
    pieces: Option<String>,
}

impl State {
    /// Stores inputs that a turn answers. Of several that were merged only the first one's id is kept.
    pub(super) fn store_inputs(&mut self, scope: &Scope, inputs: &[Input]) {
        let content = merged_content(inputs.iter().map(|input| &input.content));
        let otid = inputs.first().and_then(|input| input.client_message_ids.first());
        let message = json!({
            "date": timestamp(), "agent_id": scope.agent_id,
            "conversation_id": scope.conversation_id, "message_type": "user_message",
            "role": "user", "content": content_parts(&content), "otid": otid,
        });
        self.store(scope, message, None);
    }

    /// Stores what a delta says, if it says something that lasts.
    pub(super) fn store_delta(&mut self, scope: &Scope, delta: &Value) {
        let kind = delta["message_type"].as_str().unwrap_or_default();
        let piece = match kind {
            "assistant_message" => &delta["content"],
            "reasoning_message" => &delta["reasoning"],
            "approval_request_message" | "tool_return_message" => &Value::Null,
            _ => return,
        };
        let otid = delta["otid"].as_str();
        let stored = &mut self.runtime(scope).stored;
        if let Some(last) = stored.last_mut()
            && otid.is_some()
            && last.pieces.as_deref() == otid
        {
            last.extend(kind, piece);
            return;
        }
        let mut message = delta.clone();
        if let Some(fields) = message.as_object_mut() {
            fields.retain(|field, _| !STREAMED.contains(&field.as_str()));
        }
        if kind == "assistant_message" {
            message["role"] = "assistant".into();
        }
        let pieces = otid.map(str::to_owned);
        self.store(scope, message, pieces);
    }

    /// Drops the answer of a turn that was cut off or aborted, which a real server keeps up to the next input.
    pub(super) fn drop_partial_answer(&mut self, scope: &Scope) {
        let runtime = self.runtime(scope);
        if !std::mem::take(&mut runtime.partial) {
            return;
        }
        let answers = [Some("assistant_message"), Some("reasoning_message")];
        while let Some(last) = runtime.stored.last()
            && answers.contains(&last.message["message_type"].as_str())
        {
            runtime.stored.pop();
        }
    }

    fn store(&mut self, scope: &Scope, mut message: Value, pieces: Option<String>) {
        message["id"] = format!("ui-msg-{}", self.count("stored")).into();
        if let Some(known) = self.conversations.get_mut(scope) {
            known["last_message_at"] = message["date"].clone();
            known["updated_at"] = message["date"].clone();
        }
        self.runtime(scope).stored.push(Stored { message, pieces });
    }
}

impl Stored {
    /// Adds another piece of the same message.
    fn extend(&mut self, kind: &str, piece: &Value) {
        let place = if kind == "reasoning_message" { "/reasoning" } else { "/content/0/text" };
        let more = piece.as_str().or_else(|| piece.pointer("/0/text")?.as_str());
        if let (Some(Value::String(text)), Some(more)) = (self.message.pointer_mut(place), more) {
            text.push_str(more);
        }
    }
}

/// Lists a page of the stored messages of a conversation, newest first unless asked otherwise.
pub(super) fn list(state: &State, client: u64, request_id: &str, frame: &Value) -> Option<()> {
    let id = frame["conversation_id"].as_str()?;
    let query = &frame["query"];
    let agent = optional(query, "agent_id")?;
    let limit = query["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
    let (mut fields, stored) = match find(state, id, agent) {
        Ok(stored) => (Map::new(), stored),
        Err(error) => {
            let fields = [("success".to_owned(), false.into()), ("error".to_owned(), error.into())];
            (Map::from_iter(fields), &[][..])
        }
    };
    let chosen = chosen(stored, query)?;
    let limit = limit.unwrap_or(PAGE);
    let page = &chosen[..limit.min(chosen.len())];
    if state.is_single() {
        let last = page.last().map_or(&Value::Null, |message| &message["id"]);
        // A full page is asked what is before its last message, whatever the order is.
        let is_full = page.len() == limit && !last.is_null();
        let older = is_full && stored.first().is_some_and(|first| first.message["id"] != *last);
        fields.insert("next_before".to_owned(), last.clone());
        fields.insert("has_more".to_owned(), older.into());
    }
    fields.insert("messages".to_owned(), json!(page));
    respond(state, client, "conversation_messages_list", request_id, fields);
    Some(())
}

/// What was said in a conversation. The default one has no id of its own.
fn find<'a>(state: &'a State, id: &str, agent: Option<&str>) -> Result<&'a [Stored], String> {
    if let Some(error) = agent.and_then(|agent| state.missing_agent(agent)) {
        return Err(error);
    }
    let is_it = |scope: &Scope| {
        scope.conversation_id == id && (id != "default" || agent == Some(&*scope.agent_id))
    };
    if let Some((scope, runtime)) = state.runtimes.iter().find(|(scope, _)| is_it(scope)) {
        return state.missing(scope).map_or(Ok(&runtime.stored), Err);
    }
    let Some(agent) = agent else { return Err(no_agent(None)) };
    let scope = Scope { agent_id: agent.to_owned(), conversation_id: id.to_owned() };
    state.missing(&scope).map_or(Ok(&[]), Err)
}

/// The messages between two cursors, in the order that is asked for. A cursor that names none does not count.
fn chosen<'a>(stored: &'a [Stored], query: &Value) -> Option<Vec<&'a Value>> {
    let at = |field| -> Option<Option<usize>> {
        let id = optional(query, field)?;
        Some(id.and_then(|id| stored.iter().position(|stored| stored.message["id"] == id)))
    };
    let before = at("before")?.unwrap_or(stored.len());
    let after = at("after")?.map_or(0, |at| at + 1);
    let between = stored.get(after..before).unwrap_or_default();
    let mut messages: Vec<&Value> = between.iter().map(|stored| &stored.message).collect();
    if query["order"] != "asc" {
        messages.reverse();
    }
    Some(messages)
}
