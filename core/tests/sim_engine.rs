//! Thousands of stories of lost connections, from seeds: the engine and a model of the server on a
//! virtual clock. Whatever happens, every call ends, nothing is committed twice, and what a call was told
//! is true.
//!
//! `SIM_SEED=7` runs one story and prints it; `SIM_SEEDS=100000` runs so many.
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

/// How many stories are told whenever the tests run.
const STORIES: u64 = 2_000;

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

fn fail(seed: u64) -> ! {
    let script = shrink(Script::any(seed));
    let (outcome, log) = tell(&script, Some(Vec::new()));
    let why = outcome.err().unwrap_or_else(|| "it does not fail any more".to_owned());
    panic!(
        "what happened:\n{}\n\nthe smallest script: {script:#?}\n\nseed {seed}: {why}\n\n\
         again: SIM_SEED={seed} cargo test -p letta-app-client --features testing --test sim_engine",
        log.join("\n"),
    );
}

#[test]
fn what_a_call_is_told_is_true_whatever_the_network_does() {
    if let Some(seed) = number("SIM_SEED") {
        if tell(&Script::any(seed), None).0.is_err() {
            fail(seed);
        }
        return;
    }
    let (first, count) = (number("SIM_FIRST").unwrap_or(1), number("SIM_SEEDS").unwrap_or(STORIES));
    let told = tell_all(first, count, |seed| tell(&Script::any(seed), None).0);
    let figures = told.unwrap_or_else(|(seed, _)| fail(seed));
    eprintln!("{count} stories: {figures:?}");
    assert!(figures.completed > 0 && figures.interrupted > 0 && figures.reconnects > 0);
}
