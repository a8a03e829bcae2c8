//! Any text: the scanner reads what `serde_json` reads, and refuses what that refuses.
#![no_main]

#[path = "../src/scanner.rs"]
mod scanner;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    scanner::compare(text);
});
