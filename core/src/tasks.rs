//! Where the functions run that a program hands to a session: never on the thread of the sockets.

use std::future::Future;

use tokio::runtime::Handle;

use crate::background;

/// The program's own tokio runtime, where the session was made on one; else a thread of the library's,
/// so that sessions work on any executor.
#[derive(Debug, Clone)]
pub(crate) struct Tasks(Option<Handle>);

impl Tasks {
    /// Those of whoever calls.
    pub(crate) fn here() -> Self {
        Self(Handle::try_current().ok())
    }

    /// Runs a future in a task of its own. Where that is not possible it is dropped.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        match &self.0 {
            Some(handle) => drop(handle.spawn(future)),
            None => background::spawn_handler(future).unwrap_or_default(),
        }
    }
}
