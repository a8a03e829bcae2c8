//! From the mailbox's deliveries to plain tuples: `(kind, token, …)`, with token 0 where no call waits.

use letta_app_client::engine::{Channel, Delivery, KEPT_FRAMES};
use letta_app_client::{Error, TurnEvent, event_json};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{IntoPyObject, intern};

use crate::outcome::Outcome;

/// The types of the frames that no subscriber misses, however far it lags.
#[pyfunction]
pub(crate) fn kept_frames() -> Vec<&'static str> {
    KEPT_FRAMES.to_vec()
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
    let tuple = match &*delivery {
        Delivery::Message { channel, kind, text } => {
            let channel = match channel {
                Channel::Stream => intern!(py, "stream"),
                Channel::Control => intern!(py, "control"),
            };
            (intern!(py, "message"), 0, channel, text.as_str(), *kind).into_pyobject(py)
        }
        Delivery::Sent { text } => (intern!(py, "sent"), 0, text.as_str()).into_pyobject(py),
        Delivery::Done { token } => (intern!(py, "done"), *token).into_pyobject(py),
        Delivery::Response { token, kind, text, refused } => {
            (intern!(py, "response"), *token, text.as_str(), *kind, *refused).into_pyobject(py)
        }
        Delivery::Candidate { token, text } => {
            (intern!(py, "candidate"), *token, text.as_str()).into_pyobject(py)
        }
        Delivery::Failed { token, error } => {
            (intern!(py, "failed"), *token, error.to_json()).into_pyobject(py)
        }
        Delivery::ToolCall { text } => {
            (intern!(py, "tool_call"), 0, text.as_str()).into_pyobject(py)
        }
        Delivery::ToolOver { request_id, reason } => {
            (intern!(py, "tool_over"), 0, request_id, reason).into_pyobject(py)
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
        Delivery::Lagged { dropped, .. } => (intern!(py, "lagged"), 0, *dropped).into_pyobject(py),
        // Kinds that a newer engine adds concern nobody here yet.
        _ => return Ok(None),
    };
    tuple.map(Some)
}

/// An event of a followed turn: texts of the agent and of tools as the `dict` of their fields, all else as JSON
/// text.
pub(crate) fn event_to_plain<'py>(
    py: Python<'py>,
    delivery: &Delivery,
) -> PyResult<Bound<'py, PyAny>> {
    let as_json = || Ok(PyString::new(py, &event_json(delivery)).into_any());
    let Delivery::TurnEvent { event, .. } = delivery else { return as_json() };
    let (kind, fields) = match event {
        TurnEvent::AssistantDelta { run_id, message_id, text } => {
            (intern!(py, "assistant_delta"), text_fields(py, run_id, message_id, text))
        }
        TurnEvent::ReasoningDelta { run_id, message_id, text } => {
            (intern!(py, "reasoning_delta"), text_fields(py, run_id, message_id, text))
        }
        TurnEvent::ToolOutput { call_id, output } => {
            let fields: [Field<'_, '_>; 2] =
                [(intern!(py, "call_id"), call_id), (intern!(py, "output"), output)];
            return plain(py, intern!(py, "tool_output"), fields);
        }
        TurnEvent::ToolCallArguments { call_id, arguments } => {
            let fields: [Field<'_, '_>; 2] =
                [(intern!(py, "call_id"), call_id), (intern!(py, "arguments"), arguments)];
            return plain(py, intern!(py, "tool_call_arguments"), fields);
        }
        TurnEvent::ToolCallEnd { call_id, status, output } => {
            let fields: [Field<'_, '_>; 3] = [
                (intern!(py, "call_id"), call_id),
                (intern!(py, "status"), status),
                (intern!(py, "output"), output),
            ];
            (intern!(py, "tool_call_end"), fields)
        }
        _ => return as_json(),
    };
    plain(py, kind, fields)
}

type Field<'a, 'py> = (&'a Bound<'py, PyString>, &'a str);

fn text_fields<'a, 'py>(
    py: Python<'py>,
    run_id: &'a str,
    message_id: &'a str,
    text: &'a str,
) -> [Field<'a, 'py>; 3] {
    let (run, message) = (intern!(py, "run_id"), intern!(py, "message_id"));
    [(run, run_id), (message, message_id), (intern!(py, "text"), text)]
}

fn plain<'py, const N: usize>(
    py: Python<'py>,
    kind: &Bound<'py, PyString>,
    fields: [Field<'_, 'py>; N],
) -> PyResult<Bound<'py, PyAny>> {
    let plain = PyDict::new(py);
    plain.set_item(intern!(py, "type"), kind)?;
    for (name, value) in fields {
        plain.set_item(name, value)?;
    }
    Ok(plain.into_any())
}
