//! The engine's wait for a change of directory as a Python class.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use letta_app_client::engine::DirectoryChange as Core;
use pyo3::prelude::*;

/// The wait for what becomes of a change. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct DirectoryChange(Mutex<Core>);

impl DirectoryChange {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl DirectoryChange {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn frame(&self, now: f64, text: &str) -> Option<String> {
        self.core().frame(Duration::from_secs_f64(now.max(0.0)), text)
    }

    #[getter]
    fn until(&self) -> f64 {
        self.core().until().as_secs_f64()
    }
}
