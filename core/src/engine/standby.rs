//! A second connection that is subscribed to everything the first one is, and takes its place when that is
//! lost: the server keeps a turn going as long as anybody watches it (PROTOCOL.md sections 7 and 16).

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::context::{Context, Timer};
use super::fingerprint::number_of;
use super::link::Link;
use super::memory::Place;
use super::requests::is_refusal;
use super::resync::{AT_ONCE, PATIENCE, how_it_stands};
use super::runtime::Runtime;
use super::sequence::Sequence;
use super::shadow::Shadow;
use super::{Engine, Reconnect};
use crate::error::Error;
use crate::protocol::Text;
use crate::protocol::envelope::Envelope;
use crate::state::StandbyState;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Standby {
    pub(crate) link: Link,
    transmit: VecDeque<Text>,
    /// Runtimes it is still to be subscribed to.
    waiting: VecDeque<Place>,
    /// By the `request_id` of the `sync` that does so.
    asked: HashMap<String, Place>,
    /// Runtimes of which older events may be on their way on the first connection, by the `request_id` of a
    /// `sync` there: it is answered behind them.
    fences: HashMap<String, u64>,
    shadow: Shadow,
    sequence: Sequence,
}

impl Standby {
    /// How it stands.
    pub(crate) fn state(&self) -> StandbyState {
        if !self.link.is_open() && !self.link.will_reconnect() {
            StandbyState::Off
        } else if self.link.is_open() && self.is_subscribed() {
            StandbyState::Ready
        } else {
            StandbyState::Opening
        }
    }

    fn is_subscribed(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty() && self.fences.is_empty()
    }

    /// The first connection is open. A split server has one client, and so one connection.
    pub(crate) fn connected(&mut self, split: bool) {
        if !split {
            self.link.want();
        }
    }

    /// There is no first connection any more.
    pub(crate) fn down(&mut self) {
        self.link.end();
        self.shadow = Shadow::default();
        self.clear();
    }

    fn clear(&mut self) {
        self.transmit.clear();
        self.waiting.clear();
        self.asked.clear();
        self.fences.clear();
        self.shadow.lost();
    }

    /// The server has told how a runtime stands, after a switch.
    pub(crate) fn restored(&mut self, place: &Place) {
        self.shadow.caught_up(number_of(&place.0, &place.1));
    }
}

impl Engine {
    /// Keeps a second connection to a one-socket server, which takes over when the first is lost. To be
    /// called after [`Engine::reconnecting`]; `rules` and `seed` are for the second one.
    #[must_use]
    pub fn standing_by(mut self, rules: Reconnect, seed: u64) -> Self {
        let standby = self.standby.get_or_insert_default();
        // Without one everything works, so there is no end to trying.
        standby.link.reconnect(Reconnect { max_attempts: None, ..rules }, seed);
        self
    }

    /// Whether it is time for an attempt to open the standby; said once for each.
    pub fn poll_connect_standby(&mut self) -> bool {
        let now = self.ctx.now;
        self.standby.as_mut().is_some_and(|standby| standby.link.begin(now))
    }

    /// The next frame to send on the standby.
    pub fn poll_transmit_standby(&mut self) -> Option<Text> {
        self.standby.as_mut()?.transmit.pop_front()
    }

    /// Whether the standby can take the place of a first connection that is lost.
    #[must_use]
    pub fn can_switch(&self) -> bool {
        self.standby.as_ref().is_some_and(|standby| standby.link.is_open())
    }

    /// The standby is open.
    pub fn handle_standby_opened(&mut self, now: Duration) {
        self.ctx.now = now;
        let Some(standby) = &mut self.standby else { return };
        standby.link.opened(now);
        standby.sequence.start(false);
        standby.waiting = self.resync.places().into();
        self.subscribe_next();
    }

    /// An attempt to open the standby has failed.
    pub fn handle_standby_failed(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        if let Some(standby) = &mut self.standby {
            standby.link.failed(now, error);
        }
    }

    /// The standby is gone, and the first connection is not: a new one is opened.
    pub fn handle_standby_lost(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        self.ctx.worked = false;
        if let Some(standby) = &mut self.standby {
            standby.link.lost(now, error, true);
            standby.clear();
        }
    }

    /// Takes a frame that came on the standby. What the first connection gets as well is kept until it
    /// has; everything else is answered there, and counts for nothing here.
    pub fn handle_standby_frame(&mut self, now: Duration, text: &Text) {
        self.ctx.now = now;
        let (Ok(envelope), Some(standby)) = (Envelope::read(text), &mut self.standby) else {
            return;
        };
        if let Some(id) = envelope.request_id.as_deref()
            && envelope.kind == "sync_response"
            && let Some(place) = standby.asked.remove(id)
        {
            let number = number_of(&place.0, &place.1);
            if is_refusal("", text) {
                standby.shadow.uncover(number);
            } else if self.runtimes.get(&place.0, &place.1).at_work(now) {
                standby.shadow.subscribed(number);
                let (id, command) = ask_how_it_stands(&place, &mut self.ctx);
                standby.fences.insert(id, number);
                self.ctx.send_own(command);
            } else {
                standby.shadow.cover(number);
            }
            self.subscribe_next();
        } else if let Some((scope, seq)) = envelope.runtime.as_ref().zip(envelope.event_seq) {
            if standby.sequence.is_again(seq, text) {
                return;
            }
            let place = number_of(&scope.agent_id, &scope.conversation_id);
            standby.shadow.second(place, &envelope.kind, text);
        }
    }

    /// An event came on the first connection. Whether it is none that came on the one before already.
    pub(crate) fn is_news(&mut self, envelope: &Envelope<'_>, text: &Text) -> bool {
        let Some(Standby { shadow, .. }) = self.standby.as_deref_mut() else { return true };
        let Some(scope) = envelope.runtime.as_ref().filter(|_| !shadow.is_idle()) else {
            return true;
        };
        shadow.first(number_of(&scope.agent_id, &scope.conversation_id), &envelope.kind, text)
    }

    /// The client has to do with one more runtime.
    pub(crate) fn subscribe_standby(&mut self, place: Place) {
        if let Some(standby) = self.standby.as_mut().filter(|standby| standby.link.is_open()) {
            standby.waiting.push_back(place);
            self.subscribe_next();
        }
    }

    /// Subscribes the standby, to a few runtimes at once.
    fn subscribe_next(&mut self) {
        let Some(standby) = &mut self.standby else { return };
        while standby.asked.len() < AT_ONCE {
            let Some(place) = standby.waiting.pop_front() else { return };
            standby.shadow.ask(number_of(&place.0, &place.1));
            let (id, command) = ask_how_it_stands(&place, &mut self.ctx);
            standby.transmit.push_back(Text::from(command));
            standby.asked.insert(id, place);
        }
    }

    /// A frame may answer a `sync` that was sent for the standby's sake on the first connection.
    pub(crate) fn fence_answered(&mut self, id: &str, kind: &str) {
        if kind == "sync_response"
            && let Some(standby) = &mut self.standby
            && let Some(place) = standby.fences.remove(id)
        {
            standby.shadow.cover(place);
        }
    }

    /// The server has not answered: the runtime is not covered, and the others have their turn.
    pub(crate) fn subscription_due(&mut self, id: &str) {
        let Some(standby) = &mut self.standby else { return };
        standby.fences.remove(id);
        if let Some((agent, conversation)) = standby.asked.remove(id) {
            standby.shadow.uncover(number_of(&agent, &conversation));
            self.subscribe_next();
        }
    }

    /// The first connection is gone, and the standby is the connection from now on. Turns that run go on, if
    /// the standby was subscribed to their runtime; inputs the server was not seen to take are looked for.
    /// Requests that wait fail, external tools move over, open questions are asked for once more.
    pub fn handle_switched(&mut self, now: Duration, error: &Error) {
        self.ctx.now = now;
        let Some(standby) = &mut self.standby else { return };
        let error = &error.clone().with_will_reconnect(true);
        let whole: HashSet<Place> = self
            .runtimes
            .iter()
            .map(|runtime| (runtime.agent_id.clone(), runtime.conversation_id.clone()))
            .filter(|place| standby.shadow.is_whole(number_of(&place.0, &place.1)))
            .collect();
        let seen = standby.shadow.switch();
        standby.link.lost(now, error, true);
        standby.clear();
        self.link.switched(now);
        self.sequence = std::mem::take(&mut standby.sequence);
        // What is missing of these may be in the middle of what the standby has seen.
        self.cut_unseen_turns(&whole, error);
        let place = |runtime: &Runtime| (runtime.agent_id.clone(), runtime.conversation_id.clone());
        for runtime in self.runtimes.all().filter(|runtime| !whole.contains(&place(runtime))) {
            runtime.runs.forget_ended();
        }
        // What the standby has seen of a turn's end counts, but not that the server has given up the inputs
        // of the lost connection.
        self.ctx.switching = true;
        for (agent, conversation) in self.resync.places() {
            // What waits is sent when the runtime has its tools on this connection too.
            self.runtimes.join(&agent, &conversation).hold_back();
        }
        for text in seen {
            self.counters.bytes += text.len() as u64;
            self.counters.frames += 1;
            if let Ok(envelope) = Envelope::read(&text) {
                self.process(super::Channel::Control, &envelope, &mut None, &text);
            }
        }
        self.ctx.switching = false;
        self.requests.fail_all(error, &self.unsent(), &mut self.ctx);
        self.runtimes.all().for_each(Runtime::take_requests_back);
        let lost = self.runtimes.iter().filter(|runtime| runtime.joined && runtime.at_work(now));
        let places = lost.map(|r| (r.agent_id.clone(), r.conversation_id.clone()));
        self.resync.lost(places.filter(|place| !whole.contains(place)));
        self.cut_unsure_turns(error);
        self.tools.clear(&mut self.ctx);
        self.ctx.approvers.forget_answers();
        let update = self.ctx.features.correlation;
        for ((agent, conversation), busy) in self.resync.switch(update, &mut self.ctx) {
            self.runtimes.join(&agent, &conversation).restore(busy, &mut self.ctx);
        }
        self.watching.lost(true);
        self.watch_again();
        self.hand_on_carried();
        for runtime in self.runtimes.all() {
            runtime.repeat_stops(&mut self.ctx);
            runtime.release(&mut self.ctx);
        }
        self.reconnected();
        self.forget_ended();
    }
}

/// A `sync` of a runtime, with its id, and the time limit for its answer.
fn ask_how_it_stands(place: &Place, ctx: &mut Context) -> (String, String) {
    let id = ctx.ids.next("standby");
    let deadline = ctx.now.saturating_add(PATIENCE);
    ctx.timers.set(deadline, Timer::Subscribe(id.clone()));
    let command = how_it_stands(place, &id);
    (id, command)
}
