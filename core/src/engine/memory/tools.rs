//! The external tools of all runtimes: who has registered them, and what the server has of them.

use std::collections::HashMap;

use super::Place;
use super::layers::{Layers, NONE, union};

/// Those of one runtime.
#[derive(Debug)]
struct Of {
    layers: Layers,
    /// The JSON text of the list that the connection has registered last; none where the server may have another.
    sent: Option<String>,
    /// When that was.
    at: u64,
    /// When a command of the user's replaced all last.
    replaced: u64,
}

impl Default for Of {
    fn default() -> Self {
        Self { layers: Layers::default(), sent: Some(NONE.to_owned()), at: 0, replaced: 0 }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tools {
    of: HashMap<Place, Of>,
    /// Where the server may have others than there are.
    changed: Vec<Place>,
}

impl Tools {
    /// All of a runtime, in the order in which they were registered.
    pub(super) fn all(&self, place: &Place) -> String {
        self.of.get(place).map_or_else(|| NONE.to_owned(), |of| union(of.layers.sets()))
    }

    /// The same, for a command that registers them at a time.
    pub(super) fn sent(&mut self, place: &Place, at: u64) -> String {
        let all = self.all(place);
        if let Some(of) = self.of.get_mut(place) {
            (of.sent, of.at) = (Some(all.clone()), at);
        }
        all
    }

    /// Whether the server has all of them, and no others.
    pub(super) fn are_registered(&self, place: &Place) -> bool {
        self.of.get(place).is_some_and(|of| of.sent.as_ref() == Some(&self.all(place)))
    }

    /// What is to be registered, if the server may have anything else.
    pub(super) fn unsent(&mut self, place: &Place, at: u64) -> Option<String> {
        let missing = self.of.contains_key(place) && !self.are_registered(place);
        missing.then(|| self.sent(place, at))
    }

    /// The server has registered these, which were sent at a time: before or after what was sent since.
    pub(super) fn has(&mut self, place: &Place, groups: &str, at: u64) {
        let of = self.of.entry(place.clone()).or_default();
        if of.sent.as_deref() != Some(groups) {
            of.sent = (at >= of.at).then(|| groups.to_owned());
        }
        self.changed(place);
    }

    /// The same of a command for tools alone: such commands are done in the order in which they were sent.
    pub(super) fn has_updated(&mut self, place: &Place, groups: &str, at: u64) {
        let is_news = |of: &Of| at >= of.at && of.sent.as_deref() != Some(groups);
        if self.of.get(place).is_some_and(is_news) {
            self.has(place, groups, at);
        }
    }

    /// A command of the user's has replaced all there were when it was sent. Its answer may come behind that of a later one.
    pub(super) fn replace(&mut self, place: &Place, groups: &str, at: u64) {
        let of = self.of.entry(place.clone()).or_default();
        if at > of.replaced {
            of.replaced = at;
            of.layers.replace(groups, at);
        }
        if at >= of.at {
            (of.sent, of.at) = (Some(groups.to_owned()), at);
        } else {
            of.sent = None;
        }
        self.changed(place);
    }

    /// Somebody's come to those of the others.
    pub(super) fn add(&mut self, place: &Place, owner: &str, groups: &str, at: u64) {
        self.of.entry(place.clone()).or_default().layers.add(owner, groups, at);
    }

    /// What was sent last may not be registered.
    pub(super) fn doubt(&mut self, place: &Place) {
        if let Some(of) = self.of.get_mut(place) {
            of.sent = None;
        }
    }

    /// Somebody's go.
    pub(super) fn take_back(&mut self, place: &Place, owner: &str) {
        if let Some(of) = self.of.get_mut(place) {
            of.layers.remove(owner);
            self.changed(place);
        }
    }

    /// Nobody's are there any more; the server may keep them.
    pub(super) fn clear(&mut self, place: &Place) {
        self.changed.retain(|changed| changed != place);
        if let Some(of) = self.of.get_mut(place) {
            of.layers.clear();
        }
    }

    pub(super) fn forget(&mut self, place: &Place) {
        self.of.remove(place);
    }

    /// The server may have others than there are.
    pub(super) fn changed(&mut self, place: &Place) {
        if !self.changed.contains(place) {
            self.changed.push(place.clone());
        }
    }

    /// One of those runtimes.
    pub(super) fn next_changed(&mut self) -> Option<Place> {
        self.changed.pop()
    }

    /// The connection is gone, and has taken all with it.
    pub(super) fn cut(&mut self) {
        self.changed.clear();
        self.of.values_mut().for_each(|of| of.sent = Some(NONE.to_owned()));
    }
}
