//! After a reconnect: asks the server for what the last connection had, and holds inputs back until
//! their runtime is there again (PROTOCOL.md section 16).

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::context::{Context, Timer};
use super::delivery::Delivery;
use super::memory::{Lost, Memory, Part, Place, REMEMBERED, Registered, place_of};
use super::refusal::reason;
use super::requests::is_refusal;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::envelope::{Envelope, Scope};
use crate::protocol::raw::RawObject;

/// How many commands may be unanswered: a client with a thousand runtimes must not flood a server that
/// has just come up.
pub(crate) const AT_ONCE: usize = 16;

/// How long the server may take for one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A command that waits for its answer.
#[derive(Debug)]
struct Asked {
    place: Place,
    /// None where it brings nothing back: tools have changed.
    part: Option<Part>,
    kind: String,
    registers: Option<Registered>,
    deadline: Duration,
}

impl Asked {
    /// When it was sent, in an error's words.
    fn occasion(&self) -> &'static str {
        if self.part.is_some() { " after a reconnect" } else { " for the tools that there are now" }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    /// What a session needs to know is noted in any case.
    pub(crate) memory: Memory,
    /// Whether lost connections are opened again.
    restores: bool,
    waiting: VecDeque<Lost>,
    asked: HashMap<String, Asked>,
    /// What was not answered in time and registers tools: runtime, type, and what is registered.
    late: HashMap<String, (Place, String, Registered)>,
    /// How many commands of each runtime are not answered yet.
    missing: HashMap<Place, usize>,
    /// Runtimes that were at work when the connection was lost.
    busy: HashSet<Place>,
    pub(crate) restored: u64,
    pub(crate) failures: u64,
}

impl Resync {
    /// From now on lost connections are opened again.
    pub(crate) fn enable(&mut self) {
        self.restores = true;
    }

    /// What is to be brought back after a reconnect.
    fn restored(&self) -> Option<&Memory> {
        self.restores.then_some(&self.memory)
    }

    /// See [`Memory::joined`].
    pub(crate) fn joined(&mut self, agent: &str, conversation: &str) -> bool {
        self.restores && self.memory.joined(agent, conversation)
    }

    /// See [`Memory::let_go`].
    pub(crate) fn let_go(&self, scope: &Scope<'_>) -> bool {
        self.restored().is_some_and(|memory| memory.let_go(&place_of(scope)))
    }

    /// Somebody holds a runtime, or lets go of it; see [`Memory::hold`] and [`Memory::release`].
    pub(crate) fn hold(&mut self, place: &Place, opening: &str, held: bool) {
        let Self { memory, .. } = self;
        if held { memory.hold(place, opening) } else { memory.release(place, opening) }
    }

    /// See [`Memory::left`].
    pub(crate) fn left(&mut self) -> Option<(Place, Registered)> {
        let Self { memory, waiting, asked, .. } = self;
        let registers = |part: Part| matches!(part, Part::Start | Part::Tools);
        // The answer to what was asked is looked at again.
        let is_elsewhere = |place: &Place| {
            let mut waiting = waiting.iter().filter(|lost| registers(lost.part));
            let mut asked = asked.values().filter(|asked| asked.registers.is_some());
            waiting.any(|lost| lost.place == *place) || asked.any(|asked| asked.place == *place)
        };
        memory.left(is_elsewhere)
    }

    /// Sends a command that registers the tools there are by now.
    pub(crate) fn register(
        &mut self,
        place: Place,
        mut command: RawObject,
        registers: Registered,
        ctx: &mut Context,
    ) {
        let kind = command.get_str("type").unwrap_or_default();
        let id = ctx.ids.next_of_command(&kind);
        self.send(
            id,
            &mut command,
            Asked { place, part: None, kind, registers: Some(registers), deadline: ctx.now },
            ctx,
        );
    }

    /// See [`Memory::heard`].
    pub(crate) fn heard(&mut self, envelope: &Envelope<'_>, id: &str, text: &Text) {
        self.memory.heard(id, &envelope.kind, envelope.runtime.as_ref(), text);
    }

    /// The connection was lost; these runtimes were at work.
    pub(crate) fn lost(&mut self, busy: impl Iterator<Item = Place>) {
        self.memory.cut();
        self.late.clear();
        if !self.restores {
            return;
        }
        self.waiting.clear();
        self.asked.clear();
        self.missing.clear();
        self.busy.extend(busy);
    }

    /// A connection is there again. Asks for everything; returns the runtimes there were, each with
    /// whether it was at work.
    pub(crate) fn begin(&mut self, ctx: &mut Context) -> Vec<(Place, bool)> {
        let lost = self.restored().map(Memory::lost).unwrap_or_default();
        self.ask_for(lost, ctx)
    }

    /// Another connection took the place of the lost one, and is subscribed already. Asks for what else
    /// there was; returns the same. `update`: the server knows the command for tools alone.
    pub(crate) fn switch(&mut self, update: bool, ctx: &mut Context) -> Vec<(Place, bool)> {
        let modes = self.restored().map(Memory::unsure_modes).unwrap_or_default();
        for (place, mode) in modes {
            ctx.send_own(mode_change(&place, &mode));
        }
        let lost = self.restored().map(|memory| memory.moved(update)).unwrap_or_default();
        self.ask_for(lost, ctx)
    }

    /// The runtimes there are.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.restored().map(Memory::places).unwrap_or_default()
    }

    fn ask_for(&mut self, lost: Vec<Lost>, ctx: &mut Context) -> Vec<(Place, bool)> {
        self.waiting = lost.into();
        for Lost { place, .. } in &self.waiting {
            *self.missing.entry(place.clone()).or_default() += 1;
        }
        let busy = std::mem::take(&mut self.busy);
        let known = |place: Place| (busy.contains(&place), place);
        let places = self.places().into_iter().map(known).map(|(busy, place)| (place, busy));
        let places = places.collect();
        self.ask(ctx);
        places
    }

    fn ask(&mut self, ctx: &mut Context) {
        while self.asked.len() < AT_ONCE {
            let Some(mut lost) = self.waiting.pop_front() else { return };
            // It is put together from valid JSON.
            let Some((mut command, registers)) = self.memory.command(&mut lost) else { continue };
            let Lost { place, part } = lost;
            let kind = part.kind().to_owned();
            let id = ctx.ids.next(&kind.replace('_', "-"));
            let asked = Asked { place, part: Some(part), kind, registers, deadline: ctx.now };
            self.send(id, &mut command, asked, ctx);
        }
    }

    fn send(&mut self, id: String, command: &mut RawObject, asked: Asked, ctx: &mut Context) {
        // An id is a string.
        command.set_str("request_id", &id).unwrap_or_default();
        ctx.send_own(command.to_text());
        let deadline = ctx.now.saturating_add(PATIENCE);
        ctx.timers.set(deadline, Timer::Restore(id.clone()));
        self.asked.insert(id, Asked { deadline, ..asked });
    }

    /// A frame may answer one of the commands. Returns the runtime once nothing of it is missing.
    pub(crate) fn answered(
        &mut self,
        id: &str,
        kind: &str,
        text: &Text,
        ctx: &mut Context,
    ) -> Option<Place> {
        let Some(asked) = self.asked.get(id) else {
            self.answered_late(id, text);
            return None;
        };
        if kind.strip_suffix("_response") != Some(&asked.kind) {
            return None;
        }
        let asked = self.asked.remove(id)?;
        let refused = is_refusal("", text);
        if let Some(part) = asked.part {
            self.memory.answered(&asked.place, part, refused);
        }
        self.registered(&asked, !refused);
        if refused {
            let answer: Value = serde_json::from_str(text).unwrap_or_default();
            let why = reason(&answer["error"]);
            let message = format!("`{}` was refused{}: {why}", asked.kind, asked.occasion());
            let error = Error::new(ErrorKind::Request, message).with_response(text.as_str());
            self.failed(&asked.place, error, ctx);
        } else if asked.part.is_some_and(|part| part != Part::Tools) {
            self.restored += 1;
        }
        self.done(asked, ctx)
    }

    /// A command's time may be over.
    pub(crate) fn due(&mut self, id: &str, ctx: &mut Context) -> Option<Place> {
        if self.asked.get(id)?.deadline > ctx.now {
            return None;
        }
        let asked = self.asked.remove(id)?;
        self.registered(&asked, false);
        if let Some(registers) = asked.registers.clone()
            && self.late.len() < REMEMBERED
        {
            self.late.insert(id.to_owned(), (asked.place.clone(), asked.kind.clone(), registers));
        }
        let (kind, seconds) = (&asked.kind, PATIENCE.as_secs());
        let message = format!("no answer to `{kind}`{} within {seconds} s", asked.occasion());
        self.failed(&asked.place, Error::new(ErrorKind::RequestTimeout, message), ctx);
        self.done(asked, ctx)
    }

    /// A command may be answered of which it was told that it was not.
    fn answered_late(&mut self, id: &str, text: &Text) {
        if let Some((place, kind, by)) = self.late.remove(id)
            && !is_refusal("", text)
        {
            self.memory.registered(&place, &kind, &by, true);
        }
    }

    /// It is known, or not, that the server has the tools of a command.
    fn registered(&mut self, asked: &Asked, is_known: bool) {
        if let Some(by) = &asked.registers {
            self.memory.registered(&asked.place, &asked.kind, by, is_known);
        }
    }

    fn failed(&mut self, place: &Place, error: Error, ctx: &mut Context) {
        self.failures += 1;
        let (agent_id, conversation_id) = place.clone();
        ctx.deliveries.push_back(Delivery::RestoreFailed { agent_id, conversation_id, error });
    }

    fn done(&mut self, asked: Asked, ctx: &mut Context) -> Option<Place> {
        self.ask(ctx);
        let place = asked.part.map(|_| asked.place)?;
        let missing = self.missing.get_mut(&place)?;
        *missing -= 1;
        if *missing > 0 {
            return None;
        }
        self.missing.remove(&place);
        Some(place)
    }
}

/// The command that sets a runtime's mode, of which the server does not say that it has it (section 16).
pub(crate) fn mode_change((agent, conversation): &Place, mode: &str) -> String {
    let runtime = json!({ "agent_id": agent, "conversation_id": conversation });
    let payload = json!({ "mode": mode });
    json!({ "type": "change_device_state", "runtime": runtime, "payload": payload }).to_string()
}

/// A command that asks how a runtime stands: the statuses come before its answer (section 16).
pub(crate) fn how_it_stands((agent, conversation): &Place, request_id: &str) -> String {
    let runtime = json!({ "agent_id": agent, "conversation_id": conversation });
    let command = json!({
        "type": "sync", "request_id": request_id, "runtime": runtime, "recover_approvals": false,
    });
    command.to_string()
}
