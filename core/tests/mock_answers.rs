//! What a test answers in place of the server double.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions};
use letta_app_client::{Client, ConnectOptions, Error, ErrorKind, SessionOptions, TurnOptions};
use serde_json::{Value, json};

fn answering(answers: Value) -> ScriptOptions {
    let answers = serde_json::from_value(answers).unwrap();
    ScriptOptions { answers, ..ScriptOptions::default() }
}

async fn connected(answers: Value) -> (MockServer, Client) {
    let server = MockServer::scripted(answering(answers)).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

/// How a turn ends whose input is answered this way.
async fn turn(answer: Value) -> Error {
    let (_server, client) = connected(json!({ "input": answer })).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let limits = TurnOptions {
        accept_timeout: Duration::from_millis(300),
        recover_timeout: Duration::from_millis(300),
        timeout: Some(Duration::from_secs(2)),
        ..session.turn_options()
    };
    let failed = session.run_with("?", limits).await.unwrap_err();
    client.close().await;
    failed
}

#[tokio::test]
async fn an_input_is_refused_or_taken_or_left_alone() {
    let refused = turn(json!({ "accepted": false, "error": "not today" })).await;
    assert!(refused.message().contains("not today"), "{refused}");
    assert_eq!(turn(json!({})).await.kind(), ErrorKind::TurnTimeout, "there is no turn");
    assert_eq!(turn(Value::Null).await.kind(), ErrorKind::TurnInterrupted);
}

#[tokio::test]
async fn a_terminal_is_answered_by_its_id() {
    let (_server, client) = connected(json!({ "terminal_spawn": { "pid": 7 } })).await;
    assert!(client.terminals().open(80, 24, None).await.is_ok());
    client.close().await;
    let (_server, client) = connected(json!({ "terminal_spawn": { "error": "no pty" } })).await;
    let refused = client.terminals().open(80, 24, None).await.unwrap_err();
    assert!(refused.message().contains("no pty"), "{refused}");
    client.close().await;
}

#[tokio::test]
async fn a_move_of_a_conversation_is_answered_by_its_id() {
    let (_server, client) = connected(json!({ "teleport_request": { "ok": 1 } })).await;
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let target = json!({ "connection_id": "1", "device_id": "2", "connection_name": "three" });
    let fields = json!({ "teleport_id": "t", "runtime": runtime, "target": target });
    let answer = client.request("teleport_request", fields).await.unwrap().json();
    assert_eq!((&answer["teleport_id"], &answer["ok"]), (&json!("t"), &json!(1)));
    client.close().await;
}

#[tokio::test]
async fn what_is_built_in_comes_after() {
    let (server, client) = connected(json!({
        "app_server_info": { "backend": "mine" }, "some_future_command": { "x": 1 },
    }))
    .await;
    let info = client.request("app_server_info", json!({})).await.unwrap().json();
    assert_eq!((&info["backend"], &info["success"]), (&json!("mine"), &json!(true)));
    assert_eq!(server.unexpected(), Vec::<String>::new());
    client.close().await;
}

#[test]
fn answers_that_are_never_given_are_refused() {
    for (answers, wrong) in [
        (json!({ "list_models": 5 }), "answers.list_models: expected an object or null, got 5"),
        (json!({ "sync": [] }), "answers.sync: expected an object or null, got []"),
        (
            json!({ "change_device_state": {} }),
            "answers.change_device_state: this command has no answer",
        ),
        (
            json!({ "turn_finished": {} }),
            "answers.turn_finished: expected a command, got a message of the server",
        ),
        (
            json!({ "runtime_strat": {} }),
            "answers.runtime_strat: there is no such command; did you mean `runtime_start`?",
        ),
    ] {
        let options = answering(answers);
        let error = options.check().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidOption, wrong));
        assert_eq!(MockServer::scripted(options).unwrap_err().to_string(), wrong);
    }
    assert!(answering(json!({ "some_future_command": null, "input": null })).check().is_ok());
}
