//! Subscribers who do not keep up: what they miss is bounded, counted, and nobody else's loss.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
use letta_app_client::{
    Backpressure, Client, ConnectOptions, ErrorKind, Event, MessageFilter, Overflow, TurnEvent,
    TurnOptions, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// More than a queue holds by default.
const PIECES: usize = 70_000;
const SOON: Duration = Duration::from_secs(120);

async fn started(turn: ScriptedTurn) -> (MockServer, Client, Value) {
    let options = ScriptOptions { turns: vec![turn], ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let fields = json!({ "agent_id": "agent-1", "mode": "standard", "create_conversation": {} });
    let runtime = client.runtime_start(fields).await.unwrap().json()["runtime"].clone();
    (server, client, runtime)
}

fn input(runtime: &Value) -> Value {
    let message = json!({ "role": "user", "content": "?" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    json!({ "runtime": runtime, "payload": payload })
}

fn few() -> Backpressure {
    Backpressure { max_items: 20, ..Backpressure::default() }
}

fn long_turn(pieces: usize) -> ScriptedTurn {
    ScriptedTurn::text((0..pieces).map(|n| format!("{n};")))
        .call(ScriptedCall::new("Read", json!({ "path": "a" })))
}

#[tokio::test]
async fn a_follower_who_reads_only_after_the_end_has_the_whole_text() {
    let (_server, client, runtime) = started(long_turn(PIECES)).await;
    let mut turn = client.send_turn(input(&runtime), TurnOptions::default()).unwrap();
    let result = timeout(SOON, turn.result()).await.unwrap().unwrap();
    let (mut text, mut events, mut merges, mut calls) = (String::new(), 0, 0, 0);
    while let Some(update) = turn.next().await {
        match update {
            TurnUpdate::Event(event) => {
                events += 1;
                match event {
                    TurnEvent::AssistantDelta { text: more, .. } => text.push_str(&more),
                    TurnEvent::ToolCallStart { .. } | TurnEvent::ToolCallEnd { .. } => calls += 1,
                    _ => {}
                }
            }
            TurnUpdate::Lagged { dropped, merged } => {
                assert_eq!(dropped, 0);
                merges += merged;
            }
            TurnUpdate::Finished(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(text, result.text);
    assert!(text.ends_with(&format!(";{};", PIECES - 1)));
    assert_eq!(calls, 2);
    assert!(events < 65_536 && events + merges > PIECES as u64, "{events} and {merges}");
}

#[tokio::test]
async fn a_slow_subscriber_misses_what_is_counted_and_a_fast_one_nothing() {
    let (_server, client, runtime) = started(long_turn(3000)).await;
    let mut slow = client.events_with(few()).unwrap();
    let mut fast = client.events();
    let all = tokio::spawn(async move {
        let mut count = 0;
        loop {
            match timeout(SOON, fast.next()).await.unwrap().unwrap() {
                Event::Lagged { dropped } => panic!("{dropped} are missing"),
                Event::Message(message) if message.kind() == "turn_finished" => break count + 1,
                _ => count += 1,
            }
        }
    });
    client.run_turn(input(&runtime), TurnOptions::default()).await.unwrap();
    let all: u64 = all.await.unwrap();
    // What comes behind the end is none of the comparison's.
    let (mut seen, mut dropped, mut waiting) = (0, 0, 0);
    loop {
        match timeout(SOON, slow.next()).await.unwrap().unwrap() {
            Event::Lagged { dropped: count } => dropped += count,
            Event::Message(message) if message.kind() == "turn_finished" => break,
            _ => seen += 1,
        }
        waiting += 1;
        assert!(waiting < 30, "more than the limit waited");
    }
    assert!(dropped > 2900, "{dropped}");
    assert_eq!(seen + 1 + dropped, all, "{seen} {dropped}");
}

#[tokio::test]
async fn a_subscription_that_is_to_raise_ends_with_the_error() {
    let (_server, client, runtime) = started(long_turn(100)).await;
    let limits = Backpressure { policy: Overflow::Raise, ..few() };
    let mut deltas =
        client.messages_with(MessageFilter::all().types(["stream_delta"]), limits).unwrap();
    let mut ends =
        client.messages_with(MessageFilter::all().types(["turn_finished"]), limits).unwrap();
    let mut events = client.events_with(limits).unwrap();
    client.run_turn(input(&runtime), TurnOptions::default()).await.unwrap();
    let mut count = 0;
    while timeout(SOON, deltas.next()).await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 20, "what came before the error is read");
    let error = deltas.error().unwrap();
    assert_eq!((error.kind(), error.dropped_count()), (ErrorKind::Lagged, Some(deltas.dropped())));
    assert!(deltas.dropped() > 80, "{}", deltas.dropped());
    // Only what a subscription is for counts.
    assert_eq!(timeout(SOON, ends.next()).await.unwrap().unwrap().kind(), "turn_finished");
    assert!(ends.error().is_none() && ends.dropped() == 0);
    let mut last = None;
    for _ in 0..21 {
        last = timeout(SOON, events.next()).await.unwrap();
    }
    let Some(Event::Failed(error)) = last else { panic!("{last:?}") };
    assert_eq!(error.kind(), ErrorKind::Lagged);
    // At once, and not only when the client is closed.
    assert!(timeout(SOON, events.next()).await.unwrap().is_none());
    assert!(timeout(SOON, events.next()).await.unwrap().is_none());
}

/// A way to a server that lets nothing more through to it once it is told so: the server does not read.
async fn deaf_way(target: String) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (deaf, is_deaf) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from, mut back) = client.into_split();
            let (mut answers, mut to) = TcpStream::connect(&target).await.unwrap().into_split();
            tokio::spawn(async move { copy(&mut answers, &mut back).await });
            let mut is_deaf = is_deaf.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                loop {
                    let read = tokio::select! {
                        biased;
                        () = async { drop(is_deaf.wait_for(|deaf| *deaf).await) } => None,
                        read = from.read(&mut bytes) => Some(read.unwrap()),
                    };
                    let Some(read) = read else { std::future::pending().await };
                    to.write_all(&bytes[..read]).await.unwrap();
                }
            });
        }
    });
    (url, deaf)
}

#[tokio::test]
async fn a_server_that_does_not_read_ends_the_connection_before_the_memory_ends() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let (url, deaf) = deaf_way(server.url().replace("ws://", "")).await;
    // However long the flood takes on a busy machine, it is the flood that ends the connection.
    let request_timeout = Duration::from_secs(600);
    let options = ConnectOptions::new(url).reconnect(None).request_timeout(request_timeout);
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let filter = MessageFilter::all();
    let (mut messages, mut events) = (client.messages(filter), client.events_with(few()).unwrap());
    deaf.send(true).unwrap();
    let waits = tokio::spawn({
        let client = client.clone();
        async move { client.request("list_models", json!({})).await.map(drop) }
    });
    let padding = "x".repeat(1000);
    let mut refused = None;
    // The operating system takes some megabytes before anything waits here.
    for n in 0..1_000_000 {
        let command = json!({ "type": "some_command", "n": n, "x": padding });
        refused = client.send_raw(&command.to_string()).err();
        match refused.as_ref().map(letta_app_client::Error::kind) {
            // The driver's thread was not given time to take the others.
            Some(ErrorKind::TooManyRequests) => sleep(Duration::from_millis(1)).await,
            Some(_) => break,
            None => {}
        }
        if n % 1000 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(refused.unwrap().kind(), ErrorKind::Disconnected);
    assert_eq!(
        timeout(SOON, waits).await.unwrap().unwrap().unwrap_err().kind(),
        ErrorKind::Disconnected
    );
    assert!(timeout(SOON, messages.next()).await.unwrap().is_none());
    let reason = loop {
        let event = timeout(SOON, events.next()).await.unwrap().unwrap();
        if let Event::Disconnected { reason, .. } = event {
            break reason;
        }
    };
    assert!(reason.contains("the server is not reading: 65537 messages"), "{reason}");
    client.close().await;
}

#[tokio::test]
async fn a_queue_in_which_nothing_could_wait_is_refused() {
    let (_server, client, _) = started(long_turn(1)).await;
    let whole = Backpressure::default();
    for (limits, name) in [
        (Backpressure { max_items: 0, ..whole }, "max_items"),
        (Backpressure { max_bytes: 0, ..whole }, "max_bytes"),
    ] {
        let wrong = format!("{name}: expected a number above zero, got 0");
        let error = client.events_with(limits).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidOption, &*wrong));
        let error = client.messages_with(MessageFilter::all(), limits).unwrap_err();
        assert_eq!(error.message(), wrong);
    }
}
