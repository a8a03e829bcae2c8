//! Commands with different modes for one runtime that are on their way at once. The server does what it is sent side by
//! side (PROTOCOL.md section 5), so which mode it has then nobody knows: it is said once more when all are answered.

use super::{Memory, Place};

impl Memory {
    /// A command with a mode is sent.
    pub(super) fn contest(&mut self, place: Option<&Place>, mode: Option<&str>) {
        let Some((place, mode)) = place.zip(mode) else { return };
        let is_other = |it: Option<&String>| it.is_some_and(|other| other != mode);
        let restoring = self.joined.get(place).and_then(|joined| joined.restoring.as_ref());
        let mut starts = self.unanswered.values().filter(|it| it.place.as_ref() == Some(place));
        if is_other(restoring) || starts.any(|it| is_other(it.mode.as_ref())) {
            self.doubt_mode(place);
        }
    }

    /// The server may have another mode than the one that counts.
    pub(super) fn doubt_mode(&mut self, place: &Place) {
        if !self.contested.contains(place) {
            self.contested.push(place.clone());
        }
    }

    /// One of them was answered, or nobody waits for it any more. Where somebody waits for another start, that may be the
    /// one that counts. What else is on its way, of nobody or to bring the runtime back, has the mode said again later.
    pub(super) fn settle_mode(&mut self, place: &Place) {
        if !self.contested.contains(place) {
            return;
        }
        let starts = self.unanswered.iter().filter(|(_, it)| it.place.as_ref() == Some(place));
        let ids: Vec<_> = starts.filter(|(_, it)| it.mode.is_some()).map(|(id, _)| id).collect();
        let is_restoring = self.joined.get(place).is_some_and(|it| it.restoring.is_some());
        if ids.iter().any(|id| !self.is_given_up(id)) {
            return;
        }
        if ids.is_empty() && !is_restoring {
            self.contested.retain(|contested| contested != place);
        }
        if !self.corrected.contains(place) {
            self.corrected.push(place.clone());
        }
    }

    /// A runtime whose mode is to be sent, and the mode.
    pub(crate) fn next_corrected(&mut self) -> Option<(Place, String)> {
        while let Some(place) = self.corrected.pop() {
            // It may be forgotten by now.
            let known = self.joined.get_mut(&place).filter(|joined| !joined.released);
            if let Some((joined, mode)) =
                known.and_then(|it| it.settings.mode().map(|mode| (it, mode)))
            {
                joined.is_mode_unsure = true;
                return Some((place, mode));
            }
        }
        None
    }
}
