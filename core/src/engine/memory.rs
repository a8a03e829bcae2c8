//! What a client has had on its connection and the server forgets with it: runtimes started or
//! subscribed to, and their external tools (PROTOCOL.md sections 7, 14 and 16).

mod contest;
mod layers;
mod openings;
mod settings;
mod tools;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::modes::Modes;
use super::registration::tools_update;
use super::requests::is_refusal;
use crate::protocol::Text;
use crate::protocol::envelope::{Envelope, Scope};
use crate::protocol::raw::RawObject;
use layers::NONE;
use openings::{Opening, registered};
use settings::Settings;
use tools::Tools;

/// The command that registers external tools of runtimes that are there already.
pub(crate) const TOOLS: &str = "runtime_external_tools_update";

/// What stays where a runtime is started again with `preserve_skill_sources`, besides its settings.
const KEPT: [&str; 5] = [
    "skill_sources",
    "recover_approvals",
    "workspace_sandbox",
    "client_info",
    "preserve_skill_sources",
];

/// After so many refusals in a row a runtime counts as gone.
pub(crate) const REFUSALS: u32 = 3;

/// How many runtimes are remembered of which no program says that it holds them.
pub(crate) const REMEMBERED: usize = 1000;

/// Agent and conversation.
pub(crate) type Place = (String, String);

/// A part of a runtime that is to be brought back.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) place: Place,
    pub(crate) part: Part,
}

/// By which command a part comes back; what is in that is known once it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is started, with its external tools.
    Start,
    /// A connection subscribes to it.
    Subscription,
    /// Its external tools alone.
    Tools,
    /// How it stands, and its open questions.
    Questions,
}

impl Part {
    /// The command's type.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Start => "runtime_start",
            Self::Subscription | Self::Questions => "sync",
            Self::Tools => TOOLS,
        }
    }
}

/// External tools that a command registers, and when it was sent.
pub(crate) type Registered = (String, u64);

/// What is known of one runtime.
#[expect(clippy::struct_excessive_bools, reason = "none of them follows from the others")]
#[derive(Debug, Default)]
struct Joined {
    /// Runtimes come back in the order in which they were joined.
    order: u64,
    /// When a command named it last.
    used: u64,
    /// It was said that the client has to do with it.
    announced: bool,
    /// Whoever held it has let go, and nobody has named it since: it is not started again.
    released: bool,
    /// It is let go of with the last session.
    is_sessions: bool,
    /// Its mode is that of sessions which have all gone: none for a new one.
    is_mode_over: bool,
    /// The `runtime_start` of the conversation there is by now, without external tools and settings.
    start: Option<RawObject>,
    settings: Settings,
    /// It was started on this connection.
    is_there: bool,
    /// The mode with which it is brought back just now.
    restoring: Option<String>,
    /// Its mode was sent on this connection, and the server may not have got it.
    is_mode_unsure: bool,
    /// The last `sync`.
    sync: Option<RawObject>,
    /// Refusals in a row.
    refusals: u32,
}

/// A command that counts once the server has taken it.
#[derive(Debug)]
struct Unanswered {
    order: u64,
    command: RawObject,
    /// The runtime that it starts, and the mode with which it does.
    place: Option<Place>,
    mode: Option<String>,
    /// It is a session's, and has the tools of others as well: it replaces nothing.
    shared: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    joined: HashMap<Place, Joined>,
    /// How many hold a runtime.
    holders: HashMap<Place, usize>,
    /// Their external tools.
    tools: Tools,
    clock: u64,
    /// Commands that count once the server has taken them, by `request_id`, and their order.
    unanswered: HashMap<String, Unanswered>,
    /// Sessions that nobody has yet, by the `request_id` of their start.
    openings: HashMap<String, Opening>,
    /// Runtimes of which commands with different modes were on their way at once.
    contested: Vec<Place>,
    /// Runtimes whose mode is to be sent.
    corrected: Vec<Place>,
    /// Where the modes of runtimes are shown.
    pub(crate) modes: Option<Arc<Modes>>,
}

impl Memory {
    /// The client has to do with a runtime. Whether that is news.
    pub(crate) fn joined(&mut self, agent: &str, conversation: &str) -> bool {
        let place = (agent.to_owned(), conversation.to_owned());
        !std::mem::replace(&mut self.entry(place).announced, true)
    }

    /// Whether whoever held a runtime has let go of it, and nobody has named it since.
    pub(crate) fn let_go(&self, place: &Place) -> bool {
        self.joined.get(place).is_some_and(|known| known.released)
    }

    /// Somebody holds a runtime, and it is started again after every reconnect. `opening` is the `request_id` of the
    /// start that was for that.
    pub(crate) fn hold(&mut self, place: &Place, opening: &str) {
        *self.holders.entry(place.clone()).or_default() += 1;
        if let Some(joined) = self.joined.get_mut(place) {
            joined.released = false;
        }
        self.openings.remove(opening);
        // Another one may have let go since it was started.
        self.tools.changed(place);
    }

    /// Somebody lets go of a runtime. When it was the last one, it is forgotten until a command names it, and so are its
    /// external tools.
    pub(crate) fn release(&mut self, place: &Place, opening: &str) {
        let Some(holders) = self.holders.get_mut(place) else { return };
        *holders -= 1;
        self.tools.take_back(place, opening);
        if *holders == 0 {
            self.holders.remove(place);
            if let Some(joined) = self.joined.get_mut(place) {
                joined.is_sessions = true;
            }
            self.left_by(place);
        }
    }

    /// Whether a session has a runtime, or is about to.
    fn is_held(&self, place: &Place) -> bool {
        let comes = |it: &Opening| it.is_awaited() && it.is_of(place);
        self.holders.contains_key(place) || self.openings.values().any(comes)
    }

    /// A session has gone, or does not come.
    fn left_by(&mut self, place: &Place) {
        if self.is_held(place) {
            return;
        }
        if let Some(joined) = self.joined.get_mut(place).filter(|joined| joined.is_sessions) {
            (joined.released, joined.announced, joined.is_sessions) = (true, false, false);
            joined.is_mode_over = true;
            self.contested.retain(|contested| contested != place);
            self.tools.clear(place);
        }
        if let Some(modes) = &self.modes {
            modes.forget(place);
        }
        let is_gone = |known: &Joined| known.refusals >= REFUSALS;
        if self.joined.get(place).is_none_or(is_gone) {
            self.joined.remove(place);
            self.tools.forget(place);
        }
    }

    fn entry(&mut self, place: Place) -> &mut Joined {
        if !self.joined.contains_key(&place) {
            self.make_room();
        }
        self.clock += 1;
        let now = self.clock;
        let joined =
            self.joined.entry(place).or_insert_with(|| Joined { order: now, ..Joined::default() });
        (joined.used, joined.released) = (now, false);
        if joined.refusals >= REFUSALS {
            joined.refusals = 0;
        }
        joined
    }

    /// Forgets the runtime that was named least recently, of those that nobody holds.
    fn make_room(&mut self) {
        if self.joined.len() < REMEMBERED + self.holders.len() {
            return;
        }
        let free = self.joined.iter().filter(|(place, _)| !self.holders.contains_key(*place));
        let oldest = free.min_by_key(|(_, joined)| joined.used).map(|(place, _)| place.clone());
        if let Some(oldest) = oldest {
            self.joined.remove(&oldest);
            self.tools.forget(&oldest);
        }
    }

    /// The server has taken a command that brings a runtime back, or has refused it. What was refused
    /// time and again, as for a conversation that was deleted, is not tried any more; what its sessions have is kept as
    /// long as they are there.
    pub(crate) fn answered(&mut self, place: &Place, part: Part, refused: bool) {
        let Some(joined) = self.joined.get_mut(place) else { return };
        joined.refusals = if refused { joined.refusals + 1 } else { 0 };
        joined.is_there |= part == Part::Start && !refused;
        if joined.refusals == REFUSALS && !self.holders.contains_key(place) {
            self.joined.remove(place);
            self.tools.forget(place);
        }
    }

    /// The server has registered tools by a command of the engine's own, or nobody knows.
    pub(crate) fn registered(
        &mut self,
        place: &Place,
        kind: &str,
        by: &Registered,
        is_known: bool,
    ) {
        let (groups, at) = by;
        match (is_known, kind) {
            (false, _) => self.tools.doubt(place),
            (true, TOOLS) => self.tools.has_updated(place, groups, *at),
            (true, _) => self.tools.has(place, groups, *at),
        }
        if kind != TOOLS {
            let joined = self.joined.get_mut(place);
            let mode = joined.and_then(|joined| joined.restoring.take());
            if mode.is_none() && is_known {
                // It is long given up, and may have been done after all that came since.
                self.doubt_mode(place);
            }
            self.settle_mode(place);
        }
    }

    /// The client sends a command, while so many requests wait. `shared`: it is a session's, and has the tools of others
    /// as well.
    pub(crate) fn sent(&mut self, text: &Text, waiting: usize, shared: bool) {
        let Ok(envelope) = Envelope::read(text) else { return };
        let place = envelope.runtime.as_ref().map(place_of);
        match (&*envelope.kind, envelope.request_id.as_deref(), place) {
            ("runtime_start" | TOOLS, Some(id), _) => {
                if let Ok(command) = RawObject::parse(text) {
                    self.clock += 1;
                    let order = self.openings.get(id).map_or(self.clock, Opening::order);
                    if let Some(place) = registered(&command).filter(|_| shared) {
                        self.tools.sent(&place, order);
                    }
                    let is_start = &*envelope.kind == "runtime_start";
                    let place = started_by(&command).filter(|_| is_start);
                    let mode = command.get_str("mode").filter(|_| is_start);
                    self.contest(place.as_ref(), mode.as_deref());
                    let unanswered = Unanswered { order, command, place, mode, shared };
                    self.unanswered.insert(id.to_owned(), unanswered);
                    self.forget_unanswered(waiting);
                }
            }
            ("sync", _, Some(place)) => self.entry(place).sync = RawObject::parse(text).ok(),
            ("change_device_state", _, Some(place)) => self.changed(&place, text),
            _ => {}
        }
    }

    /// An answer may come long after the limit of its request, but a server that is silent may never send one: of those
    /// that nobody waits for, as many are kept as of runtimes.
    fn forget_unanswered(&mut self, waiting: usize) {
        if self.unanswered.len() > waiting + REMEMBERED {
            let oldest = self.unanswered.iter().min_by_key(|(_, it)| it.order);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.unanswered.remove(&oldest);
                self.end_opening(&oldest);
            }
        }
    }

    /// A later mode or directory replaces the one a runtime was started with, or is started with just now.
    fn changed(&mut self, place: &Place, text: &Text) {
        let command = RawObject::parse(text).ok();
        let payload = command.and_then(|it| RawObject::parse(it.get("payload")?).ok());
        let mode = payload.as_ref().and_then(|payload| payload.get_str("mode"));
        self.contest(Some(place), mode.as_deref());
        let joined = self.entry(place.clone());
        if let Some(payload) = payload {
            // That is just now.
            joined.settings.set(&payload, joined.used);
        }
        if let Some(mode) = mode {
            (joined.is_mode_unsure, joined.is_mode_over) = (true, false);
            self.mode_is(place, &mode);
        }
    }

    /// The mode of a runtime, as far as it is known.
    fn mode_of(&self, place: &Place) -> Option<String> {
        self.joined.get(place)?.settings.mode()
    }

    /// Runtimes whose mode was sent on the lost connection and may not have arrived.
    pub(crate) fn unsure_modes(&self) -> Vec<(Place, String)> {
        let unsure = |place: &Place| self.joined.get(place).is_some_and(|it| it.is_mode_unsure);
        let places = self.places().into_iter().filter(unsure);
        places.filter_map(|place| self.mode_of(&place).map(|mode| (place, mode))).collect()
    }

    /// A frame with a `request_id` came, maybe the answer to a command of the client's.
    pub(crate) fn heard(&mut self, id: &str, kind: &str, runtime: Option<&Scope<'_>>, text: &Text) {
        if !matches!(kind, "runtime_start_response" | "runtime_external_tools_update_response") {
            return;
        }
        let Some(asked) = self.unanswered.remove(id) else { return };
        let place = asked.place.clone();
        if is_refusal(kind, text) {
            self.end_opening(id);
        } else if kind == "runtime_external_tools_update_response" {
            self.updated(&asked.command, asked.order, asked.shared);
        } else if let Some(scope) = runtime {
            self.started(id, &place_of(scope), asked);
        } else {
            self.end_opening(id);
        }
        if let Some(place) = place {
            self.settle_mode(&place);
        }
    }

    /// A runtime was started: from now on it is this conversation that is to be started again.
    fn started(&mut self, id: &str, place: &Place, asked: Unanswered) {
        let Unanswered { order, mut command, mode: named, shared, .. } = asked;
        for field in ["request_id", "create_agent", "create_conversation"] {
            command.remove(field);
        }
        let ids = [("agent_id", &place.0), ("conversation_id", &place.1)];
        let set = ids.iter().try_for_each(|(field, id)| command.set_str(field, id));
        let tools = command.get("external_tools").unwrap_or(NONE).to_owned();
        command.remove("external_tools");
        // Only its tools have changed: whoever has let go of it has done so all the same.
        let preserved = command.get("preserve_skill_sources") == Some("true");
        let known = self.joined.get(place).is_some_and(|known| !known.released);
        let news = !known && !self.holders.contains_key(place);
        let (given_up, is_implied) = (self.is_given_up(id), self.is_mode_implied(id));
        let released = news && given_up || preserved && self.let_go(place);
        let entry = self.entry(place.clone());
        let is_newer = entry.settings.is_mode_newer(order);
        let before = entry.settings.said_mode();
        if entry.is_mode_over && named.is_some() {
            entry.settings.forget_mode();
            entry.is_mode_over = false;
        }
        // A mode that the client has put in says only what there is where nobody has asked for one. Where whoever asked
        // has gone, others keep theirs.
        let is_known = entry.settings.mode().is_some();
        let counts = if is_implied { !is_known } else { !given_up || news };
        entry.settings.take(&mut command, order, counts);
        if is_implied && counts {
            entry.settings.any_mode_counts();
        }
        if let Some(before) = entry.start.as_ref().filter(|_| preserved) {
            keep(before, &mut command);
        }
        let mode = entry.settings.mode();
        entry.start = set.is_ok().then_some(command);
        entry.is_there = true;
        entry.refusals = 0;
        // Unless it has changed since.
        entry.is_mode_unsure &= is_newer;
        entry.is_mode_over |= news && given_up;
        entry.released = released;
        entry.is_sessions |= news && shared;
        if let Some(opening) = self.openings.get_mut(id) {
            opening.mode_before = Some(before);
        }
        if given_up && !news && named.is_some() && named != mode {
            self.doubt_mode(place);
        }
        if !shared {
            self.tools.replace(place, &tools, order);
        }
        self.opened(id, place, order, &tools, mode);
    }

    /// Runtimes have other external tools now.
    fn updated(&mut self, command: &RawObject, order: u64, shared: bool) {
        let list = |text: &str| serde_json::from_str::<Vec<RawObject>>(text).unwrap_or_default();
        for update in list(command.get("updates").unwrap_or(NONE)) {
            let tools = update.get("external_tools").unwrap_or(NONE);
            for runtime in list(update.get("runtimes").unwrap_or(NONE)) {
                let Some(place) = started_by(&runtime) else { continue };
                if (shared || tools == NONE) && self.let_go(&place) {
                    // Whoever has let go of it takes its tools back.
                    continue;
                }
                self.entry(place.clone());
                if !shared {
                    self.tools.replace(&place, tools, order);
                }
            }
        }
    }

    /// The connection is gone: what was not answered never will be.
    pub(crate) fn cut(&mut self) {
        for joined in self.joined.values_mut() {
            (joined.is_there, joined.restoring) = (false, None);
        }
        for Unanswered { place, mode, .. } in std::mem::take(&mut self.unanswered).into_values() {
            let place = place.filter(|_| mode.is_some());
            if let Some(joined) = place.and_then(|place| self.joined.get_mut(&place)) {
                joined.is_mode_unsure = true;
            }
        }
        let unanswered = self.openings.iter().filter(|(_, opening)| !opening.is_answered());
        for id in unanswered.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.end_opening(&id);
        }
        // What comes back has its mode with it.
        self.contested.clear();
        self.corrected.clear();
        self.tools.cut();
    }

    /// Every runtime there was that is not forgotten.
    pub(crate) fn places(&self) -> Vec<Place> {
        let is_known = |joined: &Joined| !joined.released && joined.refusals < REFUSALS;
        let mut joined: Vec<_> =
            self.joined.iter().filter(|(_, joined)| is_known(joined)).collect();
        joined.sort_unstable_by_key(|(_, joined)| joined.order);
        joined.into_iter().map(|(place, _)| place.clone()).collect()
    }

    /// What brings everything back, in order.
    pub(crate) fn lost(&self) -> Vec<Lost> {
        self.parts(|joined, has_tools| match joined.start {
            Some(_) => [Some(Part::Start), None],
            None => [Some(Part::Subscription), has_tools.then_some(Part::Tools)],
        })
    }

    /// What another connection that is subscribed already does not have, in order: the external tools, by a command for
    /// them alone where the server knows it; how each runtime stands, and its open questions.
    pub(crate) fn moved(&self, update: bool) -> Vec<Lost> {
        self.parts(|joined, has_tools| {
            let again = joined.start.is_some() && !update;
            let tools = if again { Part::Start } else { Part::Tools };
            [has_tools.then_some(tools), Some(Part::Questions)]
        })
    }

    /// The parts of each runtime, of which it is told whether it has external tools.
    fn parts(&self, of: impl Fn(&Joined, bool) -> [Option<Part>; 2]) -> Vec<Lost> {
        let mut lost = Vec::new();
        for place in self.places() {
            let Some(joined) = self.joined.get(&place) else { continue };
            let parts = of(joined, self.tools.all(&place) != NONE).into_iter().flatten();
            lost.extend(parts.map(|part| Lost { place: place.clone(), part }));
        }
        lost
    }

    /// The command that brings a part back, without a `request_id`, as things are now; and the external tools that it
    /// registers.
    pub(crate) fn command(&mut self, lost: &mut Lost) -> Option<(RawObject, Option<Registered>)> {
        let Lost { place, part } = lost;
        self.clock += 1;
        let joined = self.joined.get(place);
        let start = joined.and_then(|joined| joined.start.as_ref());
        if *part == Part::Start && start.is_none() {
            // It was forgotten meanwhile.
            *part = Part::Subscription;
        }
        match part {
            Part::Start => {
                let mut start = start?.clone();
                joined?.settings.give(&mut start);
                let mode = start.get_str("mode");
                self.contest(Some(place), mode.as_deref());
                if let Some(joined) = self.joined.get_mut(place) {
                    joined.restoring = mode;
                }
                let tools = self.tools.sent(place, self.clock);
                if tools != NONE {
                    start.set("external_tools", tools.clone()).ok()?;
                }
                Some((start, Some((tools, self.clock))))
            }
            Part::Tools => {
                let tools = self.tools.sent(place, self.clock);
                Some((tools_update(place, &tools)?, Some((tools, self.clock))))
            }
            Part::Subscription => {
                let sync = joined.and_then(|joined| joined.sync.as_ref());
                Some((subscription(place, sync)?, None))
            }
            Part::Questions => {
                let mut sync = subscription(place, None)?;
                sync.set("recover_approvals", "true".to_owned()).ok()?;
                Some((sync, None))
            }
        }
    }
}

/// The server keeps skills when it is told to (section 8). Such a start is for what it names alone: open questions come
/// back as they did.
fn keep(before: &RawObject, command: &mut RawObject) {
    // Said of this time.
    command.remove("recover_approvals");
    command.remove("preserve_skill_sources");
    for field in KEPT {
        if let Some(value) = before.get(field).filter(|_| command.get(field).is_none()) {
            // It was taken from valid JSON.
            command.set(field, value.to_owned()).unwrap_or_default();
        }
    }
}

/// A `sync` that subscribes once more. The device status is wanted in any case: a split server tells
/// of open questions nowhere else (section 13).
fn subscription(place: &Place, last: Option<&RawObject>) -> Option<RawObject> {
    let mut command = if let Some(last) = last {
        last.clone()
    } else {
        let scope = scope_of(place);
        let text = json!({ "type": "sync", "runtime": scope, "recover_approvals": false });
        RawObject::parse(&text.to_string()).ok()?
    };
    command.remove("request_id");
    command.set("force_device_status", "true".to_owned()).ok()?;
    Some(command)
}

/// The runtime that a command, or a scope, names.
fn started_by(command: &RawObject) -> Option<Place> {
    command.get_str("agent_id").zip(command.get_str("conversation_id"))
}

pub(super) fn scope_of(place: &Place) -> serde_json::Value {
    json!({ "agent_id": place.0, "conversation_id": place.1 })
}

pub(super) fn place_of(scope: &Scope<'_>) -> Place {
    (scope.agent_id.as_ref().to_owned(), scope.conversation_id.as_ref().to_owned())
}
