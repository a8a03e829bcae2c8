//! Turns whose connection was lost: on the next one it is found out what became of them
//! (PROTOCOL.md section 16).
//!
//! A server keeps a turn going while another client watches it, and cancels it otherwise; it replays
//! nothing. So a turn that still runs is followed to its end, and what it said is read from the stored
//! conversation; there an input is known by its `otid`. One that is not there has not arrived.

mod cut;
mod lookup;
mod stored;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

pub(crate) use cut::Cut;
use lookup::{Lookup, Step};
#[cfg(test)]
pub(crate) use stored::DEPTH;

use super::delivery::{Delivery, Token};
use super::event::TurnEvent;
use super::memory::Place;
use super::report::{TurnPhase, TurnReport};
use super::result::{InputDelivery, TurnResult, TurnStatus};
use super::runtime::Runtime;
use super::turn::{Cause, Phase, Turn};
use super::{Engine, Place as TurnPlace, forget_input};
use crate::error::Error;
use crate::protocol::Text;
use crate::protocol::frames::{LoopStatusFrame, QueueFrame, TurnFinishedFrame};

/// The turns that are looked for.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    lookups: HashMap<Place, Lookup>,
    /// Where each request that was sent for it belongs.
    asked: HashMap<String, Place>,
    places: HashMap<Token, Place>,
}

impl Recovery {
    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Whether an input with this id is among them.
    pub(crate) fn has_input(&self, request_id: &str) -> bool {
        let mut cuts = self.lookups.values().flat_map(|lookup| &lookup.cuts);
        cuts.any(|cut| cut.request_id == request_id)
    }

    fn add(&mut self, place: &Place, cut: Cut, now: Duration) {
        self.places.insert(cut.token, place.clone());
        self.lookups.entry(place.clone()).or_insert_with(|| Lookup::new(now)).cuts.push(cut);
    }

    fn take(&mut self, token: Token) -> Option<(Place, Cut)> {
        let place = self.places.remove(&token)?;
        let lookup = self.lookups.get_mut(&place)?;
        let index = lookup.cuts.iter().position(|cut| cut.token == token)?;
        let cut = lookup.cuts.remove(index);
        Some((place, cut))
    }
}

impl Engine {
    /// The connection is gone. Turns that may be found again are kept; all others end.
    pub(crate) fn cut_turns(&mut self, error: &Error) {
        let now = self.ctx.now;
        let again = self.link.will_reconnect();
        self.recovery.asked.clear();
        for lookup in self.recovery.lookups.values_mut() {
            lookup.restart(now);
        }
        for mut runtime in self.runtimes.take() {
            let place = (runtime.agent_id.clone(), runtime.conversation_id.clone());
            for (turn, partial, end) in runtime.cut_turns(again, &mut self.ctx) {
                let Some(TurnPlace { request_id, .. }) = self.turns.remove(&turn.token) else {
                    continue;
                };
                let cut = Cut::new(turn, request_id, partial, end, error);
                self.recovery.add(&place, cut, now);
            }
            runtime.interrupt_all(error, &mut self.ctx);
        }
    }

    /// Another connection takes the place of the lost one. Turns of which it has not seen everything are
    /// looked for; `whole` are the runtimes of which it has.
    pub(crate) fn cut_unseen_turns(&mut self, whole: &HashSet<Place>, error: &Error) {
        self.recovery.asked.clear();
        for lookup in self.recovery.lookups.values_mut() {
            lookup.ask_anew(self.ctx.now);
        }
        let seen = |runtime: &Runtime| {
            whole.contains(&(runtime.agent_id.clone(), runtime.conversation_id.clone()))
        };
        self.cut_where(|runtime, turn| turn.phase != Phase::Held && !seen(runtime), error);
    }

    /// Another connection took the place of the lost one, and what it has seen was read. Turns that are
    /// known to go on are left alone; the others are looked for.
    pub(crate) fn cut_unsure_turns(&mut self, error: &Error) {
        self.cut_where(|_, turn| turn.phase != Phase::Held && !turn.is_ours(), error);
        for runtime in self.runtimes.all() {
            runtime.doubt_answers();
        }
        self.watch_cuts();
    }

    /// Takes out turns that are to be looked for. Returns where they were.
    pub(crate) fn cut_where(
        &mut self,
        wanted: impl Fn(&Runtime, &Turn) -> bool,
        error: &Error,
    ) -> HashSet<Place> {
        let (mut cut, mut places) = (Vec::new(), HashSet::new());
        for runtime in self.runtimes.all() {
            let place = (runtime.agent_id.clone(), runtime.conversation_id.clone());
            let turns = runtime.cut_turns_where(&wanted, error, &mut self.ctx);
            cut.extend(turns.into_iter().map(|turn| (place.clone(), turn)));
        }
        for (place, (turn, partial, end)) in cut {
            let Some(TurnPlace { request_id, .. }) = self.turns.remove(&turn.token) else {
                continue;
            };
            forget_input(&mut self.inputs, &request_id, turn.token);
            // The server is the same, and so are its runs.
            let runs = turn.runs.clone();
            let cut = Cut { runs, ..Cut::new(turn, request_id, partial, end, error) };
            self.recovery.add(&place, cut, self.ctx.now);
            places.insert(place);
        }
        places
    }

    /// The timers of a lost connection are gone; those of what is looked for are set again.
    pub(crate) fn watch_cuts(&mut self) {
        for (place, lookup) in &self.recovery.lookups {
            lookup.watch(place, Duration::ZERO, &mut self.ctx);
        }
    }

    /// There will be no other connection.
    pub(crate) fn give_up_cuts(&mut self, error: &Error) {
        self.recovery.asked.clear();
        self.recovery.places.clear();
        let mut cuts: Vec<_> =
            self.recovery.lookups.drain().flat_map(|(_, lookup)| lookup.cuts).collect();
        cuts.sort_unstable_by_key(|cut| cut.token);
        for mut cut in cuts {
            cut.error = cut.error.with_will_reconnect(false);
            let why = format!("and no other could be opened: {}", error.message());
            let hint = "the server has most likely cancelled it; read the stored messages";
            let delivery = cut.unknown();
            cut.interrupt(delivery, (&why, hint), &mut self.ctx);
        }
    }

    /// There is a connection again. Runtimes that are not brought back are looked at at once.
    pub(crate) fn reconnected(&mut self) {
        let places: Vec<Place> = self.recovery.lookups.keys().cloned().collect();
        for place in places {
            if !self.runtimes.get(&place.0, &place.1).is_restoring() {
                self.look_up(&place);
            }
        }
    }

    /// A runtime is back. Says whether turns of it are looked for first.
    pub(crate) fn look_up(&mut self, place: &Place) -> bool {
        let Some(lookup) = self.recovery.lookups.get_mut(place) else { return false };
        let id = lookup.sync(place, &mut self.ctx);
        self.recovery.asked.insert(id, place.clone());
        true
    }

    /// A frame may be an answer to what was asked.
    pub(crate) fn cuts_answered(&mut self, id: &str, kind: &str, text: &Text) {
        let Some(place) = self.recovery.asked.get(id).cloned() else { return };
        let Some(lookup) = self.recovery.lookups.get_mut(&place) else { return };
        match (&lookup.step, kind) {
            (Step::Syncing, "sync_response") => {
                self.recovery.asked.remove(id);
                self.synced(&place);
            }
            (Step::Listing, "conversation_messages_list_response") => {
                self.recovery.asked.remove(id);
                if let Some(id) = lookup.listed(text, &place, &mut self.ctx) {
                    self.recovery.asked.insert(id, place);
                } else {
                    self.judge(&place);
                }
            }
            _ => {}
        }
    }

    /// It is known how the runtime stands: turns that go on are followed, and the others looked for once
    /// nothing runs any more.
    fn synced(&mut self, place: &Place) {
        self.resume(place);
        let Some(lookup) = self.recovery.lookups.get(place) else { return };
        if lookup.cuts.is_empty() {
            self.close_lookup(place);
            return;
        }
        let busy = self.is_busy(place);
        if busy {
            // What waits to be sent need not wait for what runs.
            self.runtimes.get(&place.0, &place.1).restored(&mut self.ctx);
        }
        let Some(lookup) = self.recovery.lookups.get_mut(place) else { return };
        if !busy || lookup.cuts.iter().any(Cut::is_over) {
            let id = lookup.list(busy, place, &mut self.ctx);
            self.recovery.asked.insert(id, place.clone());
        } else {
            let of_others = self.is_of_others(place);
            if let Some(lookup) = self.recovery.lookups.get_mut(place) {
                lookup.wait(self.ctx.now, of_others);
            }
            self.see_others(place);
            self.watch_lookup(place);
        }
    }

    /// Turns whose runs are at work go on.
    fn resume(&mut self, place: &Place) {
        let Some(lookup) = self.recovery.lookups.get_mut(place) else { return };
        let runtime = self.runtimes.get(&place.0, &place.1);
        if runtime.has_ended() {
            return;
        }
        let runs = |cut: &Cut| runtime.active.iter().any(|run| cut.owns(run));
        let tokens: Vec<_> =
            lookup.cuts.iter().filter(|cut| runs(cut)).map(|cut| cut.token).collect();
        for token in tokens {
            let Some((place, cut)) = self.recovery.take(token) else { continue };
            let kept = Box::new(Cut { marked: true, ..cut.clone() });
            let runs = cut.runs.clone();
            let request_id = cut.request_id.clone();
            let mut turn = cut.into_turn(InputDelivery::Recovered, self.ctx.now);
            turn.sent_at = turn.since();
            turn.phase = Phase::Ours;
            turn.acked = true;
            turn.runs = runs;
            turn.announced = turn.runs.len();
            turn.resumed = Some(kept);
            self.turns.insert(token, TurnPlace { runtime: place, request_id });
            runtime.resume(turn, &mut self.ctx);
        }
    }

    /// Something happened in a runtime, of which turns are looked for.
    pub(crate) fn cuts_heard(
        &mut self,
        place: &Place,
        kind: &str,
        text: &Text,
    ) -> Result<(), serde_json::Error> {
        let Some(lookup) = self.recovery.lookups.get_mut(place) else { return Ok(()) };
        match kind {
            "update_loop_status" => {
                let state = serde_json::from_str::<LoopStatusFrame>(text)?.loop_status;
                for (run, ids) in state.client_message_ids_by_run_id.unwrap_or_default().0 {
                    lookup.answers(&run, &ids);
                }
            }
            "update_queue" => {
                lookup.see_queue(&serde_json::from_str::<QueueFrame>(text)?);
            }
            "turn_finished" => {
                let frame: TurnFinishedFrame = serde_json::from_str(text)?;
                lookup.finished(frame, text);
            }
            _ => return Ok(()),
        }
        if lookup.step == Step::Busy {
            self.resume(place);
            let Some(lookup) = self.recovery.lookups.get(place) else { return Ok(()) };
            if lookup.cuts.is_empty() {
                self.close_lookup(place);
            } else if lookup.cuts.iter().any(Cut::is_over) || !self.is_busy(place) {
                // What ended may have more to say.
                self.pause_lookup(place);
            } else {
                self.see_others(place);
                self.watch_lookup(place);
            }
        }
        Ok(())
    }

    /// Asks anew when what has ended has had time to say the rest.
    fn pause_lookup(&mut self, place: &Place) {
        if let Some(lookup) = self.recovery.lookups.get_mut(place) {
            lookup.pause(self.ctx.now, self.ctx.settle_pause);
            self.watch_lookup(place);
        }
    }

    /// Whether something goes on in a runtime that may be a turn which is looked for: what is stored of that is not
    /// complete. Turns of others, as the server says, are waited for no longer than for what is asked.
    fn is_busy(&mut self, place: &Place) -> bool {
        let of_others = self.is_of_others(place);
        let ended = self.runtimes.get(&place.0, &place.1).has_ended();
        let lookup = self.recovery.lookups.get(place);
        lookup.is_some_and(|lookup| {
            let enough = of_others && lookup.is_tired_of_others(self.ctx.now);
            lookup.queued || !(ended || enough)
        })
    }

    /// Whether the server says that what runs answers others.
    fn is_of_others(&mut self, place: &Place) -> bool {
        self.ctx.features.correlation && self.runtimes.get(&place.0, &place.1).answering
    }

    fn see_others(&mut self, place: &Place) {
        if self.is_of_others(place)
            && let Some(lookup) = self.recovery.lookups.get_mut(place)
        {
            lookup.see_others(self.ctx.now);
        }
    }

    /// Turns that went on have ended: what they said while there was no connection is stored.
    pub(crate) fn read_resumed(&mut self) {
        for (place, mut cut, end, rest) in std::mem::take(&mut self.ctx.resumed) {
            cut.end = Some(end);
            cut.see_tools(&rest.tool_calls);
            cut.partial.retries += rest.retries;
            let rest = rest.with_before(&cut.partial);
            (cut.partial.usage, cut.partial.own_usage) = (rest.usage, rest.own_usage);
            cut.partial.merged_with = rest.merged_with;
            let now = self.ctx.now;
            self.recovery.add(&place, *cut, now);
            if let Some(lookup) = self.recovery.lookups.get_mut(&place) {
                lookup.pause(now, Duration::ZERO);
            }
            self.watch_lookup(&place);
        }
    }

    fn watch_lookup(&mut self, place: &Place) {
        let heard = self.runtimes.get(&place.0, &place.1).heard;
        if let Some(lookup) = self.recovery.lookups.get(place) {
            lookup.watch(place, heard, &mut self.ctx);
        }
    }

    /// The time of something that is looked for may have come.
    pub(crate) fn cuts_due(&mut self, place: &Place) {
        let heard = self.runtimes.get(&place.0, &place.1).heard;
        let Some(lookup) = self.recovery.lookups.get_mut(place) else { return };
        for (cut, error) in lookup.overdue(heard, &self.ctx) {
            self.recovery.places.remove(&cut.token);
            let delivery = cut.unknown();
            if let Some(error) = error {
                cut.fail(delivery, error, &mut self.ctx);
            } else {
                let why = if cut.sent {
                    "and there was not enough time to find out what became of it"
                } else {
                    "and the time for sending it on another one was over"
                };
                cut.interrupt(delivery, (why, "read the stored messages"), &mut self.ctx);
            }
        }
        let pause_over = match lookup.step {
            Step::Pausing(at) => at <= self.ctx.now,
            Step::Busy => lookup.is_tired_of_others(self.ctx.now),
            _ => false,
        };
        if lookup.cuts.is_empty() {
            self.close_lookup(place);
        } else if pause_over {
            // What is asked now has a time of its own.
            lookup.since = self.ctx.now;
            self.look_up(place);
        } else {
            self.watch_lookup(place);
        }
    }

    /// Everything that is stored has been read. What it does not tell of stays.
    fn judge(&mut self, place: &Place) {
        let Some(lookup) = self.recovery.lookups.get_mut(place) else { return };
        if lookup.look_again(self.ctx.now, self.ctx.settle_pause) {
            self.watch_lookup(place);
            return;
        }
        let Some(mut lookup) = self.recovery.lookups.remove(place) else { return };
        let mut again = Vec::new();
        for cut in lookup.cuts.iter().filter(|cut| lookup.judges(cut)) {
            self.recovery.places.remove(&cut.token);
            again.extend(lookup.judge(cut, &mut self.ctx));
        }
        let only_over = lookup.only_over;
        lookup.cuts.retain(|cut| only_over && !cut.is_over());
        if !lookup.cuts.is_empty() {
            // That was for those that are over: the others have a second look of their own.
            lookup.looked_twice = false;
            self.recovery.lookups.insert(place.clone(), lookup);
            self.pause_lookup(place);
            return;
        }
        // The first one is put before the others.
        for (cut, delivery) in again.into_iter().rev() {
            self.send_again(place, cut, delivery);
        }
        self.runtimes.get(&place.0, &place.1).restored(&mut self.ctx);
    }

    /// An input that has not arrived is sent once more, or for the first time.
    fn send_again(&mut self, place: &Place, mut cut: Cut, delivery: InputDelivery) {
        if cut.sent && cut.taken {
            cut.rename(&self.ctx);
        }
        let (token, request_id) = (cut.token, cut.request_id.clone());
        self.inputs.insert(request_id.clone(), token);
        self.turns.insert(token, TurnPlace { runtime: place.clone(), request_id });
        if cut.options.events {
            for run_id in cut.partial.run_ids.clone() {
                let event = TurnEvent::RunWithdrawn { run_id: run_id.into() };
                self.ctx.deliveries.push_back(Delivery::turn_event(token, event));
            }
        }
        let turn = cut.into_turn(delivery, self.ctx.now);
        self.runtimes.get(&place.0, &place.1).take_turn_first(turn, &mut self.ctx);
    }

    fn close_lookup(&mut self, place: &Place) {
        self.recovery.lookups.remove(place);
        self.runtimes.get(&place.0, &place.1).restored(&mut self.ctx);
    }

    /// The caller of a turn that is looked for stops it, or does not want to know any more. Says whether
    /// there is such a turn.
    pub(crate) fn stop_cut(&mut self, token: Token, cause: Cause) -> bool {
        let Some((place, mut cut)) = self.recovery.take(token) else { return false };
        if cause == Cause::Asked && cut.sent {
            let delivery = cut.unknown();
            let why = "and it was told to stop before it was known what had become of it";
            let hint = "the server has most likely cancelled it; read the stored messages";
            cut.interrupt(delivery, (why, hint), &mut self.ctx);
        } else if cause == Cause::Asked {
            // A caller who stops a turn gets the outcome in any case.
            cut.options.check = false;
            let delivery = cut.unknown();
            let partial = TurnResult { delivery, ..cut.partial.clone() };
            cut.finish(partial, TurnStatus::Aborted, &mut self.ctx);
        }
        let lookup = self.recovery.lookups.get(&place);
        if lookup.is_some_and(|lookup| lookup.cuts.is_empty()) {
            self.close_lookup(&place);
        }
        true
    }

    /// Nobody waits any more for a turn that is looked for. Its input is sent all the same where it has not left, or
    /// may be sent again. Says whether there is such a turn.
    pub(crate) fn let_cut_go(&mut self, token: Token) -> bool {
        let Some(place) = self.recovery.places.get(&token) else { return false };
        let lookup = self.recovery.lookups.get_mut(place);
        let mut cuts = lookup.into_iter().flat_map(|lookup| &mut lookup.cuts);
        let Some(cut) = cuts.find(|cut| cut.token == token) else { return false };
        if cut.sent && !cut.may_resend() {
            self.ctx.deliveries.push_back(Delivery::Done { token });
            return self.stop_cut(token, Cause::Gone);
        }
        cut.let_go();
        true
    }

    /// How a turn stands that is looked for.
    pub(crate) fn report_cut(&self, now: Duration, token: Token) -> Option<TurnReport> {
        let place = self.recovery.places.get(&token)?;
        let cuts = &self.recovery.lookups.get(place)?.cuts;
        let cut = cuts.iter().find(|cut| cut.token == token)?;
        Some(TurnReport {
            phase: TurnPhase::Recovering,
            age: now.saturating_sub(cut.since),
            silence: None,
            last_event: cut.error.message().to_owned(),
            approvals: Vec::new(),
            queued: 0,
            detached: false,
        })
    }
}
