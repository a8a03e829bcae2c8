//! What a turn came to, for Python to read as much of it as is asked for.

use letta_app_client::engine::{TurnResult, TurnStatus};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Longer outputs of tools cross as they are, and not as JSON.
const LONG: usize = 1024;

/// The engine's result of a turn. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Outcome(TurnResult);

impl Outcome {
    pub(crate) fn new(result: TurnResult) -> Self {
        Self(result)
    }
}

#[pymethods]
impl Outcome {
    #[getter]
    fn status(&self) -> Option<&'static str> {
        self.0.status.map(TurnStatus::as_str)
    }

    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    /// The token counts as JSON.
    #[getter]
    fn counted(&self) -> PyResult<String> {
        let usage = serde_json::to_string(self.0.counted());
        usage.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// All of it as JSON, but for outputs that are long, and those, each with its call's place.
    fn read<'py>(&self, py: Python<'py>) -> (String, Vec<(usize, Bound<'py, PyString>)>) {
        let long = self.0.long_outputs(LONG);
        let long = long.map(|(index, output)| (index, PyString::new(py, output))).collect();
        (self.0.to_short_json(LONG), long)
    }
}
