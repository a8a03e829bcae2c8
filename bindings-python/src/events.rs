//! The events of a followed turn on their way into Python.

use letta_app_client::engine::{Delivery, TurnEvent};
use letta_app_client::event_json;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Texts of the agent and of tools as the `dict` of their fields, all else as JSON text.
pub(crate) struct Events<'py> {
    py: Python<'py>,
    /// Those of the last piece of text, which nearly always are those of the next.
    run_id: Bound<'py, PyString>,
    message_id: Bound<'py, PyString>,
}

impl<'py> Events<'py> {
    pub(crate) fn new(py: Python<'py>) -> Self {
        let empty = PyString::new(py, "");
        Self { py, run_id: empty.clone(), message_id: empty }
    }

    pub(crate) fn plain(&mut self, delivery: &Delivery) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let text = |text: &str| PyString::new(py, text);
        let json = || Ok(text(&event_json(delivery)).into_any());
        let Delivery::TurnEvent { event, .. } = delivery else { return json() };
        match event {
            TurnEvent::AssistantDelta { run_id, message_id, text } => {
                self.piece(intern!(py, "assistant_delta"), run_id, message_id, text)
            }
            TurnEvent::ReasoningDelta { run_id, message_id, text } => {
                self.piece(intern!(py, "reasoning_delta"), run_id, message_id, text)
            }
            TurnEvent::ToolOutput { call_id, output } => {
                let fields = [
                    (intern!(py, "call_id"), text(call_id)),
                    (intern!(py, "output"), text(output)),
                ];
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

    fn piece(
        &mut self,
        kind: &Bound<'py, PyString>,
        run_id: &str,
        message_id: &str,
        text: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let fields = [
            (intern!(py, "run_id"), again(&mut self.run_id, run_id)),
            (intern!(py, "message_id"), again(&mut self.message_id, message_id)),
            (intern!(py, "text"), PyString::new(py, text)),
        ];
        plain(kind, fields)
    }
}

/// The text that is known, if it is the same.
fn again<'py>(known: &mut Bound<'py, PyString>, text: &str) -> Bound<'py, PyString> {
    if !known.to_str().is_ok_and(|known| known == text) {
        *known = PyString::new(known.py(), text);
    }
    known.clone()
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
