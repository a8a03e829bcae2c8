//! The engine's wait for a structured result as a Python class: JSON goes in and out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use letta_app_client::engine::TurnResult;
use letta_app_client::{NextStep, Submission as Core};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::Value;

use crate::errors::raise;

/// The wait for one result. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Submission(Mutex<Core>);

impl Submission {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json(text: &str) -> PyResult<Value> {
    serde_json::from_str(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[pymethods]
impl Submission {
    #[classattr]
    const TOOL: &'static str = Core::TOOL;

    #[new]
    fn new(py: Python<'_>, schema: &str, scope: &str) -> PyResult<Self> {
        let core = Core::new(&json(schema)?, scope).map_err(|error| raise(py, &error))?;
        Ok(Self(Mutex::new(core)))
    }

    #[getter]
    fn scope(&self) -> String {
        self.core().scope().to_owned()
    }

    fn tool(&self) -> String {
        self.core().tool().to_string()
    }

    fn content(&self, py: Python<'_>, content: &str) -> PyResult<String> {
        let content = self.core().content(&json(content)?).map_err(|error| raise(py, &error))?;
        Ok(content.to_string())
    }

    #[pyo3(signature = (scope))]
    fn late(&self, scope: Option<&str>) -> Option<String> {
        self.core().late(scope).map(|answer| answer.to_string())
    }

    /// The result, where there is one, and what is wrong with it.
    fn output(&self, arguments: &str) -> (Option<String>, Vec<String>) {
        self.core().output_text(arguments)
    }

    fn submitted(&self, problems: Vec<String>) -> String {
        self.core().submitted(problems).to_string()
    }

    /// With the outputs of the turn's calls that ended with an error.
    #[expect(clippy::needless_pass_by_value, reason = "what Python gives")]
    fn turn_ended(&self, failed: Vec<String>) -> (&'static str, Option<String>) {
        let failed: Vec<_> = failed.iter().map(String::as_str).collect();
        match self.core().turn_ended(&failed) {
            NextStep::Done => ("done", None),
            NextStep::Repair(prompt) => ("repair", Some(prompt)),
            NextStep::GiveUp => ("give up", None),
        }
    }

    /// The error as JSON, without the result of the turn.
    fn error(&self) -> String {
        self.core().error(TurnResult::default()).to_json()
    }
}
