//! The engine's work on fixed inputs, for what counts instructions and allocations.

mod turn;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{Channel, Command, Engine, Ids};
use letta_app_client::protocol::Text;
use letta_app_client::protocol::envelope::Envelope;
use letta_app_client::{Mailbox, Sink, TurnOptions};

/// Does a step with the frames of a turn, so many times.
pub type Step = fn(&[Text], u64);

/// What can be done, and what it is called.
pub const STEPS: [(&str, Step); 4] = [
    ("envelope", envelope),
    ("stream", stream),
    ("turn", unwatched_turn),
    ("events", followed_turn),
];

/// The frames of the turn that all steps are about.
#[must_use]
pub fn frames() -> Vec<Text> {
    turn::turn_frames()
}

/// Reads the routing fields of a turn's frames.
fn envelope(frames: &[Text], times: u64) {
    for _ in 0..times {
        for frame in frames {
            black_box(Envelope::read(frame).is_ok());
        }
    }
}

fn engine() -> Engine {
    let mut engine = Engine::new(Arc::new(Ids::with_prefix("steps".into())), Duration::ZERO);
    engine.handle_connected(Duration::ZERO, false);
    engine
}

/// A turn's frames from the socket to the mailbox, and out of it as far as somebody wants them.
fn play(engine: &mut Engine, mailbox: &mut Arc<Mailbox>, frames: &[Text]) {
    for frame in frames {
        engine.handle_frame(Duration::ZERO, Channel::Control, frame);
        while let Some(delivery) = engine.poll_delivery() {
            mailbox.deliver(delivery);
        }
    }
    mailbox.flush();
    while mailbox.drain_step().1 {}
}

fn begin(engine: &mut Engine, token: u64, events: bool) {
    engine.handle_command(
        Duration::ZERO,
        Command::RunTurn {
            token,
            text: Text::from_static("{}"),
            request_id: "r".into(),
            runtime: ("agent-1".into(), "conv-1".into()),
            client_ids: vec!["m1".into()],
            options: TurnOptions { events, ..TurnOptions::default() },
        },
    );
    while engine.poll_transmit().is_some() {}
}

/// A turn of somebody else, to which somebody listens.
fn stream(frames: &[Text], times: u64) {
    let (mut engine, mut mailbox) = (engine(), Mailbox::new(|| {}));
    mailbox.want_messages(true);
    for _ in 0..times {
        play(&mut engine, &mut mailbox, frames);
    }
}

/// A turn whose result is all that is asked for.
fn unwatched_turn(frames: &[Text], times: u64) {
    for token in 1..=times {
        // A run that has ended says nothing more, so each turn has a connection of its own.
        let (mut engine, mut mailbox) = (engine(), Mailbox::new(|| {}));
        begin(&mut engine, token, false);
        play(&mut engine, &mut mailbox, frames);
    }
}

/// A turn whose events are taken.
fn followed_turn(frames: &[Text], times: u64) {
    for token in 1..=times {
        let (mut engine, mut mailbox) = (engine(), Mailbox::new(|| {}));
        mailbox.follow_turn(token);
        begin(&mut engine, token, true);
        play(&mut engine, &mut mailbox, frames);
        black_box(mailbox.take_turn(token));
        mailbox.leave_turn(token);
    }
}
