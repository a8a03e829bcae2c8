//! The scanner of routing fields against `serde_json`: frames of all kinds, and frames that something is wrong with.
#![expect(clippy::panic, reason = "shared with the fuzz target, which fails by panicking")]

mod recorded;
#[path = "../fuzz/src/scanner.rs"]
mod scanner;

use letta_app_client::protocol::frames::Delta;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// What a frame looks at, and what it passes over.
const KEYS: [&str; 11] = [
    "type",
    "request_id",
    "runtime",
    "agent_id",
    "conversation_id",
    "event_seq",
    "subagent_id",
    "terminal_id",
    "teleport_id",
    "delta",
    "t\u{e9}l \"x\"\n",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&KEYS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn frame() -> impl Strategy<Value = String> {
    prop::collection::vec((key(), value()), 0..10).prop_map(|fields| {
        // By hand, so that keys may repeat and white space may stand anywhere.
        let fields: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("{} :\t{value}", Value::from(&**key)))
            .collect();
        format!("{{ {} }}\n", fields.join(",\r\n"))
    })
}

/// What may be put into a text.
const BYTES: &[char] = &[
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '0',
    '-',
    '.',
    'e',
    'u',
    't',
    ' ',
    '\u{1f}',
    '\u{1F600}',
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_read_as_serde_reads_them(text in frame()) {
        scanner::compare(&text);
    }

    #[test]
    fn what_is_broken_is_refused_as_serde_refuses_it(
        text in frame(),
        place in any::<prop::sample::Index>(),
        other in prop::sample::select(BYTES),
        removes in any::<bool>(),
    ) {
        let mut letters: Vec<char> = text.chars().collect();
        let place = place.index(letters.len());
        if removes { letters[place] = other } else { letters.insert(place, other) }
        scanner::compare(&letters.iter().collect::<String>());
        scanner::compare(&letters[..place].iter().collect::<String>());
    }
}

#[test]
fn every_frame_of_the_recordings_is_read_as_serde_reads_it() {
    let frames = recorded::frames().flatten().inspect(|frame| scanner::compare(frame)).count();
    assert!(frames > 5_000, "{frames} frames");
}

#[test]
fn long_strings_and_every_place_in_them_are_looked_at() {
    for length in 0..100 {
        let plain = "x".repeat(length);
        scanner::compare(&format!(r#"{{"type":"{plain}","a":"{plain}"}}"#));
        for special in ["\\n", "\\u00e9", "\u{e9}", "\u{1f}", "\\x", "\\", "\\ud800", "\u{7f}"] {
            let text = format!("{plain}{special}{plain}");
            scanner::compare(&format!(r#"{{"a":"{text}","type":"{text}"}}"#));
        }
    }
}

/// Outputs of tools are unescaped on the way where they are large, and by themselves where they are not.
#[test]
fn large_outputs_are_read_as_small_ones() {
    let plain = "x".repeat(100_000);
    for inside in [
        "",
        "\\n",
        "\u{e9}\\u00e9\\ud83d\\ude00",
        "\\\\",
        "\\\"\\\\\\\"",
        "cut: \\ud83d",
        "\\x",
        "\u{1}",
        "\\u00g0",
        "\\",
    ] {
        let frame = |padding: &str| {
            format!(
                r#"{{"tool_call_id":"c","tool_return":"a{inside} {padding}b","message_type":"m"}}"#
            )
        };
        let (small, large) = (frame(""), frame(&plain));
        let read = |json: &str| {
            let delta = Delta::read(json).ok()?;
            let text = delta.outputs().next()?.2?.text();
            Some(text.replace(&plain, ""))
        };
        let is_json = serde_json::from_str::<Box<serde_json::value::RawValue>>(&small).is_ok();
        assert_eq!(read(&small).is_some(), is_json, "{inside}");
        assert_eq!(read(&large), read(&small), "{inside}");
        if let Ok(value) = serde_json::from_str::<Value>(&small) {
            assert_eq!(read(&small).as_deref(), value["tool_return"].as_str());
        }
    }
}
