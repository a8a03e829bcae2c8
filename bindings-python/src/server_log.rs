//! What a server prints, on its way to the event loop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::doorbell::{self, Doorbell};

/// How many lines wait for a loop that lags, and how many bytes of them; then the oldest go.
const KEPT: usize = 65_536;
const KEPT_BYTES: usize = 64 * 1024 * 1024;

#[derive(Default)]
struct Lines {
    waiting: VecDeque<String>,
    bytes: usize,
    /// Nothing will be printed any more.
    over: bool,
}

impl Lines {
    fn push(&mut self, line: &str) {
        self.bytes += line.len();
        self.waiting.push_back(line.to_owned());
        while self.waiting.len() > KEPT || self.bytes > KEPT_BYTES {
            self.take();
        }
    }

    fn take(&mut self) -> Option<String> {
        let line = self.waiting.pop_front()?;
        self.bytes -= line.len();
        Some(line)
    }
}

type Shared = Arc<Mutex<Lines>>;

fn lock(lines: &Shared) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines of one server, and the bell that tells of them. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct ServerLog {
    lines: Shared,
    ring: Arc<dyn Fn() + Send + Sync>,
    doorbell: Doorbell,
}

/// Tells of the end when the last one who writes is gone.
struct Writer {
    lines: Shared,
    ring: Arc<dyn Fn() + Send + Sync>,
}

impl Writer {
    fn line(&self, line: &str) {
        lock(&self.lines).push(line);
        (self.ring)();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.lines).over = true;
        (self.ring)();
    }
}

impl ServerLog {
    /// What a server calls with each line.
    pub(crate) fn writer(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let writer = Writer { lines: Arc::clone(&self.lines), ring: Arc::clone(&self.ring) };
        move |line| writer.line(line)
    }
}

#[pymethods]
impl ServerLog {
    #[new]
    fn new() -> PyResult<Self> {
        let (doorbell, ring) = doorbell::pair()?;
        Ok(Self { lines: Shared::default(), ring: Arc::new(ring), doorbell })
    }

    fn fileno(&self) -> i64 {
        self.doorbell.fileno()
    }

    /// The oldest lines, so many at most, and whether they are the last.
    fn drain(&self, most: usize) -> (Vec<String>, bool) {
        self.doorbell.silence();
        let mut lines = lock(&self.lines);
        let taken = std::iter::from_fn(|| lines.take()).take(most).collect();
        (taken, lines.over && lines.waiting.is_empty())
    }

    fn hang_up(&self) {
        self.doorbell.hang_up();
    }
}
