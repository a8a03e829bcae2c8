//! The permission modes of the runtimes that sessions hold, for those to look at from any thread.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::memory::Place;

#[derive(Debug)]
struct Mode {
    mode: String,
    /// How often the engine has said it.
    said: u64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Modes(Mutex<HashMap<Place, Mode>>);

/// A runtime, and how often the engine had said its mode.
#[derive(Debug)]
pub(crate) struct Read(Place, Option<u64>);

impl Modes {
    /// The mode of a runtime that a session holds.
    #[must_use]
    pub fn of(&self, place: &Place) -> Option<String> {
        self.all().get(place).map(|known| known.mode.clone())
    }

    /// Before a command that changes a mode is given to the engine.
    pub(crate) fn read(&self, place: Place) -> Read {
        let said = self.all().get(&place).map(|known| known.said);
        Read(place, said)
    }

    /// It was given: whoever gave it sees its mode at once, unless the engine, which goes by the order of all such commands,
    /// has said one since.
    pub(crate) fn given(&self, Read(place, said): &Read, mode: &str) {
        if let Some(known) = self.all().get_mut(place).filter(|known| Some(known.said) == *said) {
            mode.clone_into(&mut known.mode);
        }
    }

    /// A session has started or joined a runtime with this mode.
    pub(crate) fn opened(&self, place: &Place, mode: &str) {
        let mut all = self.all();
        let said = all.get(place).map_or(0, |known| known.said) + 1;
        all.insert(place.clone(), Mode { mode: mode.to_owned(), said });
    }

    /// A command changes the mode of a runtime.
    pub(crate) fn changed(&self, place: &Place, mode: &str) {
        if let Some(known) = self.all().get_mut(place) {
            mode.clone_into(&mut known.mode);
            known.said += 1;
        }
    }

    /// No session holds the runtime any more.
    pub(crate) fn forget(&self, place: &Place) {
        self.all().remove(place);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Place, Mode>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_the_last_word() {
        let (modes, place) = (Modes::default(), ("a".to_owned(), "c".to_owned()));
        modes.changed(&place, "strict");
        assert_eq!(modes.of(&place), None);
        modes.opened(&place, "standard");
        // Two give one at once; the engine gets that of the second first.
        let (first, second) = (modes.read(place.clone()), modes.read(place.clone()));
        modes.given(&second, "strict");
        assert_eq!(modes.of(&place).as_deref(), Some("strict"));
        modes.changed(&place, "strict");
        modes.changed(&place, "acceptEdits");
        modes.given(&first, "acceptEdits");
        modes.given(&second, "strict");
        assert_eq!(modes.of(&place).as_deref(), Some("acceptEdits"));
        // What was read before there was a session says nothing of it.
        modes.forget(&place);
        let before = modes.read(place.clone());
        modes.opened(&place, "standard");
        modes.given(&before, "strict");
        assert_eq!(modes.of(&place).as_deref(), Some("standard"));
    }
}
