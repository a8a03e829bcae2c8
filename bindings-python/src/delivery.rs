//! From the mailbox's deliveries to plain tuples: `(kind, token, …)`, with token 0 where no call waits.

use letta_app_client::Error;
use letta_app_client::engine::{Channel, Delivery, KEPT_FRAMES};
use letta_app_client::protocol::Text;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{IntoPyObject, intern};

use crate::outcome::Outcome;
use crate::whole::WireText;

/// The types of the frames that no subscriber misses, however far it lags.
#[pyfunction]
pub(crate) fn kept_frames() -> Vec<&'static str> {
    KEPT_FRAMES.to_vec()
}

/// What keeps a decision on a permission from being taken; nothing where it would be.
#[pyfunction]
pub(crate) fn check_decision(decision: &str) -> Option<String> {
    letta_app_client::engine::check_decision(decision).err()
}

/// What a model is told about a permission that a rule denies, that no rule gives, or whose handler failed.
#[pyfunction]
pub(crate) fn denied_by_rule(tool: &str) -> String {
    letta_app_client::engine::denied_by_rule(tool)
}

#[pyfunction]
pub(crate) fn allowed_by_no_rule(tool: &str) -> String {
    letta_app_client::engine::allowed_by_no_rule(tool)
}

#[pyfunction]
pub(crate) fn approver_failed(said: &str) -> String {
    letta_app_client::engine::approver_failed(said)
}

/// What is wrong with the name of a tool; nothing where models take it.
#[pyfunction]
pub(crate) fn check_tool_name(name: &Bound<'_, PyString>) -> Option<String> {
    // A name with half a surrogate pair is none of those in any case.
    letta_app_client::engine::check_tool_name(&name.to_string_lossy()).err()
}

/// The required parameters of a tool that may be null, by its JSON schema, which is JSON.
#[pyfunction]
pub(crate) fn nullable_parameters(schema: &str) -> Vec<String> {
    let schema = serde_json::from_str(schema).unwrap_or_default();
    letta_app_client::engine::nullable_parameters(&schema)
}

/// One delivery as a tuple of strings and numbers, and what a turn came to.
pub(crate) fn to_tuple<'py>(
    py: Python<'py>,
    delivery: &mut Delivery,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    if let Delivery::Turn { token, result } = delivery {
        let outcome = Outcome::new(std::mem::take(&mut **result));
        return (intern!(py, "turn"), *token, outcome).into_pyobject(py).map(Some);
    }
    // What frames are made of.
    let wire = |text: &Text| WireText::new(text.clone());
    let tuple = match &*delivery {
        Delivery::Message { channel, kind, text } => {
            let channel = match channel {
                Channel::Stream => intern!(py, "stream"),
                Channel::Control => intern!(py, "control"),
            };
            (intern!(py, "message"), 0, channel, wire(text), *kind).into_pyobject(py)
        }
        Delivery::Sent { text } => (intern!(py, "sent"), 0, text.as_str()).into_pyobject(py),
        Delivery::Done { token } => (intern!(py, "done"), *token).into_pyobject(py),
        Delivery::Response { token, kind, text, refused } => {
            (intern!(py, "response"), *token, wire(text), *kind, *refused).into_pyobject(py)
        }
        Delivery::Candidate { token, text } => {
            (intern!(py, "candidate"), *token, wire(text)).into_pyobject(py)
        }
        Delivery::Failed { token, error } => {
            (intern!(py, "failed"), *token, error.to_json()).into_pyobject(py)
        }
        Delivery::ToolCall { text } => (intern!(py, "tool_call"), 0, wire(text)).into_pyobject(py),
        Delivery::ToolOver { request_id, reason } => {
            (intern!(py, "tool_over"), 0, request_id, reason).into_pyobject(py)
        }
        Delivery::ToolRefused { request_id, tool_name, reason } => {
            (intern!(py, "tool_refused"), 0, request_id, tool_name, reason).into_pyobject(py)
        }
        Delivery::Approval { token, ask, text } => {
            (intern!(py, "approval"), *token, *ask, text.as_str()).into_pyobject(py)
        }
        Delivery::ApprovalOver { token, ask, refused } => {
            (intern!(py, "approval_over"), *token, *ask, refused.as_deref()).into_pyobject(py)
        }
        Delivery::TurnReady { token } => (intern!(py, "turn_ready"), *token).into_pyobject(py),
        Delivery::Disconnected { channel, code, reason, will_reconnect } => {
            let (code, again) = (*code, *will_reconnect);
            let kind = intern!(py, "disconnected");
            (kind, 0, channel.as_str(), code, reason, again).into_pyobject(py)
        }
        Delivery::State { state, error } => {
            let error = error.as_ref().map(Error::to_json);
            (intern!(py, "state"), 0, state.as_str(), error).into_pyobject(py)
        }
        Delivery::RestoreFailed { agent_id, conversation_id, error } => {
            let kind = intern!(py, "restore_failed");
            (kind, 0, agent_id, conversation_id, error.to_json()).into_pyobject(py)
        }
        Delivery::Unrecorded { reason } => (intern!(py, "unrecorded"), 0, reason).into_pyobject(py),
        Delivery::Lagged { dropped, .. } => (intern!(py, "lagged"), 0, *dropped).into_pyobject(py),
        // Kinds that a newer engine adds concern nobody here yet.
        _ => return Ok(None),
    };
    tuple.map(Some)
}
