//! What a server prints, on its way to JavaScript.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::doorbell::Doorbell;
use crate::errors::{Thrown, bad_option};

/// How many lines wait for a program that is busy, and how many bytes of them; then the oldest go.
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

/// The lines of one server, and the bell that tells of them.
#[napi]
pub struct ServerLog {
    lines: Shared,
    doorbell: Doorbell,
}

/// Tells of the end when the last one who writes is gone.
struct Writer {
    lines: Shared,
    doorbell: Doorbell,
}

impl Writer {
    fn line(&self, line: &str) {
        let mut lines = lock(&self.lines);
        let is_first = lines.waiting.is_empty();
        lines.push(line);
        drop(lines);
        // Whoever was told of others takes this one with them.
        if is_first {
            self.doorbell.ring();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.lines).over = true;
        self.doorbell.ring();
    }
}

impl ServerLog {
    /// What a server calls with each line.
    pub(crate) fn writer(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let writer = Writer { lines: Arc::clone(&self.lines), doorbell: self.doorbell.clone() };
        move |line| writer.line(line)
    }
}

#[napi]
impl ServerLog {
    /// `onLines` is called when there are lines, and has to call `drain` until there are none.
    #[napi(constructor)]
    pub fn new(
        #[napi(ts_arg_type = "() => void")] on_lines: Function<'_, (), ()>,
    ) -> Result<Self, Thrown> {
        let doorbell = Doorbell::new(&on_lines)
            .map_err(|error| bad_option("onLines", "a function", error.reason))?;
        Ok(Self { lines: Shared::default(), doorbell })
    }

    /// The oldest lines, so many at most.
    #[napi]
    pub fn drain(&self, most: u32) -> Vec<String> {
        let mut lines = lock(&self.lines);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        std::iter::from_fn(|| lines.take()).take(most).collect()
    }

    /// Whether all lines were taken and none comes any more.
    #[napi(getter)]
    pub fn over(&self) -> bool {
        let lines = lock(&self.lines);
        lines.over && lines.waiting.is_empty()
    }

    /// Lets go of the callback.
    #[napi]
    pub fn release(&self) {
        self.doorbell.release();
    }
}
