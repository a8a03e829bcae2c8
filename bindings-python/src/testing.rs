//! The mock server for tests, the same one that all three languages use.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use letta_app_client::testing::{
    Generation, MockServer as Server, PlayOptions, ScriptOptions, Terminated, Trace, TraceError,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::errors::raise;

/// An App Server double on a loopback port. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct MockServer(Server);

fn bad_trace(error: &TraceError) -> PyErr {
    match error {
        TraceError::Io { .. } => PyOSError::new_err(error.to_string()),
        TraceError::Format { .. } => PyValueError::new_err(error.to_string()),
    }
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// How long a wait goes on before Ctrl-C is looked for.
const SLICE: Duration = Duration::from_millis(50);

/// Waits with something that says whether it came in time. Handlers of signals run meanwhile, and what they raise ends
/// the wait.
fn waited(
    py: Python<'_>,
    limit: Duration,
    wait: impl Fn(Duration) -> bool + Sync,
) -> PyResult<bool> {
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        if py.detach(|| wait(left.min(SLICE))) {
            return Ok(true);
        }
        py.check_signals()?;
        if left <= SLICE {
            return Ok(false);
        }
    }
}

#[pymethods]
impl MockServer {
    #[staticmethod]
    fn play(
        path: PathBuf,
        generation: &str,
        step_timeout: f64,
        answer_unrecorded: bool,
    ) -> PyResult<Self> {
        let generation = match generation {
            "single" => Generation::Single,
            "split" => Generation::Split,
            other => {
                let message =
                    format!("generation: expected \"single\" or \"split\", got {other:?}");
                return Err(PyValueError::new_err(message));
            }
        };
        let trace = Trace::read(path).map_err(|error| bad_trace(&error))?;
        let options = PlayOptions {
            step_timeout: duration(step_timeout)?,
            answer_unrecorded,
            ..PlayOptions::default()
        };
        Ok(Self(Server::play(trace, generation, options)?))
    }

    #[staticmethod]
    fn scripted(py: Python<'_>, options: &str) -> PyResult<Self> {
        let options: ScriptOptions = serde_json::from_str(options)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        options.check().map_err(|error| raise(py, &error))?;
        Ok(Self(Server::scripted(options)?))
    }

    #[getter]
    fn url(&self) -> String {
        self.0.url()
    }

    fn received(&self) -> Vec<String> {
        self.0.received()
    }

    fn unexpected(&self) -> Vec<String> {
        self.0.unexpected()
    }

    fn failure(&self) -> Option<String> {
        self.0.failure()
    }

    fn connections(&self) -> usize {
        self.0.connections()
    }

    fn open_connections(&self) -> usize {
        self.0.open_connections()
    }

    fn terminated(&self) -> Vec<(f64, String)> {
        let entry = |it: Terminated| (it.after.as_secs_f64(), it.reason);
        self.0.terminated().into_iter().map(entry).collect()
    }

    fn wait_done(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let limit = duration(timeout)?;
        waited(py, limit, |slice| self.0.wait_done(slice))
    }

    fn wait_received(
        &self,
        py: Python<'_>,
        kind: &str,
        times: usize,
        timeout: f64,
    ) -> PyResult<bool> {
        let limit = duration(timeout)?;
        waited(py, limit, |slice| self.0.wait_received(kind, times, slice))
    }

    /// How what came differs from a demand; the fields are a JSON object.
    fn complaint(
        &self,
        kind: &str,
        times: Option<usize>,
        fields: &str,
    ) -> PyResult<Option<String>> {
        let fields = serde_json::from_str(fields)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(self.0.complaint(kind, times, &fields))
    }

    #[getter]
    fn folder(&self) -> Option<PathBuf> {
        self.0.folder()
    }

    fn push(&self, text: &str) {
        self.0.push(text);
    }

    fn cut_connection(&self, index: usize) {
        self.0.cut_connection(index);
    }

    fn cut_connections(&self) {
        self.0.cut_connections();
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    fn start_again(&self) -> PyResult<()> {
        Ok(self.0.start_again()?)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
