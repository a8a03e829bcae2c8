//! The external tools of all runtimes: who has registered them, and what the server has of them.

use std::collections::{BTreeSet, HashMap};

use super::Place;
use super::layers::{Layers, NONE, union};

/// Those of one runtime.
#[derive(Debug)]
struct Of {
    layers: Layers,
    /// The JSON text of the list that the connection has registered last.
    sent: String,
}

impl Default for Of {
    fn default() -> Self {
        Self { layers: Layers::default(), sent: NONE.to_owned() }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tools {
    of: HashMap<Place, Of>,
    /// Where the server may have others than there are.
    changed: BTreeSet<Place>,
}

impl Tools {
    /// All of a runtime, in the order in which they were registered.
    pub(super) fn all(&self, place: &Place) -> String {
        self.of.get(place).map_or_else(|| NONE.to_owned(), |of| union(of.layers.sets()))
    }

    /// The same, for a command that registers them.
    pub(super) fn sent(&mut self, place: &Place) -> String {
        let all = self.all(place);
        if let Some(of) = self.of.get_mut(place) {
            of.sent.clone_from(&all);
        }
        all
    }

    /// What is to be registered, if the server has anything else.
    pub(super) fn unsent(&mut self, place: &Place) -> Option<String> {
        let before = self.of.get(place)?.sent.clone();
        Some(self.sent(place)).filter(|all| *all != before)
    }

    /// The server has these: what was sent since may have come to it before.
    pub(super) fn has(&mut self, place: &Place, groups: &str) {
        groups.clone_into(&mut self.of.entry(place.clone()).or_default().sent);
        self.changed(place);
    }

    /// A command of the user's has replaced them all.
    pub(super) fn replace(&mut self, place: &Place, groups: &str) {
        let of = self.of.entry(place.clone()).or_default();
        of.layers.replace(groups);
        groups.clone_into(&mut of.sent);
    }

    /// Somebody's come to those of the others.
    pub(super) fn add(&mut self, place: &Place, owner: &str, groups: &str) {
        self.of.entry(place.clone()).or_default().layers.add(owner, groups);
    }

    /// Somebody's go.
    pub(super) fn take_back(&mut self, place: &Place, owner: &str) {
        if let Some(of) = self.of.get_mut(place) {
            of.layers.remove(owner);
            self.changed(place);
        }
    }

    /// Those of these owners alone stay.
    pub(super) fn keep_only(&mut self, place: &Place, is_kept: impl Fn(&str) -> bool) {
        if let Some(of) = self.of.get_mut(place) {
            of.layers.keep_only(is_kept);
        }
    }

    pub(super) fn forget(&mut self, place: &Place) {
        self.of.remove(place);
    }

    /// The server may have others than there are.
    pub(super) fn changed(&mut self, place: &Place) {
        self.changed.insert(place.clone());
    }

    /// One of those runtimes.
    pub(super) fn next_changed(&mut self) -> Option<Place> {
        self.changed.pop_first()
    }

    /// The connection is gone, and has taken all with it.
    pub(super) fn cut(&mut self) {
        self.changed.clear();
        self.of.values_mut().for_each(|of| NONE.clone_into(&mut of.sent));
    }
}
