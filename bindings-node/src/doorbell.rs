//! How the engine's thread tells JavaScript that something waits.

use std::sync::Arc;

use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::errors::{Thrown, bad_option};

/// Weak, so that it does not keep the process alive; what is pending does that (`ts/pending.ts`).
type Callback = ThreadsafeFunction<u32, (), u32, Status, false, true>;

/// One for all bells of an environment (the process or a worker thread), because a thread-safe function takes more
/// than a kilobyte. Node ends it when the environment is torn down.
#[napi]
pub struct Doorbell(Arc<Callback>);

#[napi]
impl Doorbell {
    /// `onRing` is called with the number of the bell that rang.
    #[napi(constructor)]
    pub fn new(
        #[napi(ts_arg_type = "(bell: number) => void")] on_ring: Function<'_, u32, ()>,
    ) -> Result<Self, Thrown> {
        let callback = on_ring.build_threadsafe_function().weak::<true>().build();
        let callback =
            callback.map_err(|error| bad_option("onRing", "a function", error.reason))?;
        Ok(Self(Arc::new(callback)))
    }
}

impl Doorbell {
    /// That of one connection, or of the lines of one server.
    pub(crate) fn bell(&self, number: u32) -> Bell {
        Bell { callback: Arc::clone(&self.0), number }
    }
}

/// See [`Doorbell::bell`].
pub(crate) struct Bell {
    callback: Arc<Callback>,
    number: u32,
}

impl Bell {
    /// Calls JavaScript once, soon, on its own thread.
    pub(crate) fn ring(&self) {
        // Refused only by an environment that is going away, where nobody would listen.
        let _ = self.callback.call(self.number, ThreadsafeFunctionCallMode::NonBlocking);
    }
}
