//! Scripted turns in the less usual situations. The usual ones are in `tests/mock_server.rs`.
mod client;
mod slow;

use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
use client::{Client, last, message, outline, text};

fn script(turns: Vec<ScriptedTurn>) -> MockServer {
    MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).expect("server")
}

#[tokio::test]
async fn a_queued_input_can_be_removed() {
    let server = script(vec![ScriptedTurn { hang: true, ..ScriptedTurn::default() }]);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    client.send(message(&runtime, "2", "two")).await;
    let remove = json!({"type": "remove_queue_item", "request_id": "r", "runtime": runtime, "item_id": "q-1"});
    client.send(remove.clone()).await;
    let seen = client.until_type("remove_queue_item_response").await;
    assert_eq!(last(&seen)["success"], true);
    let seen = client.until(|f| f["removed"].as_array().is_some_and(|r| !r.is_empty())).await;
    assert_eq!(last(&seen)["removed"][0]["disposition"], "cancelled");
    client.send(remove).await;
    let seen = client.until_type("remove_queue_item_response").await;
    assert_eq!(last(&seen)["success"], false);
}

#[tokio::test]
async fn external_tools_are_called_at_their_owner() {
    let server =
        script(vec![ScriptedTurn::default().call(ScriptedCall::new("lookup", json!({"q": 1})))]);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client
        .send(json!({"type": "change_device_state", "runtime": runtime, "payload": {"mode": "unrestricted"}}))
        .await;
    client
        .send(json!({"type": "runtime_external_tools_update", "request_id": "t", "updates": [
            {"runtimes": [runtime], "external_tools": [{"tools": [{"name": "lookup"}]}]}]}))
        .await;
    client.until_type("runtime_external_tools_update_response").await;
    client.send(message(&runtime, "1", "one")).await;
    let seen = client.until_type("external_tool_call_request").await;
    assert_eq!(last(&seen)["input"], json!({"q": 1}));
    client
        .send(
            json!({"type": "external_tool_call_response", "request_id": last(&seen)["request_id"],
            "result": {"content": [{"type": "text", "text": "found"}]}}),
        )
        .await;
    let seen = client.until(|frame| frame["delta"]["message_type"] == "tool_return_message").await;
    assert_eq!(last(&seen)["delta"]["tool_return"], "found");
}

#[tokio::test]
async fn an_input_during_tools_joins_the_turn() {
    let tools = json!([{"tools": [{"name": "lookup"}]}]);
    let server = script(vec![ScriptedTurn::default().call(ScriptedCall::new("lookup", json!({})))]);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    client
        .send(json!({"type": "runtime_start", "request_id": "s", "agent_id": "a",
        "conversation_id": "default", "external_tools": tools}))
        .await;
    let runtime = json!({"agent_id": "a", "conversation_id": "default"});
    client.send(message(&runtime, "1", "one")).await;
    let seen = client.until_type("external_tool_call_request").await;
    client.send(message(&runtime, "2", "two")).await;
    client
        .send(json!({"type": "external_tool_call_response", "error": "down",
        "request_id": last(&seen)["request_id"]}))
        .await;
    let seen = client.until_type("turn_finished").await;
    let status = seen.iter().rfind(|frame| frame["type"] == "update_loop_status").expect("status");
    assert_eq!(
        status["loop_status"]["client_message_ids_by_run_id"],
        json!({"local-run-1": ["one"], "local-run-2": ["one", "two"]})
    );
    assert_eq!(last(&seen)["turn_id"], "batch-1");
}

#[tokio::test]
async fn an_observer_sees_a_turn_go_on_when_its_owner_is_cut() {
    let server =
        script(vec![ScriptedTurn { disconnect_after: Some(1), ..ScriptedTurn::text(["a", "b"]) }]);
    let url = format!("{}/ws", server.url());
    let (mut owner, mut observer) = (Client::open(&url).await, Client::open(&url).await);
    let runtime = owner.runtime().await;
    observer.send(json!({"type": "sync", "request_id": "s", "runtime": runtime})).await;
    observer.until_type("sync_response").await;
    owner.send(message(&runtime, "1", "one")).await;
    let mut seen = Vec::new();
    while let Some(frame) = owner.next().await {
        seen.push(frame);
    }
    assert_eq!(text(&seen), "a");
    assert_eq!(text(&observer.until_type("turn_finished").await), "ab");
}

#[tokio::test]
async fn a_lone_client_that_is_cut_loses_its_turn() {
    let server = script(vec![
        ScriptedTurn { disconnect_after: Some(1), ..ScriptedTurn::text(["a", "b"]) },
        ScriptedTurn::text(["c"]),
    ]);
    let url = format!("{}/ws", server.url());
    let mut client = Client::open(&url).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    while client.next().await.is_some() {}
    let mut client = Client::open(&url).await;
    client.send(message(&runtime, "2", "two")).await;
    let seen = client.until_type("turn_finished").await;
    assert_eq!(seen[0]["disposition"], "started", "nothing is left to be told to the model");
    assert_eq!(text(&seen), "c");
}

#[tokio::test]
async fn a_failed_turn_reports_its_error_twice() {
    let error = Some("out of credits".to_owned());
    let stop_reason = Some("insufficient_credits".to_owned());
    let server = script(vec![ScriptedTurn { stop_reason, error, ..ScriptedTurn::default() }]);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    let seen = client.until(|frame| frame["delta"]["is_terminal"] == true).await;
    let finished = seen.iter().find(|frame| frame["type"] == "turn_finished").expect("end");
    assert_eq!(finished["error"], "out of credits");
    assert_eq!(finished["stop_reason"], "insufficient_credits");
}

#[tokio::test]
async fn bad_frames_get_silence_or_a_violation() {
    let answers = [("list_models".to_owned(), json!({"entries": []}))].into();
    let server = MockServer::scripted(ScriptOptions { answers, ..ScriptOptions::default() })
        .expect("server");
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.until_type("update_subagent_state").await;
    client.0.send(Message::text("{oops")).await.expect("sent");
    client.send(json!({"type": "no_such_command", "request_id": "u"})).await;
    client.send(json!({"type": "sync", "request_id": "s"})).await;
    client.send(json!({"type": "input", "request_id": "i", "runtime": runtime})).await;
    client.send(json!({"type": "list_models", "request_id": "m"})).await;
    let seen = client.until_type("list_models_response").await;
    assert_eq!(outline(&seen), ["loop_error", "list_models_response"]);
    assert_eq!(server.unexpected().len(), 3);
}

#[test]
fn scripts_can_be_read_from_json() {
    let text = r#"{"generation": "split", "turns": [{"text": ["42"], "usage": [1, 2],
        "tool_calls": [{"name": "Read", "input": {"path": "a"}, "needs_approval": true}]}]}"#;
    let options: ScriptOptions = serde_json::from_str(text).expect("options");
    assert_eq!(options.generation, Generation::Split);
    assert!(options.turns[0].tool_calls[0].needs_approval);
    assert!(serde_json::from_str::<ScriptOptions>(r#"{"turn": []}"#).is_err(), "typing errors");
}
