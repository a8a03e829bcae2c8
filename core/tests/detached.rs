//! Turns that were let go of: what they need of their session stays to their end, and no longer.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{Command, Delivery, Reconnect, TurnOptions};
use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{Client, ConnectOptions, SessionOptions, Tool};
use serde_json::{Value, json};
use support::Lab;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn connected(turn: ScriptedTurn, generation: Generation) -> (MockServer, Client) {
    let options = ScriptOptions { generation, turns: vec![turn], ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

/// What a tool tells: that it was called, and, as its sender goes with it, that nothing has it any more.
struct Watched {
    tool: Tool,
    called: mpsc::UnboundedReceiver<()>,
    go_on: Arc<Notify>,
}

fn watched() -> Watched {
    let (call, called) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let going = Arc::clone(&go_on);
    let tool = Tool::new("lookup", "Looks up", json!({ "type": "object" }), move |_, _| {
        let going = Arc::clone(&going);
        call.send(()).unwrap();
        async move {
            going.notified().await;
            Ok::<_, String>("found")
        }
    });
    Watched { tool, called, go_on }
}

fn answers(server: &MockServer) -> Vec<Value> {
    let received = server.received().into_iter();
    let frames = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let answers = frames.filter(|frame| frame["type"] == "external_tool_call_response");
    answers.map(|frame| frame["result"]["content"][0]["text"].clone()).collect()
}

#[tokio::test]
async fn a_detached_turn_keeps_the_tools_of_a_session_that_is_gone_to_its_end() {
    for generation in [Generation::Single, Generation::Split] {
        // The first call runs when the turn is detached, the second comes later.
        let call = || ScriptedCall::new("lookup", json!({}));
        let (server, client) =
            connected(ScriptedTurn::text(["done"]).call(call()).call(call()), generation).await;
        let Watched { tool, mut called, go_on } = watched();
        let session = client.session(SessionOptions::agent("a").tool(tool)).await.unwrap();
        let turn = session.send("?").unwrap();
        timeout(SOON, called.recv()).await.unwrap().unwrap();
        drop(session);
        turn.detach();
        for _ in 0..2 {
            go_on.notify_one();
            let next = timeout(SOON, called.recv()).await.unwrap();
            if next.is_none() {
                break;
            }
        }
        // With the turn's end nobody has the tool any more.
        assert_eq!(timeout(SOON, called.recv()).await.unwrap(), None);
        assert_eq!(answers(&server), ["found", "found"]);
        client.close().await;
    }
}

#[tokio::test]
async fn nothing_of_a_detached_turn_stays_when_its_client_closes_or_is_gone() {
    for closes in [true, false] {
        let hanging = ScriptedTurn { hang: true, ..ScriptedTurn::text(["on and on"]) };
        let (server, client) = connected(hanging, Generation::Single).await;
        let Watched { tool, mut called, .. } = watched();
        let session = client.session(SessionOptions::agent("a").tool(tool)).await.unwrap();
        let mut turn = session.send("?").unwrap();
        turn.next_text().await.unwrap();
        drop(session);
        turn.detach();
        if closes {
            client.close().await;
        }
        // The turn does not keep the connection of a client that is gone.
        drop(client);
        assert_eq!(timeout(SOON, called.recv()).await.unwrap(), None);
        drop(server);
    }
}

#[tokio::test]
async fn nothing_of_a_detached_turn_stays_when_the_connection_is_lost_for_good() {
    let hanging = ScriptedTurn { hang: true, ..ScriptedTurn::text(["on and on"]) };
    let options = ScriptOptions { turns: vec![hanging], ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url()).reconnect(None)).unwrap();
    client.connect().await.unwrap();
    let Watched { tool, mut called, .. } = watched();
    let session = client.session(SessionOptions::agent("a").tool(tool)).await.unwrap();
    let mut turn = session.send("?").unwrap();
    turn.next_text().await.unwrap();
    drop(session);
    turn.detach();
    server.cut_connections();
    assert_eq!(timeout(SOON, called.recv()).await.unwrap(), None);
    client.close().await;
}

/// The tokens of which no more is told than that they are over.
fn over(lab: &mut Lab) -> Vec<u64> {
    let deliveries = std::iter::from_fn(|| lab.engine.poll_delivery());
    let token = |delivery| match delivery {
        Delivery::Done { token } => Some(token),
        Delivery::Turn { .. } | Delivery::Failed { .. } => Some(0),
        _ => None,
    };
    deliveries.filter_map(token).collect()
}

fn started(lab: &mut Lab) {
    lab.turn(1, "a", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("run-1", &["a"]);
    lab.says("run-1", "one");
}

#[test]
fn the_end_of_a_detached_turn_is_told_once() {
    let mut lab = Lab::new();
    started(&mut lab);
    lab.command(Command::Detach { token: 1 });
    assert_eq!(over(&mut lab), [0_u64; 0]);
    lab.finished(Some("run-1"), "end_turn");
    lab.status("WAITING_ON_INPUT");
    lab.pass(10.0);
    assert_eq!(over(&mut lab), [1]);
}

#[test]
fn a_turn_that_was_cancelled_tells_no_end() {
    let mut lab = Lab::new();
    started(&mut lab);
    lab.command(Command::Cancel { token: 1 });
    lab.finished(Some("run-1"), "end_turn");
    lab.status("WAITING_ON_INPUT");
    lab.pass(10.0);
    assert_eq!(over(&mut lab), [0_u64; 0]);
}

#[test]
fn a_detached_turn_is_over_with_its_connection() {
    let mut lab = Lab::new();
    started(&mut lab);
    lab.command(Command::Detach { token: 1 });
    lab.lose();
    assert_eq!(over(&mut lab), [1]);
}

#[test]
fn a_turn_that_is_detached_while_it_is_looked_for_is_over_then() {
    let rules = Reconnect { max_attempts: Some(3), ..Reconnect::default() };
    let mut lab = Lab::reconnecting(rules);
    started(&mut lab);
    lab.lose();
    assert_eq!(over(&mut lab), [0_u64; 0]);
    lab.command(Command::Detach { token: 1 });
    assert_eq!(over(&mut lab), [1]);
}

#[test]
fn a_turn_that_is_to_stop_and_is_detached_is_over_at_its_end() {
    let mut lab = Lab::new();
    started(&mut lab);
    lab.command(Command::Abort { token: 1 });
    lab.command(Command::Detach { token: 1 });
    assert_eq!(over(&mut lab), [0_u64; 0]);
    lab.pass(60.0);
    assert_eq!(over(&mut lab), [1]);
}

#[test]
fn a_detached_input_without_a_sign_is_over_when_it_can_begin_no_more() {
    let mut lab = Lab::new();
    lab.status("WAITING_ON_INPUT");
    lab.turn(1, "a", TurnOptions::default());
    lab.command(Command::Detach { token: 1 });
    lab.pass(31.0);
    assert_eq!(over(&mut lab), [0_u64; 0], "it may still be answered");
    lab.status("SENDING_API_REQUEST");
    lab.says("run-1", "one");
    lab.delta(
        json!({ "message_type": "stop_reason", "stop_reason": "end_turn", "run_id": "run-1" }),
    );
    lab.status("WAITING_ON_INPUT");
    lab.pass(10.0);
    assert_eq!(over(&mut lab), [1]);
}
