//! Every recording, frame by frame through the engine, without a socket: the outcome of each
//! input must be the one in `EXPECTED.json`.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod recordings;

use letta_app_client::testing::differences;
use recordings::{recordings, replay};

#[test]
fn every_recorded_input_has_the_expected_outcome() {
    let (mut files, mut inputs, mut failures) = (0, 0, Vec::new());
    for (name, trace, wanted) in recordings() {
        let reported = replay(&trace.lines, &wanted);
        assert_eq!(reported.len(), wanted.len(), "{name}: inputs found in the recording");
        files += 1;
        for (input, outcome) in reported {
            inputs += 1;
            let outcome = outcome.unwrap_or_else(|| panic!("{name}: no outcome for {input:?}"));
            for difference in differences(&input, &outcome) {
                failures.push(format!("{name} {:?}: {difference}", input.client_message_ids));
            }
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert_eq!((files, inputs), (181, 204));
}

/// Wherever a connection is cut, every input that was sent has ended, once.
#[test]
fn every_prefix_of_every_recording_ends_every_turn() {
    let mut prefixes = 0;
    for (name, trace, wanted) in recordings() {
        for end in 0..=trace.lines.len() {
            prefixes += 1;
            for (input, outcome) in replay(&trace.lines[..end], &wanted) {
                assert!(outcome.is_some(), "{name} cut after {end} lines: {input:?} did not end");
            }
        }
    }
    assert_eq!(prefixes, 8910 + 181);
}
