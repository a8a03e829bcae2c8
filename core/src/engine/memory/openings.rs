//! Sessions that are being opened: what a session does not say stays as it is in the runtime there is, and what it has
//! said goes again where nobody gets it.

use std::sync::Arc;

use super::layers::NONE;
use super::{Joined, Memory, Place, Registered, TOOLS, scope_of, started_by};
use crate::engine::delivery::Token;
use crate::engine::modes::Modes;
use crate::protocol::Text;
use crate::protocol::raw::RawObject;
use serde_json::json;

/// How a new runtime is started. The server's own default runs everything (PROTOCOL.md section 8).
const MODE: &str = "standard";

/// A session's `runtime_start`, until somebody holds the runtime.
#[derive(Debug)]
pub(super) struct Opening {
    token: Token,
    order: u64,
    /// The runtime, where that is known.
    place: Option<Place>,
    /// Its own external tools.
    groups: String,
    /// Its start registers what is registered already, whatever becomes of it.
    changes_nothing: bool,
    /// The opening, by its `request_id`, whose mode it has taken over because that one was first.
    mode_of: Option<String>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Somebody waits for the answer.
    Asked,
    /// Nobody waits for it any more.
    GivenUp,
    /// Somebody has the answer.
    Answered,
}

impl Opening {
    /// Whether the server has started its runtime.
    pub(super) fn is_answered(&self) -> bool {
        self.stage == Stage::Answered
    }

    /// The connection is gone: where it was not answered, its mode has come nowhere.
    pub(super) fn cut(&mut self) {
        if !self.is_answered() {
            self.mode_of = None;
        }
    }

    /// Whether somebody is to get the session.
    pub(super) fn is_awaited(&self) -> bool {
        self.stage != Stage::GivenUp
    }

    /// Whether it is about this runtime.
    pub(super) fn is_of(&self, place: &Place) -> bool {
        self.place.as_ref() == Some(place)
    }
}

impl Memory {
    /// Where the modes of runtimes that sessions hold are shown.
    pub(crate) fn show_modes(&mut self, modes: &Arc<Modes>) {
        self.modes.get_or_insert_with(|| Arc::clone(modes));
    }

    /// Completes the `runtime_start` of a session, which is noted: with a mode, unless the runtime there is has one, and
    /// with the tools that others have registered for it.
    pub(crate) fn complete_opening(&mut self, token: Token, text: &Text) -> Text {
        let Ok(mut command) = RawObject::parse(text) else { return text.clone() };
        let Some(id) = command.get_str("request_id") else { return text.clone() };
        let place = started_by(&command);
        let groups = command.get("external_tools").unwrap_or(NONE).to_owned();
        let mode = if command.get("mode").is_none() { self.mode_for(place.as_ref()) } else { None };
        let (mode, mode_of) = mode.unzip();
        let mode_of = mode_of.flatten();
        self.clock += 1;
        let order = self.clock;
        let mut changes_nothing = false;
        let all = place.as_ref().map(|place| {
            self.tools.add(place, &id, &groups, order);
            changes_nothing = self.tools.are_registered(place);
            self.tools.sent(place, order)
        });
        let all = all.filter(|all| *all != groups);
        let is_changed = mode.is_some() || all.is_some();
        if let Some(mode) = mode {
            command.set_str("mode", &mode).unwrap_or_default();
        }
        if let Some(all) = all {
            // It was put together from valid JSON.
            command.set("external_tools", all).unwrap_or_default();
        }
        let stage = Stage::Asked;
        let opening = Opening { token, order, place, groups, changes_nothing, mode_of, stage };
        self.openings.insert(id, opening);
        if is_changed { Text::from(command.to_text()) } else { text.clone() }
    }

    /// Completes the registration of tools that are offered for a while, with those of others.
    pub(crate) fn complete_offer(&mut self, text: &Text) -> Text {
        let Ok(mut command) = RawObject::parse(text) else { return text.clone() };
        let Some(place) = registered(&command) else { return text.clone() };
        self.clock += 1;
        let all = self.tools.sent(&place, self.clock);
        let set = if command.get_str("type").as_deref() == Some(TOOLS) {
            let scope = scope_of(&place);
            let update = format!(r#"[{{"runtimes":[{scope}],"external_tools":{all}}}]"#);
            command.set("updates", update)
        } else {
            command.set("external_tools", all)
        };
        set.map_or_else(|_| text.clone(), |()| Text::from(command.to_text()))
    }

    /// Tools are offered for a while beside those of the sessions, or no more.
    pub(crate) fn offer(&mut self, place: &Place, owner: &str, groups: Option<&str>) {
        match groups {
            Some(groups) => {
                self.clock += 1;
                self.tools.add(place, owner, groups, self.clock);
            }
            None => self.tools.take_back(place, owner),
        }
    }

    /// The openings of a runtime whose answer somebody waits for.
    fn asked<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = (&'a String, &'a Opening)> {
        let openings = self.openings.iter();
        openings.filter(move |(_, it)| it.stage == Stage::Asked && it.is_of(place))
    }

    /// The mode for a session that says none, and the opening that it is of. None where the runtime there is has one, which
    /// stays; else one with which it is started just now, the one it had, or that of a new runtime.
    fn mode_for(&self, place: Option<&Place>) -> Option<(String, Option<String>)> {
        let Some(place) = place else { return Some((MODE.to_owned(), None)) };
        let known = self.joined.get(place).filter(|known| !known.released && known.is_there);
        if known.is_some_and(|known| known.mode().is_some()) {
            return None;
        }
        let latest = self.asked(place).max_by_key(|(_, opening)| opening.order);
        let latest = latest.and_then(|(id, _)| {
            let mode = self.unanswered.get(id)?.command.get_str("mode")?;
            Some((mode, Some(id.clone())))
        });
        Some(latest.unwrap_or_else(|| (self.mode_before(place), None)))
    }

    /// The mode that a runtime had before it is started just now.
    fn mode_before(&self, place: &Place) -> String {
        let known = self.joined.get(place).filter(|known| !known.released);
        known.and_then(Joined::mode).unwrap_or_else(|| MODE.to_owned())
    }

    /// Nothing comes of an opening: one that has taken over its mode, which nobody else has asked for, gets its own.
    fn take_mode_back(&mut self, id: &str) {
        let mut heirs = self.openings.values_mut().filter(|it| it.mode_of.as_deref() == Some(id));
        let Some(heir) = heirs.next() else { return };
        let place = heir.place.clone();
        heir.mode_of = None;
        heirs.for_each(|heir| heir.mode_of = None);
        if let Some(place) = place {
            let mode = self.mode_before(&place);
            if let Ok(payload) = RawObject::parse(&json!({ "mode": mode }).to_string()) {
                self.set(&place, &payload);
            }
            self.corrected.push(place);
        }
    }

    pub(super) fn is_given_up(&self, id: &str) -> bool {
        self.openings.get(id).is_some_and(|opening| opening.stage == Stage::GivenUp)
    }

    /// A runtime was started with these tools, by what was sent at a time.
    pub(super) fn opened(
        &mut self,
        id: &str,
        place: &Place,
        order: u64,
        tools: &str,
        mode: Option<String>,
    ) {
        if let Some(opening) = self.openings.get_mut(id) {
            if opening.stage == Stage::GivenUp {
                self.end_opening(id);
            } else {
                opening.stage = Stage::Answered;
                if opening.place.is_none() {
                    opening.place = Some(place.clone());
                    self.tools.add(place, id, &opening.groups, order);
                }
                if let Some((modes, mode)) = self.modes.as_ref().zip(mode.as_deref()) {
                    modes.opened(place, mode);
                }
            }
            self.tools.has(place, tools, order);
        }
        if let Some(mode) = mode {
            self.mode_is(place, &mode);
        }
    }

    /// The mode of a runtime has changed.
    pub(super) fn mode_is(&self, place: &Place, mode: &str) {
        if let Some(modes) = &self.modes {
            modes.changed(place, mode);
        }
    }

    /// Whoever opened a session has gone.
    pub(crate) fn give_up(&mut self, token: Token) {
        let found = self.openings.iter_mut().find(|(_, opening)| opening.token == token);
        let Some((id, opening)) = found else { return };
        let id = id.clone();
        if opening.is_answered() {
            self.end_opening(&id);
        } else {
            self.take_back(&id);
        }
    }

    /// Nothing comes of an opening, and nothing of it stays.
    pub(super) fn end_opening(&mut self, id: &str) {
        self.take_back(id);
        self.openings.remove(id);
    }

    fn take_back(&mut self, id: &str) {
        let Some(opening) = self.openings.get_mut(id) else { return };
        let doubtful = !opening.is_answered() && !opening.changes_nothing;
        opening.stage = Stage::GivenUp;
        let Some(place) = opening.place.clone() else { return };
        if doubtful {
            self.tools.doubt(&place);
        }
        self.tools.take_back(&place, id);
        self.take_mode_back(id);
        self.left_by(&place);
    }

    /// A runtime whose tools are not those that the server has, and all of them. `is_elsewhere`: they come with another
    /// command.
    pub(crate) fn left(
        &mut self,
        is_elsewhere: impl Fn(&Place) -> bool,
    ) -> Option<(Place, Registered)> {
        let mut later = Vec::new();
        let mut found = None;
        while found.is_none() {
            let Some(place) = self.tools.next_changed() else { break };
            // The answer to a session's start is looked at again.
            if !self.joined.contains_key(&place) || self.asked(&place).next().is_some() {
                continue;
            }
            if is_elsewhere(&place) {
                later.push(place);
                continue;
            }
            self.clock += 1;
            let groups = self.tools.unsent(&place, self.clock);
            found = groups.map(|groups| (place, (groups, self.clock)));
        }
        for place in &later {
            self.tools.changed(place);
        }
        found
    }
}

/// The runtime of a command that registers tools for one.
fn registered(command: &RawObject) -> Option<Place> {
    let Some(updates) = command.get("updates") else { return started_by(command) };
    let [update] = &serde_json::from_str::<Vec<RawObject>>(updates).ok()?[..] else { return None };
    let runtimes = serde_json::from_str::<Vec<RawObject>>(update.get("runtimes")?).ok()?;
    runtimes.first().and_then(started_by)
}
