//! The stored conversations (protocol reference, section 19): what was said, as `conversation_messages_list`
//! tells it.

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
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
    message: Value,
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

    fn store(&mut self, scope: &Scope, mut message: Value, pieces: Option<String>) {
        message["id"] = format!("ui-msg-{}", self.count("stored")).into();
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

/// Lists a page of the stored messages of a conversation, newest first.
pub(super) fn list(state: &State, client: u64, request_id: &str, frame: &Value) -> Option<()> {
    let id = frame["conversation_id"].as_str()?;
    let query = &frame["query"];
    let agent = optional(query, "agent_id")?;
    let before = optional(query, "before")?;
    let limit = query["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE);
    // The default conversation has no id of its own.
    let is_it = |scope: &Scope| {
        scope.conversation_id == id && (id != "default" || agent == Some(&*scope.agent_id))
    };
    let found = state.runtimes.iter().find(|(scope, _)| is_it(scope));
    let stored = found.map(|(_, runtime)| runtime.stored.as_slice()).unwrap_or_default();
    let mut older = stored.iter().rev().map(|stored| &stored.message).peekable();
    if let Some(before) = before {
        while older.next_if(|message| message["id"] != before).is_some() {}
        older.next();
    }
    let page: Vec<&Value> = older.by_ref().take(limit).collect();
    let mut fields = Map::new();
    if state.is_single() {
        let oldest = page.last().map_or(&Value::Null, |message| &message["id"]);
        fields.insert("next_before".to_owned(), oldest.clone());
        fields.insert("has_more".to_owned(), older.peek().is_some().into());
    }
    fields.insert("messages".to_owned(), json!(page));
    respond(state, client, "conversation_messages_list", request_id, fields);
    Some(())
}
