//! Events that one of two connections has seen, and the other has yet to see.

use std::collections::VecDeque;

use crate::protocol::Text;

/// An event of a runtime, known by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The runtime.
    pub(crate) place: u64,
    /// The content.
    pub(crate) key: u64,
    /// It says how the runtime stands, and is true however often it is said: both a change and the
    /// answer to a `sync` look like that.
    pub(crate) state: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    events: VecDeque<(Mark, Text)>,
    bytes: usize,
    /// How many were forgotten, because they were too many, since one was found.
    pub(crate) forgotten: usize,
}

impl Lane {
    /// Adds an event, with its text where that will be wanted.
    pub(crate) fn push(&mut self, mark: Mark, text: Text) {
        self.bytes += text.len();
        self.events.push_back((mark, text));
    }

    /// Forgets the oldest event while there are too many; says of which runtime it was.
    pub(crate) fn forget(&mut self, most: usize, bytes: usize) -> Option<u64> {
        let full = self.events.len() > most || (self.bytes > bytes && self.events.len() > 1);
        let (mark, text) = full.then(|| self.events.pop_front()).flatten()?;
        self.bytes -= text.len();
        self.forgotten += 1;
        Some(mark.place)
    }

    /// The other connection has seen an event. Says whether it was here; it is taken out then, with those of
    /// its runtime that came before it: they will not come any more.
    ///
    /// Both connections get everything in the same order, so it is usually the first. A state that is told
    /// to one of them does not count as one before which other events came.
    pub(crate) fn take(&mut self, mark: Mark) -> bool {
        let mut found = None;
        for (index, (known, _)) in self.events.iter().enumerate() {
            if known.place != mark.place {
                continue;
            }
            if known.key == mark.key {
                found = Some(index);
                break;
            }
            if mark.state && !known.state {
                break;
            }
        }
        let Some(last) = found else { return false };
        self.forgotten = 0;
        for index in (0..=last).rev() {
            if self.events[index].0.place == mark.place
                && let Some((_, text)) = self.events.remove(index)
            {
                self.bytes -= text.len();
            }
        }
        true
    }

    /// Whether it is a state that is here, behind other events that are not expected to come any more.
    pub(crate) fn has_state(&self, mark: Mark) -> bool {
        mark.state && self.events.iter().any(|(known, _)| *known == mark)
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.forgotten == 0
    }

    /// Forgets those of a runtime.
    pub(crate) fn clear(&mut self, place: u64) {
        self.events.retain(|(mark, _)| mark.place != place);
        self.bytes = self.events.iter().map(|(_, text)| text.len()).sum();
    }

    /// All that are left, in order.
    pub(crate) fn into_events(self) -> impl Iterator<Item = (Mark, Text)> {
        self.events.into_iter()
    }
}
