//! A lost connection is opened again, and programs go on, against the server double.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, Decision, ErrorKind, Event, Events, MessageFilter, Policy,
    Reconnect, Rule, SessionOptions, State, TimeLimit, Tool, TurnOptions,
};
use proxy::Proxy;
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// Waits that end before one can look.
const FAST: Reconnect =
    Reconnect { max_attempts: None, base: Duration::from_millis(1), cap: Duration::from_millis(5) };

/// Waits that never end by themselves.
const SLOW: Reconnect = Reconnect {
    max_attempts: None,
    base: Duration::from_secs(36_000),
    cap: Duration::from_secs(36_000),
};

async fn connected(url: impl Into<String>, reconnect: Reconnect) -> Client {
    let mut options = ConnectOptions::new(url).reconnect(Some(reconnect));
    options.settle_pause = Duration::from_millis(1);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    client
}

#[tokio::test]
async fn a_server_that_starts_again_is_found_with_what_it_has_stored() {
    let turns = vec![
        ScriptedTurn::text(["first"]),
        ScriptedTurn { hang: true, ..ScriptedTurn::text(["half"]) },
        ScriptedTurn::text(["last"]),
    ];
    let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap();
    let client = connected(server.url(), FAST).await;
    let agent = json!({ "name": "helper", "model": "m" });
    let session = client.session(SessionOptions::new_agent(&agent)).await.unwrap();
    session.run("one").await.unwrap();
    let mut turn = session.send("two").unwrap();
    assert_eq!(turn.next_text().await.as_deref(), Some("half"));
    let mut events = client.events();
    server.stop();
    until(&mut events, State::Reconnecting).await;
    let refused = Client::new(ConnectOptions::new(server.url())).unwrap();
    assert_eq!(refused.connect().await.unwrap_err().kind(), ErrorKind::ConnectionFailed);
    server.start_again().unwrap();
    until(&mut events, State::Open).await;
    assert_eq!(turn.result().await.unwrap_err().kind(), ErrorKind::TurnInterrupted);
    assert_eq!(session.run("three").await.unwrap().text, "last");
    let mut messages = session.messages();
    let mut said = Vec::new();
    while let Some(message) = messages.next().await.unwrap() {
        said.push(message["content"].to_string());
    }
    assert!(said.iter().any(|content| content.contains("first")), "{said:?}");
    client.close().await;
}

/// Reads events up to a state, and gives the names of the states on the way with those of their errors.
async fn until(events: &mut Events, wanted: State) -> Vec<(State, Option<ErrorKind>)> {
    let mut states = Vec::new();
    let reading = async {
        while let Some(event) = events.next().await {
            if let Event::State { state, error } = event {
                states.push((state, error.map(|error| error.kind())));
                if state == wanted {
                    return;
                }
            }
        }
        panic!("the events ended");
    };
    timeout(SOON, reading).await.unwrap();
    states
}

fn script(turns: Vec<ScriptedTurn>) -> MockServer {
    MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap()
}

fn commands(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

#[tokio::test]
async fn a_session_that_was_closed_or_dropped_is_not_started_again() {
    let server = script(vec![ScriptedTurn::text(["done"])]);
    let client = connected(server.url(), FAST).await;
    let open = async |name: &str| {
        client.session(SessionOptions::agent("a").conversation(name)).await.unwrap()
    };
    let (closed, dropped, kept) = (open("closed").await, open("dropped").await, open("kept").await);
    let (shared, other) = (open("shared").await, open("shared").await);
    closed.close();
    closed.close();
    drop(dropped);
    other.close();
    let before = commands(&server, "runtime_start").len();
    let mut events = client.events();
    server.cut_connections();
    until(&mut events, State::Open).await;
    for session in [kept, shared] {
        timeout(SOON, session.run("?")).await.unwrap().unwrap();
    }
    let again = commands(&server, "runtime_start").split_off(before);
    let again: Vec<_> = again.iter().map(|start| start["conversation_id"].clone()).collect();
    assert_eq!(again, ["kept", "shared"]);
}

#[tokio::test]
async fn a_session_goes_on_after_fifty_cuts() {
    for (generation, cuts) in [(Generation::Single, 50), (Generation::Split, 5)] {
        let call = ScriptedCall::asking("count", json!({}));
        let turns = vec![ScriptedTurn::text(["done"]).call(call)];
        let options = ScriptOptions { turns, generation, ..ScriptOptions::default() };
        let server = MockServer::scripted(options).unwrap();
        let client = connected(server.url(), FAST).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let asking = Arc::clone(&asked);
        let rules = Policy::first_match([Rule::ask(move |_| {
            asking.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, String>(Decision::allow()) }
        })]);
        let called = Arc::new(AtomicUsize::new(0));
        let calling = Arc::clone(&called);
        let tool = Tool::new("count", "Counts", json!({ "type": "object" }), move |_: Value, _| {
            let n = calling.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, String>(n.to_string()) }
        });
        let options =
            SessionOptions::agent("a").cwd("/home/user/project").tool(tool).approvals(rules);
        let session = client.session(options).await.unwrap();
        session.run("first").await.unwrap();
        let mut events = client.events();
        for cut in 1..=cuts {
            server.cut_connections();
            until(&mut events, State::Open).await;
            let result = timeout(SOON, session.run(format!("{cut}"))).await.unwrap().unwrap();
            assert_eq!(result.text, "done");
            assert_eq!(
                result.tool_calls[0].output.as_deref(),
                Some(&*cut.to_string()),
                "{generation:?}"
            );
            assert_eq!(asked.load(Ordering::SeqCst), cut + 1);
        }
        let counters = client.counters();
        assert!(counters.reconnects >= cuts as u64 && counters.restored >= cuts as u64);
        assert_eq!(counters.restore_failures, 0);
        let starts = commands(&server, "runtime_start");
        let first = &starts[0];
        for again in &starts[1..] {
            assert_eq!(again["conversation_id"], session.conversation_id());
            for field in ["mode", "cwd", "external_tools"] {
                assert_eq!(again[field], first[field], "{field}");
            }
        }
        client.close().await;
    }
}

#[tokio::test]
async fn each_state_is_told_once_and_errors_say_that_it_goes_on() {
    let server = script(Vec::new());
    let client = Client::new(ConnectOptions::new(server.url()).reconnect(Some(SLOW))).unwrap();
    let mut events = client.events();
    client.connect().await.unwrap();
    assert_eq!(
        until(&mut events, State::Open).await,
        [(State::Connecting, None), (State::Open, None)]
    );

    let unanswered = json!({ "type": "future", "request_id": "f" }).to_string();
    let waiting = client.request_raw(&unanswered, TimeLimit::Never, |_| true);
    let cutting = async {
        let server = &server;
        tokio::task::yield_now().await;
        while commands(server, "future").is_empty() {
            tokio::task::yield_now().await;
        }
        server.cut_connections();
    };
    let (error, ()) = tokio::join!(waiting, cutting);
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::Disconnected, true));
    assert_eq!(client.state(), State::Reconnecting);
    let mut lost = None;
    let states = async {
        loop {
            match events.next().await.unwrap() {
                Event::Disconnected { will_reconnect, .. } => lost = Some(will_reconnect),
                Event::State { state, error } => return (state, error.unwrap().will_reconnect()),
                _ => {}
            }
        }
    };
    assert_eq!(timeout(SOON, states).await.unwrap(), (State::Reconnecting, true));
    assert_eq!(lost, Some(true), "the loss is told first");

    // Nothing is queued behind the user's back.
    let error = client.info().await.unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::Disconnected, true));
    assert!(error.hint().is_some_and(|hint| hint.contains("open")), "{error}");

    // A connect does not wait for the timer.
    timeout(SOON, client.connect()).await.unwrap().unwrap();
    client.info().await.unwrap();
    client.close().await;
    assert_eq!(
        until(&mut events, State::Closed).await,
        [(State::Open, None), (State::Closed, None)]
    );
}

#[tokio::test]
async fn a_connect_waits_through_further_attempts() {
    let server = script(Vec::new());
    let proxy = Proxy::before(&server).await;
    let client = connected(proxy.url.clone(), FAST).await;
    let mut events = client.events();
    proxy.lead_to(None);
    proxy.cut();
    until(&mut events, State::Reconnecting).await;
    let before = proxy.accepted();
    let connecting = client.connect();
    let repairing = async {
        while proxy.accepted() < before + 3 {
            proxy.cut();
            tokio::task::yield_now().await;
        }
        proxy.lead_to(Some(&server));
        proxy.cut();
    };
    let (opened, ()) = timeout(SOON, async { tokio::join!(connecting, repairing) }).await.unwrap();
    opened.unwrap();
    assert_eq!(client.state(), State::Open);
    client.info().await.unwrap();
}

#[tokio::test]
async fn a_connect_that_waits_fails_when_its_time_is_over_or_the_client_gives_up() {
    let server = script(Vec::new());
    let url = server.url();
    let limited = |rules| {
        let mut options = ConnectOptions::new(url.clone()).reconnect(Some(rules));
        options.connect_timeout = Duration::from_millis(300);
        Client::new(options).unwrap()
    };
    let (patient, hasty) = (limited(FAST), limited(Reconnect { max_attempts: Some(2), ..FAST }));
    let mut events = (patient.events(), hasty.events());
    tokio::try_join!(patient.connect(), hasty.connect()).unwrap();
    server.close();
    until(&mut events.0, State::Reconnecting).await;
    until(&mut events.1, State::Reconnecting).await;
    let error = timeout(SOON, patient.connect()).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::ConnectionFailed, true));
    assert!(!error.message().contains("within"), "what the last attempt failed with: {error}");
    assert_eq!(patient.state(), State::Reconnecting);
    let error = timeout(SOON, hasty.connect()).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::ConnectionFailed, false));
    assert_eq!(hasty.state(), State::Disconnected);
}

#[tokio::test]
async fn many_that_wait_for_a_connection_make_no_storm_and_use_up_no_attempts() {
    let server = script(Vec::new());
    let proxy = Proxy::before(&server).await;
    let rules = Reconnect { max_attempts: Some(2), ..SLOW };
    let client = connected(proxy.url.clone(), rules).await;
    let mut events = client.events();
    proxy.lead_to(None);
    proxy.cut();
    until(&mut events, State::Reconnecting).await;
    let before = proxy.accepted();
    let waiting = futures_util::future::join_all((0..50).map(|_| client.connect()));
    let cutting = async {
        while proxy.accepted() == before {
            tokio::task::yield_now().await;
        }
        proxy.lead_to(Some(&server));
        proxy.cut();
    };
    let (opened, ()) = timeout(SOON, async { tokio::join!(waiting, cutting) }).await.unwrap();
    opened.into_iter().for_each(Result::unwrap);
    // An attempt asks what server that is, and then for the WebSocket.
    assert_eq!(proxy.accepted(), before + 1 + 2, "one that failed, and one a second later");
    client.info().await.unwrap();
}

#[tokio::test]
async fn closing_ends_the_waiting_at_once() {
    let server = script(Vec::new());
    let client = connected(server.url(), SLOW).await;
    let mut events = client.events();
    server.cut_connections();
    until(&mut events, State::Reconnecting).await;
    timeout(Duration::from_secs(2), client.close()).await.unwrap();
    assert_eq!(client.state(), State::Closed);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn closing_ends_an_attempt_at_once() {
    let server = script(Vec::new());
    let proxy = Proxy::before(&server).await;
    let client = connected(proxy.url.clone(), FAST).await;
    let before = proxy.accepted();
    proxy.lead_to(None);
    proxy.cut();
    let attempting = async {
        while proxy.accepted() == before {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, attempting).await.unwrap();
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect().await }
    });
    tokio::task::yield_now().await;
    timeout(Duration::from_secs(2), client.close()).await.unwrap();
    assert_eq!(connecting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_server_that_refuses_the_token_by_now_ends_it() {
    let guarded = |token: &str| {
        let options = ScriptOptions { token: Some(token.to_owned()), ..ScriptOptions::default() };
        MockServer::scripted(options).unwrap()
    };
    let (server, stricter) = (guarded("old"), guarded("new"));
    let proxy = Proxy::before(&server).await;
    let options = ConnectOptions::new(proxy.url.clone()).token("old").reconnect(Some(FAST));
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let mut events = client.events();
    let mut messages = client.messages(MessageFilter::all());
    proxy.lead_to(Some(&stricter));
    proxy.cut();
    let states = until(&mut events, State::Disconnected).await;
    let expected = [
        (State::Reconnecting, Some(ErrorKind::Disconnected)),
        (State::Disconnected, Some(ErrorKind::Auth)),
    ];
    assert_eq!(states, expected);
    let attempts = proxy.accepted();
    let ended = async { while messages.next().await.is_some() {} };
    timeout(SOON, ended).await.unwrap();
    let error = client.info().await.unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::Disconnected, false));
    assert!(error.message().contains("refused the credentials"), "{error}");
    assert!(!error.to_string().contains("old"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("new client with the token")), "{error}");

    // Whoever knows better connects by hand.
    proxy.lead_to(Some(&server));
    client.connect().await.unwrap();
    assert!(proxy.accepted() > attempts);
    client.info().await.unwrap();
}

#[tokio::test]
async fn the_limit_of_attempts_ends_it() {
    let server = script(Vec::new());
    let rules = Reconnect { max_attempts: Some(3), ..FAST };
    let client = connected(server.url(), rules).await;
    let mut events = client.events();
    server.close();
    let states = until(&mut events, State::Disconnected).await;
    assert_eq!(states.last(), Some(&(State::Disconnected, Some(ErrorKind::ConnectionFailed))));
    assert_eq!(client.counters().reconnects, 0);
}

#[tokio::test]
async fn a_first_connection_is_not_tried_again() {
    let server = script(Vec::new());
    let url = server.url();
    server.close();
    let client = Client::new(ConnectOptions::new(url).reconnect(Some(FAST))).unwrap();
    let mut events = client.events();
    let mut messages = client.messages(MessageFilter::all());
    let error = client.connect().await.unwrap_err();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::ConnectionFailed, false));
    let states = until(&mut events, State::Disconnected).await;
    assert_eq!(states, [(State::Connecting, None), (State::Disconnected, None)]);
    assert!(timeout(SOON, messages.next()).await.unwrap().is_none(), "nobody connects");
}

#[tokio::test]
async fn a_reader_that_waits_ends_when_the_first_attempt_fails_and_one_that_does_not_goes_on() {
    let server = script(Vec::new());
    let proxy = Proxy::before(&server).await;
    let mut options = ConnectOptions::new(proxy.url.clone());
    options.connect_timeout = Duration::from_secs(1);
    let client = Client::new(options).unwrap();
    let mut waiting = client.messages(MessageFilter::all());
    let mut reading = client.messages(MessageFilter::all().types(["future_event"]));
    // Before the first attempt it waits.
    assert!(timeout(Duration::from_millis(1), waiting.next()).await.is_err());
    proxy.lead_to(None);
    let (ended, failed) =
        timeout(SOON, async { tokio::join!(waiting.next(), client.connect()) }).await.unwrap();
    assert!(ended.is_none() && failed.is_err(), "{ended:?} {failed:?}");
    proxy.lead_to(Some(&server));
    client.connect().await.unwrap();
    server.push(r#"{"type":"future_event"}"#);
    assert!(timeout(SOON, reading.next()).await.unwrap().is_some());
}

#[tokio::test]
async fn without_it_a_loss_is_the_end() {
    let server = script(Vec::new());
    let client = Client::new(ConnectOptions::new(server.url()).reconnect(None)).unwrap();
    client.connect().await.unwrap();
    let mut events = client.events();
    server.cut_connections();
    let states = until(&mut events, State::Disconnected).await;
    assert_eq!(states, [(State::Disconnected, Some(ErrorKind::Disconnected))]);
    assert!(!client.info().await.unwrap_err().will_reconnect());
}

#[tokio::test]
async fn subscriptions_and_watched_files_go_on() {
    let server = script(Vec::new());
    let client = connected(server.url(), FAST).await;
    let mut events = client.events();
    let mut messages = client.messages(MessageFilter::all().types(["future_event"]));
    let mut changes = client.files().changes("/a").unwrap();
    let watched = |times| {
        let server = &server;
        let watched = async move {
            while commands(server, "watch_file").len() < times {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, watched)
    };
    watched(1).await.unwrap();
    server.cut_connections();
    until(&mut events, State::Open).await;
    watched(2).await.unwrap();
    server.push(r#"{"type":"future_event"}"#);
    server.push(r#"{"type":"file_changed","path":"/a","lastModified":7}"#);
    assert!(timeout(SOON, messages.next()).await.unwrap().is_some());
    let change = timeout(SOON, changes.next()).await.unwrap().unwrap();
    assert_eq!(change.last_modified.as_u64(), Some(7));
    drop(changes);
    client.close().await;
    assert!(messages.next().await.is_none());
}

#[tokio::test]
async fn a_permission_of_a_turn_that_others_keep_alive_is_asked_once_more() {
    let call = ScriptedCall::asking("Write", json!({ "file_path": "x" }));
    let server = script(vec![ScriptedTurn::text(["done"]).call(call)]);
    let proxy = Proxy::before(&server).await;
    let (unsteady, steady) =
        (connected(proxy.url.clone(), FAST).await, connected(server.url(), FAST).await);
    let started = unsteady
        .runtime_start(json!({ "agent_id": "a", "conversation_id": "c", "mode": "standard" }))
        .await
        .unwrap()
        .json();
    let runtime = &started["runtime"];
    let mut requests = unsteady.approval_requests(None).unwrap();
    let payload = json!({
        "kind": "create_message", "messages": [{ "role": "user", "content": "?" }],
    });
    let fields = json!({ "runtime": runtime, "payload": payload });
    let options = TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() };
    let turn = steady.run_turn(fields, options);
    let answering = async {
        let first = requests.next().await.unwrap();
        proxy.cut();
        let again = requests.next().await.unwrap();
        assert_eq!(again.json()["request_id"], first.json()["request_id"]);
        again.allow();
        // The server knows of one answer.
        drop(first);
    };
    let both = async { tokio::join!(turn, answering) };
    let (result, ()) = timeout(SOON, both).await.unwrap();
    assert_eq!(result.unwrap().text, "done");
    let answers = commands(&server, "input").into_iter();
    let answers = answers.filter(|input| input["payload"]["kind"] == "approval_response");
    assert_eq!(answers.count(), 1);
}

#[tokio::test]
async fn a_message_above_the_limit_does_not_make_a_loop() {
    let server = script(Vec::new());
    let mut options = ConnectOptions::new(server.url()).reconnect(Some(FAST));
    options.max_message_bytes = 4096;
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let mut events = client.events();
    server.push(&json!({ "type": "file_changed", "path": "x".repeat(5000) }).to_string());
    until(&mut events, State::Open).await;
    // Nothing is sent again, so the new connection stays.
    client.info().await.unwrap();
    assert_eq!((client.counters().reconnects, server.connections()), (1, 2));
}
