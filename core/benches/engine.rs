//! CPU time of the engine alone: no socket, no other thread.
//!
//! `make bench-engine` prints microseconds per frame for a stream nobody follows, for a turn that is
//! followed to its end, for reading the envelope and a large output, and per event for the queue between the engine and a
//! reader who keeps up, who lags and gets merged text, and who lags so that events go. Ratios between the rows carry over to other
//! machines, the figures do not.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use letta_app_client::engine::{Channel, Command, Delivery, Engine, Ids};
use letta_app_client::protocol::Text;
use letta_app_client::protocol::envelope::Envelope;
use letta_app_client::protocol::frames::Delta;
use letta_app_client::{Mailbox, Sink, TurnEvent, TurnOptions};

#[path = "steps/turn.rs"]
mod turn;

use turn::{DELTAS, turn_frames};

const TURNS: usize = 2_000;
const ROUNDS: usize = 5;

fn main() {
    let frames = turn_frames();
    let bytes: usize = frames.iter().map(|frame| frame.len()).sum();
    println!("a turn of {DELTAS} deltas: {} frames, {bytes} bytes", frames.len());
    println!("{:<44} {:>12}", "", "µs per frame");
    row("envelope", &frames, |frames| {
        for frame in frames {
            black_box(Envelope::read(frame).is_ok());
        }
    });
    let mut engine = engine();
    row("engine, nobody follows the turn", &frames, |frames| {
        play(&mut engine, frames);
    });
    row("engine, run_turn to its end", &frames, |frames| {
        // A run that has ended says nothing more, so each turn has a connection of its own.
        let mut engine = self::engine();
        run_turn(&mut engine, 1);
        play(&mut engine, frames);
    });
    let output = Text::from(output());
    row("an output of 1 MiB, read as a delta", &[output], |outputs| {
        for output in outputs {
            let delta = Delta::read(output);
            let text = delta.iter().flat_map(Delta::outputs).filter_map(|(.., output)| output);
            text.for_each(|output| drop(black_box(output.text())));
        }
    });
    queue_row("queue, a reader who keeps up", &frames, 128, 1);
    queue_row("queue, a reader who lags: text is merged", &frames, usize::MAX, 1);
    queue_row("queue, a reader who lags: events go", &frames, usize::MAX, 2);
}

/// What a tool has put out, with an escape per line.
fn output() -> String {
    let text = format!("{}\\n", "x".repeat(78)).repeat((1 << 20) / 80);
    format!(r#"{{"message_type":"tool_return_message","tool_call_id":"c","tool_return":"{text}"}}"#)
}

/// The queue of a followed turn, which is emptied after so many of the events.
fn queue_row(name: &str, frames: &[Text], emptied_after: usize, messages: usize) {
    let mut mailbox = Mailbox::new(|| {});
    mailbox.follow_turn(1);
    let mut count = 0;
    row(name, frames, |frames| {
        for _ in frames {
            count += 1;
            mailbox.deliver(delta(count % messages));
            if count % emptied_after == 0 {
                mailbox.leave_turn(1);
                mailbox.follow_turn(1);
            }
        }
    });
}

fn delta(message: usize) -> Delivery {
    let (run_id, message_id, text) = ("run-1".into(), message.to_string(), "token ".into());
    let event = TurnEvent::AssistantDelta { run_id, message_id: message_id.into(), text };
    Delivery::TurnEvent { token: 1, event, pieces: 1 }
}

/// The best of some rounds: what disturbs a measurement only ever adds to it.
fn row(name: &str, frames: &[Text], mut work: impl FnMut(&[Text])) {
    let best = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        for _ in 0..TURNS {
            work(frames);
        }
        start.elapsed()
    });
    let best = best.min().unwrap_or_default();
    let count = u32::try_from(TURNS * frames.len()).unwrap_or(u32::MAX);
    println!("{name:<44} {:>12.2}", best.as_secs_f64() * 1e6 / f64::from(count));
}

fn engine() -> Engine {
    let mut engine = Engine::new(Arc::new(Ids::with_prefix("bench".into())), Duration::ZERO);
    engine.handle_connected(Duration::ZERO, false);
    engine
}

fn play(engine: &mut Engine, frames: &[Text]) {
    for frame in frames {
        engine.handle_frame(Duration::ZERO, Channel::Control, frame);
        while engine.poll_delivery().is_some() {}
    }
}

fn run_turn(engine: &mut Engine, token: u64) {
    engine.handle_command(
        Duration::ZERO,
        Command::RunTurn {
            token,
            text: Text::from_static("{}"),
            request_id: "r".into(),
            runtime: ("agent-1".into(), "conv-1".into()),
            client_ids: vec!["m1".into()],
            options: TurnOptions::default(),
        },
    );
    while engine.poll_transmit().is_some() {}
}
