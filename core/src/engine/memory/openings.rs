//! Sessions that are being opened: what a session does not say stays as it is in the runtime there is, and what it has
//! said goes again where nobody gets it.

use super::layers::NONE;
use super::settings::Setting;
use super::{Memory, Place, Registered, TOOLS, scope_of, started_by};
use crate::engine::delivery::Token;
use crate::protocol::Text;
use crate::protocol::raw::RawObject;

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
    /// Its mode is of the client, for it has said none.
    is_mode_implied: bool,
    /// A mode that was given before does not leave because of it.
    replaces_mode: bool,
    /// What the runtime had before it was started with the session's.
    pub(super) mode_before: Option<Setting>,
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

    /// When its start was sent.
    pub(super) fn order(&self) -> u64 {
        self.order
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
    /// Completes the `runtime_start` of a session, which is noted: with a mode, unless the runtime there is has one, and
    /// with the tools that others have registered for it.
    pub(crate) fn complete_opening(&mut self, token: Token, text: &Text) -> Text {
        let Ok(mut command) = RawObject::parse(text) else { return text.clone() };
        let Some(id) = command.get_str("request_id") else { return text.clone() };
        let place = started_by(&command);
        let groups = command.get("external_tools").unwrap_or(NONE).to_owned();
        self.clock += 1;
        let order = self.clock;
        let says_none = command.get("mode").is_none();
        let mode = if says_none { self.mode_for(place.as_ref()) } else { None };
        let is_mode_implied = mode.is_some();
        let mut changes_nothing = false;
        let all = place.as_ref().map(|place| {
            self.tools.add(place, &id, &groups, order);
            changes_nothing = self.tools.are_registered(place);
            self.tools.all(place)
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
        let opening = Opening {
            token,
            order,
            place,
            groups,
            changes_nothing,
            is_mode_implied,
            replaces_mode: false,
            mode_before: None,
            stage,
        };
        self.openings.insert(id, opening);
        if is_changed { Text::from(command.to_text()) } else { text.clone() }
    }

    /// Completes the registration of tools that are offered for a while, with those of others.
    pub(crate) fn complete_offer(&self, text: &Text) -> Text {
        let Ok(mut command) = RawObject::parse(text) else { return text.clone() };
        let Some(place) = registered(&command) else { return text.clone() };
        let all = self.tools.all(&place);
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

    /// The mode for a session that says none. None where the runtime there is has one, which stays; else the one it had,
    /// or that of a new runtime.
    fn mode_for(&self, place: Option<&Place>) -> Option<String> {
        let known = place.and_then(|place| self.joined.get(place));
        let known = known.filter(|known| !known.is_mode_over);
        let mode = known.and_then(|known| known.settings.mode());
        let stays = mode.is_some() && known.is_some_and(|known| known.is_there);
        (!stays).then(|| mode.unwrap_or_else(|| MODE.to_owned()))
    }

    /// Whether the client has put in the mode of a session's start.
    pub(super) fn is_mode_implied(&self, id: &str) -> bool {
        self.openings.get(id).is_some_and(|opening| opening.is_mode_implied)
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

    /// Because of the start of a session, a mode that was given before does not leave.
    pub(crate) fn replaces_mode(&mut self, token: Token) {
        if let Some(opening) = self.openings.values_mut().find(|it| it.token == token) {
            opening.replaces_mode = true;
        }
    }

    /// A session's start was not sent after all.
    pub(crate) fn unsent(&mut self, token: Token) {
        let found = self.openings.iter_mut().find(|(_, opening)| opening.token == token);
        let Some((id, opening)) = found else { return };
        opening.changes_nothing = true;
        let id = id.clone();
        self.end_opening(&id);
    }

    /// Nothing comes of an opening, and nothing of it stays.
    pub(super) fn end_opening(&mut self, id: &str) {
        self.take_back(id);
        self.openings.remove(id);
    }

    /// A session that somebody has opened and nobody has got leaves the others the mode that they had.
    fn give_mode_back(&mut self, place: &Place, order: u64, before: Option<Setting>) {
        if !self.is_held(place) {
            return;
        }
        let Some((joined, before)) = self.joined.get_mut(place).zip(before) else { return };
        if joined.settings.take_mode_back(order, before) {
            if let Some(mode) = joined.settings.mode() {
                self.mode_is(place, &mode);
            }
            self.doubt_mode(place);
        }
    }

    fn take_back(&mut self, id: &str) {
        let Some(opening) = self.openings.get_mut(id) else { return };
        let doubtful = !opening.is_answered() && !opening.changes_nothing;
        let (order, before) = (opening.order, opening.mode_before.take());
        let replaces_mode = std::mem::take(&mut opening.replaces_mode);
        opening.stage = Stage::GivenUp;
        let Some(place) = opening.place.clone() else { return };
        if doubtful {
            self.tools.doubt(&place);
        }
        self.tools.take_back(&place, id);
        self.give_mode_back(&place, order, before);
        if replaces_mode {
            self.doubt_mode(&place);
        }
        self.left_by(&place);
        self.settle_mode(&place);
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
pub(super) fn registered(command: &RawObject) -> Option<Place> {
    let Some(updates) = command.get("updates") else { return started_by(command) };
    let [update] = &serde_json::from_str::<Vec<RawObject>>(updates).ok()?[..] else { return None };
    let runtimes = serde_json::from_str::<Vec<RawObject>>(update.get("runtimes")?).ok()?;
    runtimes.first().and_then(started_by)
}
