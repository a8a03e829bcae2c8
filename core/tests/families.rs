//! What stands beside the typed methods: terminals, changes of files, lists in pages.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions};
use letta_app_client::{
    Client, ConnectOptions, DEFAULT_MAX_BYTES, ErrorKind, Listing, MessageFilter,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn connected(answers: &[(&str, Value)]) -> (MockServer, Client) {
    let answers = answers.iter().map(|(kind, fields)| ((*kind).to_owned(), fields.clone()));
    let answers: BTreeMap<String, Value> = answers.collect();
    let server =
        MockServer::scripted(ScriptOptions { answers, ..ScriptOptions::default() }).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

/// The last command of a type that the server got.
fn received(server: &MockServer, kind: &'static str) -> Value {
    assert!(server.wait_received(kind, 1, SOON), "{kind}");
    let received = server.received().into_iter();
    let mut commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.rfind(|command| command["type"] == kind).unwrap()
}

#[tokio::test]
async fn a_terminal_is_read_to_its_end() {
    let (server, client) = connected(&[]).await;
    let opening = client.terminals().open(80, 24, Some("/tmp"));
    let spawned = async {
        let command = received(&server, "terminal_spawn");
        let id = command["terminal_id"].clone();
        assert_eq!((&command["cols"], &command["cwd"]), (&json!(80), &json!("/tmp")));
        server
            .push(&json!({ "type": "terminal_spawned", "terminal_id": id, "pid": 7 }).to_string());
        id
    };
    let (terminal, id) = timeout(SOON, async { tokio::join!(opening, spawned) }).await.unwrap();
    let mut terminal = terminal.unwrap();
    terminal.write("exit 3\n").unwrap();
    terminal.resize(100, 30).unwrap();
    assert_eq!(received(&server, "terminal_input")["data"], "exit 3\n");
    assert_eq!(received(&server, "terminal_resize")["rows"], 30);
    let output = |id: &Value, text: &str| {
        json!({ "type": "terminal_output", "terminal_id": id, "data": text }).to_string()
    };
    server.push(&output(&id, "one "));
    server.push(&output(&json!("another"), "not ours"));
    server
        .push(&json!({ "type": "terminal_exited", "terminal_id": id, "exitCode": 3 }).to_string());
    // As a real server does: behind the exit.
    server.push(&output(&id, "two"));
    let mut text = String::new();
    while let Some(piece) = timeout(SOON, terminal.next()).await.unwrap() {
        text.push_str(&piece);
    }
    assert_eq!((text.as_str(), terminal.exit_code()), ("one two", Some(3)));
    assert_eq!(timeout(SOON, terminal.next()).await.unwrap(), None, "it stays over");
    drop(terminal);
    client.sync(json!({ "runtime": { "agent_id": "a", "conversation_id": "c" } })).await.unwrap();
    assert!(!server.received().iter().any(|text| text.contains("terminal_kill")), "it had ended");
}

#[tokio::test]
async fn a_terminal_that_cannot_start_says_why_and_a_dropped_one_is_killed() {
    let (server, client) = connected(&[]).await;
    let answer = |fields: Value| async {
        let id = received(&server, "terminal_spawn")["terminal_id"].clone();
        let mut frame = fields;
        frame["terminal_id"] = id;
        server.push(&frame.to_string());
    };
    let failed = json!({ "type": "terminal_exited", "exitCode": 1, "error": "no pty" });
    let opening = client.terminals().open(80, 24, None);
    let (refused, ()) = tokio::join!(opening, answer(failed));
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("no pty"), "{error}");
    client.info().await.unwrap();
    assert!(!server.received().iter().any(|text| text.contains("terminal_kill")), "none runs");
}

#[tokio::test]
async fn a_terminal_that_nobody_waits_for_any_more_is_killed() {
    let (server, client) = connected(&[]).await;
    // Given up before the server has said whether it runs.
    let mut opening = Box::pin(client.terminals().open(80, 24, None));
    assert!(timeout(Duration::ZERO, &mut opening).await.is_err());
    let id = received(&server, "terminal_spawn")["terminal_id"].clone();
    assert!(!server.received().iter().any(|text| text.contains("terminal_kill")));
    drop(opening);
    assert_eq!(received(&server, "terminal_kill")["terminal_id"], id);
}

#[tokio::test]
async fn a_terminal_that_did_not_answer_in_time_is_killed() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let mut options = ConnectOptions::new(server.url());
    options.request_timeout = Duration::from_millis(50);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let error = client.terminals().open(80, 24, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestTimeout);
    let id = received(&server, "terminal_spawn")["terminal_id"].clone();
    assert_eq!(received(&server, "terminal_kill")["terminal_id"], id);
}

#[tokio::test]
async fn changes_of_one_file_are_told_until_nobody_listens() {
    let (server, client) = connected(&[]).await;
    let mut changes = client.files().changes("/a").unwrap();
    assert_eq!(received(&server, "watch_file")["path"], "/a");
    for (path, at) in [("/b", 1), ("/a", 2)] {
        let frame = json!({ "type": "file_changed", "path": path, "lastModified": at });
        server.push(&frame.to_string());
    }
    let change = timeout(SOON, changes.next()).await.unwrap().unwrap();
    assert_eq!((change.path.as_str(), change.last_modified.as_u64()), ("/a", Some(2)));
    drop(changes);
    assert_eq!(received(&server, "unwatch_file")["path"], "/a");
}

#[tokio::test]
async fn what_is_followed_ends_with_the_connection() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let client = Client::new(ConnectOptions::new(server.url()).reconnect(None)).unwrap();
    client.connect().await.unwrap();
    let mut changes = client.files().changes("/a").unwrap();
    let mut messages = client.messages(MessageFilter::all());
    received(&server, "watch_file");
    server.cut_connections();
    let ended = async {
        assert!(changes.next().await.is_none());
        while messages.next().await.is_some() {}
    };
    timeout(SOON, ended).await.unwrap();
    let begun =
        timeout(SOON, async { client.messages(MessageFilter::all()).next().await.is_none() });
    assert!(begun.await.unwrap(), "one that begins now does not wait for ever");
    let mut next = client.messages(MessageFilter::all());
    client.connect().await.unwrap();
    client.info().await.unwrap();
    assert!(messages.next().await.is_none(), "a new subscription follows the next connection");
    assert!(next.next().await.is_some());
    let frame =
        async { client.messages(MessageFilter::all().types(["new"])).next().await.is_some() };
    let pushed = async { server.push(r#"{"type":"new"}"#) };
    assert!(timeout(SOON, async { tokio::join!(frame, pushed).0 }).await.unwrap());
    server.cut_connections();
    while next.next().await.is_some() {}
    server.close();
    let mut vain = client.messages(MessageFilter::all());
    let ended = async { tokio::join!(client.connect(), vain.next()) };
    let (connected, message) = timeout(SOON, ended).await.unwrap();
    assert!(connected.is_err() && message.is_none());
}

#[tokio::test]
async fn a_terminal_ends_with_its_connection() {
    let (server, client) = connected(&[]).await;
    let opening = client.terminals().open(80, 24, None);
    let spawned = async {
        let id = received(&server, "terminal_spawn")["terminal_id"].clone();
        server
            .push(&json!({ "type": "terminal_spawned", "terminal_id": id, "pid": 7 }).to_string());
    };
    let (terminal, ()) = timeout(SOON, async { tokio::join!(opening, spawned) }).await.unwrap();
    server.cut_connections();
    let mut terminal = terminal.unwrap();
    for _ in 0..2 {
        assert_eq!(timeout(SOON, terminal.next()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn lists_end_with_their_last_page() {
    let message = |id: &str| json!({ "id": id, "message_type": "user_message" });
    let page = json!({ "messages": [message("m2"), message("m1")], "has_more": false, "next_before": "m1" });
    let run = json!({ "ts": 1, "jobId": "t", "action": "finished" });
    let runs = json!({ "page": {
        "entries": [run], "total": 1, "offset": 0, "limit": 50, "hasMore": false, "nextOffset": null,
    } });
    let (server, client) =
        connected(&[("conversation_messages_list", page), ("cron_runs", runs)]).await;
    let mut messages = client.conversations().messages("c");
    let mut ids = Vec::new();
    while let Some(message) = messages.next().await.unwrap() {
        ids.push(message["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids, ["m2", "m1"]);
    let mut runs = client.cron().all_runs("t");
    assert_eq!(runs.next().await.unwrap().unwrap().job_id, "t");
    assert!(runs.next().await.unwrap().is_none());
    let asked = server.received().iter().filter(|text| text.contains("messages_list")).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_server_that_does_not_say_whether_there_is_more_is_asked_until_nothing_new_comes() {
    let message = |id: &str| json!({ "id": id });
    let page = json!({ "messages": [message("m2"), message("m1")] });
    let (server, client) = connected(&[("conversation_messages_list", page)]).await;
    let mut messages = client.conversations().messages("c");
    let mut count = 0;
    while messages.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 2);
    let asked: Vec<Value> =
        server.received().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let asked: Vec<_> =
        asked.iter().filter(|c| c["type"] == "conversation_messages_list").collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1]["query"]["before"], "m1");
}

/// All commands of a type that the server got.
fn all_received(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

async fn ids(mut listing: Listing) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(item) = listing.next().await.unwrap() {
        ids.push(item["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test]
async fn agents_are_listed_page_by_page_until_nothing_new_comes() {
    let (server, client) = connected(&[]).await;
    let mut made = Vec::new();
    for name in ["one", "two", "two"] {
        let body = json!({ "body": { "name": name } });
        let agent = client.request("agent_create", body).await.unwrap().json();
        made.insert(0, agent["agent"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids(client.agents().all().page_size(2)).await, made);
    let asked = all_received(&server, "agent_list");
    assert_eq!(asked[0]["query"], json!({ "limit": 2 }));
    assert_eq!(asked[1]["query"], json!({ "limit": 2, "after": made[1] }));
    assert_eq!(ids(client.agents().all().query("name", "two")).await, made[..2]);
    assert_eq!(all_received(&server, "agent_list").pop().unwrap()["query"]["limit"], 50);
}

#[tokio::test]
async fn a_server_that_knows_no_place_in_a_list_is_not_asked_for_ever() {
    let page = json!({ "conversations": [{ "id": "c2" }, { "id": "c1" }] });
    let (server, client) = connected(&[("conversation_list", page)]).await;
    let listing = client.conversations().all().query("agent_id", "a");
    assert_eq!(ids(listing).await, ["c2", "c1"]);
    let asked = all_received(&server, "conversation_list");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1]["query"], json!({ "agent_id": "a", "limit": 50, "after": "c1" }));
}

#[tokio::test]
async fn the_size_of_a_page_and_where_to_begin_are_asked_for() {
    let runs = json!({ "page": {
        "entries": [], "total": 0, "offset": 0, "limit": 8, "hasMore": false, "nextOffset": null,
    } });
    let page = json!({ "messages": [], "has_more": false });
    let (server, client) =
        connected(&[("conversation_messages_list", page), ("cron_runs", runs)]).await;
    let mut messages = client.conversations().messages("c").page_size(7).before("m9");
    assert!(messages.next().await.unwrap().is_none());
    let asked = received(&server, "conversation_messages_list");
    assert_eq!(asked["query"], json!({ "limit": 7, "before": "m9" }));
    assert!(client.cron().all_runs("t").page_size(8).next().await.unwrap().is_none());
    assert_eq!(received(&server, "cron_runs")["limit"], 8);
    let refused = [
        client.agents().all().page_size(0).next().await.unwrap_err(),
        client.conversations().messages("c").page_size(0).next().await.unwrap_err(),
        client.cron().all_runs("t").page_size(0).next().await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert_eq!(error.message(), "page_size: expected a number above zero, got 0");
    }
}

#[tokio::test]
async fn output_that_nobody_reads_in_time_is_counted() {
    let (server, client) = connected(&[]).await;
    let opening = client.terminals().open(80, 24, None);
    let spawned = async {
        let id = received(&server, "terminal_spawn")["terminal_id"].clone();
        server
            .push(&json!({ "type": "terminal_spawned", "terminal_id": id, "pid": 7 }).to_string());
        id
    };
    let (terminal, id) = timeout(SOON, async { tokio::join!(opening, spawned) }).await.unwrap();
    let mut terminal = terminal.unwrap();
    let mut changes = client.files().changes("/a").unwrap();
    // Five times a quarter of the room.
    let data = "x".repeat(DEFAULT_MAX_BYTES / 4);
    for _ in 0..5 {
        server.push(
            &json!({ "type": "terminal_output", "terminal_id": id, "data": data }).to_string(),
        );
        server.push(
            &json!({ "type": "file_changed", "path": "/a", "lastModified": 1, "more": data })
                .to_string(),
        );
    }
    client.sync(json!({ "runtime": { "agent_id": "a", "conversation_id": "c" } })).await.unwrap();
    assert!(timeout(SOON, terminal.next()).await.unwrap().is_some());
    assert!(timeout(SOON, changes.next()).await.unwrap().is_some());
    for dropped in [terminal.dropped(), changes.dropped()] {
        assert!((1..5).contains(&dropped), "{dropped}");
    }
}
