//! Frames of one connection, a line each, whose parts are parts of frames as servers send them: what is laid over a
//! frame before says what the frame itself says.
#![no_main]

#[path = "../src/shapes.rs"]
mod shapes;

use letta_app_client::protocol::shapes::Shapes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut known = Shapes::default();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        shapes::compare(&mut known, &shapes::frame(&parts));
        // Nothing but numbers and strings of it: it has the look of the one before.
        shapes::compare(&mut known, &shapes::frame(&["", "other", "", "", "", "23", "", "", "42"]));
        shapes::compare(&mut known, line);
    }
});
