//! Thousands of stories of lost connections, from seeds: the engine and a model of the server on a
//! virtual clock. Whatever happens, every call ends, nothing is committed twice, and what a call was told
//! is true.
//!
//! A third of the clients of servers with one socket have a standby. Apart from these there are steady
//! stories: a client with a standby of which one connection is sound at all times. They cut the first
//! connection or the standby, on both sides or so that one side notices late, stall it, cut new standbys as
//! soon as they are open, repeat events, and let the client sleep; there every turn completes with its text.
//!
//! `SIM_SEED=7` runs one story and prints it, `STEADY_SEED=7` a steady one; `SIM_SEEDS=100000` runs so many of
//! each.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail by panicking; figures are printed"
)]

mod sim;

use std::panic::{AssertUnwindSafe, catch_unwind};

use sim::figures::{Figures, number, tell_all};
use sim::script::Script;
use sim::world::run;

/// How many stories of each kind are told whenever the tests run.
const STORIES: [u64; 2] = [2_000, 500];

/// Runs a story; a panic is an error like others.
fn tell(script: &Script, log: Option<Vec<String>>) -> (Result<Figures, String>, Vec<String>) {
    let told = catch_unwind(AssertUnwindSafe(|| run(script, log)));
    told.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        (Err(format!("panicked: {}", text.unwrap_or_default())), Vec::new())
    })
}

/// The smallest script that still fails.
fn shrink(mut script: Script) -> Script {
    while let Some(smaller) =
        script.smaller().into_iter().find(|smaller| tell(smaller, None).0.is_err())
    {
        script = smaller;
    }
    script
}

/// What is told of a seed, and the variable that tells it again.
type Kind = (&'static str, fn(u64) -> Script);

const ANY: Kind = ("SIM_SEED", Script::any);
const STEADY: Kind = ("STEADY_SEED", Script::steady);

fn fail(seed: u64, (name, script): Kind) -> ! {
    let script = shrink(script(seed));
    let (outcome, log) = tell(&script, Some(Vec::new()));
    let why = outcome.err().unwrap_or_else(|| "it does not fail any more".to_owned());
    panic!(
        "what happened:\n{}\n\nthe smallest script: {script:#?}\n\nseed {seed}: {why}\n\n\
         again: {name}={seed} cargo test -p letta-app-client --features testing --test sim_engine",
        log.join("\n"),
    );
}

/// Tells stories of a kind: the one that was asked for, or many. `None` where one of the other kind was.
fn tell_of(kind: Kind, other: Kind, stories: u64) -> Option<Figures> {
    let script = kind.1;
    if let Some(seed) = number(kind.0) {
        if tell(&script(seed), None).0.is_err() {
            fail(seed, kind);
        }
        return None;
    }
    if number(other.0).is_some() {
        return None;
    }
    let (first, count) = (number("SIM_FIRST").unwrap_or(1), number("SIM_SEEDS").unwrap_or(stories));
    let told = tell_all(first, count, |seed| tell(&script(seed), None).0);
    let figures = told.unwrap_or_else(|(seed, _)| fail(seed, kind));
    eprintln!("{count} stories ({}): {figures:?}", kind.0);
    Some(figures)
}

#[test]
fn what_a_call_is_told_is_true_whatever_the_network_does() {
    if let Some(figures) = tell_of(ANY, STEADY, STORIES[0]) {
        assert!(figures.completed > 0 && figures.interrupted > 0 && figures.reconnects > 0);
    }
}

#[test]
fn every_turn_completes_with_its_text_while_one_of_two_connections_is_there() {
    if let Some(figures) = tell_of(STEADY, ANY, STORIES[1]) {
        assert_eq!(figures.completed, figures.calls);
        assert!(figures.switches > 0 && figures.resent > 0 && figures.recovered > 0);
    }
}
