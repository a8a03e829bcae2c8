//! One wait for the end of a server of your own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use letta_app_client::{ExitCall, ServerExit, ServerWatch};
use pyo3::prelude::*;

/// How a server has ended: its code and the signal.
pub(crate) type Exit = (Option<i32>, Option<i32>);

pub(crate) const fn exit(told: ServerExit) -> Exit {
    (told.code, told.signal)
}

/// Whether the wait is over, and what wakes the one who waits.
#[derive(Default)]
struct Over(Mutex<bool>, Condvar);

impl Over {
    fn is_over(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        *self.is_over() = true;
        self.1.notify_all();
    }
}

/// See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct ServerEnd {
    watch: ServerWatch,
    over: Arc<Over>,
    _call: ExitCall,
}

impl ServerEnd {
    pub(crate) fn new(watch: ServerWatch) -> Self {
        let over = Arc::<Over>::default();
        let told = Arc::clone(&over);
        let call = watch.on_exit(move || told.end());
        Self { watch, over, _call: call }
    }
}

#[pymethods]
impl ServerEnd {
    /// Blocks until the server has ended, without holding the interpreter up, or until nobody waits any more.
    fn wait(&self, py: Python<'_>) -> Exit {
        py.detach(|| drop(self.over.1.wait_while(self.over.is_over(), |over| !*over)));
        exit(self.watch.try_exited().unwrap_or_default())
    }

    /// Nobody waits any more.
    fn stop(&self) {
        self.over.end();
    }
}
