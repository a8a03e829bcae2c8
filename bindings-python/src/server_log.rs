//! What a server prints, on its way to the event loop.

use std::sync::Arc;

use letta_app_client::{LineBacklog, OnLine};
use pyo3::prelude::*;

use crate::doorbell::{self, Doorbell};

/// The lines of one server, and the bell that tells of them. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct ServerLog {
    backlog: LineBacklog,
    ring: Arc<dyn Fn() + Send + Sync>,
    doorbell: Doorbell,
}

impl ServerLog {
    /// What a server calls with each line.
    pub(crate) fn writer(&self) -> OnLine {
        let ring = Arc::clone(&self.ring);
        self.backlog.writer(move || ring())
    }
}

#[pymethods]
impl ServerLog {
    #[new]
    fn new() -> PyResult<Self> {
        let (doorbell, ring) = doorbell::pair()?;
        Ok(Self { backlog: LineBacklog::default(), ring: Arc::new(ring), doorbell })
    }

    fn fileno(&self) -> i64 {
        self.doorbell.fileno()
    }

    /// The oldest lines, so many at most, and whether they are the last.
    fn drain(&self, most: usize) -> (Vec<String>, bool) {
        self.doorbell.silence();
        self.backlog.drain(most)
    }

    fn hang_up(&self) {
        self.doorbell.hang_up();
    }
}
