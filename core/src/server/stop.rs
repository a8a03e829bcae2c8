//! Breaking a start off from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Breaks off a start of a server that another thread waits for; see
/// [`Server::start_stoppable`](super::Server::start_stoppable). All copies are one.
#[derive(Debug, Clone, Default)]
pub struct StopStart(Arc<AtomicBool>);

impl StopStart {
    /// Nobody waits any more: the start fails within a moment, and what has been started is ended.
    /// Nothing once the start is over.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was called.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
