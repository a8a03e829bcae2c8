//! How often the engine asks for memory, for fixed inputs: the figures of `bench/counts.json`, exactly. They do not
//! depend on the machine; who changes them on purpose writes the new ones there.

#[path = "../benches/steps/mod.rs"]
mod steps;

use serde_json::Value;

/// Turns before those that are counted: tables grow at first.
const WARM: u64 = 70;
/// Turns that are counted.
const COUNTED: u64 = 20;

#[test]
fn a_turn_asks_for_memory_as_often_as_it_did() {
    let expected = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/counts.json");
    let expected = std::fs::read_to_string(expected).unwrap_or_default();
    let expected: Value = serde_json::from_str(&expected).unwrap_or_default();
    let frames = steps::frames();
    let mut counted = serde_json::Map::new();
    for (name, step) in steps::STEPS {
        let count = |times| allocation_counter::measure(|| step(&frames, times)).count_total;
        let turn = (count(WARM + COUNTED) - count(WARM)) / COUNTED;
        counted.insert(name.to_owned(), turn.into());
    }
    let counted = Value::Object(counted);
    let expected = &expected["allocations_per_turn"];
    assert_eq!(expected, &counted, "{} frames in a turn", frames.len());
}
