//! Where the driver leaves deliveries for a thread of another language, with a bell that rings
//! once per burst.
//!
//! The queues are bounded: when one is full, the oldest frames that only message handlers want go, and
//! the pieces of a turn's text are merged before the oldest of them go. All is counted; a completion, an end,
//! a permission or a tool call never goes.
//!
//! Frames that nobody listens to stay here: they are not even queued, except behind the answer to a command.
//! Whoever waited for that may listen to what came after it, so [`Mailbox::drain_step`] gives out such frames only
//! when the waiter has had its say. The answers to other commands are no such frames.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::backpressure::{Backpressure, Overflow};
use crate::belled::{Belled, Waits};
use crate::engine::{Delivery, Token};
use crate::queue::Queue;

/// The most items a queue holds by default.
pub const DEFAULT_MAX_ITEMS: usize = 65_536;

/// The most bytes of frames a queue holds by default: 64 MiB.
pub const DEFAULT_MAX_BYTES: usize = 64 * 1024 * 1024;

/// How many events of a turn another language gets at once.
const BATCH: usize = 1024;

/// What the driver writes deliveries to.
pub trait Sink: Send + 'static {
    /// Takes one delivery.
    fn deliver(&mut self, delivery: Delivery);
    /// Takes those of a burst.
    fn deliver_all(&mut self, deliveries: impl Iterator<Item = Delivery>) {
        deliveries.for_each(|delivery| self.deliver(delivery));
    }
    /// Whether somebody listens to frames that no call waits for. Where nobody does, those of a burst are not
    /// delivered, up to what may make somebody listen; see [`crate::engine::Engine::hear`].
    fn hears(&self) -> bool {
        true
    }
    /// The burst is over.
    fn flush(&mut self);
}

/// The events of a turn that somebody follows, kept until the follower takes them.
struct Followed {
    queue: Queue,
    /// The follower was told that there is something to take.
    announced: bool,
}

struct State {
    queue: Queue,
    turns: HashMap<Token, Followed>,
    /// How many listen to frames that no call waits for.
    listeners: usize,
    /// An answer waits, or whoever waited for one has not had its say: frames behind it are kept.
    holding: bool,
}

impl Waits for State {
    fn waits(&self) -> bool {
        !self.queue.is_empty()
    }
}

/// See the module's text.
pub struct Mailbox {
    state: Belled<State>,
    limits: Backpressure,
}

impl Mailbox {
    /// A mailbox whose bell is rung when deliveries wait and the last ring was answered.
    #[must_use]
    pub fn new(bell: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Self::with_limits(DEFAULT_MAX_ITEMS, DEFAULT_MAX_BYTES, bell)
    }

    /// The same with limits of its own, which hold for each of its queues.
    #[must_use]
    pub fn with_limits(
        max_items: usize,
        max_bytes: usize,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        let policy = Overflow::DropOldest;
        Self::bounded(Backpressure { max_items, max_bytes, policy }, bell)
    }

    /// The same with a policy as well, for its own queue; events of followed turns are always merged.
    #[must_use]
    pub fn bounded(limits: Backpressure, bell: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        let (queue, turns) = (Queue::new(limits), HashMap::new());
        let state = State { queue, turns, listeners: 0, holding: false };
        Arc::new(Self { state: Belled::new(state, bell), limits })
    }

    /// Says whether frames that no call waits for are wanted; without, they are not queued, but see the
    /// module's text.
    pub fn want_messages(&self, wanted: bool) {
        self.state.with(|state| state.listeners = usize::from(wanted));
    }

    /// Somebody listens from now on to frames that no call waits for, or does so no more.
    pub fn listen(&self, more: bool) {
        self.state.with(|state| {
            let listeners = state.listeners;
            state.listeners =
                if more { listeners.saturating_add(1) } else { listeners.saturating_sub(1) };
        });
    }

    /// Keeps the events of a turn apart until [`Mailbox::take_turn`]. [`Delivery::TurnReady`] tells
    /// that there are some. To be called before the turn is sent.
    pub fn follow_turn(&self, token: Token) {
        let queue = Queue::new(Backpressure { policy: Overflow::Merge, ..self.limits });
        let followed = Followed { queue, announced: false };
        self.state.with(|state| state.turns.insert(token, followed));
    }

    /// Takes the oldest events of a followed turn, about a thousand at most, as a JSON list of
    /// [`crate::TurnEvent`]s. `{"type":"lagged","dropped":…,"merged":…}` stands where some were dropped or
    /// merged. It is to be called until the list is empty: only then [`Delivery::TurnReady`] comes again.
    #[must_use]
    pub fn take_turn(&self, token: Token) -> String {
        let events = self.take_events(token);
        let mut json = Vec::with_capacity(events.len() * 128 + 2);
        json.push(b'[');
        for event in &events {
            if json.len() > 1 {
                json.push(b',');
            }
            write_event(event, &mut json);
        }
        json.push(b']');
        // Texts and numbers can always be written, as UTF-8.
        String::from_utf8(json).unwrap_or_default()
    }

    /// The same as they are: [`Delivery::TurnEvent`]s and [`Delivery::Lagged`].
    #[must_use]
    pub fn take_events(&self, token: Token) -> VecDeque<Delivery> {
        self.state.with(|state| {
            let Some(turn) = state.turns.get_mut(&token) else { return VecDeque::new() };
            let events = turn.queue.take(BATCH);
            turn.announced = !events.is_empty();
            events
        })
    }

    /// Nobody follows the turn any more: its events are thrown away.
    pub fn leave_turn(&self, token: Token) {
        let left = self.state.with(|state| state.turns.remove(&token));
        drop(left);
    }

    /// Takes everything that waits. A [`Delivery::Lagged`] stands where frames were dropped.
    #[must_use]
    pub fn drain(&self) -> VecDeque<Delivery> {
        self.drain_some(usize::MAX)
    }

    /// Takes what waits, as far as nothing can be missed: it ends behind completions that are followed by
    /// something else. Whoever they complete goes on before the rest is asked for, which is to be done until
    /// nothing is left; the second value says whether there is something. Frames that nobody listens to by now
    /// are left out, and answers that wait together are taken together then.
    #[must_use]
    pub fn drain_step(&self) -> (VecDeque<Delivery>, bool) {
        self.state.drain(|state| {
            let mut taken = if state.listeners > 0 {
                state.queue.take_step(Delivery::completes, |_, _| false)
            } else {
                state.queue.take_step(Delivery::opens, Delivery::is_told_by)
            };
            state.holding = taken.iter().any(Delivery::opens);
            if state.listeners == 0 {
                taken.retain(|delivery| !matches!(delivery, Delivery::Message { .. }));
            }
            (taken, !state.queue.is_empty())
        })
    }

    /// Takes the oldest that waits: so many items, and what was kept where others were dropped. What is
    /// left does not ring: to be called until nothing is there.
    pub(crate) fn drain_some(&self, most: usize) -> VecDeque<Delivery> {
        self.state.drain(|state| state.queue.take(most))
    }

    /// How much waits in its own queue: items and bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.state.with(|state| (state.queue.len(), state.queue.bytes()))
    }

    /// How many events of a followed turn wait, and their bytes.
    #[must_use]
    pub fn turn_waiting(&self, token: Token) -> (usize, usize) {
        self.state.with(|state| {
            let turn = state.turns.get(&token);
            turn.map_or((0, 0), |turn| (turn.queue.len(), turn.queue.bytes()))
        })
    }
}

impl State {
    fn push(&mut self, delivery: Delivery) {
        if let Delivery::TurnEvent { token, .. } = delivery
            && let Some(turn) = self.turns.get_mut(&token)
        {
            turn.queue.push(delivery);
            if !std::mem::replace(&mut turn.announced, true) {
                self.queue.push(Delivery::TurnReady { token });
            }
        } else if self.listeners > 0
            || self.holding
            || !matches!(delivery, Delivery::Message { .. })
        {
            self.holding |= delivery.opens();
            self.queue.push(delivery);
        }
    }
}

/// What a follower is told of a delivery.
fn write_event(delivery: &Delivery, json: &mut Vec<u8>) {
    let written = match delivery {
        Delivery::TurnEvent { event, .. } => serde_json::to_writer(json, event),
        Delivery::Lagged { dropped, merged } => {
            let marker =
                serde_json::json!({ "type": "lagged", "dropped": dropped, "merged": merged });
            serde_json::to_writer(json, &marker)
        }
        _ => Ok(()),
    };
    // A vector takes everything.
    written.unwrap_or_default();
}

/// The JSON text of one item of [`Mailbox::take_events`].
#[must_use]
pub fn event_json(delivery: &Delivery) -> String {
    let mut json = Vec::new();
    write_event(delivery, &mut json);
    String::from_utf8(json).unwrap_or_default()
}

impl Sink for Arc<Mailbox> {
    fn hears(&self) -> bool {
        self.state.with(|state| state.listeners > 0 || state.holding)
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.state.with(|state| state.push(delivery));
    }

    fn deliver_all(&mut self, deliveries: impl Iterator<Item = Delivery>) {
        // One lock for all, which the reader may want meanwhile.
        self.state.with(|state| deliveries.for_each(|delivery| state.push(delivery)));
    }

    fn flush(&mut self) {
        self.state.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::engine::Channel;
    use crate::protocol::Text;

    fn message(text: &str) -> Delivery {
        Delivery::Message { channel: Channel::Control, kind: None, text: text.into() }
    }

    #[test]
    fn the_bell_rings_once_per_burst() {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        let mut mailbox = Mailbox::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        mailbox.want_messages(true);
        for _ in 0..2 {
            mailbox.deliver(message("a"));
            mailbox.flush();
        }
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert_eq!(mailbox.drain().len(), 2);
        mailbox.flush();
        assert_eq!(rings.load(Ordering::SeqCst), 1, "nothing waits");
        mailbox.deliver(Delivery::Done { token: 1 });
        mailbox.flush();
        assert_eq!(rings.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn frames_nobody_wants_are_not_queued() {
        let mut mailbox = Mailbox::new(|| {});
        mailbox.deliver(message("a"));
        assert!(!mailbox.hears());
        mailbox.deliver(Delivery::Done { token: 1 });
        assert!(mailbox.hears(), "whoever waited may listen now");
        assert!(matches!(mailbox.drain_step().0.pop_front(), Some(Delivery::Done { token: 1 })));
        assert!(mailbox.hears());
        assert!(mailbox.drain_step().0.is_empty() && !mailbox.hears(), "it has had its say");
        mailbox.listen(true);
        assert!(mailbox.hears());
    }

    #[test]
    fn who_gets_an_answer_may_listen_to_what_came_behind_it() {
        let mut mailbox = Mailbox::new(|| {});
        let kinds = |(taken, more): (VecDeque<Delivery>, bool)| {
            let kinds: Vec<_> = taken
                .iter()
                .map(|delivery| match delivery {
                    Delivery::Message { text, .. } => text.to_string(),
                    Delivery::Done { token } => token.to_string(),
                    other => format!("{other:?}"),
                })
                .collect();
            (kinds.join(" "), more)
        };
        mailbox.deliver(message("before"));
        mailbox.deliver(Delivery::Done { token: 1 });
        mailbox.deliver(Delivery::Done { token: 2 });
        mailbox.deliver(message("a"));
        mailbox.deliver(Delivery::Done { token: 3 });
        mailbox.deliver(message("b"));
        assert_eq!(kinds(mailbox.drain_step()), ("1 2".into(), true));
        assert_eq!(kinds(mailbox.drain_step()), ("3".into(), true), "nobody wanted to listen");
        mailbox.listen(true);
        assert_eq!(kinds(mailbox.drain_step()), ("b".into(), false));
        mailbox.deliver(Delivery::Done { token: 4 });
        assert_eq!(kinds(mailbox.drain_step()), ("4".into(), false));
        mailbox.listen(false);
        mailbox.deliver(message("the waiter may still have to run"));
        mailbox.listen(true);
        assert_eq!(kinds(mailbox.drain_step()).0, "the waiter may still have to run");
        mailbox.listen(false);
        mailbox.deliver(message("c"));
        mailbox.listen(true);
        assert_eq!(kinds(mailbox.drain_step()), (String::new(), false));
    }

    #[test]
    fn answers_that_wait_together_are_taken_together() {
        let answer = |token, text: &Text| {
            let told =
                Delivery::Message { channel: Channel::Control, kind: None, text: text.clone() };
            [told, Delivery::Response { token, kind: None, text: text.clone(), refused: false }]
        };
        let mut mailbox = Mailbox::new(|| {});
        let (first, second) = (Text::from("first"), Text::from("second"));
        for delivery in answer(1, &first).into_iter().chain(answer(2, &second)) {
            mailbox.deliver(delivery);
        }
        mailbox.deliver(message("behind them"));
        let (taken, more) = mailbox.drain_step();
        let answered = |one: &Delivery| matches!(one, Delivery::Response { .. });
        assert!(taken.len() == 2 && taken.iter().all(answered) && more, "{taken:?}");
        mailbox.listen(true);
        assert_eq!(mailbox.drain_step().0.len(), 1, "who was answered may listen to it");

        // What follows the end of a turn is not about it.
        mailbox.listen(false);
        mailbox.deliver(Delivery::Turn { token: 3, result: Box::default() });
        mailbox.deliver(message("of another turn"));
        mailbox.listen(true);
        let (taken, more) = mailbox.drain_step();
        assert!(taken.len() == 1 && !more, "{taken:?}");
    }

    #[test]
    fn the_oldest_frames_go_and_are_counted_but_completions_stay() {
        let mut mailbox = Mailbox::with_limits(3, 1000, || {});
        mailbox.want_messages(true);
        mailbox.deliver(Delivery::Done { token: 1 });
        for text in ["a", "b", "c", "d"] {
            mailbox.deliver(message(text));
        }
        let left: Vec<_> = mailbox.drain().into_iter().collect();
        assert!(matches!(left[0], Delivery::Done { token: 1 }));
        assert!(matches!(left[1], Delivery::Lagged { dropped: 2, merged: 0 }), "{left:?}");
        assert!(matches!(&left[2], Delivery::Message { text, .. } if text.as_str() == "c"));
        assert_eq!(left.len(), 4);
    }
}
