//! The answer to a permission question: its frame, and what keeps it from being sent (PROTOCOL.md section 13).

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::context::{Ids, fits};
use crate::protocol::node::{Json, Node};
use crate::protocol::raw::quoted;
use crate::protocol::slips::meant;
use crate::protocol::validate::validate_node;

/// What an answer is sent in.
pub(super) struct AnswerFrame<'a> {
    /// The `request_id` of the input.
    pub(super) input: &'a str,
    pub(super) runtime: &'a Value,
    /// The question's.
    pub(super) request_id: &'a str,
}

impl AnswerFrame<'_> {
    /// The frame with a `decision`, or with the text of an `error`: its JSON text.
    pub(super) fn with(&self, field: &str, value: &str) -> String {
        format!(
            r#"{{"type":"input","request_id":{},"runtime":{},"payload":{{"kind":"approval_response","request_id":{},"{field}":{value}}}}}"#,
            quoted(self.input),
            self.runtime,
            quoted(self.request_id),
        )
    }

    /// The frame of a decision, if the server will understand it, and what it decides.
    pub(super) fn decided(&self, decision: String) -> Result<(String, &'static str), String> {
        let decision = RawValue::from_string(decision).map_err(|error| invalid(&error))?;
        let text = self.with("decision", decision.get());
        let command = Node::object(&text).map_err(|error| invalid(&error))?;
        validate_node(&command).map_err(|violation| invalid(&violation))?;
        let decision = command.get("payload").and_then(|payload| payload.get("decision"));
        let allows = decision.and_then(|decision| decision.text("behavior")) == Some("allow");
        if let Some(name) = decision.filter(|_| allows).and_then(unknown_field) {
            let near = meant(name, ALLOWING.into_iter());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let what = format!("field `{name}`: is no field of a decision that allows{near}");
            return Err(invalid(&what));
        }
        Ok((text, if allows { "allow" } else { "deny" }))
    }
}

/// What a decision that allows may say. Anything else may be the arguments that were meant: the server would ignore it, and
/// run the tool with its own.
const ALLOWING: [&str; 4] =
    ["behavior", "message", "selected_permission_suggestion_ids", "updated_input"];

fn unknown_field<'a>(decision: &'a Node<'_>) -> Option<&'a str> {
    let Json::Object(entries) = &decision.json else { return None };
    entries.iter().map(|(name, _)| &**name).find(|name| !ALLOWING.contains(name))
}

/// An answer that the program sends itself, as an `input`.
pub(super) struct OwnAnswer {
    /// The `request_id` of the input.
    pub(super) input: Option<String>,
    /// The question's.
    pub(super) request_id: String,
    /// `allow` or `deny`.
    pub(super) behavior: &'static str,
    /// Whether the server will understand it. One that it does not it never speaks of, and waits on.
    pub(super) is_valid: bool,
}

impl OwnAnswer {
    /// A command, if it is one.
    pub(super) fn read(command: &str) -> Option<Self> {
        let command = Node::object(command).ok()?;
        let payload = command.get("payload")?;
        if command.text("type") != Some("input")
            || payload.text("kind") != Some("approval_response")
        {
            return None;
        }
        let decision = payload.get("decision").and_then(|decision| decision.text("behavior"));
        // An error denies.
        let behavior = if decision == Some("allow") { "allow" } else { "deny" };
        Some(Self {
            input: command.text("request_id").map(str::to_owned),
            request_id: payload.text("request_id")?.to_owned(),
            behavior,
            is_valid: validate_node(&command).is_ok(),
        })
    }
}

/// What keeps a decision on a permission from being taken, if anything does: the engine denies instead (section 13).
///
/// # Errors
///
/// Says what is wrong, with the name of the field.
pub fn check_decision(decision: &str) -> Result<(), String> {
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let frame = AnswerFrame { input: "i", runtime: &runtime, request_id: "r" };
    frame.decided(decision.to_owned()).map(drop)
}

/// [`check_decision`] for an answer to this `control_request`, which also has to fit into a message. One that fits by
/// less than the digits of a number may be refused: which id its frame will have is not known yet.
pub(crate) fn check_answer(
    question: &str,
    decision: &str,
    ids: &Ids,
    max_bytes: usize,
) -> Result<(), String> {
    let question: Value = serde_json::from_str(question).unwrap_or_default();
    let id = |name: &str| question["runtime"][name].as_str().unwrap_or_default();
    // An empty one is not valid, and is not what is looked for.
    let named = |name: &str| if id(name).is_empty() { "?" } else { id(name) };
    let runtime = json!({
        "agent_id": named("agent_id"), "conversation_id": named("conversation_id"),
    });
    let request_id = question["request_id"].as_str().unwrap_or_default();
    let frame = AnswerFrame { input: &ids.longest(ANSWER), runtime: &runtime, request_id };
    let (text, _) = frame.decided(decision.to_owned())?;
    fits("the decision", text, max_bytes).map(drop)
}

/// The kind of the ids of answers.
pub(super) const ANSWER: &str = "approval";

fn invalid(what: &dyn std::fmt::Display) -> String {
    format!("the answer to the permission request is invalid: {what}")
}
