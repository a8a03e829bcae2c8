//! A server of your own as a Python class.

use std::sync::{Mutex, MutexGuard, PoisonError};

use letta_app_client::{Printed, Server as Core};
use pyo3::prelude::*;

/// A running App Server. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Server {
    url: String,
    token: Option<String>,
    joined: bool,
    /// There until it is closed.
    core: Mutex<Option<Core>>,
    printed: Printed,
}

impl Server {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            url: core.url().to_owned(),
            token: core.token().map(str::to_owned),
            joined: core.joined(),
            printed: core.printed(),
            core: Mutex::new(Some(core)),
        }
    }

    fn core(&self) -> MutexGuard<'_, Option<Core>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Server {
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    #[getter]
    fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    #[getter]
    fn joined(&self) -> bool {
        self.joined
    }

    /// The last lines of its output, also when it is closed.
    fn output(&self) -> Vec<String> {
        self.printed.lines()
    }

    /// Ends it and waits for that, without holding the interpreter up.
    fn close(&self, py: Python<'_>) {
        let core = self.core().take();
        py.detach(|| core.map(Core::close));
    }
}
