//! Any order of deliveries, readers and bells: what is sent is delivered, merged or dropped, and counted.
#![no_main]

#[path = "../src/bytes.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod bytes;
#[path = "../src/mailbox.rs"]
mod mailbox;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    mailbox::run(data);
});
