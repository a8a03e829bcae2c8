//! A server of your own as a Python class.

use std::sync::{Mutex, MutexGuard, PoisonError};

use letta_app_client::{Printed, Server as Core, ServerWatch};
use pyo3::prelude::*;

use crate::server_end::{Exit, ServerEnd, exit};

/// A running App Server. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Server {
    url: String,
    token: Option<String>,
    joined: bool,
    /// There until it is closed.
    core: Mutex<Option<Core>>,
    printed: Printed,
    watch: ServerWatch,
}

impl Server {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            url: core.url().to_owned(),
            token: core.token().map(str::to_owned),
            joined: core.joined(),
            printed: core.printed(),
            watch: core.watch(),
            core: Mutex::new(Some(core)),
        }
    }

    /// What tells its clients of its end.
    pub(crate) fn watch(&self) -> ServerWatch {
        self.watch.clone()
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

    /// How it has ended; `None` while it runs.
    fn exited(&self) -> Option<Exit> {
        self.watch.try_exited().map(exit)
    }

    /// Begins a wait for its end.
    fn end(&self) -> ServerEnd {
        ServerEnd::new(self.watch.clone())
    }

    /// Ends it and waits for that, without holding the interpreter up.
    fn close(&self, py: Python<'_>) {
        let core = self.core().take();
        py.detach(|| core.map(Core::close));
    }
}
