//! Any answer to the probe and to the upgrade, and any bytes behind it: nothing panics, and every attempt to
//! connect ends.
#![no_main]

#[path = "../src/upgrade.rs"]
mod upgrade;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    upgrade::run(data);
});
