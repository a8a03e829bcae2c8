//! Any order of commands, frames and time: nothing panics, every call ends once, and what followers
//! are told is what the result says.
#![no_main]

#[path = "../src/chaos.rs"]
mod chaos;
#[path = "../src/bytes.rs"]
mod bytes;
#[path = "../src/ledger.rs"]
mod ledger;

use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;

/// How many steps are between two lines of progress.
const TOLD_EVERY: u64 = 1_000_000;

static STEPS: AtomicU64 = AtomicU64::new(0);

fuzz_target!(|data: &[u8]| {
    let steps = chaos::run(data);
    let before = STEPS.fetch_add(steps, Ordering::Relaxed);
    if before / TOLD_EVERY != (before + steps) / TOLD_EVERY {
        eprintln!("{} million steps", (before + steps) / TOLD_EVERY);
    }
});
