//! Frames that are laid over ones before against the same frames read for themselves.

mod recorded;
#[path = "../fuzz/src/shapes.rs"]
mod shapes;

use letta_app_client::protocol::shapes::Shapes;
use proptest::prelude::*;

/// The inside of a string, with what may stand in one and what may not.
fn inside() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z0-9 é😀-]{0,12}",
        2 => prop::sample::select(&["\\n", "\\\"", "\\u00e9", "\\ud83d\\ude00"][..]).prop_map(str::to_owned),
        1 => prop::sample::select(&["\\ud83d", "\\x", "\u{1f}", "\"", "\\"][..]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<u32>().prop_map(|number| number.to_string()),
        1 => prop::sample::select(
            &["0", "00", "-1", "1.5", "1e3", "18446744073709551616", "null", "\"7\"", "[1]"][..]
        ).prop_map(str::to_owned),
    ]
}

fn content() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(inside(), 0..3).prop_map(|texts| {
        let parts = texts.iter().map(|text| format!(r#"{{"type":"text","text":"{text}"}}"#));
        format!("[{}]", parts.collect::<Vec<_>>().join(","))
    });
    prop_oneof![4 => parts, 2 => inside().prop_map(|text| format!("\"{text}\"")), 1 => number()]
}

/// Fields that some deltas have, in front of others.
fn more() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        inside().prop_map(|text| format!(r#""otid":"{text}","#)),
        inside().prop_map(|text| format!(r#""reasoning":"{text}","#)),
        inside().prop_map(|text| format!(r#""status":"{text}","#)),
        number().prop_map(|number| format!(r#""run_id":{number},"#)),
        number().prop_map(|number| format!(r#""unknown" : {number} ,"#)),
        Just(r#""is_terminal":true,"#.to_owned()),
        Just(r#""type":"message","#.to_owned()),
        number().prop_map(|number| format!(r#""event_seq":{number},"#)),
        (inside(), number()).prop_map(|(text, asked)| {
            format!(r#""device_status":{{"a":"{text}","pending_control_requests":[{asked}]}},"#)
        }),
        number().prop_map(|number| format!(r#""device_status":{number},"#)),
    ];
    prop::collection::vec(field, 0..3).prop_map(|fields| fields.concat())
}

fn frame() -> impl Strategy<Value = String> {
    let kinds = prop::sample::select(&["assistant_message", "reasoning_message", "x\\n"][..]);
    let parts = (inside(), kinds, content(), more(), number(), inside(), more(), number());
    parts.prop_map(|(id, kind, content, inner, seq, agent, outer, event)| {
        shapes::frame(&["", &id, kind, &content, &inner, &seq, &agent, &outer, &event])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_of_a_connection_are_read_as_each_for_itself(
        frames in prop::collection::vec(frame(), 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut known = Shapes::default();
        for at in order {
            shapes::compare(&mut known, &frames[at.index(frames.len())]);
        }
    }

    #[test]
    fn what_is_broken_is_refused_although_one_before_looked_like_it(
        frame in frame(),
        place in any::<prop::sample::Index>(),
        other in any::<char>(),
        removes in any::<bool>(),
    ) {
        let mut known = Shapes::default();
        shapes::compare(&mut known, &frame);
        let mut letters: Vec<char> = frame.chars().collect();
        let place = place.index(letters.len());
        if removes { letters[place] = other } else { letters.insert(place, other) }
        shapes::compare(&mut known, &letters.iter().collect::<String>());
        shapes::compare(&mut known, &letters[..place].iter().collect::<String>());
        shapes::compare(&mut known, &format!("{frame}{other}"));
    }
}

/// Two parts of which one is empty look like one.
#[test]
fn an_empty_text_stays_in_its_place() {
    let content = |first: &str, second: &str| {
        let content = format!(r#"[{{"text":"{first}"}},{{"text":"{second}"}}]"#);
        shapes::frame(&["", "", "", &content])
    };
    let mut known = Shapes::default();
    for (first, second) in [("a", ""), ("", "a"), ("a", "b"), ("", ""), ("c", "d")] {
        shapes::compare(&mut known, &content(first, second));
    }
}

/// Who reads it looks at both, and one of them is no text.
#[test]
fn a_key_that_stands_twice_is_read_twice() {
    let twice =
        |first: &str| shapes::frame(&["", "", "", "", &format!(r#""otid":"{first}","otid":"b","#)]);
    let mut known = Shapes::default();
    for first in ["a", "\\ud83d", "c"] {
        shapes::compare(&mut known, &twice(first));
    }
}

#[test]
fn every_frame_of_the_recordings_says_what_it_says_for_itself() {
    let mut frames = 0;
    for recording in recorded::frames() {
        let mut known = Shapes::default();
        for frame in &recording {
            shapes::compare(&mut known, frame);
        }
        frames += recording.len();
    }
    assert!(frames > 5_000, "{frames} frames");
}
