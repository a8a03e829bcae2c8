//! What the server double remembers, refuses and stores, as a real server does.
#![cfg(feature = "testing")]
#![expect(clippy::expect_used, clippy::panic, reason = "a broken expectation fails the test")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../src/testing/tests/client.rs"]
mod client;

use std::time::{Duration, Instant};

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
use serde_json::{Value, json};

use client::{Client, last, message, text};

fn server(turns: Vec<ScriptedTurn>) -> MockServer {
    let options = ScriptOptions { turns, files: true, ..ScriptOptions::default() };
    MockServer::scripted(options).expect("server")
}

fn slow(pieces: usize) -> ScriptedTurn {
    let text = (0..pieces).map(|piece| format!("t{piece} "));
    ScriptedTurn { delay_ms: 20, ..ScriptedTurn::text(text) }
}

/// Sends a command and returns its answer.
async fn ask(client: &mut Client, kind: &str, fields: Value) -> Value {
    let mut command = json!({ "type": kind, "request_id": "ask" });
    command.as_object_mut().expect("object").extend(fields.as_object().expect("fields").clone());
    client.send(command).await;
    last(&client.until_type(&format!("{kind}_response")).await).clone()
}

async fn made(client: &mut Client) -> Value {
    let fields = json!({ "create_agent": { "body": {} }, "mode": "standard" });
    ask(client, "runtime_start", fields).await["runtime"].clone()
}

/// Sends an input and returns how it was taken.
async fn disposition(client: &mut Client, runtime: &Value, id: &str) -> Value {
    client.send(message(runtime, &format!("in-{id}"), id)).await;
    last(&client.until_type("input_accepted").await)["disposition"].clone()
}

async fn ended(client: &mut Client) -> Vec<Value> {
    client.until_type("turn_finished").await
}

#[tokio::test]
async fn after_a_model_that_never_answers_the_conversation_is_stuck() {
    let silent = ScriptedTurn { hang: true, ..ScriptedTurn::text([""; 0]) };
    let server = server(vec![silent, ScriptedTurn::text(["next"])]);
    let mut client = Client::open(&server.url()).await;
    let (runtime, other) = (made(&mut client).await, client.runtime().await);
    assert_eq!(disposition(&mut client, &runtime, "a").await, "started");
    let abort = json!({ "runtime": runtime });
    let aborted = ask(&mut client, "abort_message", abort.clone()).await;
    assert_eq!((&aborted["success"], &aborted["aborted"]), (&json!(true), &json!(true)));
    assert_eq!(disposition(&mut client, &runtime, "b").await, "queued");
    assert_eq!(ask(&mut client, "abort_message", abort).await["aborted"], false);
    // Another conversation goes on; what its turn sends comes after all that there is of the first.
    client.send(message(&other, "in-c", "c")).await;
    let seen = ended(&mut client).await;
    assert_eq!(last(&seen)["runtime"], other);
    assert_eq!(text(&seen), "next");
    let removal = json!({ "runtime": runtime, "item_id": "q-1" });
    assert_eq!(ask(&mut client, "remove_queue_item", removal).await["success"], true);
}

#[tokio::test]
async fn a_stopped_turn_ends_when_the_model_would_have_answered() {
    let late = ScriptedTurn { delay_ms: 200, ..ScriptedTurn::text(["late"]) };
    let server = server(vec![late, ScriptedTurn::text(["next"])]);
    let mut client = Client::open(&server.url()).await;
    let runtime = made(&mut client).await;
    let begun = Instant::now();
    assert_eq!(disposition(&mut client, &runtime, "a").await, "started");
    ask(&mut client, "abort_message", json!({ "runtime": runtime })).await;
    assert_eq!(disposition(&mut client, &runtime, "b").await, "queued");
    let seen = ended(&mut client).await;
    assert_eq!((&last(&seen)["stop_reason"], text(&seen).as_str()), (&json!("cancelled"), ""));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(text(&ended(&mut client).await), "next");
}

#[tokio::test]
async fn a_conversation_stays_stuck_without_its_client_but_not_after_a_restart() {
    let silent = ScriptedTurn { hang: true, ..ScriptedTurn::text([""; 0]) };
    let server = server(vec![silent, ScriptedTurn::text(["next"])]);
    let url = server.url();
    let mut client = Client::open(&url).await;
    let runtime = made(&mut client).await;
    assert_eq!(disposition(&mut client, &runtime, "a").await, "started");
    client.until(|frame| frame["loop_status"]["status"] == "PROCESSING_API_RESPONSE").await;
    drop(client);
    let mut client = Client::open(&url).await;
    assert_eq!(disposition(&mut client, &runtime, "b").await, "queued");
    server.stop();
    server.start_again().expect("listens");
    let mut client = Client::open(&url).await;
    assert_eq!(disposition(&mut client, &runtime, "c").await, "started");
    assert_eq!(text(&ended(&mut client).await), "next");
}

#[tokio::test]
async fn an_input_lost_in_the_queue_is_not_run_under_its_id_again() {
    let server =
        server(vec![slow(20), ScriptedTurn::text(["next"]), ScriptedTurn::text(["again"])]);
    let url = server.url();
    let (mut client, mut other) = (Client::open(&url).await, Client::open(&url).await);
    let runtime = client.runtime().await;
    assert_eq!(disposition(&mut other, &runtime, "a").await, "started");
    assert_eq!(disposition(&mut client, &runtime, "b").await, "queued");
    drop(client);
    other.until(|frame| frame["removed"][0]["disposition"] == "cancelled").await;
    assert_eq!(disposition(&mut other, &runtime, "b").await, "queued");
    ended(&mut other).await;
    // It is known for one more turn: what comes next is the turn of `c`.
    assert_eq!(disposition(&mut other, &runtime, "b").await, "queued");
    assert_eq!(disposition(&mut other, &runtime, "c").await, "started");
    assert_eq!(text(&ended(&mut other).await), "next");
    assert_eq!(disposition(&mut other, &runtime, "b").await, "started");
    assert_eq!(text(&ended(&mut other).await), "again");
}

#[tokio::test]
async fn an_aborted_input_is_known_until_the_next_turn_is_over() {
    let server =
        server(vec![slow(200), ScriptedTurn::text(["next"]), ScriptedTurn::text(["again"])]);
    let mut client = Client::open(&server.url()).await;
    let runtime = client.runtime().await;
    assert_eq!(disposition(&mut client, &runtime, "a").await, "started");
    client.until(|frame| frame["delta"]["message_type"] == "assistant_message").await;
    ask(&mut client, "abort_message", json!({ "runtime": runtime })).await;
    ended(&mut client).await;
    let list = json!({ "conversation_id": runtime["conversation_id"] });
    let stored = ask(&mut client, "conversation_messages_list", list.clone()).await;
    assert_eq!(kinds(&stored), ["assistant_message", "user_message"], "a partial answer");
    assert_eq!(disposition(&mut client, &runtime, "a").await, "started");
    assert_eq!(disposition(&mut client, &runtime, "b").await, "queued");
    assert_eq!(text(&ended(&mut client).await), "next");
    let stored = ask(&mut client, "conversation_messages_list", list).await;
    assert_eq!(kinds(&stored), ["assistant_message", "user_message", "user_message"]);
    assert_eq!(disposition(&mut client, &runtime, "a").await, "started");
    assert_eq!(text(&ended(&mut client).await), "again");
}

fn kinds(listed: &Value) -> Vec<&str> {
    let messages = listed["messages"].as_array().expect("messages").iter();
    messages.filter_map(|message| message["message_type"].as_str()).collect()
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let server = server(Vec::new());
    let mut client = Client::open(&server.url()).await;
    let (one, two) = (made(&mut client).await, made(&mut client).await);
    let (agent, conversation) = (&one["agent_id"], &two["conversation_id"]);
    let foreign = json!({ "agent_id": agent, "conversation_id": conversation });
    let answer = ask(&mut client, "runtime_start", foreign).await;
    let owner = two["agent_id"].as_str().expect("id");
    let mine = agent.as_str().expect("id");
    let said = format!("Conversation {} belongs to {owner}, not {mine}", text_of(conversation));
    assert_eq!((&answer["error"], &answer["agent"]["id"]), (&json!(said), agent));

    let unknown = json!({ "agent_id": agent, "conversation_id": "conv-nope" });
    let said = json!("Conversation conv-nope not found");
    assert_eq!(ask(&mut client, "runtime_start", unknown.clone()).await["error"], said);
    assert_eq!(disposition(&mut client, &unknown, "a").await, "started");
    let seen = ended(&mut client).await;
    assert_eq!((&last(&seen)["error"], &last(&seen)["run_id"]), (&said, &Value::Null));
    let terminal = client.until(|frame| frame["delta"]["is_terminal"] == true).await;
    assert_eq!(last(&terminal)["delta"]["message"], said);
    let list = json!({ "conversation_id": "conv-nope", "query": { "agent_id": agent } });
    let answer = ask(&mut client, "conversation_messages_list", list).await;
    assert_eq!((&answer["error"], &answer["messages"]), (&said, &json!([])));

    ask(&mut client, "agent_delete", json!({ "agent_id": agent })).await;
    let said = json!(format!("Agent {mine} not found"));
    let start = json!({ "agent_id": agent });
    let answer = ask(&mut client, "runtime_start", start.clone()).await;
    assert_eq!((&answer["error"], &answer["agent"]), (&said, &Value::Null));
    let answer = ask(&mut client, "conversation_create", json!({ "body": start })).await;
    assert_eq!(answer["error"], said);
    let answer = ask(&mut client, "conversation_create", json!({ "body": {} })).await;
    assert_eq!(answer["error"], "Agent agent-local-default not found");
    disposition(&mut client, &one, "b").await;
    assert_eq!(last(&ended(&mut client).await)["error"], said);
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[tokio::test]
async fn stored_messages_come_in_either_order_and_forks_end_where_they_should() {
    let server = server(vec![ScriptedTurn::text(["done"])]);
    let mut client = Client::open(&server.url()).await;
    let runtime = made(&mut client).await;
    for id in ["a", "b"] {
        disposition(&mut client, &runtime, id).await;
        ended(&mut client).await;
    }
    let conversation = &runtime["conversation_id"];
    let list = |query: Value| json!({ "conversation_id": conversation, "query": query });
    let mut listed = async |query: Value| {
        let answer = ask(&mut client, "conversation_messages_list", list(query)).await;
        let messages = answer["messages"].as_array().expect("messages").clone();
        messages.into_iter().map(|it| text_of(&it["id"]).to_owned()).collect::<Vec<_>>()
    };
    let ids = listed(json!({ "order": "asc" })).await;
    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(json!({})).await, newest);
    assert_eq!(listed(json!({ "order": "asc", "after": ids[1], "limit": 1 })).await, ids[2..3]);
    assert_eq!(listed(json!({ "before": "nope", "limit": 2 })).await, newest[..2]);

    let told =
        ask(&mut client, "conversation_retrieve", json!({ "conversation_id": conversation }));
    let told = told.await["conversation"].clone();
    assert_eq!(told["in_context_message_ids"], json!(ids));
    assert!(told["last_message_at"].is_string(), "{told}");
    let archive = json!({ "conversation_id": conversation, "body": { "archived": true, "x": 1 } });
    let told = ask(&mut client, "conversation_update", archive).await["conversation"].clone();
    assert!(told["archived_at"].is_string() && told["x"].is_null(), "{told}");

    let mut fork = async |last: &str| {
        let fields = json!({ "conversation_id": conversation, "body": { "message_id": last } });
        ask(&mut client, "conversation_fork", fields).await
    };
    assert_eq!(fork("nope").await["error"], "Message nope not found");
    let fork = fork(&ids[1]).await["conversation"]["id"].clone();
    let answer = ask(&mut client, "conversation_messages_list", json!({ "conversation_id": fork }));
    assert_eq!(kinds(&answer.await), ["assistant_message", "user_message"]);
}

#[tokio::test]
async fn a_server_with_files_looks_for_directories() {
    let server = server(Vec::new());
    let folder = server.folder().expect("folder").display().to_string();
    let mut client = Client::open(&server.url()).await;
    let mut start = async |cwd: Value| {
        let fields = json!({ "agent_id": "a", "conversation_id": "c", "cwd": cwd });
        ask(&mut client, "runtime_start", fields).await;
        let seen = client.until_type("update_device_status").await;
        last(&seen)["device_status"]["current_working_directory"].clone()
    };
    assert_eq!(start(json!("/nope/dir")).await, folder);
    assert_eq!(start(json!("/")).await, "/");
    assert_eq!(start(json!("/nope/dir")).await, "/");
    assert_eq!(start(Value::Null).await, folder);
}

#[tokio::test]
async fn files_fail_as_on_a_real_server() {
    let server = server(Vec::new());
    let folder = server.folder().expect("folder");
    let at = |path: &str| folder.join(path).display().to_string();
    std::fs::create_dir_all(folder.join("d/e")).expect("folders");
    std::fs::write(folder.join("d/a.txt"), "one\none\n").expect("file");
    std::fs::write(folder.join("bytes"), [0x66, 0xff]).expect("file");
    let mut client = Client::open(&server.url()).await;
    let answer = ask(&mut client, "read_file", json!({ "path": "d/a.txt" })).await;
    assert_eq!((&answer["path"], &answer["content"]), (&json!("d/a.txt"), &json!("one\none\n")));
    for (kind, path, error) in [
        ("read_file", at("d"), "EISDIR: illegal operation on a directory, read".to_owned()),
        (
            "read_file",
            at("bytes"),
            format!(
                "File is not valid UTF-8 text: {}. The file contains bytes that cannot be decoded as UTF-8.",
                at("bytes")
            ),
        ),
        ("write_file", at("d"), "EISDIR: illegal operation on a directory, read".to_owned()),
        (
            "write_file",
            at("bytes/x"),
            format!("ENOTDIR: not a directory, open '{}'", at("bytes/x")),
        ),
    ] {
        let answer = ask(&mut client, kind, json!({ "path": path, "content": "x" })).await;
        assert_eq!((&answer["success"], &answer["error"]), (&json!(false), &json!(error)));
    }
    let mut edit = async |fields: Value| {
        let mut all = json!({ "file_path": at("d/a.txt"), "old_string": "one", "new_string": "1" });
        all.as_object_mut().expect("object").extend(fields.as_object().expect("fields").clone());
        ask(&mut client, "edit_file", all).await
    };
    let answer = edit(json!({ "new_string": "one" })).await;
    let said = "No changes to make: old_string and new_string are exactly the same.";
    assert_eq!(answer["error"], said);
    let answer = edit(json!({ "old_string": "" })).await;
    let said = "old_string cannot be empty. Provide the exact text you want to replace.";
    assert_eq!(answer["error"], said);
    let answer = edit(json!({ "expected_replacements": 3 })).await;
    assert!(
        text_of(&answer["error"]).starts_with("Expected 3 occurrences but found 2."),
        "{answer}"
    );
    assert_eq!(edit(json!({ "expected_replacements": 2 })).await["replacements"], 2);

    let list = json!({ "path": at(""), "include_files": true, "limit": 1, "offset": 1 });
    let answer = ask(&mut client, "list_in_directory", list).await;
    assert_eq!((&answer["folders"], &answer["files"]), (&json!([]), &json!(["bytes"])));
    assert_eq!((&answer["hasMore"], &answer["total"]), (&json!(false), &json!(2)));
    for (path, depth) in [(at("none"), 1), (at("bytes"), 1), (at(""), 0)] {
        let answer = ask(&mut client, "get_tree", json!({ "path": path, "depth": depth })).await;
        assert_eq!((&answer["success"], &answer["entries"]), (&json!(true), &json!([])), "{path}");
    }
}

#[tokio::test]
async fn a_watched_file_is_told_of() {
    let server = server(Vec::new());
    let path = server.folder().expect("folder").join("a.txt");
    std::fs::write(&path, "1").expect("file");
    let mut client = Client::open(&server.url()).await;
    let name = path.display().to_string();
    client.send(json!({ "type": "watch_file", "request_id": "w", "path": name })).await;
    ask(&mut client, "write_file", json!({ "path": name, "content": "changed" })).await;
    let seen = client.until_type("file_changed").await;
    assert_eq!(last(&seen)["path"], name);
    assert!(last(&seen)["lastModified"].is_u64());
}

#[tokio::test]
async fn an_unusual_end_is_an_error_and_tools_can_be_left_out() {
    let stop_reason = Some("max_tokens_exceeded".to_owned());
    let server = server(vec![
        ScriptedTurn { stop_reason, ..ScriptedTurn::default() },
        ScriptedTurn::default().call(ScriptedCall::new("Bash", json!({}))),
    ]);
    let mut client = Client::open(&server.url()).await;
    let runtime = client.runtime().await;
    disposition(&mut client, &runtime, "a").await;
    let seen = client.until(|frame| frame["delta"]["is_terminal"] == true).await;
    let said = "Unexpected stop reason: max_tokens_exceeded";
    assert_eq!(last(&seen)["delta"]["message"], said);
    let finished = seen.iter().find(|frame| frame["type"] == "turn_finished").expect("end");
    assert_eq!(finished["error"], said);
    let mut input = message(&runtime, "b", "b");
    input["payload"]["client_tool_allowlist"] = json!(["Read", "Grep"]);
    client.send(input).await;
    let seen = client.until(|frame| frame["delta"]["message_type"] == "tool_return_message").await;
    let (status, text) = (&last(&seen)["delta"]["status"], &last(&seen)["delta"]["tool_return"]);
    let said = json!("Tool not found: Bash. Available tools: Read, Grep");
    assert_eq!((status, text), (&json!("error"), &said));
}
