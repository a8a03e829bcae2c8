//! A recording of a client with two connections, of which one is lost: the program sees the same again
//! (PROTOCOL.md sections 7 and 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::Path;
use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn, replay, replay_events};
use letta_app_client::{
    Client, ConnectOptions, ErrorKind, Reconnect, RecordOptions, SessionOptions, StandbyState,
    TurnEvent, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);
/// So many pieces of text come before the first connection is cut.
const BEFORE: usize = 5;

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, waiting).await.unwrap();
}

/// A turn on the first connection, and one on what was the second. Gives what was told of them.
async fn program(options: ConnectOptions, mut cut: impl FnMut()) -> Vec<Value> {
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let options = SessionOptions::agent("agent-1").conversation("conv-1");
    let session = client.session(options).await.unwrap();
    until(|| client.counters().standby == StandbyState::Ready).await;
    let mut seen = Vec::new();
    for (lost, prompt) in ["one", "two"].into_iter().enumerate() {
        // Not behind the last turn: a replay closes its connections at the end, as soon as it has said all.
        assert_eq!(client.counters().reconnects, lost as u64);
        let mut turn = session.send(prompt).unwrap();
        let mut heard = 0;
        while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
            if let TurnUpdate::Event(event) = update {
                seen.push(json!(event));
                if matches!(event, TurnEvent::AssistantDelta { .. }) {
                    heard += 1;
                    if (prompt, heard) == ("one", BEFORE) {
                        cut();
                    }
                }
            }
        }
        let result = turn.result().await.unwrap().to_value();
        seen.push(json!([result["status"], result["text"], result["run_ids"]]));
    }
    client.close().await;
    seen
}

fn pieces() -> Vec<String> {
    (0..60).map(|n| format!("{n} ")).collect()
}

async fn recorded(path: &Path) -> Vec<Value> {
    let turns = vec![
        ScriptedTurn { delay_ms: 5, ..ScriptedTurn::text(pieces()) },
        ScriptedTurn::text(["bye"]),
    ];
    let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap();
    let short = Duration::from_millis(5);
    let reconnect = Some(Reconnect { base: short, cap: short, ..Reconnect::default() });
    let options = ConnectOptions::new(server.url()).reconnect(reconnect).standby(true);
    program(options.record(RecordOptions::new(path)), || server.cut_connection(0)).await
}

#[tokio::test]
async fn a_program_with_a_standby_sees_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let live = recorded(&path).await;
    let ends: Vec<_> = live.iter().filter(|told| told.is_array()).collect();
    assert_eq!((&ends[0][0], &ends[0][1]), (&json!("completed"), &json!(pieces().concat())));
    for _ in 0..3 {
        assert_eq!(program(ConnectOptions::replay(replay(&path)), || {}).await, live);
    }
}

#[tokio::test]
async fn the_engine_alone_does_not_play_two_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    recorded(&path).await;
    let error = replay_events(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.message().contains("two connections"), "{error}");
}
