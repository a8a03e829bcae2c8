//! Recordings whose redactor is a Python function, and recordings in place of a server.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use letta_app_client::testing::{Replay, replay, replay_events as events};
use letta_app_client::{RecordWriter, RecordedFrame};
use pyo3::prelude::*;

use crate::connection::seconds;
use crate::errors::raise;

/// The writing end of a recording, for a thread of Python's own. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Recording(Mutex<(RecordWriter, Option<RecordedFrame>)>);

impl Recording {
    pub(crate) fn new(writer: RecordWriter) -> Self {
        Self(Mutex::new((writer, None)))
    }
}

#[pymethods]
impl Recording {
    /// Waits for the next frame: its direction and its text; `None` at the end.
    fn next(&self, py: Python<'_>) -> Option<(&'static str, String)> {
        py.detach(|| {
            let (writer, asked) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *asked = writer.next_frame();
            asked.as_ref().map(|frame| (frame.direction.as_str(), frame.text.clone()))
        })
    }

    /// Leaves that frame out and counts it: its redactor has failed.
    fn fail(&self, py: Python<'_>) {
        py.detach(|| {
            let (writer, asked) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(frame) = asked.take() {
                writer.fail_frame(&frame);
            }
        });
    }

    /// Writes that frame as it is given; `None` leaves it out.
    fn write(&self, py: Python<'_>, text: Option<String>) {
        py.detach(|| {
            let (writer, asked) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(frame) = asked.take() {
                writer.write_frame(&frame, text);
            }
        });
    }
}

/// Path, speed, whether commands are waited for, and seconds.
#[derive(FromPyObject)]
pub(crate) struct Replayed(PathBuf, f64, bool, f64);

impl Replayed {
    pub(crate) fn options(self, py: Python<'_>) -> PyResult<Replay> {
        let Self(path, speed, wait_for_commands, step_timeout) = self;
        let step_timeout = seconds(py, "step_timeout", step_timeout)?;
        Ok(Replay { speed, wait_for_commands, step_timeout, ..replay(path) })
    }
}

/// What the engine makes of a recording, as a JSON list.
#[pyfunction]
pub(crate) fn replay_events(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let events = py.detach(|| events(path)).map_err(|error| raise(py, &error))?;
    let texts: Vec<&str> = events.iter().map(|event| event.get()).collect();
    Ok(format!("[{}]", texts.join(",")))
}
