//! The permission modes of the runtimes that sessions hold, for those to look at from any thread.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::memory::Place;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Modes(Mutex<HashMap<Place, String>>);

impl Modes {
    /// The mode of a runtime that a session holds.
    #[must_use]
    pub fn of(&self, place: &Place) -> Option<String> {
        self.all().get(place).cloned()
    }

    /// A session has started or joined a runtime with this mode.
    pub(crate) fn opened(&self, place: &Place, mode: &str) {
        self.all().insert(place.clone(), mode.to_owned());
    }

    /// A command changes the mode of a runtime.
    pub(crate) fn changed(&self, place: &Place, mode: &str) {
        if let Some(known) = self.all().get_mut(place) {
            mode.clone_into(known);
        }
    }

    /// No session holds the runtime any more.
    pub(crate) fn forget(&self, place: &Place) {
        self.all().remove(place);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Place, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
