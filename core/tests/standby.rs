//! A client with a second connection, with a server double and real sockets (PROTOCOL.md sections 7, 10, 13, 14 and 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, ErrorKind, Event, InputDelivery, Reconnect, Resend, Session,
    SessionOptions, StandbyState, State, Tool, TurnEvent, TurnOptions, TurnStatus, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

fn scripted(generation: Generation, turns: Vec<ScriptedTurn>) -> MockServer {
    MockServer::scripted(ScriptOptions { generation, turns, ..ScriptOptions::default() }).unwrap()
}

async fn connect(server: &MockServer) -> Client {
    let short = Duration::from_millis(5);
    let reconnect = Some(Reconnect { base: short, cap: short, ..Reconnect::default() });
    let options = ConnectOptions::new(server.url()).reconnect(reconnect).standby(true);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    client
}

async fn open(client: &Client) -> Session {
    let session = client.session(SessionOptions::agent("a").conversation("c")).await.unwrap();
    ready(client).await;
    session
}

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, waiting).await.unwrap();
}

async fn ready(client: &Client) {
    until(|| client.counters().standby == StandbyState::Ready).await;
}

fn received(server: &MockServer, kind: &str) -> Vec<Value> {
    let frames = server.received().into_iter();
    let frames = frames.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    frames.filter(|frame| frame["type"] == kind).collect()
}

fn pieces(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n} ")).collect()
}

/// Cuts the older of the two connections: that is the first one, once the standby was opened after it.
async fn cut_first(server: &MockServer, client: &Client) {
    let before = client.counters().reconnects;
    server.cut_connection(0);
    until(|| client.counters().reconnects > before).await;
}

#[tokio::test]
async fn a_turn_outlives_twenty_cuts() {
    let pieces = pieces(200);
    let turn = ScriptedTurn { delay_ms: 8, ..ScriptedTurn::text(pieces.clone()) };
    let server = scripted(Generation::Single, vec![turn]);
    let client = connect(&server).await;
    let session = open(&client).await;
    let mut turn = session.send("Count").unwrap();
    let (mut heard, mut cuts) = (Vec::new(), 0);
    let result = loop {
        match timeout(SOON, turn.next()).await.unwrap().unwrap() {
            TurnUpdate::Event(TurnEvent::AssistantDelta { text, .. }) => heard.push(text),
            TurnUpdate::Event(TurnEvent::Resumed) => panic!("it was never interrupted"),
            TurnUpdate::Finished(result) => break result,
            _ => {}
        }
        // One after the other: whichever is the older one is the one in use, and then the standby.
        if heard.len() >= 5 + 9 * cuts && cuts < 20 {
            let connections = server.connections();
            if cuts % 2 == 0 {
                cut_first(&server, &client).await;
            } else {
                server.cut_connection(1);
            }
            until(|| server.connections() > connections).await;
            ready(&client).await;
            cuts += 1;
        }
    };
    assert_eq!(cuts, 20);
    assert_eq!(heard.concat(), pieces.concat(), "each once, and in order");
    assert_eq!((result.status, &result.text), (Some(TurnStatus::Completed), &pieces.concat()));
    assert_eq!(result.delivery, InputDelivery::Sent);
    assert_eq!(received(&server, "input").len(), 1);
    assert_eq!(client.counters().reconnects, 10);
}

#[tokio::test]
async fn what_a_program_sees_is_a_loss_that_is_over_at_once() {
    let server = scripted(Generation::Single, Vec::new());
    let client = connect(&server).await;
    open(&client).await;
    let mut events = client.events();
    cut_first(&server, &client).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match timeout(SOON, events.next()).await.unwrap().unwrap() {
            Event::Disconnected { will_reconnect, .. } => {
                seen.push(format!("lost, will_reconnect: {will_reconnect}"));
            }
            Event::State { state, error } => {
                let kind = error.map(|error| (error.kind(), error.will_reconnect()));
                seen.push(format!("{state:?} {kind:?}"));
            }
            _ => {}
        }
    }
    assert_eq!(
        seen,
        ["lost, will_reconnect: true", "Reconnecting Some((Disconnected, true))", "Open None",]
    );
    client.info().await.unwrap();
    ready(&client).await;
    assert_eq!(client.state(), State::Open);
    client.close().await;
    assert_eq!(client.counters().standby, StandbyState::Off);
}

#[tokio::test]
async fn requests_that_wait_fail() {
    let server = scripted(Generation::Single, Vec::new());
    let client = connect(&server).await;
    ready(&client).await;
    // The server double knows no such command, and stays silent as a server does.
    let waiting = client.request("future_command", json!({}));
    let cutting = async {
        until(|| !received(&server, "future_command").is_empty()).await;
        server.cut_connection(0);
    };
    let (answer, ()) = tokio::join!(waiting, cutting);
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::Disconnected, true));
}

#[tokio::test]
async fn an_external_tool_is_called_on_the_connection_there_is() {
    let call = ScriptedCall::new("lookup", json!({ "key": "x" }));
    let before: Vec<_> = (0..3).map(|n| ScriptedCall::asking("Read", json!({ "n": n }))).collect();
    let calls = before.into_iter().chain([call]);
    let turn = calls.fold(ScriptedTurn::text(["done"]), ScriptedTurn::call);
    let server = scripted(Generation::Single, vec![turn]);
    let client = connect(&server).await;
    let parameters = json!({ "type": "object", "properties": { "key": { "type": "string" } } });
    let tool = Tool::new("lookup", "Looks up", parameters, |input: Value, _| async move {
        Ok::<_, String>(format!("found {}", input["key"]))
    });
    let options = SessionOptions::agent("a").conversation("c").mode("standard").tool(tool);
    let session = client.session(options).await.unwrap();
    ready(&client).await;
    let mut requests = client.approval_requests(None).unwrap();
    let options = TurnOptions { approvals: Some(Approvals::Wait), ..session.turn_options() };
    let turn = session.send_with("?", options).unwrap();
    let answering = async {
        // Each question is a cut; the tools are registered again before the tool is called.
        for n in 1..=3 {
            let asked = requests.next().await.unwrap();
            ready(&client).await;
            cut_first(&server, &client).await;
            until(|| registered(&server) > n).await;
            asked.allow();
        }
        // In the mode `standard` the tool is asked about as well.
        requests.next().await.unwrap().allow();
    };
    let (result, ()) = timeout(SOON, async { tokio::join!(turn, answering) }).await.unwrap();
    let result = result.unwrap();
    let call = result.tool_calls.iter().find(|call| call.name == "lookup").unwrap();
    let outcome = (call.status.as_deref(), call.output.as_deref());
    assert_eq!(outcome, (Some("success"), Some(r#"found "x""#)));
    assert_eq!(received(&server, "external_tool_call_response").len(), 1);
}

/// How often external tools were registered.
fn registered(server: &MockServer) -> usize {
    let updates = received(server, "runtime_external_tools_update").len();
    updates + received(server, "runtime_start").len()
}

#[tokio::test]
async fn a_permission_that_is_wanted_during_the_switch_is_asked_for_once() {
    let call = ScriptedCall::asking("Write", json!({ "file_path": "x" }));
    let turns = vec![ScriptedTurn::text(["done"]).call(call)];
    let server = scripted(Generation::Single, turns);
    let client = connect(&server).await;
    let options = SessionOptions::agent("a").conversation("c").mode("standard");
    let session = client.session(options).await.unwrap();
    ready(&client).await;
    let mut requests = client.approval_requests(None).unwrap();
    let options = TurnOptions { approvals: Some(Approvals::Wait), ..session.turn_options() };
    let turn = session.send_with("?", options).unwrap();
    let answering = async {
        let asked = requests.next().await.unwrap();
        cut_first(&server, &client).await;
        // After the switch the server is asked for open questions.
        until(|| received(&server, "sync").iter().any(|sync| sync["recover_approvals"] == true))
            .await;
        asked.allow();
    };
    let both = async { tokio::join!(turn, answering) };
    let (result, ()) = timeout(SOON, both).await.unwrap();
    assert_eq!(result.unwrap().text, "done");
    let inputs = received(&server, "input").into_iter();
    let answers = inputs.filter(|input| input["payload"]["kind"] == "approval_response");
    assert_eq!(answers.count(), 1);
    assert!(timeout(Duration::from_millis(1), requests.next()).await.is_err(), "asked once");
}

#[tokio::test]
async fn a_queued_input_is_looked_for_and_sent_again() {
    let slow = ScriptedTurn { delay_ms: 10, ..ScriptedTurn::text(pieces(40)) };
    let server = scripted(Generation::Single, vec![slow, ScriptedTurn::text(["second"])]);
    let client = connect(&server).await;
    let session = open(&client).await;
    let mut first = session.send("one").unwrap();
    assert!(first.next_text().await.is_some());
    let options = TurnOptions { resend: Some(Resend::IfUncommitted), ..session.turn_options() };
    let mut second = session.send_with("two", options).unwrap();
    let queued = async {
        while !matches!(second.next().await.unwrap(), TurnUpdate::Event(TurnEvent::Queued { .. })) {
        }
    };
    timeout(SOON, queued).await.unwrap();
    cut_first(&server, &client).await;
    let (first, second) = timeout(SOON, async { tokio::join!(first, second) }).await.unwrap();
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.text, first.delivery), (pieces(40).concat(), InputDelivery::Sent));
    assert_eq!((&*second.text, second.delivery), ("second", InputDelivery::Resent));
    assert_eq!(received(&server, "input").len(), 3);
}

#[tokio::test]
async fn the_loss_of_both_is_a_loss_as_without() {
    let server = scripted(Generation::Single, Vec::new());
    let client = connect(&server).await;
    let _session = open(&client).await;
    server.cut_connections();
    until(|| client.counters().restored > 0).await;
    ready(&client).await;
    client.info().await.unwrap();
}

#[tokio::test]
async fn a_split_server_has_none() {
    let server = scripted(Generation::Split, Vec::new());
    let client = connect(&server).await;
    client.session(SessionOptions::agent("a")).await.unwrap();
    assert_eq!(client.counters().standby, StandbyState::Off);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn without_reconnect_there_is_none() {
    let server = scripted(Generation::Single, Vec::new());
    let options = ConnectOptions::new(server.url()).reconnect(None).standby(true);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    client.info().await.unwrap();
    assert_eq!(client.counters().standby, StandbyState::Off);
    assert_eq!(server.connections(), 1);
}
