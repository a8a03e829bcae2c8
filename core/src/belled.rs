//! State that one thread fills and another empties, with a bell between them: it rings when something
//! waits and the last ring was answered.
//!
//! `core/tests/bell_loom.rs` tries every order of the two threads on this very file.

use crate::sync::{Mutex, MutexGuard};

/// What can be empty.
pub(crate) trait Waits {
    /// Whether something waits.
    fn waits(&self) -> bool;
}

struct Inner<T> {
    state: T,
    rung: bool,
}

/// See the module's text.
pub(crate) struct Belled<T> {
    inner: Mutex<Inner<T>>,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl<T: Waits> Belled<T> {
    pub(crate) fn new(state: T, bell: impl Fn() + Send + Sync + 'static) -> Self {
        Self { inner: Mutex::new(Inner { state, rung: false }), bell: Box::new(bell) }
    }

    /// Looks at the state, or changes it; whoever adds to it rings afterwards.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.lock().state)
    }

    /// Takes from the state. What comes next rings again.
    pub(crate) fn drain<R>(&self, take: impl FnOnce(&mut T) -> R) -> R {
        let mut inner = self.lock();
        inner.rung = false;
        take(&mut inner.state)
    }

    /// Rings when something waits, once until it is answered.
    pub(crate) fn ring(&self) {
        let mut inner = self.lock();
        if inner.state.waits() && !std::mem::replace(&mut inner.rung, true) {
            drop(inner);
            (self.bell)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
