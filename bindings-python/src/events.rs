//! The events of a followed turn on their way into Python.

use std::collections::VecDeque;

use letta_app_client::engine::{Delivery, TurnEvent};
use letta_app_client::event_json;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// Pieces of one message that follow each other.
struct Pieces<'py, 'a> {
    kind: &'a Bound<'py, PyString>,
    message_id: &'a str,
    run_id: &'a str,
    texts: Bound<'py, PyList>,
}

/// Adds what `events_from_native` in `events.py` reads.
fn close(given: &Bound<'_, PyList>, pieces: Option<Pieces<'_, '_>>) -> PyResult<()> {
    let Some(Pieces { kind, message_id, run_id, texts }) = pieces else { return Ok(()) };
    given.append((kind, message_id, run_id, texts))
}

/// Pieces of the agent's text as tuples, what tools say as the `dict` of its fields, all else as JSON text.
pub(crate) fn given<'py>(
    py: Python<'py>,
    deliveries: &VecDeque<Delivery>,
) -> PyResult<Bound<'py, PyList>> {
    let given = PyList::empty(py);
    let mut open: Option<Pieces<'py, '_>> = None;
    for delivery in deliveries {
        let Some((kind, message_id, run_id, text)) = piece(py, delivery) else {
            close(&given, open.take())?;
            given.append(other(py, delivery)?)?;
            continue;
        };
        let same = |pieces: &Pieces<'_, '_>| {
            pieces.kind.is(kind) && pieces.message_id == message_id && pieces.run_id == run_id
        };
        if !open.as_ref().is_some_and(same) {
            let next = Pieces { kind, message_id, run_id, texts: PyList::empty(py) };
            close(&given, open.replace(next))?;
        }
        open.as_ref().map_or(Ok(()), |pieces| pieces.texts.append(text))?;
    }
    close(&given, open)?;
    Ok(given)
}

/// Type, message, run and text of a piece of the agent's text.
fn piece<'py, 'a>(
    py: Python<'py>,
    delivery: &'a Delivery,
) -> Option<(&'a Bound<'py, PyString>, &'a str, &'a str, &'a str)> {
    let Delivery::TurnEvent { event, .. } = delivery else { return None };
    match event {
        TurnEvent::AssistantDelta { run_id, message_id, text } => {
            Some((intern!(py, "assistant_delta"), message_id, run_id, text))
        }
        TurnEvent::ReasoningDelta { run_id, message_id, text } => {
            Some((intern!(py, "reasoning_delta"), message_id, run_id, text))
        }
        _ => None,
    }
}

fn other<'py>(py: Python<'py>, delivery: &Delivery) -> PyResult<Bound<'py, PyAny>> {
    let text = |text: &str| PyString::new(py, text);
    let json = || Ok(text(&event_json(delivery)).into_any());
    let Delivery::TurnEvent { event, .. } = delivery else { return json() };
    match event {
        TurnEvent::ToolOutput { call_id, output } => {
            let fields =
                [(intern!(py, "call_id"), text(call_id)), (intern!(py, "output"), text(output))];
            plain(intern!(py, "tool_output"), fields)
        }
        TurnEvent::ToolCallArguments { call_id, arguments } => {
            let fields = [
                (intern!(py, "call_id"), text(call_id)),
                (intern!(py, "arguments"), text(arguments)),
            ];
            plain(intern!(py, "tool_call_arguments"), fields)
        }
        TurnEvent::ToolCallEnd { call_id, status, output } => {
            let fields = [
                (intern!(py, "call_id"), text(call_id)),
                (intern!(py, "status"), text(status)),
                (intern!(py, "output"), text(output)),
            ];
            plain(intern!(py, "tool_call_end"), fields)
        }
        _ => json(),
    }
}

fn plain<'py, const N: usize>(
    kind: &Bound<'py, PyString>,
    fields: [(&Bound<'py, PyString>, Bound<'py, PyString>); N],
) -> PyResult<Bound<'py, PyAny>> {
    let py = kind.py();
    let plain = PyDict::new(py);
    plain.set_item(intern!(py, "type"), kind)?;
    for (name, value) in fields {
        plain.set_item(name, value)?;
    }
    Ok(plain.into_any())
}
