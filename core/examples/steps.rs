//! The engine's work on fixed inputs, for `make counts`.
//!
//! `steps NAME TIMES`: one of [`steps::STEPS`], so many times. What is counted with a number of times and with
//! none differs by the work alone.

#[path = "../benches/steps/mod.rs"]
mod steps;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = &arguments[..] else { return usage() };
    let step = steps::STEPS.iter().find(|(step, _)| step == name);
    let (Some((_, step)), Ok(times)) = (step, times.parse()) else { return usage() };
    step(&steps::frames(), times);
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: steps {} TIMES", steps::STEPS.map(|(name, _)| name).join("|"));
    ExitCode::FAILURE
}
