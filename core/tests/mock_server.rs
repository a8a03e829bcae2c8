//! The server double, seen by a plain WebSocket client.
#![cfg(feature = "testing")]
#![expect(clippy::expect_used, clippy::panic, reason = "a broken expectation fails the test")]

#[path = "../src/testing/tests/client.rs"]
mod client;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use letta_app_client::testing::{
    Expected, Generation, MockServer, Payload, PlayOptions, ScriptOptions, ScriptedCall,
    ScriptedTurn, Trace, TraceEvent,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

use client::{Client, LIMIT, last, message, outline, text};

fn traces() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/traces"))
}

fn play(name: &str, generation: Generation, step_timeout: Duration) -> MockServer {
    let trace = Trace::read(traces().join(name)).expect("trace");
    let options = PlayOptions { step_timeout, ..PlayOptions::default() };
    MockServer::play(trace, generation, options).expect("server")
}

fn script(turns: Vec<ScriptedTurn>) -> MockServer {
    MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).expect("server")
}

#[test]
fn reads_all_recordings_and_their_expectations() {
    let expected = Expected::read(traces().join("EXPECTED.json")).expect("expectations");
    for file in expected.inputs.keys() {
        let trace = Trace::read(traces().join(file)).expect(file);
        assert!(!trace.lines.is_empty(), "{file}");
    }
    let inputs = || expected.inputs.values().flatten();
    assert!(inputs().any(|input| input.outcome == Some(None)), "null outcomes are kept");
    assert!(inputs().any(|input| input.outcome == Some(Some("end_turn".to_owned()))));
}

#[tokio::test]
async fn every_recording_can_be_played_to_its_own_client() {
    for (folder, generation) in [("single", Generation::Single), ("split", Generation::Split)] {
        for entry in std::fs::read_dir(traces().join(folder)).expect("folder") {
            let name = format!("{folder}/{}", entry.expect("entry").file_name().display());
            let server = play(&name, generation, LIMIT);
            repeat(&name, &server).await;
            assert!(server.wait_done(LIMIT), "{name}");
            assert_eq!((server.failure(), server.unexpected()), (None, Vec::new()), "{name}");
        }
    }
}

/// Does what the client of a recording did and demands the same frames, byte for byte.
async fn repeat(name: &str, server: &MockServer) {
    let trace = Trace::read(traces().join(name)).expect("trace");
    let mut sockets = HashMap::new();
    for line in &trace.lines {
        let Some(channel) = line.channel else {
            continue;
        };
        let socket = (line.client.clone(), format!("{channel:?}"));
        match &line.event {
            TraceEvent::Open { url } => {
                let url = url.replace("ws://127.0.0.1:4500", &server.url());
                sockets.insert(socket, Client::open(&url).await);
            }
            // The player does not wait for frames without a type.
            TraceEvent::Sent(Payload::Frame(frame)) if frame.get().contains("\"type\":") => {
                let client = sockets.get_mut(&socket).expect("socket");
                client.0.send(Message::text(frame.get())).await.expect("sent");
            }
            TraceEvent::Received(Payload::Frame(frame)) => {
                let client = sockets.get_mut(&socket).expect("socket");
                let text = client.next_text().await;
                assert_eq!(text.as_deref(), Some(frame.get()), "{name}:{}", line.number);
            }
            // Only the player's side of a close is played, so the client waits for it.
            TraceEvent::Close { .. } => {
                if let Some(mut client) = sockets.remove(&socket) {
                    assert_eq!(client.next_text().await, None, "{name}:{}", line.number);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn plays_a_single_recording_and_translates_ids() {
    let server = play("single/simple_turn.jsonl", Generation::Single, LIMIT);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    client.send(json!({"type": "something_else"})).await;
    client.send(json!({"type": "runtime_start", "request_id": "my-start", "agent_id": "a"})).await;
    let seen = client.until_type("runtime_start_response").await;
    assert_eq!(last(&seen)["request_id"], "my-start");
    client.send(message(&last(&seen)["runtime"], "my-input", "my-message")).await;
    let seen = client.until_type("turn_finished").await;
    let accepted = seen.iter().find(|frame| frame["type"] == "input_accepted").expect("ack");
    assert_eq!(accepted["request_id"], "my-input");
    let correlated = seen.iter().any(|frame| {
        frame["loop_status"]["client_message_ids_by_run_id"]["local-run-2"] == json!(["my-message"])
    });
    assert!(correlated);
    assert_eq!(text(&seen), "tok0 tok1 tok2 ");
    while client.next().await.is_some() {}
    assert!(server.wait_done(LIMIT));
    assert_eq!(server.failure(), None);
    assert_eq!(server.unexpected(), [r#"{"type":"something_else"}"#]);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn plays_a_split_recording_whichever_socket_comes_first() {
    let server = play("split/queued_turn.jsonl", Generation::Split, LIMIT);
    let mut stream = Client::open(&format!("{}/ws?channel=stream", server.url())).await;
    let mut control = Client::open(&format!("{}/ws?channel=control", server.url())).await;
    let runtime = control.runtime().await;
    control.send(message(&runtime, "a", "first")).await;
    control.send(message(&runtime, "b", "second")).await;
    let seen = stream.until(|frame| frame["delta"]["otid"] == "second").await;
    let queued = |frame: &&Value| !frame["queue"].as_array().is_none_or(Vec::is_empty);
    let queue = seen.iter().find(queued).expect("a queue with an item");
    assert_eq!(queue["queue"][0]["client_message_id"], "second");
    stream.until(|frame| frame["delta"]["stop_reason"] == "end_turn").await;
    while stream.next().await.is_some() {}
    assert!(server.wait_done(LIMIT));
    assert_eq!((server.failure(), server.unexpected()), (None, Vec::new()));
}

#[tokio::test]
async fn a_recording_of_one_socket_can_be_played_to_a_pair() {
    let name = "split/one_socket_client_on_old_server.jsonl";
    let server = play(name, Generation::Split, LIMIT);
    let mut stream = Client::open(&format!("{}/ws?channel=stream", server.url())).await;
    let mut control = Client::open(&format!("{}/ws?channel=control", server.url())).await;
    let runtime = control.runtime().await;
    control.send(json!({"type": "app_server_info", "request_id": "i"})).await;
    control.send(message(&runtime, "a", "first")).await;
    let seen = stream.until(|frame| frame["delta"]["message_type"] == "stop_reason").await;
    assert_eq!(text(&seen), "tok0 tok1 tok2 ");
}

#[tokio::test]
async fn the_player_gives_up_and_says_what_it_waited_for() {
    let limit = Duration::from_millis(50);
    let server = play("single/simple_turn.jsonl", Generation::Single, limit);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    assert!(client.next().await.is_none());
    assert!(server.wait_done(LIMIT));
    assert_eq!(server.failure().as_deref(), Some("line 2: waited 50 ms for `runtime_start`"));
}

#[tokio::test]
async fn a_second_split_client_is_refused_as_recorded() {
    let server = play("split/second_client_observes.jsonl", Generation::Split, LIMIT);
    let open =
        async |channel: &str| Client::open(&format!("{}/ws?channel={channel}", server.url())).await;
    let (mut control, _stream) = (open("control").await, open("stream").await);
    control.runtime().await;
    let (mut second, mut second_stream) = (open("control").await, open("stream").await);
    for (client, reason) in [(&mut second, "control"), (&mut second_stream, "stream")] {
        let close = timeout(LIMIT, client.0.next()).await.expect("in time");
        let Some(Ok(Message::Close(Some(frame)))) = close else { panic!("{close:?}") };
        assert_eq!(u16::from(frame.code), 1008);
        assert_eq!(frame.reason.as_str(), format!("{reason} channel already connected"));
    }
}

#[tokio::test]
async fn a_scripted_single_turn_has_the_recorded_shape() {
    let server = MockServer::scripted(ScriptOptions::default()).expect("server");
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.until_type("update_subagent_state").await;
    client.send(message(&runtime, "in", "cm")).await;
    let seen = client.until_type("turn_finished").await;
    assert_eq!(
        outline(&seen),
        [
            "input_accepted",
            "SENDING_API_REQUEST",
            "WAITING_FOR_API_RESPONSE",
            "PROCESSING_API_RESPONSE",
            "PROCESSING_API_RESPONSE",
            "assistant_message",
            "assistant_message",
            "usage_statistics",
            "stop_reason",
            "WAITING_ON_INPUT",
            "turn_finished",
        ]
    );
    assert_eq!(text(&seen), "Hello world");
    assert_eq!(last(&seen)["stop_reason"], "end_turn");
    let sequence: Vec<u64> = seen.iter().filter_map(|frame| frame["event_seq"].as_u64()).collect();
    assert!(sequence.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequence:?}");
}

#[tokio::test]
async fn a_scripted_split_turn_uses_both_sockets() {
    let options = ScriptOptions { generation: Generation::Split, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).expect("server");
    let mut stream = Client::open(&format!("{}/ws?channel=stream", server.url())).await;
    let mut control = Client::open(&format!("{}/ws?channel=control", server.url())).await;
    let runtime = control.runtime().await;
    control.send(message(&runtime, "in", "cm")).await;
    let seen = stream.until(|frame| frame["delta"]["message_type"] == "stop_reason").await;
    assert_eq!(text(&seen), "Hello world");
    let after = stream.until(|frame| frame["loop_status"]["status"] == "WAITING_ON_INPUT").await;
    assert!(
        after.iter().all(|frame| frame["loop_status"]["client_message_ids_by_run_id"].is_null())
    );
    control.send(json!({"type": "sync", "request_id": "s", "runtime": runtime})).await;
    assert_eq!(outline(&control.until_type("sync_response").await), ["sync_response"]);
}

#[tokio::test]
async fn inputs_during_a_turn_are_queued_and_answered_together() {
    let server = script(vec![
        ScriptedTurn { hang: true, ..ScriptedTurn::text(["partial"]) },
        ScriptedTurn::default(),
    ]);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    client.until(|frame| frame["delta"]["message_type"] == "assistant_message").await;
    client.send(message(&runtime, "2", "two")).await;
    client.send(message(&runtime, "3", "three")).await;
    let seen = client.until(|frame| frame["queue"].as_array().is_some_and(|q| q.len() == 2)).await;
    assert_eq!(seen[0]["disposition"], "queued");
    client.send(json!({"type": "abort_message", "request_id": "x", "runtime": runtime})).await;
    let seen = client.until_type("turn_finished").await;
    let expected = ["WAITING_ON_INPUT", "status", "abort_message_response", "turn_finished"];
    assert_eq!(outline(&seen), expected);
    assert_eq!(last(&seen)["stop_reason"], "cancelled");
    let seen = client.until_type("turn_finished").await;
    let removed = seen
        .iter()
        .find(|frame| frame["removed"].as_array().is_some_and(|r| !r.is_empty()))
        .expect("removals");
    assert_eq!(
        removed["removed"],
        json!([{"client_message_id": "two", "disposition": "dequeued"},
            {"client_message_id": "three", "disposition": "dequeued"}])
    );
    assert_eq!(
        seen.iter().find(|f| !f["delta"]["otid"].is_null()).expect("echo")["delta"]["otid"],
        "two"
    );
    assert_eq!(last(&seen)["turn_id"], "batch-1");
    assert_eq!(outline(&client.until_type("update_queue").await), ["update_queue"]);
}

#[tokio::test]
async fn half_a_surrogate_pair_is_read_as_javascript_reads_it() {
    let server = script(vec![ScriptedTurn::text(["whole"])]);
    let mut client = Client::open(&server.url()).await;
    let runtime = client.runtime().await;
    let input = message(&runtime, "input-1", "cut here: HALF").to_string();
    let input = input.replace("HALF", r"\ud83d");
    client.0.send(Message::text(input)).await.expect("sent");
    let seen = client.until_type("turn_finished").await;
    assert_eq!(text(&seen), "whole");
    assert!(server.wait_received("input", 1, LIMIT), "it is among what came");
    assert_eq!(server.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn approvals_are_asked_one_after_the_other() {
    let call = |name: &str| ScriptedCall::asking(name, json!({"path": "a"}));
    let server = script(vec![ScriptedTurn::default().call(call("Write")).call(call("Edit"))]);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    let answer = |asked: &Value, decision: Value| {
        json!({"type": "input", "request_id": "ok", "runtime": runtime, "payload":
            {"kind": "approval_response", "request_id": asked["request_id"], "decision": decision}})
    };
    let seen = client.until_type("control_request").await;
    let first = last(&seen).clone();
    assert_eq!(first["request"]["tool_name"], "Write");
    client.send(answer(&first, json!({"behavior": "deny", "message": "no"}))).await;
    let seen = client.until_type("control_request").await;
    client.send(answer(&first, json!({"behavior": "allow"}))).await;
    client.send(answer(last(&seen), json!({"behavior": "allow"}))).await;
    let seen = client.until_type("turn_finished").await;
    let acknowledged: Vec<&Value> = seen
        .iter()
        .filter(|frame| frame["type"] == "input_accepted")
        .map(|f| &f["accepted"])
        .collect();
    assert_eq!(acknowledged, [false, true]);
    let returns: Vec<(&Value, &Value)> = seen
        .iter()
        .filter(|frame| frame["delta"]["message_type"] == "tool_return_message")
        .map(|frame| (&frame["delta"]["status"], &frame["delta"]["tool_return"]))
        .collect();
    assert_eq!(returns, [(&json!("error"), &json!("no")), (&json!("success"), &json!("ok"))]);
    assert_eq!(last(&seen)["run_id"], "local-run-2");
}

/// What is asked about in a mode: a tool of the server that needs a decision or none, one that edits, one that asks a
/// person, and one of the client.
async fn asked(mode: Option<&str>) -> Vec<String> {
    let call = |name: &str| ScriptedCall::new(name, json!({}));
    let calls = [
        ScriptedCall::asking("Bash", json!({})),
        call("Read"),
        ScriptedCall::asking("Write", json!({})),
        call("AskUserQuestion"),
        call("lookup"),
    ];
    let turn = calls.into_iter().fold(ScriptedTurn::default(), ScriptedTurn::call);
    let server = script(vec![turn]);
    let mut client = Client::open(&server.url()).await;
    let tool = json!({ "name": "lookup", "description": "", "parameters": { "type": "object" } });
    let mut start = json!({
        "type": "runtime_start", "request_id": "start", "agent_id": "a",
        "external_tools": [{ "tools": [tool] }],
    });
    if let Some(mode) = mode {
        start["mode"] = mode.into();
    }
    client.send(start).await;
    let seen = client.until_type("runtime_start_response").await;
    let runtime = last(&seen)["runtime"].clone();
    client.send(message(&runtime, "1", "?")).await;
    let mut names = Vec::new();
    loop {
        let frame = client.next().await.expect("a frame");
        match frame["type"].as_str() {
            Some("control_request") => {
                names.push(frame["request"]["tool_name"].as_str().expect("a name").to_owned());
                let payload = json!({
                    "kind": "approval_response", "request_id": frame["request_id"],
                    "decision": { "behavior": "deny", "message": "no" },
                });
                client
                    .send(json!({ "type": "input", "runtime": runtime, "payload": payload }))
                    .await;
            }
            Some("external_tool_call_request") => {
                client
                    .send(json!({
                        "type": "external_tool_call_response", "error": "no",
                        "request_id": frame["request_id"],
                    }))
                    .await;
            }
            Some("turn_finished") => return names,
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_mode_decides_what_is_asked() {
    for mode in [Some("unrestricted"), None] {
        assert_eq!(asked(mode).await, ["AskUserQuestion"]);
    }
    let all = ["Bash", "Read", "Write", "AskUserQuestion", "lookup"];
    assert_eq!(asked(Some("strict")).await, all);
    assert_eq!(asked(Some("standard")).await, ["Bash", "Write", "AskUserQuestion", "lookup"]);
    assert_eq!(asked(Some("acceptEdits")).await, ["Bash", "AskUserQuestion", "lookup"]);
}

#[tokio::test]
async fn tokens_are_checked_after_the_channel() {
    let server = MockServer::scripted(ScriptOptions {
        token: Some("secret".to_owned()),
        ..Default::default()
    })
    .expect("server");
    let refused = async |query: &str, token: Option<&str>| {
        let url = format!("{}/ws{query}", server.url());
        match Client::try_open(&url, token).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            other => panic!("{:?}", other.map(|_| "connected")),
        }
    };
    assert_eq!(refused("", None).await, 401);
    assert_eq!(refused("", Some("wrong")).await, 401);
    assert_eq!(refused("?channel=control", Some("secret")).await, 426);
    let open = Client::try_open(&format!("{}/ws", server.url()), Some("secret")).await;
    assert!(open.is_ok());
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let status = http(&server, "/ws", upgrade).await;
    assert!(status.starts_with("HTTP/1.1 401 missing websocket bearer token\r\n"), "{status}");
    let info = http(&server, "/app-server-info", "Authorization: bearer nope\r\n").await;
    assert!(info.starts_with("HTTP/1.1 401 "), "{info}");
    assert!(info.ends_with(r#"{"error":"invalid websocket bearer token"}"#), "{info}");
}

async fn http(server: &MockServer, path: &str, headers: &str) -> String {
    let url = server.url();
    let host = url.strip_prefix("ws://").expect("address");
    let mut stream = TcpStream::connect(host).await.expect("connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answer");
    answer
}

#[tokio::test]
async fn http_endpoints_tell_the_generation() {
    let single = script(Vec::new());
    assert!(http(&single, "/readyz", "").await.ends_with("\r\n\r\nok\n"));
    let info = http(&single, "/app-server-info", "").await;
    assert!(info.contains(r#""split_channels":false"#), "{info}");
    assert!(http(&single, "/other", "").await.starts_with("HTTP/1.1 404 Not Found"));
    let options = ScriptOptions { generation: Generation::Split, ..ScriptOptions::default() };
    let split = MockServer::scripted(options).expect("server");
    assert!(http(&split, "/app-server-info", "").await.starts_with("HTTP/1.1 404 Not Found"));
}

#[tokio::test]
async fn cutting_and_closing_end_connections() {
    let server = script(Vec::new());
    let url = format!("{}/ws", server.url());
    let mut client = Client::open(&url).await;
    client.runtime().await;
    server.cut_connections();
    while client.next().await.is_some() {}
    let mut client = Client::open(&url).await;
    client.runtime().await;
    server.push(r#"{"type":"some_future_event"}"#);
    client.until_type("some_future_event").await;
    assert_eq!(server.connections(), 2);
    assert!(server.wait_received("runtime_start", 2, LIMIT));
    let begun = Instant::now();
    server.close();
    server.close();
    assert!(begun.elapsed() < Duration::from_secs(2));
    while client.next().await.is_some() {}
    assert!(Client::try_open(&url, None).await.is_err());
}

#[tokio::test]
async fn it_stops_and_listens_again_at_the_same_address() {
    for generation in [Generation::Single, Generation::Split] {
        let options = ScriptOptions { generation, ..ScriptOptions::default() };
        let server = MockServer::scripted(options).expect("server");
        let url = format!("{}/ws", server.url());
        let mut client = Client::open(&url).await;
        client.runtime().await;
        for _ in 0..3 {
            server.start_again().expect("it listens");
            server.stop();
            server.stop();
            while client.next().await.is_some() {}
            assert_eq!(server.open_connections(), 0);
            let refused =
                TcpStream::connect(url.trim_start_matches("ws://").trim_end_matches("/ws"));
            let refused = refused.await.expect_err("nobody listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            server.start_again().expect("the port is free");
            server.start_again().expect("it listens");
            client = Client::open(&url).await;
            client.runtime().await;
        }
        // What came before is kept.
        assert_eq!((server.connections(), server.open_connections()), (4, 1));
        assert!(server.wait_received("runtime_start", 4, LIMIT));
        server.stop();
        server.close();
        server.stop();
        let error = server.start_again().expect_err("it is closed");
        assert_eq!(error.to_string(), "the server is closed for good");
    }
}

#[tokio::test]
async fn what_a_test_answers_comes_before_what_is_built_in() {
    let refusal = json!({ "success": false, "error": "no room" });
    let answers = [("runtime_start".to_owned(), refusal), ("sync".to_owned(), Value::Null)].into();
    let options = ScriptOptions { answers, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).expect("server");
    let client = letta_app_client::Client::new(letta_app_client::ConnectOptions::new(server.url()));
    let client = client.expect("options");
    client.connect().await.expect("a connection");
    let started = client.runtime_start(json!({ "agent_id": "a", "mode": "standard" })).await;
    assert!(started.expect_err("a refusal").message().contains("no room"));
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let synced = client.sync(json!({ "runtime": runtime }));
    assert!(timeout(Duration::from_millis(200), synced).await.is_err(), "the test answers");
    assert!(server.unexpected().is_empty());
}
