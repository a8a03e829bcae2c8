//! The texts that objects stand in: the engine's own, which Python gets to see where somebody asks for it, or Python's.

use letta_app_client::protocol::Text;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

/// A text of the engine. Python would copy it, and once more, as UTF-8, to have a part of it read.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct WireText {
    text: Text,
    /// Made when it is first asked for.
    string: PyOnceLock<Py<PyString>>,
}

impl WireText {
    pub(crate) fn new(text: Text) -> Self {
        Self { text, string: PyOnceLock::new() }
    }
}

/// See the module's text.
pub(crate) enum Whole {
    Engine(Py<WireText>),
    Python(Py<PyString>),
}

impl Whole {
    /// Where it is one.
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(text) = given.cast_exact::<WireText>() {
            return Some(Self::Engine(text.clone().unbind()));
        }
        given.cast::<PyString>().ok().map(|text| Self::Python(text.clone().unbind()))
    }

    /// Nothing where it is none that UTF-8 can write.
    pub(crate) fn read<'a>(&'a self, py: Python<'a>) -> Option<&'a str> {
        match self {
            Self::Engine(text) => Some(&text.get().text),
            Self::Python(text) => text.bind(py).to_str().ok(),
        }
    }

    /// As Python has it.
    pub(crate) fn string<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self {
            Self::Engine(text) => {
                let WireText { text, string } = text.get();
                string.get_or_init(py, || PyString::new(py, text).unbind()).bind(py).clone()
            }
            Self::Python(text) => text.bind(py).clone(),
        }
    }

    /// What a part of it is made of, so that it is shared.
    pub(crate) fn shared<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Engine(text) => text.bind(py).clone().into_any(),
            Self::Python(text) => text.bind(py).clone().into_any(),
        }
    }
}
