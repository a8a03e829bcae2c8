//! One wait for the end of a server of your own.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use letta_app_client::{ExitCall, ServerExit, ServerWatch};
use pyo3::prelude::*;

use crate::errors::raise;

/// How a server has ended: its code and the signal.
pub(crate) type Exit = (Option<i32>, Option<i32>);

pub(crate) const fn exit(told: ServerExit) -> Exit {
    (told.code, told.signal)
}

/// See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct ServerEnd {
    watch: ServerWatch,
    told: Mutex<Receiver<()>>,
    call: Mutex<Option<ExitCall>>,
}

impl ServerEnd {
    pub(crate) fn new(py: Python<'_>, watch: ServerWatch) -> PyResult<Self> {
        let (to, told) = channel();
        let call = move || to.send(()).unwrap_or_default();
        let call = watch.on_exit(call).map_err(|error| raise(py, &error))?;
        Ok(Self { watch, told: Mutex::new(told), call: Mutex::new(Some(call)) })
    }
}

#[pymethods]
impl ServerEnd {
    /// Blocks until the server has ended, without holding the interpreter up; `None` once nobody waits any more.
    fn wait(&self, py: Python<'_>) -> Option<Exit> {
        let wait = || self.told.lock().unwrap_or_else(PoisonError::into_inner).recv();
        py.detach(wait).ok()?;
        // Of a joined server nothing is known.
        Some(exit(self.watch.try_exited().unwrap_or_default()))
    }

    /// Nobody waits any more.
    fn stop(&self) {
        drop(self.call.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
