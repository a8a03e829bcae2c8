//! What a test answers in place of the double, [`ScriptOptions::answers`](super::super::ScriptOptions::answers).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{Scope, State};
use crate::error::{Error, ErrorKind};
use crate::protocol::generated::COMMANDS;
use crate::protocol::slips::meant;
use crate::protocol::spec::RequestId;
use crate::protocol::validate::{known_message, spec};

/// Refuses an answer that would never be given, or could not be.
pub(in super::super) fn check(answers: &BTreeMap<String, Value>) -> Result<(), Error> {
    for (kind, answer) in answers {
        let refused = |what: String| {
            Err(Error::new(ErrorKind::InvalidOption, format!("answers.{kind}: {what}")))
        };
        if !answer.is_object() && !answer.is_null() {
            return refused(format!("expected an object or null, got {answer}"));
        }
        match spec(kind) {
            Some(spec) if spec.response.is_none() => {
                return refused("this command has no answer".to_owned());
            }
            Some(_) => {}
            None if known_message(kind).is_some() => {
                return refused("expected a command, got a message of the server".to_owned());
            }
            // It may be a command of a later server.
            None => {
                if let Some(near) = meant(kind, COMMANDS.iter().map(|spec| spec.name)) {
                    return refused(format!("there is no such command; did you mean `{near}`?"));
                }
            }
        }
    }
    Ok(())
}

/// Answers as a test says; not at all where it leaves that to itself. `None` for a command that a real server would
/// not have understood.
pub(super) fn give(
    state: &mut State,
    client: u64,
    id: Option<&str>,
    frame: &Value,
    answer: &Value,
) -> Option<()> {
    let kind = frame["type"].as_str()?;
    let spec = spec(kind);
    let mut response = match kind {
        "input" => accepted(state, client, frame, answer)?,
        "terminal_spawn" => {
            let failed = answer.get("error").is_some();
            let kind = if failed { "terminal_exited" } else { "terminal_spawned" };
            json!({ "type": kind, "terminal_id": frame["terminal_id"].as_str()? })
        }
        _ => {
            let written = spec.and_then(|spec| spec.response).map(str::to_owned);
            let kind = written.unwrap_or_else(|| format!("{kind}_response"));
            json!({ "type": kind, "success": true })
        }
    };
    match (id, spec.map(|spec| spec.request_id)) {
        // It has an id of its own, and the answer has that alone.
        _ if kind == "teleport_request" => response["teleport_id"] = frame["teleport_id"].clone(),
        (Some(id), _) => response["request_id"] = id.into(),
        (None, Some(RequestId::None)) => {}
        (None, Some(RequestId::Optional)) => return Some(()),
        (None, Some(RequestId::Required) | None) => return None,
    }
    if let Value::Object(fields) = answer {
        response.as_object_mut()?.extend(fields.clone());
        state.reply(client, &response);
    }
    Some(())
}

/// How an input is taken: as one that has started, unless the test says otherwise.
fn accepted(state: &mut State, client: u64, frame: &Value, answer: &Value) -> Option<Value> {
    let scope = Scope::from_json(&frame["runtime"])?;
    state.subscribe(client, &scope);
    let runtime = scope.to_json();
    Some(if answer["accepted"] == false {
        json!({ "type": "input_accepted", "runtime": runtime })
    } else {
        json!({
            "type": "input_accepted", "runtime": runtime, "accepted": true,
            "disposition": "started",
        })
    })
}
