//! The start of a server of your own, which may be broken off.

use std::path::PathBuf;

use letta_app_client::{Server as Core, ServerOptions, StopStart};
use pyo3::prelude::*;

use crate::connection::seconds;
use crate::errors::raise;
use crate::server::Server;
use crate::server_log::ServerLog;

/// One start. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct ServerStart {
    options: ServerOptions,
    stop: StopStart,
}

#[pymethods]
impl ServerStart {
    /// Checks the options, and starts nothing.
    #[new]
    fn new(
        py: Python<'_>,
        command: Vec<String>,
        cwd: Option<PathBuf>,
        env: Vec<(String, String)>,
        auth: bool,
        ready_timeout: f64,
        reuse: bool,
    ) -> PyResult<Self> {
        let ready_timeout = seconds(py, "ready_timeout", ready_timeout)?;
        let options = ServerOptions { command, cwd, env, auth, ready_timeout, reuse };
        options.check().map_err(|error| raise(py, &error))?;
        Ok(Self { options, stop: StopStart::default() })
    }

    /// Blocks until it answers, without holding the interpreter up.
    fn run(&self, py: Python<'_>, log: Option<&ServerLog>) -> PyResult<Server> {
        let on_line = log.map(ServerLog::writer);
        let start = || Core::start_stoppable(&self.options, on_line, &self.stop);
        let core = py.detach(start).map_err(|error| raise(py, &error))?;
        Ok(Server::new(core))
    }

    /// Nobody waits for it any more.
    fn stop(&self) {
        self.stop.stop();
    }
}
