//! The Rust client against the scripted server double, both generations.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use letta_app_client::protocol::types::{GetCwdMapCommand, ListModelsCommand, ServerMessage};
use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, ErrorKind, Event, MessageFilter, TimeLimit, TurnOptions,
    TurnStatus,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn started(options: ScriptOptions) -> (MockServer, Client, Value) {
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let fields = json!({ "agent_id": "agent-1", "mode": "standard", "create_conversation": {} });
    let started = client.runtime_start(fields).await.unwrap();
    let runtime = started.json()["runtime"].clone();
    (server, client, runtime)
}

fn says(text: &str) -> Value {
    json!({ "kind": "create_message", "messages": [{ "role": "user", "content": text }] })
}

fn both(turns: &[ScriptedTurn]) -> [ScriptOptions; 2] {
    [Generation::Single, Generation::Split].map(|generation| ScriptOptions {
        generation,
        turns: turns.to_vec(),
        ..ScriptOptions::default()
    })
}

#[tokio::test]
async fn a_turn_runs_to_its_end() {
    for options in both(&[ScriptedTurn::text(["4", "2"])]) {
        let (_server, client, runtime) = started(options).await;
        let fields = json!({ "runtime": runtime, "payload": says("?") });
        let result = client.run_turn(fields, TurnOptions::default()).await.unwrap();
        assert_eq!((result.text.as_str(), result.status), ("42", Some(TurnStatus::Completed)));
        assert_eq!(result.usage.total_tokens, 12);
        assert_eq!((result.run_ids.len(), result.client_message_ids.len()), (1, 1));
        assert!(result.terminal_message.is_some());
        client.close().await;
    }
}

#[tokio::test]
async fn two_turns_at_once_have_each_their_own_text() {
    let mut slow = ScriptedTurn::text(["one"]);
    slow.delay_ms = 50;
    for options in both(&[slow, ScriptedTurn::text(["two"])]) {
        let (_server, client, runtime) = started(options).await;
        let turn = |text: &str| {
            let fields = json!({ "runtime": runtime, "payload": says(text) });
            client.run_turn(fields, TurnOptions::default())
        };
        let (first, second) = tokio::join!(turn("a"), turn("b"));
        assert_eq!((first.unwrap().text, second.unwrap().text), ("one".into(), "two".into()));
        client.close().await;
    }
}

#[tokio::test]
async fn an_external_tool_is_run_here() {
    let mut turn = ScriptedTurn::text(["done"]);
    turn.tool_calls = vec![ScriptedCall::new("lookup", json!({ "email": "a@b.c" }))];
    for options in both(&[turn]) {
        let (_server, client, runtime) = started(options).await;
        let mut calls = client.tool_calls();
        let parameters = json!({ "type": "object", "properties": {} });
        let tool =
            json!({ "name": "lookup", "description": "Find a user", "parameters": parameters });
        let fields = json!({
            "agent_id": runtime["agent_id"], "conversation_id": runtime["conversation_id"],
            "mode": "unrestricted", "external_tools": [{ "tools": [tool] }],
        });
        client.runtime_start(fields).await.unwrap();
        let fields = json!({ "runtime": runtime, "payload": says("?") });
        let answering = async {
            let call = calls.next().await.unwrap();
            assert_eq!((call.name(), &call.input()["email"]), ("lookup", &json!("a@b.c")));
            call.answer_text("user 7");
        };
        let (result, ()) = tokio::join!(client.run_turn(fields, TurnOptions::default()), answering);
        let result = result.unwrap();
        assert_eq!(result.text, "done");
        assert_eq!(result.tool_calls[0].output.as_deref(), Some("user 7"));
        client.close().await;
    }
}

#[tokio::test]
async fn an_approval_is_answered_by_whoever_listens() {
    let mut turn = ScriptedTurn::text(["written"]);
    turn.tool_calls = vec![ScriptedCall::asking("Write", json!({ "path": "x" }))];
    for options in both(&[turn]) {
        let (_server, client, runtime) = started(options).await;
        let mut events = client.events();
        let waiting = TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() };
        let fields = json!({ "runtime": runtime, "payload": says("?") });
        let answering = async {
            loop {
                let Some(Event::Message(message)) = events.next().await else {
                    continue;
                };
                if message.kind() == "control_request" {
                    let id = message.json()["request_id"].clone();
                    let payload = json!({
                        "kind": "approval_response", "request_id": id,
                        "decision": { "behavior": "allow" },
                    });
                    return client
                        .input(json!({ "runtime": runtime, "payload": payload }))
                        .unwrap();
                }
            }
        };
        let (result, ()) = tokio::join!(client.run_turn(fields, waiting), answering);
        assert_eq!(result.unwrap().text, "written");
        client.close().await;
    }
}

#[tokio::test]
async fn dropping_the_future_stops_the_turn_on_the_server() {
    let mut turn = ScriptedTurn::text(["never"]);
    turn.hang = true;
    let options = ScriptOptions { turns: vec![turn], ..ScriptOptions::default() };
    let (server, client, runtime) = started(options).await;
    let fields = json!({ "runtime": runtime, "payload": says("?") });
    let mut events = client.events();
    let call = client.run_turn(fields, TurnOptions::default());
    let begun = async {
        loop {
            let Some(Event::Message(message)) = events.next().await else {
                continue;
            };
            if message.text().contains("PROCESSING_API_RESPONSE") {
                break;
            }
        }
    };
    tokio::select! {
        _ = call => panic!("the turn hangs"),
        () = begun => {}
    }
    let aborted =
        tokio::task::spawn_blocking(move || server.wait_received("abort_message", 1, SOON));
    assert!(aborted.await.unwrap());
}

#[tokio::test]
async fn a_cut_connection_interrupts_the_turn_and_can_be_opened_again() {
    let mut turn = ScriptedTurn::text(["half", "never"]);
    turn.disconnect_after = Some(1);
    let turns = vec![turn, ScriptedTurn::text(["whole"])];
    let options = ScriptOptions { turns, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url()).reconnect(None)).unwrap();
    client.connect().await.unwrap();
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let mut events = client.events();
    let fields = json!({ "runtime": runtime, "payload": says("?") });
    let error = client.run_turn(fields.clone(), TurnOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().unwrap().text, "half");
    let lost = async { while !matches!(events.next().await, Some(Event::Disconnected { .. })) {} };
    timeout(SOON, lost).await.unwrap();
    let error = client.info().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    client.connect().await.unwrap();
    let result = client.run_turn(fields, TurnOptions::default()).await.unwrap();
    assert_eq!(result.text, "whole");
}

#[tokio::test]
async fn nothing_is_sent_that_the_server_would_answer_with_silence() {
    let (server, client, runtime) = started(ScriptOptions::default()).await;
    let before = server.received().len();
    let refused = |outcome: Result<(), letta_app_client::Error>, field: &str| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCommand, "{error}");
        assert!(error.message().contains(field), "{error}");
    };
    refused(client.send(&json!([])), "object");
    refused(client.send(&json!({ "path": "x" })), "type");
    refused(client.send(&json!({ "type": "terminal_kill" })), "terminal_id");
    refused(client.send_raw("{}"), "type");
    refused(client.send_raw("nonsense"), "object");
    for (fields, field) in [
        (json!({}), "agent_id"),
        (json!({ "agent_id": "a", "create_agent": { "body": {} } }), "agent_id"),
        (json!({ "agent_id": "a", "mode": "yolo" }), "mode"),
    ] {
        refused(client.runtime_start(fields).await.map(|_| ()), field);
    }
    let other = json!({ "type": "agent_delete", "agent_id": "a" });
    refused(client.request("agent_list", other).await.map(drop), "field `type`");
    client.request("agent_list", json!({ "type": "agent_list" })).await.unwrap();
    let before = before + 1;
    let no_messages =
        json!({ "runtime": runtime, "payload": { "kind": "create_message", "messages": [] } });
    refused(client.run_turn(no_messages, TurnOptions::default()).await.map(|_| ()), "messages");
    assert_eq!(server.received().len(), before);
    client.close().await;
    client.close().await;
    assert_eq!(client.info().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_slip_of_a_field_is_refused_by_the_methods_for_one_command() {
    let (server, client, runtime) = started(ScriptOptions::default()).await;
    let before = server.received().len();
    let refused = |error: letta_app_client::Error, message: &str| {
        assert_eq!(error.kind(), ErrorKind::InvalidCommand, "{error}");
        assert_eq!(error.message(), message);
        assert_eq!(error.hint(), Some("a whole command, given to request, may have any field"));
    };
    let words = |command: &str, path: &str, near: &str| {
        format!("`{command}`: field `{path}`: is no field of this command; did you mean `{near}`?")
    };
    let error = client.runtime_start(json!({ "agnt_id": "a" })).await.unwrap_err();
    refused(error, &words("runtime_start", "agnt_id", "agent_id"));
    let fields = json!({ "runtime": runtime, "recoverApprovals": true });
    let error = client.sync(fields).await.unwrap_err();
    refused(error, &words("sync", "recoverApprovals", "recover_approvals"));
    let error = client.abort(json!({ "runtime": runtime, "run_di": "r" })).await.unwrap_err();
    refused(error, &words("abort_message", "run_di", "run_id"));
    let error = client.conversation_list(json!({ "qurey": {} })).await.unwrap_err();
    refused(error, &words("conversation_list", "qurey", "query"));
    let error = client.runtime_external_tools_update(json!({ "update": [] })).await.unwrap_err();
    refused(error, &words("runtime_external_tools_update", "update", "updates"));
    let message = json!({ "role": "user", "content": "hi", "client_mesage_id": "m" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    let fields = json!({ "runtime": runtime, "payload": payload });
    let path = "payload.messages[0].client_mesage_id";
    let message = words("input", path, "client_message_id");
    refused(client.input(fields.clone()).unwrap_err(), &message);
    refused(client.submit_input(fields.clone()).await.unwrap_err(), &message);
    let options = TurnOptions::default;
    refused(client.run_turn(fields.clone(), options()).await.unwrap_err(), &message);
    refused(client.send_turn(fields, options()).map(drop).unwrap_err(), &message);
    assert_eq!(server.received().len(), before);
}

#[tokio::test]
async fn fields_of_later_servers_and_those_of_whole_commands_go_over_the_wire() {
    let (server, client, runtime) = started(ScriptOptions::default()).await;
    let later = json!({ "agent_id": "agent-1", "model": "x", "agent": "x" });
    client.runtime_start(later).await.unwrap();
    client.request("sync", json!({ "runtime": runtime, "recoverApprovals": true })).await.unwrap();
    client.send(&json!({ "type": "sync", "runtime": runtime, "force_devise_status": 1 })).unwrap();
    client.info().await.unwrap();
    let received = server.received();
    let sent = |field: &str| received.iter().any(|frame| frame.contains(field));
    for field in ["model", "agent", "recoverApprovals", "force_devise_status"] {
        assert!(sent(&format!("\"{field}\":")), "{field}");
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_not_sent_and_one_that_comes_closes_the_connection() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let mut options = ConnectOptions::new(server.url());
    options.max_message_bytes = 4096;
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let mut events = client.events();
    let large = json!({ "path": "x", "content": "x".repeat(5000) });
    let error = client.request("write_file", large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    // What limits it is not the server.
    assert!(error.hint().unwrap().starts_with("`max_message_bytes` is the limit"), "{error}");
    assert!(server.received().is_empty());
    server.push(&json!({ "type": "file_changed", "path": "x".repeat(5000) }).to_string());
    let code = timeout(SOON, async {
        loop {
            if let Some(Event::Disconnected { code, reason, .. }) = events.next().await {
                assert!(reason.contains("4096"), "{reason}");
                return code;
            }
        }
    });
    assert_eq!(code.await.unwrap(), 1009);
}

#[tokio::test]
async fn a_raw_request_takes_the_frame_its_caller_likes() {
    let (server, client, _) = started(ScriptOptions::default()).await;
    let command = json!({ "type": "future", "request_id": "f1" }).to_string();
    let call = client
        .request_raw(&command, TimeLimit::After(SOON), |message| message.kind() == "future_done");
    let pushing = async {
        let (server, got) = tokio::task::spawn_blocking(move || {
            let got = server.wait_received("future", 1, SOON);
            (server, got)
        })
        .await
        .unwrap();
        assert!(got);
        server.push(&json!({ "type": "future_progress", "request_id": "f1" }).to_string());
        server.push(r#"{"type":"future_done","request_id":"f1","n":123456789012345678901}"#);
        server
    };
    let (message, _server) = tokio::join!(call, pushing);
    assert!(message.unwrap().text().contains("123456789012345678901"));
    let late = client.request_raw(&command, TimeLimit::After(Duration::from_millis(20)), |_| true);
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::RequestTimeout);
}

#[tokio::test]
async fn a_time_limit_of_nothing_is_named_also_without_a_connection() {
    let client = Client::new(ConnectOptions::new("ws://127.0.0.1:1")).unwrap();
    let command = json!({ "type": "future", "request_id": "f1" }).to_string();
    let error = client.request_raw(&command, TimeLimit::After(Duration::ZERO), |_| true).await;
    assert_eq!(error.unwrap_err().message(), "timeout: expected a time above zero, got 0");
}

#[tokio::test]
async fn a_refusal_carries_the_answer() {
    let answers = [(
        "read_file".to_owned(),
        json!({ "type": "read_file_response", "success": false, "error": "no such file", "path": "x" }),
    )];
    let options = ScriptOptions { answers: answers.into(), ..ScriptOptions::default() };
    let (_server, client, _) = started(options).await;
    let error = client.request("read_file", json!({ "path": "x" })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("no such file"));
    assert!(error.response().unwrap().contains("read_file_response"));
}

#[tokio::test]
async fn servers_of_every_age_end_a_turn() {
    for (turn_events, correlation) in [(true, true), (true, false), (false, false), (false, true)] {
        let turns = vec![ScriptedTurn::text(["4", "2"])];
        let options = ScriptOptions { turn_events, correlation, turns, ..ScriptOptions::default() };
        let (_server, client, runtime) = started(options).await;
        let turn = || {
            let fields = json!({ "runtime": runtime, "payload": says("?") });
            timeout(SOON, client.run_turn(fields, TurnOptions::default()))
        };
        let (first, second) = tokio::join!(turn(), turn());
        assert_eq!(first.unwrap().unwrap().text, "42", "{turn_events} {correlation}");
        assert_eq!(second.unwrap().unwrap().text, "42", "{turn_events} {correlation}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_close_sends_what_was_handed_over_before_it() {
    for _ in 0..20 {
        let (server, client, _) = started(ScriptOptions::default()).await;
        for index in 0..5 {
            client.send_raw(&json!({ "type": "future", "n": index }).to_string()).unwrap();
        }
        client.close().await;
        let sent = tokio::task::spawn_blocking(move || server.wait_received("future", 5, SOON));
        assert!(sent.await.unwrap());
    }
}

#[tokio::test]
async fn a_close_stops_what_was_given_up_just_before_it() {
    let turn = ScriptedTurn { hang: true, ..ScriptedTurn::text(["so far"]) };
    for options in both(&[turn]) {
        let (server, client, runtime) = started(options).await;
        let fields = json!({ "runtime": runtime, "payload": says("?") });
        // Nobody knows yet where the input is, so the turn cannot be stopped at this moment.
        drop(client.send_turn(fields, TurnOptions::default()).unwrap());
        client.close().await;
        let sent =
            tokio::task::spawn_blocking(move || server.wait_received("abort_message", 1, SOON));
        assert!(sent.await.unwrap());
    }
}

#[tokio::test]
async fn a_flood_of_commands_arrives_in_order() {
    let (server, client, _) = started(ScriptOptions::default()).await;
    let command = |n: usize| json!({ "type": "future", "n": n }).to_string();
    (0..2000).for_each(|n| client.send_raw(&command(n)).unwrap());
    let frames = tokio::task::spawn_blocking(move || {
        assert!(server.wait_received("future", 2000, SOON));
        server.received()
    });
    let sent: Vec<_> = frames.await.unwrap().into_iter().filter(|f| f.contains("future")).collect();
    assert!((0..2000).map(command).eq(sent));
}

#[tokio::test]
async fn everything_that_waits_ends_with_the_client() {
    let (_server, client, _) = started(ScriptOptions::default()).await;
    let (mut events, mut calls) = (client.events(), client.tool_calls());
    let ends = tokio::spawn(async move {
        while events.next().await.is_some() {}
        calls.next().await.is_none()
    });
    client.close().await;
    assert!(timeout(SOON, ends).await.unwrap().unwrap());
    assert!(client.events().next().await.is_none());
    // A reader of tool calls does not keep the connection open.
    let (server, client, _) = started(ScriptOptions::default()).await;
    let mut calls = client.tool_calls();
    drop(client);
    assert!(timeout(SOON, calls.next()).await.unwrap().is_none());
    drop(server);
}

#[tokio::test]
async fn typed_commands_have_typed_responses() {
    let answers = BTreeMap::from([
        ("list_models".to_owned(), json!({ "entries": [], "byok_provider_aliases": {} })),
        ("get_cwd_map".to_owned(), json!({ "cwd_map": 7 })),
    ]);
    let server =
        MockServer::scripted(ScriptOptions { answers, ..ScriptOptions::default() }).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let mut listed = client.messages(MessageFilter::all().types(["list_models_response"]));
    let mut command = ListModelsCommand::new();
    command.force = Some(true);
    let response = client.models().list(command).await.unwrap();
    assert!(response.success);
    let sent: Value = serde_json::from_str(server.received().last().unwrap()).unwrap();
    assert_eq!((&sent["type"], &sent["force"]), (&json!("list_models"), &json!(true)));
    let message = listed.next().await.unwrap();
    assert!(matches!(message.typed(), ServerMessage::ListModelsResponse(_)), "{message:?}");
    // A response of another form is an error that carries it.
    let error = client.settings().get_cwd_map(GetCwdMapCommand::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProtocolMismatch);
    assert!(error.response().unwrap().contains("\"cwd_map\":7"), "{error}");
    client.close().await;
}

#[tokio::test]
async fn what_an_old_server_does_not_know_fails_at_once() {
    let options = ScriptOptions { generation: Generation::Split, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let before = server.received().len();
    for (kind, fields) in [
        ("app_server_info", json!({})),
        ("runtime_external_tools_update", json!({ "updates": [] })),
        ("runtime_start", json!({ "agent_id": "a", "mode": "strict" })),
        (
            "input",
            json!({
                "runtime": { "agent_id": "a", "conversation_id": "c" },
                "payload": { "kind": "create_message", "messages": [] },
            }),
        ),
    ] {
        let error = client.request(kind, fields).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedByServer, "{kind}: {error}");
        assert!(error.message().contains(kind) && error.message().contains("0."), "{error}");
    }
    assert_eq!(server.received().len(), before, "nothing was sent");
    client.close().await;
}

#[tokio::test]
async fn an_error_has_that_of_the_system_as_its_source() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::new(ConnectOptions::new(format!("ws://127.0.0.1:{port}"))).unwrap();
    let error = client.connect().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    let system = source.downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(system.kind(), std::io::ErrorKind::ConnectionRefused);
}
