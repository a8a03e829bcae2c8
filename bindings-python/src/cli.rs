//! The command line of all packages.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs a command and gives its exit code. It reads and writes the process's own standard streams.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "arguments from Python are values")]
pub(crate) fn cli(py: Python<'_>, arguments: Vec<OsString>) -> i32 {
    py.detach(|| letta_app_client::cli::main(&arguments) as i32)
}
