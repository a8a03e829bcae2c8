//! The whole client, transport included, on a simulated network of hosts (turmoil): partitions, delays,
//! cuts and a server that goes down, from seeds. The server is the model of `sim_engine`, behind a real
//! WebSocket.
//!
//! In steady stories the client has a standby, and one of its two connections is cut at a time, on the server's
//! side: the older or the newer one, once both are ready; there every turn completes with its text.
//!
//! `NET_SEED=7` runs one story of each kind, `NET_SEEDS=1000` so many.
#![cfg(feature = "testing")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panicking; figures are printed"
)]

mod sim;
mod sim_net;

use sim::figures::{Figures, number, tell_all};
use sim_net::story::{tell, tell_steady};

/// How many stories are told whenever the tests run.
const STORIES: u64 = 15;

fn tell_of(tell: impl Fn(u64) -> Result<Figures, String> + Sync) -> Figures {
    let first = number("NET_SEED").or(number("NET_FIRST")).unwrap_or(1);
    let count = number("NET_SEED").map(|_| 1).or(number("NET_SEEDS")).unwrap_or(STORIES);
    match tell_all(first, count, tell) {
        Ok(figures) => {
            eprintln!("{count} stories: {figures:?}");
            figures
        }
        Err((seed, why)) => panic!(
            "seed {seed}: {why}\n\nagain: NET_SEED={seed} cargo test -p letta-app-client --features \
             testing --test sim_network"
        ),
    }
}

#[test]
fn what_a_client_is_told_is_true_whatever_the_network_does() {
    tell_of(tell);
}

#[test]
fn every_turn_completes_with_its_text_while_one_of_two_connections_is_there() {
    let figures = tell_of(tell_steady);
    assert_eq!(figures.completed, figures.calls);
}
