//! What the package does when the interpreter ends.

use std::time::Duration;

use pyo3::prelude::*;

/// How long what was handed over may take to leave.
const LIMIT: Duration = Duration::from_millis(200);

/// Gives what was handed over to clients a short time to leave, and says how much has not. See `_native.pyi`.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>) -> u64 {
    py.detach(|| letta_app_client::leave(LIMIT))
}
