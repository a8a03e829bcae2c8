//! Every kind of error against what is documented of it (`tests/error_classes.json`, written by hand): its
//! flags, what it carries, and the hint that it really comes with.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::HashMap;
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Backpressure, Client, ConnectOptions, Error, ErrorKind, MessageFilter, Overflow,
    Server, ServerOptions, Session, SessionOptions, Transport, TurnOptions, TurnResult,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What cannot be had here: the one needs another process, the other a defect.
const NOT_PROVOKED: [ErrorKind; 2] = [ErrorKind::ForkedProcess, ErrorKind::Internal];

#[derive(Deserialize)]
struct Documented {
    classes: Vec<Class>,
    own: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct Class {
    #[serde(rename = "class")]
    name: String,
    kind: Option<String>,
    code: Option<String>,
    base: Option<String>,
    retryable: bool,
    own: Vec<String>,
    hint: Option<String>,
}

fn documented() -> Documented {
    serde_json::from_str(include_str!("../../tests/error_classes.json")).unwrap()
}

/// The kinds, each with what is documented of it.
fn kinds(classes: &[Class]) -> Vec<(ErrorKind, &Class)> {
    let of = |class: &Class, kind: &ErrorKind| class.kind.as_deref() == Some(&format!("{kind:?}"));
    let found = |kind: &ErrorKind| classes.iter().find(|class| of(class, kind));
    ErrorKind::ALL.iter().map(|kind| (*kind, found(kind).unwrap())).collect()
}

/// An error of a kind with everything that one can have.
fn full(kind: ErrorKind) -> Error {
    Error::new(kind, "what went wrong")
        .with_hint("what to do")
        .with_response(r#"{"success":false,"error":"no"}"#)
        .with_close_code(Some(1006))
        .with_will_reconnect(true)
        .with_result(TurnResult::default())
        .with_problems(vec!["file: is missing".to_owned()])
        .with_dropped_count(Some(7))
        .with_command(&["letta", "server"].map(str::to_owned))
        .with_end(Some(3), vec!["no such model".to_owned()])
}

/// What other languages call an attribute.
fn attribute(error: &Error, name: &str) -> Value {
    match name {
        "reason" => error.message().into(),
        "close_code" => error.close_code().into(),
        "will_reconnect" => error.will_reconnect().into(),
        "response" => serde_json::from_str(error.response().unwrap()).unwrap(),
        "result" | "text" => error.result().unwrap().text.as_str().into(),
        "errors" => error.problems().into(),
        "dropped_count" => error.dropped_count().into(),
        "command" => error.command().into(),
        "exit_code" => error.exit_code().into(),
        "output_tail" => error.output_tail().into(),
        _ => unreachable!("{name}: no such attribute in Rust"),
    }
}

#[test]
fn every_kind_is_as_documented() {
    let Documented { classes, own } = documented();
    let kinds = kinds(&classes);
    let named = classes.iter().filter(|class| class.kind.is_some()).count();
    assert_eq!(named, kinds.len(), "a kind is documented that is not there, or twice");
    for (kind, class) in kinds {
        let name = &class.name;
        assert_eq!(Some(kind.code()), class.code.as_deref(), "{name}");
        assert_eq!(kind.retryable(), class.retryable, "{name}");
        let base = class.base.as_deref();
        assert_eq!(kind.ends_turn(), base == Some("TurnError"), "{name}");
        let error = full(kind);
        assert_eq!(error.kind(), kind);
        assert_eq!((error.message(), error.hint()), ("what went wrong", Some("what to do")));
        assert_eq!(error.to_string(), "what went wrong (what to do)");
        let inherited = classes.iter().find(|class| Some(class.name.as_str()) == base).unwrap();
        for attribute_name in class.own.iter().chain(&inherited.own) {
            let (seen, wanted) = (attribute(&error, attribute_name), &own[attribute_name]);
            assert_eq!(&seen, wanted, "{name}.{attribute_name}");
        }
        // The form in which other languages get it says the same.
        let crossing: Value = serde_json::from_str(&error.to_json()).unwrap();
        assert_eq!(crossing["code"], json!(class.code), "{name}");
        assert_eq!(crossing["retryable"], json!(class.retryable), "{name}");
        assert_eq!(crossing["hint"], "what to do", "{name}");
    }
}

async fn connected(server: &MockServer, change: fn(ConnectOptions) -> ConnectOptions) -> Client {
    let client = Client::new(change(ConnectOptions::new(server.url()))).unwrap();
    client.connect().await.unwrap();
    client
}

async fn session(server: &MockServer) -> Session {
    let client = connected(server, |options| options).await;
    client.session(SessionOptions::agent("agent-1").cwd("/home/user/project")).await.unwrap()
}

fn scripted(turn: ScriptedTurn) -> MockServer {
    let directories = Some(Vec::new());
    let options = ScriptOptions { turns: vec![turn], directories, ..ScriptOptions::default() };
    MockServer::scripted(options).unwrap()
}

fn hanging() -> ScriptedTurn {
    ScriptedTurn { hang: true, ..ScriptedTurn::text(["on and on"]) }
}

/// The error of a turn of one's own.
async fn of_turn(turn: ScriptedTurn, change: fn(&mut TurnOptions)) -> Error {
    let server = scripted(turn);
    let session = session(&server).await;
    let mut options = session.turn_options();
    change(&mut options);
    options.check = true;
    session.run_with("?", options).await.unwrap_err()
}

const MOMENT: Duration = Duration::from_millis(30);

/// One real error of each kind.
async fn provoked(kind: ErrorKind) -> Error {
    match kind {
        ErrorKind::InvalidOption => Client::new(ConnectOptions::new("nowhere")).unwrap_err(),
        ErrorKind::ConnectionFailed => {
            let server = scripted(hanging());
            server.close();
            let client = Client::new(ConnectOptions::new(server.url())).unwrap();
            client.connect().await.unwrap_err()
        }
        ErrorKind::Auth => {
            let token = Some("secret".to_owned());
            let options = ScriptOptions { token, ..ScriptOptions::default() };
            let server = MockServer::scripted(options).unwrap();
            let client = Client::new(ConnectOptions::new(server.url())).unwrap();
            client.connect().await.unwrap_err()
        }
        ErrorKind::ProtocolMismatch => {
            let server = scripted(hanging());
            let options = ConnectOptions::new(server.url()).transport(Transport::Split);
            Client::new(options).unwrap().connect().await.unwrap_err()
        }
        ErrorKind::Disconnected => {
            let client = Client::new(ConnectOptions::new("ws://127.0.0.1:1")).unwrap();
            client.info().await.unwrap_err()
        }
        ErrorKind::Closed => {
            let client = Client::new(ConnectOptions::new("ws://127.0.0.1:1")).unwrap();
            client.close().await;
            client.info().await.unwrap_err()
        }
        ErrorKind::Request => {
            let server = scripted(hanging());
            session(&server).await.set_cwd("/nowhere").await.unwrap_err()
        }
        ErrorKind::RequestTimeout => {
            let server = scripted(hanging());
            let quick = |options: ConnectOptions| options.request_timeout(MOMENT);
            let client = connected(&server, quick).await;
            client.request("list_models", json!({})).await.unwrap_err()
        }
        ErrorKind::TooManyRequests => {
            let server = scripted(hanging());
            let client = connected(&server, |options| {
                options.request_timeout(MOMENT).max_pending_requests(1)
            })
            .await;
            let ask = || client.request("list_models", json!({}));
            let (_, second) = tokio::join!(ask(), ask());
            second.unwrap_err()
        }
        ErrorKind::MessageTooLarge => {
            let server = scripted(hanging());
            let small = |options: ConnectOptions| options.max_message_bytes(2000);
            let client = connected(&server, small).await;
            client.request("list_models", json!({ "x": "x".repeat(3000) })).await.unwrap_err()
        }
        ErrorKind::InvalidCommand => {
            let server = scripted(hanging());
            let client = connected(&server, |options| options).await;
            client.request("runtime_start", json!({ "agent_id": 7 })).await.unwrap_err()
        }
        ErrorKind::UnsupportedByServer => {
            let generation = Generation::Split;
            let options = ScriptOptions { generation, ..ScriptOptions::default() };
            let server = MockServer::scripted(options).unwrap();
            let client = connected(&server, |options| options).await;
            client.request("app_server_info", json!({})).await.unwrap_err()
        }
        ErrorKind::Lagged => {
            let server = scripted(ScriptedTurn::text((0..100).map(|n| n.to_string())));
            let session = session(&server).await;
            let policy = Overflow::Raise;
            let limits = Backpressure { max_items: 5, policy, ..Backpressure::default() };
            let filter = MessageFilter::all().types(["stream_delta"]);
            let mut deltas = session.client().messages_with(filter, limits).unwrap();
            session.run("?").await.unwrap();
            while deltas.next().await.is_some() {}
            deltas.error().unwrap().clone()
        }
        ErrorKind::ServerStart => {
            let command = vec!["no-such-program-anywhere".to_owned()];
            Server::start(&ServerOptions { command, ..ServerOptions::default() }).unwrap_err()
        }
        _ => provoked_by_a_turn(kind).await,
    }
}

async fn provoked_by_a_turn(kind: ErrorKind) -> Error {
    match kind {
        ErrorKind::TurnFailed => {
            let error = Some("no credits".to_owned());
            of_turn(ScriptedTurn { error, ..ScriptedTurn::default() }, |_| {}).await
        }
        ErrorKind::TurnAborted => {
            let server = scripted(hanging());
            let session = session(&server).await;
            let options = TurnOptions { check: true, ..session.turn_options() };
            let mut turn = session.send_with("?", options).unwrap();
            turn.next_text().await.unwrap();
            session.abort().await.unwrap();
            turn.await.unwrap_err()
        }
        ErrorKind::TurnTimeout => {
            of_turn(hanging(), |options| options.timeout = Some(MOMENT)).await
        }
        ErrorKind::TurnIdleTimeout => {
            of_turn(hanging(), |options| options.idle_timeout = Some(MOMENT)).await
        }
        ErrorKind::TurnInterrupted => {
            let cut = ScriptedTurn { disconnect_after: Some(1), ..ScriptedTurn::text(["a", "b"]) };
            // With a reconnect the answer is looked for first.
            let server = scripted(cut);
            let alone = |options: ConnectOptions| options.reconnect(None);
            let client = connected(&server, alone).await;
            let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
            session.run("?").await.unwrap_err()
        }
        ErrorKind::ApprovalRequired => {
            let asking = ScriptedTurn::default().call(ScriptedCall::asking("Bash", json!({})));
            of_turn(asking, |options| options.approvals = Some(Approvals::Raise)).await
        }
        ErrorKind::StructuredOutput => {
            let server = scripted(ScriptedTurn::text(["No."]));
            let schema = json!({ "type": "object" });
            session(&server).await.run_as::<Value>("?", &schema).await.unwrap_err()
        }
        _ => unreachable!("{kind:?}: nobody says how to have it"),
    }
}

#[tokio::test]
async fn every_kind_that_can_be_had_comes_with_the_hint_that_is_documented() {
    let Documented { classes, .. } = documented();
    let mut wrong = Vec::new();
    for (kind, class) in kinds(&classes) {
        if NOT_PROVOKED.contains(&kind) {
            continue;
        }
        let error = provoked(kind).await;
        let hint = match (&class.hint, error.hint()) {
            (Some(words), Some(hint)) => hint.contains(words.as_str()),
            (wanted, seen) => wanted.is_none() && seen.is_none(),
        };
        if error.kind() != kind || !hint || error.result().is_some() != kind.ends_turn() {
            wrong.push(format!("{kind:?}, {:?}: {error:?}", class.hint));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
