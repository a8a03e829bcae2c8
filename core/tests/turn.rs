//! Turns with a handle: followed, awaited, stopped, left alone; both generations.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Client, ConnectOptions, Turn, TurnEvent, TurnOptions, TurnStatus, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn started(turns: &[ScriptedTurn], generation: Generation) -> (MockServer, Client, Value) {
    let options = ScriptOptions { generation, turns: turns.to_vec(), ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let fields = json!({ "agent_id": "agent-1", "mode": "standard", "create_conversation": {} });
    let runtime = client.runtime_start(fields).await.unwrap().json()["runtime"].clone();
    (server, client, runtime)
}

fn send(client: &Client, runtime: &Value) -> Turn {
    let message = json!({ "role": "user", "content": "?" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    client
        .send_turn(json!({ "runtime": runtime, "payload": payload }), TurnOptions::default())
        .unwrap()
}

async fn events(turn: &mut Turn) -> Vec<TurnEvent> {
    let mut all = Vec::new();
    while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
        match update {
            TurnUpdate::Event(event) => all.push(event),
            TurnUpdate::Finished(_) => {}
            other => panic!("{other:?}"),
        }
    }
    all
}

fn text(events: &[TurnEvent]) -> String {
    let pieces = events.iter().map(|event| match event {
        TurnEvent::AssistantDelta { text, .. } => text.as_str(),
        _ => "",
    });
    pieces.collect()
}

fn hanging() -> ScriptedTurn {
    let mut turn = ScriptedTurn::text(["half"]);
    turn.hang = true;
    turn
}

#[tokio::test]
async fn a_turn_is_followed_and_awaited_in_any_order() {
    let mut script = ScriptedTurn::text(["4", "2"]);
    script.reasoning = vec!["hm".to_owned()];
    script.tool_calls = vec![ScriptedCall::new("Read", json!({ "path": "a" }))];
    for generation in [Generation::Single, Generation::Split] {
        let (_server, client, runtime) = started(&[script.clone()], generation).await;
        let mut turn = send(&client, &runtime);
        // Waited for first: the events are still there afterwards.
        let result = turn.result().await.unwrap();
        let told = events(&mut turn).await;
        assert_eq!((text(&told).as_str(), result.text.as_str()), ("42", "42"));
        let has = |wanted: fn(&TurnEvent) -> bool| told.iter().filter(|e| wanted(e)).count();
        assert_eq!(has(|e| matches!(e, TurnEvent::RunStarted { .. })), result.run_ids.len());
        assert_eq!(has(|e| matches!(e, TurnEvent::ReasoningDelta { text, .. } if text == "hm")), 1);
        assert_eq!(
            has(|e| matches!(e, TurnEvent::ToolCallStart { name, .. } if name == "Read")),
            1
        );
        assert_eq!(
            has(|e| matches!(e, TurnEvent::ToolCallEnd { status, .. } if status == "success")),
            1
        );
        assert!(has(|e| matches!(e, TurnEvent::Usage { .. })) > 0);
        // Followed first, then awaited, twice.
        let mut turn = send(&client, &runtime);
        assert_eq!(text(&events(&mut turn).await), "42");
        assert_eq!(turn.result().await.unwrap().text, "42");
        assert_eq!(turn.result().await.unwrap().text, "42");
        client.close().await;
    }
}

#[tokio::test]
async fn an_aborted_turn_has_a_result() {
    for generation in [Generation::Single, Generation::Split] {
        let (server, client, runtime) = started(&[hanging()], generation).await;
        let mut turn = send(&client, &runtime);
        while !matches!(
            timeout(SOON, turn.next()).await.unwrap(),
            Some(TurnUpdate::Event(TurnEvent::AssistantDelta { .. }))
        ) {}
        let result = turn.abort().await.unwrap();
        assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Aborted), "half"));
        assert!(server.received().iter().any(|frame| frame.contains("abort_message")));
        client.close().await;
    }
}

#[tokio::test]
async fn a_queued_turn_says_where_it_stands_and_can_be_taken_out() {
    for generation in [Generation::Single, Generation::Split] {
        let (server, client, runtime) = started(&[hanging()], generation).await;
        let first = send(&client, &runtime);
        let mut second = send(&client, &runtime);
        let update = timeout(SOON, second.next()).await.unwrap();
        let queued = matches!(update, Some(TurnUpdate::Event(TurnEvent::Queued { position: 1 })));
        assert!(queued, "{update:?}");
        let result = second.abort().await.unwrap();
        assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Aborted), ""));
        let frames = server.received();
        assert!(frames.iter().any(|frame| frame.contains("remove_queue_item")));
        assert!(!frames.iter().any(|frame| frame.contains("abort_message")), "the first goes on");
        drop(first);
        client.close().await;
    }
}

#[tokio::test]
async fn a_dropped_turn_is_stopped_and_a_detached_one_goes_on() {
    let (server, client, runtime) = started(&[hanging()], Generation::Single).await;
    let mut turn = send(&client, &runtime);
    timeout(SOON, turn.next()).await.unwrap();
    turn.detach();
    // Whatever a detach sends was sent before the answer to this.
    client.sync(json!({ "runtime": runtime })).await.unwrap();
    assert!(!server.received().iter().any(|frame| frame.contains("abort_message")));

    let other = client.runtime_start(json!({ "agent_id": "b", "create_conversation": {} })).await;
    let runtime = other.unwrap().json()["runtime"].clone();
    let mut turn = send(&client, &runtime);
    timeout(SOON, turn.next()).await.unwrap();
    drop(turn);
    let aborted =
        tokio::task::spawn_blocking(move || server.wait_received("abort_message", 1, SOON));
    assert!(aborted.await.unwrap());
}

#[tokio::test]
async fn a_permission_is_an_event() {
    let mut script = ScriptedTurn::text(["done"]);
    script.tool_calls = vec![ScriptedCall::asking("Write", json!({ "path": "x" }))];
    let (_server, client, runtime) = started(&[script], Generation::Single).await;
    let message = json!({ "role": "user", "content": "?" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    let waiting =
        TurnOptions { approvals: letta_app_client::Approvals::Wait, ..TurnOptions::default() };
    let fields = json!({ "runtime": runtime, "payload": payload });
    let mut turn = client.send_turn(fields, waiting).unwrap();
    let mut decided = false;
    while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
        match update {
            TurnUpdate::Event(TurnEvent::ApprovalRequested { request_id, .. }) => {
                let decision = json!({ "behavior": "allow" });
                let payload = json!({
                    "kind": "approval_response", "request_id": request_id, "decision": decision,
                });
                client.input(json!({ "runtime": runtime, "payload": payload })).unwrap();
            }
            TurnUpdate::Event(TurnEvent::ApprovalDecided { .. }) => decided = true,
            _ => {}
        }
    }
    assert!(decided);
    assert_eq!(turn.result().await.unwrap().text, "done");
}
