//! What is found out of the turns of one runtime, step by step.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::completion::status_of;
use super::super::context::{Context, Timer};
use super::super::memory::Place;
use super::super::requests::is_refusal;
use super::super::result::{CompletedBy, InputDelivery, TurnResult, TurnStatus, millis};
use super::super::resync::how_it_stands;
use super::super::turn::{End, Limit};
use super::cut::Cut;
use super::stored::{Found, PAGE, Page, Stored};
use crate::error::Error;
use crate::protocol::Text;
use crate::protocol::frames::{QueueFrame, TurnFinishedFrame};

/// How long to wait before an input that was not found is looked for once more: a server may store it
/// while it is being asked.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is no connection, or the runtime is not back.
    Waiting,
    /// The server was asked how the runtime stands.
    Syncing,
    /// Something runs in it; while that is so, what is stored is not complete.
    Busy,
    /// A moment later it is asked anew.
    Pausing(Duration),
    /// The stored messages were asked for.
    Listing,
}

/// See the module's text.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent observation")]
pub(crate) struct Lookup {
    /// In the order in which they were sent.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) step: Step,
    /// When it began to wait for what it waits for now.
    pub(crate) since: Duration,
    /// It may take longer: nothing at all comes on the connection.
    more_time: bool,
    /// One of the inputs waits in the server's queue, which has not noticed the loss.
    pub(crate) queued: bool,
    /// The stored messages were asked for while something runs: they tell of turns that are over, and of nothing else.
    pub(crate) only_over: bool,
    /// Since when turns of others keep the runtime at work. An input of ours may have joined the one that runs, whose
    /// next run then names it; after a while it has not.
    others_since: Option<Duration>,
    /// How the last turn has ended that ended since the loss.
    last_end: Option<End>,
    stored: Stored,
    /// Whether the stored messages were to be had.
    readable: bool,
    pub(crate) looked_twice: bool,
}

impl Lookup {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            cuts: Vec::new(),
            step: Step::Waiting,
            since: now,
            more_time: false,
            queued: false,
            only_over: false,
            others_since: None,
            last_end: None,
            stored: Stored::default(),
            readable: true,
            looked_twice: false,
        }
    }

    /// What was asked will not be answered.
    pub(crate) fn ask_anew(&mut self, now: Duration) {
        let cuts = std::mem::take(&mut self.cuts);
        // A server that drops every connection must not make the wait endless.
        let since = if self.step == Step::Busy { now } else { self.since };
        let (last_end, more_time) = (self.last_end.take(), self.more_time);
        *self = Self { cuts, more_time, last_end, ..Self::new(since) };
    }

    /// The connection was lost once more.
    pub(crate) fn restart(&mut self, now: Duration) {
        self.ask_anew(now);
        self.last_end = None;
        for cut in &mut self.cuts {
            // Ids of runs begin anew on a server that has come up again.
            cut.runs.clear();
        }
    }

    /// Asks how the runtime stands.
    pub(crate) fn sync(&mut self, place: &Place, ctx: &mut Context) -> String {
        self.step = Step::Syncing;
        let id = ctx.ids.next("sync");
        ctx.send_own(how_it_stands(place, &id));
        id
    }

    /// The server says that it answers others.
    pub(crate) fn see_others(&mut self, now: Duration) {
        if self.queued {
            self.others_since = None;
        } else {
            self.others_since.get_or_insert(now);
        }
    }

    /// Whether turns of others have been waited for long enough.
    pub(crate) fn is_tired_of_others(&self, now: Duration) -> bool {
        self.others_until().is_some_and(|until| until <= now)
    }

    fn others_until(&self) -> Option<Duration> {
        let longest = self.cuts.iter().map(|cut| cut.options.recover_timeout).max()?;
        Some(self.others_since?.saturating_add(longest))
    }

    /// Waits while something runs. Turns of others that follow each other count together.
    pub(crate) fn wait(&mut self, now: Duration, of_others: bool) {
        self.step = Step::Busy;
        self.since = now;
        if !of_others {
            self.others_since = None;
        }
    }

    /// Asks for the newest stored messages.
    pub(crate) fn list(&mut self, only_over: bool, place: &Place, ctx: &mut Context) -> String {
        self.step = Step::Listing;
        self.only_over = only_over;
        self.stored = Stored::default();
        ask_for_page(place, None, ctx)
    }

    /// A page of stored messages came. Returns the request for the next one, where it is needed.
    pub(crate) fn listed(
        &mut self,
        text: &Text,
        place: &Place,
        ctx: &mut Context,
    ) -> Option<String> {
        let page = serde_json::from_str::<Page>(text).ok().filter(|_| !is_refusal("", text));
        self.readable = page.is_some();
        let before = self.stored.add(page?, &self.cuts)?;
        Some(ask_for_page(place, Some(&before), ctx))
    }

    /// The server says which messages a run answers.
    pub(crate) fn answers(&mut self, run: &str, ids: &[String]) {
        for cut in self.cuts.iter_mut().filter(|cut| ids.iter().any(|id| cut.has_client_id(id))) {
            if !cut.owns(run) {
                cut.runs.push(run.into());
            }
            let others = ids.iter().filter(|id| !cut.is_with(id)).cloned();
            let others: Vec<_> = others.collect();
            cut.partial.merged_with.extend(others);
        }
    }

    pub(crate) fn see_queue(&mut self, frame: &QueueFrame) {
        let listed =
            |cut: &Cut| frame.queue.iter().any(|q| cut.has_client_id(&q.client_message_id));
        self.queued = self.cuts.iter().any(listed);
    }

    /// A turn has ended.
    pub(crate) fn finished(&mut self, frame: TurnFinishedFrame, text: &Text) {
        let end = End {
            by: Some(CompletedBy::TurnFinished),
            stop_reason: frame.stop_reason,
            error: frame.error,
            turn_id: frame.turn_id,
            frame: Some(text.clone()),
        };
        if let Some(run) = frame.run_id {
            for cut in self.cuts.iter_mut().filter(|cut| cut.owns(&run)) {
                cut.end = Some(end.clone());
            }
        }
        self.last_end = Some(end);
    }

    /// Asks anew after a while.
    pub(crate) fn pause(&mut self, now: Duration, length: Duration) {
        self.step = Step::Pausing(now.saturating_add(length));
        self.since = now;
    }

    /// Whether an input was not found, and is to be looked for a second time.
    pub(crate) fn look_again(&mut self, now: Duration, settle_pause: Duration) -> bool {
        let missing = |cut: &Cut| {
            cut.sent && self.judges(cut) && self.stored.find(cut, &self.cuts) == Found::Absent
        };
        if self.looked_twice || !self.readable || !self.cuts.iter().any(missing) {
            return false;
        }
        self.looked_twice = true;
        self.pause(now, SECOND_LOOK.max(settle_pause));
        true
    }

    /// Whether the stored messages that were asked for tell of a turn.
    pub(crate) fn judges(&self, cut: &Cut) -> bool {
        !self.only_over || cut.is_over()
    }

    /// What became of a turn. One that is to be sent is given back.
    pub(crate) fn judge(&self, cut: &Cut, ctx: &mut Context) -> Option<(Cut, InputDelivery)> {
        let cut = cut.clone();
        if !cut.sent {
            return Some((cut, InputDelivery::Sent));
        }
        let found = if self.readable { self.stored.find(&cut, &self.cuts) } else { Found::Unclear };
        match found {
            Found::At(place, next) => self.recover((place, next), cut, ctx),
            // The server has run one that is over, whatever is stored.
            Found::Absent | Found::Unclear if cut.is_over() => {
                let why = "and the stored messages do not show what it said";
                cut.interrupt(InputDelivery::Recovered, (why, "read the stored messages"), ctx);
            }
            Found::Absent if !cut.answered() && cut.may_resend() => {
                return Some((cut, InputDelivery::Resent));
            }
            Found::Absent if !cut.answered() => {
                let said = ("and the input did not arrive", "it can be sent again");
                cut.interrupt(InputDelivery::Undelivered, said, ctx);
            }
            Found::Absent | Found::Unclear => {
                let why = "and the stored messages do not show what became of it";
                cut.interrupt(InputDelivery::Unknown, (why, "read the stored messages"), ctx);
            }
        }
        None
    }

    /// The input is stored. Its answer is whole where the end was seen, and cut as far as anybody knows
    /// where it was not: the server marks nothing.
    fn recover(&self, at: (usize, usize), mut cut: Cut, ctx: &mut Context) {
        let told = ctx.features.correlation && !cut.runs.is_empty();
        let answer = self.stored.answer(at, &cut, told);
        if at.1 == 0 && !ctx.features.correlation {
            // A server that does not say what a run answers: the last turn answers the last input.
            cut.end = cut.end.or_else(|| self.last_end.clone());
        }
        let end = cut.end.take();
        let status =
            end.as_ref().map(|end| status_of(end.stop_reason.as_deref(), end.error.as_deref()));
        match (answer, end, status) {
            (answer, Some(end), Some(TurnStatus::Aborted)) => {
                // Nobody here has asked for that: the server does so when a connection is lost.
                cut.partial = answer.unwrap_or(cut.partial);
                cut.partial.stop_reason = end.stop_reason;
                cut.partial.terminal_message = end.frame;
                let said =
                    ("and the server has cancelled it", "the result contains what is stored");
                cut.interrupt(InputDelivery::Recovered, said, ctx);
            }
            (Some(answer), Some(end), Some(status)) => {
                let result = TurnResult {
                    stop_reason: end.stop_reason,
                    error: end.error,
                    turn_id: end.turn_id.or(answer.turn_id),
                    completed_by: Some(CompletedBy::Stored),
                    terminal_message: end.frame,
                    delivery: InputDelivery::Recovered,
                    duration_ms: millis(ctx.now.saturating_sub(cut.since)),
                    ..answer
                };
                cut.complete(result, status, ctx);
            }
            (answer, ..) => {
                cut.partial = answer.unwrap_or(cut.partial);
                let why = "and its stored answer may be incomplete too";
                let hint = "the result contains what is stored";
                cut.interrupt(InputDelivery::Recovered, (why, hint), ctx);
            }
        }
    }

    /// When a turn's wait ends, with the limit that it is; none for what the server is asked.
    fn deadline(&self, cut: &Cut, heard: Duration) -> (Option<Duration>, Option<Limit>) {
        let wait = if self.step == Step::Busy && !cut.is_over() {
            let idle = cut.options.idle_timeout;
            let from = heard.max(self.since);
            (idle.map(|limit| from.saturating_add(limit)), Some(Limit::Idle))
        } else {
            let times = if self.more_time { 2 } else { 1 };
            let limit = cut.options.recover_timeout.saturating_mul(times);
            (Some(self.since.saturating_add(limit)), None)
        };
        match cut.total_deadline() {
            // One that is over has not come to its limit, however long it takes to read what it said.
            Some(total) if !cut.is_over() && wait.0.is_none_or(|wait| total < wait) => {
                (Some(total), Some(Limit::Total))
            }
            _ => wait,
        }
    }

    /// Takes out the turns whose wait is over, each with the error of its limit.
    pub(crate) fn overdue(&mut self, heard: Duration, ctx: &Context) -> Vec<(Cut, Option<Error>)> {
        let now = ctx.now;
        let longest = self.cuts.iter().map(|cut| cut.options.recover_timeout).max();
        let asked = matches!(self.step, Step::Syncing | Step::Listing);
        self.more_time |= asked && longest.is_some_and(|limit| ctx.may_be_dead(limit));
        let cuts = std::mem::take(&mut self.cuts);
        let mut over = Vec::new();
        for cut in cuts {
            match self.deadline(&cut, heard) {
                (Some(at), limit) if at <= now => {
                    let error = limit.map(|limit| limit.error(&cut.options));
                    over.push((cut, error));
                }
                _ => self.cuts.push(cut),
            }
        }
        over
    }

    /// Sees to it that it is looked at in time.
    pub(crate) fn watch(&self, place: &Place, heard: Duration, ctx: &mut Context) {
        let pause = match self.step {
            Step::Pausing(at) => Some(at),
            Step::Busy => self.others_until(),
            _ => None,
        };
        let limits = self.cuts.iter().filter_map(|cut| self.deadline(cut, heard).0);
        if let Some(at) = limits.chain(pause).min() {
            ctx.timers.set(at, Timer::Recover(place.0.clone(), place.1.clone()));
        }
    }
}

/// Asks for stored messages, newest first.
fn ask_for_page((agent, conversation): &Place, before: Option<&str>, ctx: &mut Context) -> String {
    let id = ctx.ids.next("messages");
    let mut query = json!({ "limit": PAGE });
    if let Some(before) = before {
        query["before"] = Value::from(before);
    }
    if conversation == "default" {
        // The default conversation has no id of its own.
        query["agent_id"] = Value::from(agent.as_str());
    }
    let command = json!({
        "type": "conversation_messages_list", "request_id": id,
        "conversation_id": conversation, "query": query,
    });
    ctx.send_own(command.to_string());
    id
}
