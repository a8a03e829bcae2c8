//! Turns whose connection is lost, with a client, a server double and real sockets (PROTOCOL.md section 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Client, ConnectOptions, ErrorKind, InputDelivery, Reconnect, Resend, Session, SessionOptions,
    TurnEvent, TurnOptions, TurnStatus, TurnUpdate,
};
use serde_json::{Value, json};

async fn connect(server: &MockServer) -> Client {
    let base = Duration::from_millis(20);
    let reconnect = Some(Reconnect { base, ..Reconnect::default() });
    let options = ConnectOptions::new(server.url()).reconnect(reconnect);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    client
}

async fn open(server: &MockServer) -> Session {
    connect(server).await.session(SessionOptions::agent("a").conversation("c")).await.unwrap()
}

fn scripted(generation: Generation, turns: Vec<ScriptedTurn>) -> MockServer {
    MockServer::scripted(ScriptOptions { generation, turns, ..ScriptOptions::default() }).unwrap()
}

fn inputs(server: &MockServer) -> Vec<Value> {
    let frames = server.received().into_iter();
    let frames = frames.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    frames.filter(|frame| frame["type"] == "input").collect()
}

fn lost() -> ScriptedTurn {
    ScriptedTurn { lose_input: true, ..ScriptedTurn::default() }
}

#[tokio::test]
async fn run_sends_an_input_again_that_was_lost() {
    for generation in [Generation::Single, Generation::Split] {
        let server = scripted(generation, vec![lost(), lost(), ScriptedTurn::text(["Here."])]);
        let session = open(&server).await;
        let result = session.run("Are you there?").await.unwrap();
        assert_eq!((&*result.text, result.delivery), ("Here.", InputDelivery::Resent));
        let inputs = inputs(&server);
        assert_eq!(inputs.len(), 3);
        assert!(inputs.iter().all(|input| *input == inputs[0]), "{inputs:?}");
    }
}

#[tokio::test]
async fn send_leaves_it_to_the_caller() {
    let server = scripted(Generation::Single, vec![lost(), ScriptedTurn::text(["Here."])]);
    let session = open(&server).await;
    let error = session.send("Are you there?").unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Undelivered);
    assert_eq!(inputs(&server).len(), 1);

    let server = scripted(Generation::Single, vec![lost(), ScriptedTurn::text(["Here."])]);
    let session = open(&server).await;
    let options = TurnOptions { resend: Some(Resend::IfUncommitted), ..session.turn_options() };
    let result = session.send_with("Are you there?", options).unwrap().await.unwrap();
    assert_eq!((&*result.text, result.delivery), ("Here.", InputDelivery::Resent));
}

#[tokio::test]
async fn a_turn_that_was_cut_is_not_sent_again_and_gives_what_is_stored() {
    for generation in [Generation::Single, Generation::Split] {
        let cut = ScriptedTurn { disconnect_after: Some(2), ..ScriptedTurn::text(["a", "b", "c"]) };
        let cut = cut.call(ScriptedCall::new("Read", json!({ "path": "x" })));
        let server = scripted(generation, vec![cut]);
        let session = open(&server).await;
        let error = session.run("Go").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
        let result = error.result().unwrap();
        assert_eq!((&*result.text, result.delivery), ("ab", InputDelivery::Recovered));
        assert_eq!(result.tool_calls[0].output.as_deref(), Some("ok"));
        assert_eq!(inputs(&server).len(), 1);
    }
}

#[tokio::test]
async fn a_turn_that_somebody_else_watches_goes_on() {
    let pieces: Vec<String> = (0..60).map(|n| format!("{n} ")).collect();
    let turn = ScriptedTurn { delay_ms: 10, ..ScriptedTurn::text(pieces.clone()) };
    let server = scripted(Generation::Single, vec![turn]);
    let watcher = connect(&server).await;
    watcher.sync(json!({ "runtime": { "agent_id": "a", "conversation_id": "c" } })).await.unwrap();
    let session = open(&server).await;
    let mut turn = session.send("Count").unwrap();
    assert_eq!(turn.next_text().await.as_deref(), Some("0 "));
    // The session's connection is the later one.
    server.cut_connection(1);
    let mut resumed = 0;
    let result = loop {
        match turn.next().await.unwrap() {
            TurnUpdate::Event(TurnEvent::Resumed) => resumed += 1,
            TurnUpdate::Finished(result) => break result,
            _ => {}
        }
    };
    assert_eq!(resumed, 1);
    assert_eq!((result.status, result.text), (Some(TurnStatus::Completed), pieces.concat()));
    assert_eq!(result.delivery, InputDelivery::Recovered);
    assert_eq!(inputs(&server).len(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_reconnect_says_at_once_that_it_does_not_know() {
    let server = scripted(Generation::Single, vec![lost()]);
    let options = ConnectOptions::new(server.url()).reconnect(None);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let error = session.run("Go").await.unwrap_err();
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
}
