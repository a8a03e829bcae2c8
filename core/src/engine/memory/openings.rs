//! Sessions that are being opened: what a session does not say is taken from the runtime there is, and what it has
//! said goes again where nobody gets it.

use std::sync::Arc;

use super::layers::{self, NONE};
use super::{Joined, Memory, Place, TOOLS, scope_of};
use crate::engine::delivery::Token;
use crate::engine::modes::Modes;
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
    mode: String,
    answered: bool,
    /// The caller has gone before the answer.
    pub(super) given_up: bool,
    /// Without it nobody would have to do with the runtime.
    news: bool,
}

impl Opening {
    /// Whether the server has started its runtime.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
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

    /// Completes the `runtime_start` of a session, which is noted: with the mode of the runtime there is, and with the
    /// tools that others have registered for it.
    pub(crate) fn complete_opening(&mut self, token: Token, text: &Text) -> Text {
        let Ok(mut command) = RawObject::parse(text) else { return text.clone() };
        let Some(id) = command.get_str("request_id") else { return text.clone() };
        let place = command.get_str("agent_id").zip(command.get_str("conversation_id"));
        let groups = command.get("external_tools").unwrap_or(NONE).to_owned();
        let mode = command.get_str("mode");
        let chosen = mode.clone().unwrap_or_else(|| self.mode_of(place.as_ref()));
        let all = place.as_ref().map(|place| self.union(place, Some(&groups)));
        let all = all.filter(|all| *all != groups);
        let changed = mode.is_none() || all.is_some();
        if mode.is_none() {
            command.set_str("mode", &chosen).unwrap_or_default();
        }
        if let Some(all) = all {
            // It was put together from valid JSON.
            command.set("external_tools", all).unwrap_or_default();
        }
        self.clock += 1;
        let opening = Opening {
            token,
            order: self.clock,
            place,
            groups,
            mode: chosen,
            answered: false,
            given_up: false,
            news: false,
        };
        self.openings.insert(id, opening);
        if changed { Text::from(command.to_text()) } else { text.clone() }
    }

    /// Completes the registration of tools that are offered for a while, with those of others.
    pub(crate) fn complete_offer(&self, text: &Text) -> Text {
        let Ok(mut command) = RawObject::parse(text) else { return text.clone() };
        let Some((place, groups)) = registered(&command) else { return text.clone() };
        let all = self.union(&place, Some(&groups));
        if all == groups {
            return text.clone();
        }
        let set = if command.get_str("type").as_deref() == Some(TOOLS) {
            let scope = scope_of(&place);
            let update = format!(r#"[{{"runtimes":[{scope}],"external_tools":{all}}}]"#);
            command.set("updates", update)
        } else {
            command.set("external_tools", all)
        };
        set.map_or_else(|_| text.clone(), |()| Text::from(command.to_text()))
    }

    /// Tools are offered for a while beside those of the sessions, or no more. Gives what is to be registered then.
    pub(crate) fn offer(
        &mut self,
        place: &Place,
        owner: &str,
        groups: Option<&str>,
    ) -> Option<String> {
        if let Some(joined) = self.joined.get_mut(place) {
            match groups {
                Some(groups) => joined.layers.add(owner, groups),
                None => drop(joined.layers.remove(owner)),
            }
        }
        groups.is_none().then(|| self.union(place, None))
    }

    /// All external tools of a runtime, in the order in which they were registered, and further ones.
    pub(super) fn union(&self, place: &Place, given: Option<&str>) -> String {
        let known = self.joined.get(place).into_iter().flat_map(|known| known.layers.sets());
        let waiting = self.waiting(place).map(|opening| opening.groups.as_str());
        layers::union(known.chain(waiting).chain(given))
    }

    /// The openings of a runtime whose answer somebody waits for, in order.
    fn waiting(&self, place: &Place) -> impl Iterator<Item = &Opening> {
        let waits =
            |opening: &&Opening| !opening.answered && !opening.given_up && opening.is_of(place);
        let mut waiting: Vec<_> = self.openings.values().filter(waits).collect();
        waiting.sort_unstable_by_key(|opening| opening.order);
        waiting.into_iter()
    }

    /// The mode of a runtime, or the one for a new one.
    fn mode_of(&self, place: Option<&Place>) -> String {
        let known = place.and_then(|place| {
            let waiting = self.waiting(place).last().map(|opening| opening.mode.clone());
            let known = self.joined.get(place).filter(|known| !known.released);
            waiting.or_else(|| known?.start.as_ref()?.get_str("mode"))
        });
        known.unwrap_or_else(|| MODE.to_owned())
    }

    /// A session's runtime was started. `news`: nobody had to do with it.
    pub(super) fn opened(&mut self, id: &str, place: &Place, news: bool) {
        let Some(opening) = self.openings.get_mut(id) else { return };
        opening.place = Some(place.clone());
        (opening.answered, opening.news) = (true, news);
        let (groups, mode) = (opening.groups.clone(), opening.mode.clone());
        if let Some(joined) = self.joined.get_mut(place) {
            joined.layers.add(id, &groups);
        }
        if let Some(modes) = &self.modes {
            modes.opened(place, mode);
        }
    }

    /// Whoever opened a session has gone. Gives what is to be registered for its runtime then: its tools may have
    /// come to those of others.
    pub(crate) fn give_up(&mut self, token: Token) -> Option<(Place, String)> {
        let (id, opening) = self.openings.iter_mut().find(|(_, it)| it.token == token)?;
        if !opening.answered {
            opening.given_up = true;
            let place = opening.place.clone().filter(|_| opening.groups != NONE)?;
            self.joined.get(&place).filter(|known| !known.released)?;
            let left = self.union(&place, None);
            return Some((place, left));
        }
        let id = id.clone();
        let Opening { place, news, .. } = self.openings.remove(&id)?;
        let place = place?;
        let others = self.holders.contains_key(&place)
            || self.openings.values().any(|it| it.answered && it.is_of(&place));
        let joined = self.joined.get_mut(&place)?;
        let had_tools = joined.layers.remove(&id);
        if news && !others {
            self.let_go_of(&place);
            return None;
        }
        had_tools.then(|| (place.clone(), self.union(&place, None)))
    }

    /// Somebody has the session now. Gives what is to be registered, where another one has let go meanwhile.
    pub(super) fn taken(&mut self, id: &str, place: &Place) -> Option<String> {
        let Opening { groups, .. } = self.openings.remove(id)?;
        let joined = self.joined.get_mut(place)?;
        joined.layers.add(id, &groups);
        let all = self.union(place, None);
        let known = self.joined.get(place).and_then(Joined::tools).unwrap_or(NONE);
        (known != all).then_some(all)
    }

    /// Other tools were registered, for whoever else has to do with the runtime.
    pub(crate) fn registered(&mut self, place: &Place, groups: &str) {
        let Some(joined) = self.joined.get_mut(place).filter(|known| !known.released) else {
            return;
        };
        match &mut joined.start {
            // It was put together from valid JSON.
            Some(start) => start.set("external_tools", groups.to_owned()).unwrap_or_default(),
            None => joined.tools = Some(groups.to_owned()),
        }
    }
}

impl Joined {
    /// What was registered for it.
    fn tools(&self) -> Option<&str> {
        self.start.as_ref().and_then(|start| start.get("external_tools")).or(self.tools.as_deref())
    }
}

/// The runtime and the groups of a command that registers tools for one.
fn registered(command: &RawObject) -> Option<(Place, String)> {
    let ids = |of: &RawObject| of.get_str("agent_id").zip(of.get_str("conversation_id"));
    let groups = |of: &RawObject| of.get("external_tools").unwrap_or(NONE).to_owned();
    let Some(updates) = command.get("updates") else {
        return ids(command).map(|place| (place, groups(command)));
    };
    let [update] = &serde_json::from_str::<Vec<RawObject>>(updates).ok()?[..] else { return None };
    let runtimes = serde_json::from_str::<Vec<RawObject>>(update.get("runtimes")?).ok()?;
    runtimes.first().and_then(ids).map(|place| (place, groups(update)))
}
