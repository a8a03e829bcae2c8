//! How the engine's thread tells JavaScript that something waits in the mailbox.

use std::sync::{Arc, Mutex, PoisonError};

use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

/// Weak, so that it does not keep the process alive; what is pending does that (`ts/pending.ts`).
type Callback = ThreadsafeFunction<(), (), (), Status, false, true>;

/// One per connection. It is silent once it is released, or once the environment it belongs to (the
/// process or a worker thread) is torn down: Node then ends the thread-safe function itself.
#[derive(Clone)]
pub(crate) struct Doorbell(Arc<Mutex<Option<Callback>>>);

impl Doorbell {
    pub(crate) fn new(callback: &Function<'_, (), ()>) -> napi::Result<Self> {
        let callback = callback.build_threadsafe_function().weak::<true>().build()?;
        Ok(Self(Arc::new(Mutex::new(Some(callback)))))
    }

    /// Calls JavaScript once, soon, on its own thread.
    pub(crate) fn ring(&self) {
        if let Some(callback) = self.lock().as_ref() {
            // Refused only by an environment that is going away, where nobody would listen.
            let _ = callback.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Gives the JavaScript function back; from now on nothing is called.
    pub(crate) fn release(&self) {
        let callback = self.lock().take();
        drop(callback);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Callback>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
