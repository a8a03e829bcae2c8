//! Deliveries, readers and bells told by bytes, against what must hold for every mailbox: what is sent is
//! delivered, merged or dropped, in order, and counted; what may not go stays; the bell rings once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use letta_app_client::engine::{Channel, Delivery, TurnEvent};
use letta_app_client::protocol::Text;
use letta_app_client::{Backpressure, ErrorKind, Mailbox, Overflow, Sink};
use serde_json::Value;

use crate::bytes::Bytes;

/// The turn that is followed.
const TURN: u64 = 7;

/// What one of the queues has taken and given.
#[derive(Default)]
struct Count {
    sent: u64,
    delivered: u64,
    merged: u64,
    dropped: u64,
    /// The number of the last one that came out, apart from those that are kept when others go.
    last: u64,
    /// Those that may never go: sent and still to come.
    kept: Vec<u64>,
    over: bool,
}

struct Story {
    mailbox: Arc<Mailbox>,
    rings: Arc<AtomicU64>,
    answered: u64,
    own: Count,
    turn: Count,
    raises: bool,
}

/// Runs a story and gives the number of its steps.
pub fn run(data: &[u8]) -> u64 {
    let mut bytes = Bytes::new(data);
    let policy = if bytes.flag() { Overflow::Raise } else { Overflow::DropOldest };
    let max_items = usize::from(bytes.below(20)) + 1;
    let limits = Backpressure { max_items, max_bytes: 200 * max_items, policy };
    let rings = Arc::new(AtomicU64::new(0));
    let ringing = Arc::clone(&rings);
    let mailbox = Mailbox::bounded(limits, move || {
        ringing.fetch_add(1, Ordering::Relaxed);
    });
    mailbox.want_messages(true);
    mailbox.follow_turn(TURN);
    let raises = policy == Overflow::Raise;
    let (own, turn) = (Count::default(), Count::default());
    let mut story = Story { mailbox, rings, answered: 0, own, turn, raises };
    let mut steps = 0;
    while !bytes.is_empty() {
        steps += 1;
        match bytes.below(8) {
            0 | 1 => story.message(bytes.below(3) == 1, bytes.below(40)),
            2..=4 => story.event(bytes.below(4)),
            5 => story.flush(),
            6 => story.drain(),
            _ => story.take_turn(),
        }
    }
    story.finish();
    steps
}

impl Story {
    /// A frame; one that ends a turn may not go.
    fn message(&mut self, kept: bool, length: u8) {
        self.own.sent += 1;
        let number = self.own.sent;
        let kind = kept.then_some("turn_finished");
        if kept && !self.own.over {
            self.own.kept.push(number);
        }
        let text = format!("{number:08}{}", "x".repeat(length.into()));
        let delivery =
            Delivery::Message { channel: Channel::Control, kind, text: Text::from(text) };
        self.mailbox.deliver(delivery);
    }

    /// A piece of a text, of one of two messages; or an event that neither merges nor goes.
    fn event(&mut self, which: u8) {
        self.turn.sent += 1;
        let number = self.turn.sent;
        let event = match which {
            0 => {
                self.turn.kept.push(number);
                TurnEvent::RunStarted { run_id: number.to_string().into() }
            }
            message => TurnEvent::AssistantDelta {
                run_id: "run".into(),
                message_id: (message % 2).to_string().into(),
                text: format!("{number} "),
            },
        };
        self.mailbox.deliver(Delivery::TurnEvent { token: TURN, event, pieces: 1 });
    }

    fn flush(&mut self) {
        let before = self.rings.load(Ordering::Relaxed);
        let (waiting, _) = self.mailbox.waiting();
        self.mailbox.flush();
        let rung = self.rings.load(Ordering::Relaxed);
        assert!(rung - before <= 1, "two rings for one burst");
        assert!(rung - self.answered <= 1, "a ring before the last was answered");
        assert!(waiting == 0 || rung > self.answered, "something waits and no bell has rung");
    }

    fn drain(&mut self) {
        self.answered = self.rings.load(Ordering::Relaxed);
        for delivery in self.mailbox.drain() {
            match delivery {
                Delivery::Message { kind, text, .. } => {
                    let number = text[..8].parse().expect("a number");
                    self.own.out(number, kind.is_some());
                }
                Delivery::Lagged { dropped, merged } => {
                    assert_eq!(merged, 0, "frames are not merged");
                    self.own.dropped += dropped;
                }
                Delivery::Failed { error, .. } => {
                    assert!(self.raises && error.kind() == ErrorKind::Lagged, "{error}");
                    assert!(!std::mem::replace(&mut self.own.over, true), "it ends twice");
                }
                Delivery::TurnReady { token: TURN } => {}
                other => panic!("never delivered: {other:?}"),
            }
        }
        assert_eq!(self.mailbox.waiting(), (0, 0), "everything was taken");
    }

    fn take_turn(&mut self) {
        let events: Vec<Value> =
            serde_json::from_str(&self.mailbox.take_turn(TURN)).expect("a list");
        for event in events {
            match event["type"].as_str() {
                Some("lagged") => {
                    self.turn.dropped += event["dropped"].as_u64().expect("a number");
                    self.turn.merged += event["merged"].as_u64().expect("a number");
                }
                Some("run_started") => {
                    let number = event["run_id"].as_str().expect("text").parse().expect("a number");
                    self.turn.out(number, true);
                }
                Some("assistant_delta") => {
                    let text = event["text"].as_str().expect("text");
                    let pieces = text.split_whitespace();
                    let numbers: Vec<u64> = pieces.map(|n| n.parse().expect("a number")).collect();
                    for (place, number) in numbers.iter().enumerate() {
                        self.turn.out(*number, false);
                        // A merged event is delivered once.
                        self.turn.delivered -= u64::from(place > 0);
                    }
                }
                other => panic!("never sent: {other:?}"),
            }
        }
    }

    /// With a reader that keeps up, all comes out.
    fn finish(&mut self) {
        self.flush();
        self.drain();
        self.take_turn();
        while self.mailbox.turn_waiting(TURN).0 > 0 {
            self.take_turn();
        }
        self.take_turn();
        let turn = &self.turn;
        assert!(turn.kept.is_empty(), "events went that may not: {:?}", turn.kept);
        let counted = turn.delivered + turn.merged + turn.dropped;
        assert_eq!(counted, turn.sent, "delivered {} merged {}", turn.delivered, turn.merged);
        if !self.raises {
            let own = &self.own;
            assert!(own.kept.is_empty(), "frames went that may not: {:?}", own.kept);
            assert_eq!(own.delivered + own.dropped, own.sent);
        }
    }
}

impl Count {
    /// A number came out.
    fn out(&mut self, number: u64, kept: bool) {
        self.delivered += 1;
        if kept {
            let place = self.kept.iter().position(|other| *other == number);
            assert_eq!(place, Some(0), "{number} comes twice, or before another");
            self.kept.remove(0);
        } else {
            assert!(number > self.last, "{number} comes behind {}", self.last);
            self.last = number;
        }
    }
}
