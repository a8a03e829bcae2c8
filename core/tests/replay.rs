//! A recording in place of a server: the same program sees the same, and the engine alone says so too.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn, replay, replay_events,
};
use letta_app_client::{
    Client, ConnectOptions, Error, ErrorKind, Event, RecordOptions, SessionOptions, TurnUpdate,
};
use serde_json::{Value, json};

fn trace(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces").join(name)
}

/// Two turns, with all that was said of them.
async fn program(options: ConnectOptions) -> Result<Vec<Value>, Error> {
    let client = Client::new(options)?;
    client.connect().await?;
    let session = client.session(SessionOptions::agent("agent-1")).await?;
    let mut seen = Vec::new();
    for prompt in ["one", "two"] {
        let mut turn = session.send(prompt)?;
        while let Some(update) = turn.next().await {
            if let TurnUpdate::Event(event) = update {
                seen.push(json!(event));
            }
        }
        let result = turn.result().await?.to_value();
        seen.push(json!([
            result["text"],
            result["run_ids"],
            result["usage"],
            result["stop_reason"]
        ]));
    }
    client.close().await;
    Ok(seen)
}

fn server(generation: Generation) -> MockServer {
    let call = ScriptedCall::new("Read", json!({"path": "a.txt"}));
    let turns = vec![ScriptedTurn::text(["4", "2"]).call(call), ScriptedTurn::text(["bye"])];
    let options = ScriptOptions { generation, turns, ..ScriptOptions::default() };
    MockServer::scripted(options).unwrap()
}

#[tokio::test]
async fn a_program_that_was_recorded_sees_the_same_again() {
    for generation in [Generation::Single, Generation::Split] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let server = server(generation);
        let options = ConnectOptions::new(server.url()).record(RecordOptions::new(&path));
        let live = program(options).await.unwrap();
        server.close();
        for _ in 0..2 {
            let again = program(ConnectOptions::replay(replay(&path))).await.unwrap();
            assert_eq!(again, live, "{generation:?}");
        }
        let told: Vec<Value> = replay_events(&path)
            .unwrap()
            .iter()
            .map(|event| serde_json::from_str(event.get()).unwrap())
            .filter(|event: &Value| event["type"] == "turn_event")
            .map(|event| event["event"].clone())
            .collect();
        let events: Vec<Value> = live.into_iter().filter(Value::is_object).collect();
        assert_eq!(told, events, "{generation:?}");
    }
}

#[tokio::test]
async fn who_only_watches_sees_the_frames_of_the_file() {
    let path = trace("single/approval_allow.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let recorded = text.lines().filter(|line| line.contains(r#""dir":"recv""#)).count();
    let mut watched = replay(&path);
    watched.wait_for_commands = false;
    let client = Client::new(ConnectOptions::replay(watched)).unwrap();
    let mut events = client.events();
    client.connect().await.unwrap();
    let (mut frames, mut end) = (0, None);
    while let Some(event) = events.next().await {
        match event {
            Event::Message(_) => frames += 1,
            Event::Disconnected { will_reconnect, .. } => {
                end = Some(will_reconnect);
                break;
            }
            _ => {}
        }
    }
    assert_eq!((frames, end), (recorded, Some(false)));
    client.close().await;
}

#[tokio::test]
async fn the_recorded_pace_is_kept_where_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow");
    let lines = [
        r#"{"t_ms":0,"event":"open","channel":"socket","url":"ws://127.0.0.1:4500/ws"}"#,
        r#"{"t_ms":400,"dir":"recv","channel":"socket","frame":{"type":"a"}}"#,
        r#"{"t_ms":800,"event":"close","channel":"socket","code":1000,"reason":""}"#,
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    for (speed, from, to) in [(0.0, 0, 390), (2.0, 390, 5000)] {
        let mut paced = replay(&path);
        paced.speed = speed;
        let begun = Instant::now();
        let client = Client::new(ConnectOptions::replay(paced)).unwrap();
        let mut events = client.events();
        client.connect().await.unwrap();
        while !matches!(events.next().await, Some(Event::Disconnected { .. }) | None) {}
        let took = begun.elapsed();
        let expected = Duration::from_millis(from)..Duration::from_millis(to);
        assert!(expected.contains(&took), "{speed}: {took:?}");
    }
}

#[tokio::test]
async fn a_program_that_does_something_else_is_told_the_line() {
    let mut other = replay(trace("single/simple_turn.jsonl"));
    other.step_timeout = Duration::from_millis(50);
    let client = Client::new(ConnectOptions::replay(other)).unwrap();
    let mut events = client.events();
    client.connect().await.unwrap();
    let reason = loop {
        if let Event::Disconnected { reason, code, .. } = events.next().await.unwrap() {
            assert_eq!(code, 4000);
            break reason;
        }
    };
    assert_eq!(reason, "line 2: waited 50 ms for `runtime_start`");
}

#[test]
fn what_cannot_be_played_is_refused_by_its_reason() {
    let refused = |options| Client::new(ConnectOptions::replay(options)).unwrap_err();
    let error = refused(replay("/does/not/exist"));
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.message().starts_with("replay: cannot read /does/not/exist"), "{error}");
    let mut backwards = replay(trace("single/simple_turn.jsonl"));
    backwards.speed = -1.0;
    assert!(refused(backwards).message().contains("expected a speed from 0"));
}

/// What the recordings' expectations say, over the events: a text is the sum of its pieces, in every file.
#[test]
fn the_events_of_every_recording_add_up() {
    for generation in ["single", "split"] {
        for entry in std::fs::read_dir(trace(generation)).unwrap() {
            let path = entry.unwrap().path();
            let events = replay_events(&path).unwrap();
            let again = replay_events(&path).unwrap();
            let texts = |events: &[Box<serde_json::value::RawValue>]| {
                events.iter().map(|event| event.get().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(texts(&events), texts(&again), "{}", path.display());
            let mut at = 0;
            for event in &events {
                let event: Value = serde_json::from_str(event.get()).unwrap();
                let t_ms = event["t_ms"].as_u64().unwrap();
                assert!(t_ms >= at, "{}", path.display());
                at = t_ms;
            }
        }
    }
    let simple = replay_events(trace("single/simple_turn.jsonl")).unwrap();
    let values = simple.iter().map(|event| serde_json::from_str::<Value>(event.get()).unwrap());
    let pieces = values.filter(|event| event["event"]["type"] == "assistant_delta");
    let text: String =
        pieces.map(|event| event["event"]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(text, "tok0 tok1 tok2 ");
}
