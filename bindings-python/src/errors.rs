//! From the engine's errors to the package's exception classes.

use letta_app_client::{Error, ErrorKind, TurnStatus};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Turns an error into the exception of its kind; the classes live in `letta_app_client.errors`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    static FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let exception = FACTORY
        .import(py, "letta_app_client.errors", "from_json")
        .and_then(|factory| factory.call1((error.to_json(),)));
    exception.map_or_else(|failure| failure, PyErr::from_value)
}

/// Refuses an option by its name.
pub(crate) fn invalid_option(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raise(py, &Error::new(ErrorKind::InvalidOption, message))
}

/// Every kind of error: its code, and whether the same call may be made again.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<(&'static str, bool)> {
    ErrorKind::ALL.iter().map(|kind| (kind.code(), kind.retryable())).collect()
}

/// What is said of an answer that refuses.
#[pyfunction]
pub(crate) fn refusal(answer: &str) -> String {
    letta_app_client::engine::refusal(answer).message().to_owned()
}

/// The error, as JSON, of a turn that ended with a status, with the server's words for it; `None` where the
/// agent ended it itself.
#[pyfunction]
pub(crate) fn outcome_error(status: &str, reason: Option<&str>) -> Option<String> {
    let status = TurnStatus::ALL.iter().find(|known| known.as_str() == status)?;
    Some(status.error(reason)?.to_json())
}
