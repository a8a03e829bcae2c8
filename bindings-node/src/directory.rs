//! The engine's wait for a change of directory as a JavaScript class.

use std::time::Duration;

use letta_app_client::engine::DirectoryChange as Core;
use napi_derive::napi;

/// The wait for what becomes of a change; see `letta_app_client::engine::DirectoryChange`. Times are milliseconds.
#[napi]
#[derive(Default)]
pub struct DirectoryChange {
    core: Core,
}

#[napi]
impl DirectoryChange {
    /// It was sent now.
    #[napi(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a status of the conversation, and gives the directory that it shows.
    #[napi]
    pub fn frame(&mut self, now: f64, text: String) -> Option<String> {
        self.core.frame(Duration::from_secs_f64(now.max(0.0) / 1e3), &text)
    }

    /// When it is not worth waiting any more.
    #[napi(getter)]
    #[must_use]
    pub fn until(&self) -> f64 {
        self.core.until().as_secs_f64() * 1e3
    }
}
