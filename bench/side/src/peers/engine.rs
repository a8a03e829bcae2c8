//! This project's engine with its transport and nothing behind it.

use std::sync::mpsc::{Receiver, Sender, channel};

use letta_app_client::engine::Delivery;
use letta_app_client::{ConnectOptions, Connection, Sink};

use super::{Outcome, input, start};
use crate::usage::Usage;

/// Tells of ends, and lets go of all else.
struct Ends(Sender<()>);

impl Sink for Ends {
    fn deliver(&mut self, delivery: Delivery) {
        let ended = match delivery {
            Delivery::Done { .. } => true,
            Delivery::Message { kind, .. } => {
                matches!(kind, Some("turn_finished" | "runtime_start_response"))
            }
            _ => false,
        };
        if ended {
            // Nobody listens once the measurement is over.
            self.0.send(()).unwrap_or_default();
        }
    }

    fn flush(&mut self) {}
}

fn wait(ends: &Receiver<()>) -> Outcome {
    Ok(ends.recv()?)
}

/// So many turns to warm up, and so many that are measured; `runtimes` are known to the engine.
///
/// # Errors
///
/// When the connection is lost.
pub fn stream(url: &str, before: usize, turns: usize, runtimes: usize) -> Outcome {
    let (to, ends) = channel();
    let connection = Connection::open(ConnectOptions::new(url), Ends(to))?;
    connection.connect(connection.token())?;
    wait(&ends)?;
    for number in 1..runtimes {
        connection.send_raw(&start().replace("c-0", &format!("c-{number}")))?;
        wait(&ends)?;
    }
    connection.send_raw(&start())?;
    wait(&ends)?;
    for _ in 0..before {
        connection.send_raw(&input())?;
        wait(&ends)?;
    }
    let (usage, seen) = (Usage::now(), connection.counters().frames);
    for _ in 0..turns {
        connection.send_raw(&input())?;
        wait(&ends)?;
    }
    let frames = connection.counters().frames - seen;
    println!("{}", usage.report(usize::try_from(frames)?, None));
    Ok(())
}
