//! What a client has had on its connection and the server forgets with it: runtimes started or
//! subscribed to, and their external tools (PROTOCOL.md sections 7, 14 and 16).

mod layers;
mod openings;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::modes::Modes;
use super::registration::tools_update;
use super::requests::is_refusal;
use crate::protocol::Text;
use crate::protocol::envelope::{Envelope, Scope};
use crate::protocol::raw::RawObject;
use crate::protocol::version::Version;
use layers::Layers;
use openings::Opening;

/// The command that registers external tools of runtimes that are there already.
pub(crate) const TOOLS: &str = "runtime_external_tools_update";

/// What a runtime keeps when it is started again without it; behind the second with `preserve_skill_sources` only.
const KEPT: [&str; 7] = [
    "mode",
    "cwd",
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

/// A command that brings back a part of it.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The runtime; `None` for a watched file.
    pub(crate) place: Option<Place>,
    /// The command's type.
    pub(crate) kind: &'static str,
    /// The command, without a `request_id`.
    pub(crate) command: RawObject,
}

/// What is known of one runtime.
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
    /// The `runtime_start` of the conversation there is by now.
    start: Option<RawObject>,
    /// The last `sync`.
    sync: Option<RawObject>,
    /// External tools of a runtime that was not started here.
    tools: Option<String>,
    /// Who has registered its external tools.
    layers: Layers,
    /// Nobody answers its external tools any more, here or in `start`.
    toolless: bool,
    /// Refusals in a row.
    refusals: u32,
}

impl Joined {
    /// A command that starts it, with external tools if somebody answers them.
    fn with_tools(&self, start: &RawObject) -> RawObject {
        let mut start = start.clone();
        if self.toolless {
            start.remove("external_tools");
        }
        start
    }
}

/// A command that counts once the server has taken it.
#[derive(Debug)]
struct Unanswered {
    order: u64,
    command: RawObject,
    /// It is a session's, and has the tools of others as well: it replaces nothing.
    shared: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    joined: HashMap<Place, Joined>,
    /// How many hold a runtime.
    holders: HashMap<Place, usize>,
    clock: u64,
    /// Commands that count once the server has taken them, by `request_id`, and their order.
    unanswered: HashMap<String, Unanswered>,
    /// Sessions that nobody has yet, by the `request_id` of their start.
    openings: HashMap<String, Opening>,
    /// Where the modes of runtimes are shown.
    modes: Option<Arc<Modes>>,
    /// The version that the server has at most.
    pub(crate) newest: Option<Version>,
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
    /// start that was for that. Gives the tools that are to be registered then, if any are.
    pub(crate) fn hold(&mut self, place: &Place, opening: Option<&str>) -> Option<String> {
        *self.holders.entry(place.clone()).or_default() += 1;
        let mut let_go = false;
        if let Some(joined) = self.joined.get_mut(place) {
            // Another one may have let go since it was started, and meant the tools before.
            let_go = joined.released;
            (joined.released, joined.toolless) = (false, false);
        }
        opening.and_then(|id| self.taken(id, place)).filter(|_| let_go)
    }

    /// Somebody lets go of a runtime. When it was the last one, it is forgotten until a command names it, and its
    /// external tools until it is held or has others. Else gives the tools that are to be registered then, if the
    /// start of that one had any.
    pub(crate) fn release(&mut self, place: &Place, opening: Option<&str>) -> Option<String> {
        let holders = self.holders.get_mut(place)?;
        *holders -= 1;
        if *holders > 0 {
            let joined = self.joined.get_mut(place)?;
            let had_tools = opening.is_some_and(|id| joined.layers.remove(id));
            return had_tools.then(|| self.union(place, None));
        }
        self.holders.remove(place);
        self.let_go_of(place);
        None
    }

    /// Nobody holds a runtime any more.
    fn let_go_of(&mut self, place: &Place) {
        let Self { joined, openings, .. } = self;
        if let Some(joined) = joined.get_mut(place) {
            (joined.released, joined.announced, joined.toolless) = (true, false, true);
            joined.layers.keep_only(|owner| openings.contains_key(owner));
        }
        let comes = |it: &Opening| it.is_of(place);
        if let Some(modes) = self.modes.as_ref().filter(|_| !self.openings.values().any(comes)) {
            modes.forget(place);
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
        }
    }

    /// The server has taken a command that brings a runtime back, or has refused it. What was refused
    /// time and again, as for a conversation that was deleted, is not tried any more.
    pub(crate) fn answered(&mut self, place: &Place, refused: bool) {
        let Some(joined) = self.joined.get_mut(place) else { return };
        joined.refusals = if refused { joined.refusals + 1 } else { 0 };
        if joined.refusals == REFUSALS {
            self.joined.remove(place);
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
                    let unanswered = Unanswered { order: self.clock, command, shared };
                    self.unanswered.insert(id.to_owned(), unanswered);
                    self.forget_unanswered(waiting);
                }
            }
            ("sync", _, Some(place)) => self.entry(place).sync = RawObject::parse(text).ok(),
            ("change_device_state", _, Some(place)) => self.changed(place, text),
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
                self.openings.remove(&oldest);
            }
        }
    }

    /// A later mode or directory replaces the one a runtime was started with.
    fn changed(&mut self, place: Place, text: &Text) {
        let Some(start) = &mut self.entry(place).start else { return };
        let payload = RawObject::parse(text)
            .ok()
            .and_then(|command| RawObject::parse(command.get("payload")?).ok());
        for field in ["mode", "cwd"] {
            if let Some(value) = payload.as_ref().and_then(|payload| payload.get(field)) {
                // It was taken from valid JSON.
                start.set(field, value.to_owned()).unwrap_or_default();
            }
        }
    }

    /// A frame with a `request_id` came, maybe the answer to a command of the client's.
    pub(crate) fn heard(&mut self, id: &str, kind: &str, runtime: Option<&Scope<'_>>, text: &Text) {
        if !matches!(kind, "runtime_start_response" | "runtime_external_tools_update_response") {
            return;
        }
        let Some(Unanswered { command, shared, .. }) = self.unanswered.remove(id) else { return };
        if is_refusal(kind, text) {
            self.openings.remove(id);
        } else if kind == "runtime_external_tools_update_response" {
            self.updated(&command, shared);
        } else if let Some(scope) = runtime {
            self.started(id, &place_of(scope), command, shared);
        } else {
            self.openings.remove(id);
        }
    }

    /// A runtime was started: from now on it is this conversation that is to be started again.
    fn started(&mut self, id: &str, place: &Place, mut command: RawObject, shared: bool) {
        for field in ["request_id", "create_agent", "create_conversation"] {
            command.remove(field);
        }
        let ids = [("agent_id", &place.0), ("conversation_id", &place.1)];
        let set = ids.iter().try_for_each(|(field, id)| command.set_str(field, id));
        // Only its tools have changed: whoever has let go of it has done so all the same.
        let preserved = command.get("preserve_skill_sources") == Some("true");
        let known = self.joined.get(place).is_some_and(|known| !known.released);
        let news = !known && !self.holders.contains_key(place);
        let given_up = self.openings.get(id).is_some_and(|opening| opening.given_up);
        if given_up {
            // Nobody got the session, and its tools are not among those of the others.
            self.openings.remove(id);
            let left = self.union(place, None);
            command.set("external_tools", left).unwrap_or_default();
        }
        let released = if given_up { news } else { preserved && self.let_go(place) };
        let entry = self.entry(place.clone());
        if let Some(before) = &entry.start {
            keep(before, &mut command, preserved);
        }
        if !shared {
            entry.layers.replace(command.get("external_tools"));
        }
        let mode = command.get_str("mode");
        entry.start = set.is_ok().then_some(command);
        (entry.tools, entry.toolless, entry.released) = (None, released, released);
        if let Some((modes, mode)) = self.modes.as_ref().zip(mode) {
            modes.changed(place, &mode);
        }
        self.opened(id, place, news);
    }

    /// Runtimes have other external tools now.
    fn updated(&mut self, command: &RawObject, shared: bool) {
        let list = |text: &str| serde_json::from_str::<Vec<RawObject>>(text).unwrap_or_default();
        for update in list(command.get("updates").unwrap_or("[]")) {
            let tools = update.get("external_tools").unwrap_or("[]");
            for runtime in list(update.get("runtimes").unwrap_or("[]")) {
                let ids = runtime.get_str("agent_id").zip(runtime.get_str("conversation_id"));
                let Some(place) = ids else { continue };
                if tools == "[]" && self.let_go(&place) {
                    // Whoever has let go of it takes its tools back.
                    continue;
                }
                let entry = self.entry(place);
                entry.toolless = false;
                if !shared {
                    entry.layers.replace(Some(tools));
                }
                match &mut entry.start {
                    // It was taken from valid JSON.
                    Some(start) => {
                        start.set("external_tools", tools.to_owned()).unwrap_or_default();
                    }
                    None => entry.tools = Some(tools.to_owned()),
                }
            }
        }
    }

    /// The connection is gone: what was not answered never will be.
    pub(crate) fn cut(&mut self) {
        self.unanswered.clear();
        self.openings.retain(|_, opening| opening.is_answered());
    }

    /// Every runtime there was that is not forgotten.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut joined: Vec<_> =
            self.joined.iter().filter(|(_, joined)| !joined.released).collect();
        joined.sort_unstable_by_key(|(_, joined)| joined.order);
        joined.into_iter().map(|(place, _)| place.clone()).collect()
    }

    /// The commands that bring everything back, in order.
    pub(crate) fn lost(&self) -> Vec<Lost> {
        let mut lost = Vec::new();
        for place in self.places() {
            let Some(joined) = self.joined.get(&place) else { continue };
            let (kind, command) = match &joined.start {
                Some(start) => ("runtime_start", Some(joined.with_tools(start))),
                None => ("sync", subscription(&place, joined.sync.as_ref())),
            };
            let place = Some(place);
            lost.extend(command.map(|command| Lost { place: place.clone(), kind, command }));
            let tools = joined.tools.as_deref().filter(|_| !joined.toolless).zip(place.as_ref());
            let command = tools.and_then(|(tools, place)| tools_update(place, tools));
            lost.extend(command.map(|command| Lost { place, kind: TOOLS, command }));
        }
        lost
    }

    /// The commands for what another connection that is subscribed already does not have, in order: the
    /// external tools, by a command for them alone where the server knows it; how each runtime stands, and
    /// its open questions.
    pub(crate) fn moved(&self, update: bool) -> Vec<Lost> {
        let mut moved = Vec::new();
        for place in self.places() {
            let Some(joined) = self.joined.get(&place) else { continue };
            let start = joined.start.as_ref();
            let tools = start.and_then(|start| start.get("external_tools"));
            let tools = tools.or(joined.tools.as_deref());
            let tools = tools.filter(|tools| *tools != "[]" && !joined.toolless);
            let again = tools.and_then(|tools| match start {
                Some(start) if !update => Some(("runtime_start", start.clone())),
                _ => tools_update(&place, tools).map(|command| (TOOLS, command)),
            });
            let sync = subscription(&place, None).and_then(|mut sync| {
                sync.set("recover_approvals", "true".to_owned()).ok()?;
                Some(("sync", sync))
            });
            for (kind, command) in again.into_iter().chain(sync) {
                moved.push(Lost { place: Some(place.clone()), kind, command });
            }
        }
        moved
    }
}

/// The server keeps what a later start leaves out, and skills when it is told to (section 8). Such a start is for what
/// it names alone: open questions come back as they did.
fn keep(before: &RawObject, command: &mut RawObject, preserved: bool) {
    if preserved {
        // Said of this time.
        command.remove("recover_approvals");
        command.remove("preserve_skill_sources");
    }
    for field in if preserved { &KEPT[..] } else { &KEPT[..2] } {
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

pub(super) fn scope_of(place: &Place) -> serde_json::Value {
    json!({ "agent_id": place.0, "conversation_id": place.1 })
}

pub(super) fn place_of(scope: &Scope<'_>) -> Place {
    (scope.agent_id.as_ref().to_owned(), scope.conversation_id.as_ref().to_owned())
}
