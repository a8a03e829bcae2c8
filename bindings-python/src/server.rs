//! A server of one's own as a Python class.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use letta_app_client::{Server as Core, ServerOptions};
use pyo3::prelude::*;

use crate::connection::seconds;
use crate::errors::raise;
use crate::server_log::ServerLog;

/// A running App Server. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Server {
    url: String,
    token: Option<String>,
    joined: bool,
    /// There until it is closed.
    core: Mutex<Option<Core>>,
}

impl Server {
    fn core(&self) -> MutexGuard<'_, Option<Core>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Server {
    /// Blocks until it answers, without holding the interpreter up.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "the server's options, one by one")]
    fn start(
        py: Python<'_>,
        command: Vec<String>,
        cwd: Option<PathBuf>,
        env: Vec<(String, String)>,
        auth: bool,
        ready_timeout: f64,
        reuse: bool,
        log: Option<&ServerLog>,
    ) -> PyResult<Self> {
        let ready_timeout = seconds(py, "ready_timeout", ready_timeout)?;
        let options = ServerOptions { command, cwd, env, auth, ready_timeout, reuse };
        let on_line = log.map(ServerLog::writer);
        let start = || match on_line {
            Some(on_line) => Core::start_logged(&options, on_line),
            None => Core::start(&options),
        };
        let core = py.detach(start).map_err(|error| raise(py, &error))?;
        Ok(Self {
            url: core.url().to_owned(),
            token: core.token().map(str::to_owned),
            joined: core.joined(),
            core: Mutex::new(Some(core)),
        })
    }

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

    /// The last lines of its output.
    fn output(&self) -> Vec<String> {
        self.core().as_ref().map(Core::output).unwrap_or_default()
    }

    /// Ends it and waits for that, without holding the interpreter up.
    fn close(&self, py: Python<'_>) {
        let core = self.core().take();
        py.detach(|| core.map(Core::close));
    }
}
