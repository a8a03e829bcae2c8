//! Clients that read slowly, or not at all, under the limits of a real server.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::{MockServer, ScriptOptions, ScriptedTurn, SlowReaderLimits};
use super::client::{Client, message, text};

const SOON: Duration = Duration::from_secs(30);

fn limited(limits: SlowReaderLimits, turn: ScriptedTurn) -> MockServer {
    let slow_reader_limits = Some(limits);
    let options =
        ScriptOptions { slow_reader_limits, turns: vec![turn], ..ScriptOptions::default() };
    MockServer::scripted(options).expect("server")
}

/// Why the server dropped its only client. It is waited for on a thread where nothing else runs, also not
/// the client.
fn reason(server: &MockServer) -> String {
    assert!(server.shared.wait(SOON, |state| !state.terminated.is_empty()), "borne");
    server.terminated().remove(0).reason
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_when_the_queue_is_full() {
    // More than the operating system takes for a socket that is not read.
    let pieces = 20_000;
    let turn = ScriptedTurn::text((0..pieces).map(|_| "x".repeat(2000)));
    let server = limited(SlowReaderLimits::default(), turn);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    assert_eq!(reason(&server), "512 frames queued");
    let mut seen = Vec::new();
    while let Some(frame) = client.next().await {
        seen.push(frame);
    }
    let deltas = seen.iter().filter(|frame| frame["type"] == "stream_delta").count();
    assert!((100..pieces).contains(&deltas), "{deltas} deltas were under way");
}

#[tokio::test]
async fn a_client_that_reads_has_everything() {
    let turn = ScriptedTurn::text((0..2000).map(|_| "x".repeat(2000)));
    let limits = SlowReaderLimits { pause_bytes: 0, ..SlowReaderLimits::default() };
    let server = limited(limits, turn);
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    let runtime = client.runtime().await;
    client.send(message(&runtime, "1", "one")).await;
    assert_eq!(text(&client.until_type("turn_finished").await).len(), 4_000_000);
    assert_eq!(server.terminated(), []);
}

#[tokio::test]
async fn frames_that_were_queued_come_when_there_is_room() {
    let limits =
        SlowReaderLimits { pause_bytes: 0, max_queued_frames: 5000, ..SlowReaderLimits::default() };
    let server = limited(limits, ScriptedTurn::text((0..4000).map(|n| format!("{n:2000};"))));
    let url = format!("{}/ws", server.url());
    let (mut late, mut observer) = (Client::open(&url).await, Client::open(&url).await);
    let runtime = late.runtime().await;
    observer.send(json!({"type": "sync", "request_id": "s", "runtime": runtime})).await;
    observer.until_type("sync_response").await;
    late.send(message(&runtime, "1", "one")).await;
    let all = text(&observer.until_type("turn_finished").await);
    assert!(all.len() == 8_004_000 && all.ends_with(" 3999;"));
    assert!(text(&late.until_type("turn_finished").await) == all);
}

#[tokio::test]
async fn too_many_bytes_end_it_whatever_the_frames() {
    let server = limited(SlowReaderLimits::default(), ScriptedTurn::default());
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    client.runtime().await;
    server.push(&"x".repeat(40 * 1024 * 1024));
    assert!(reason(&server).ends_with(" bytes unsent"));
}

#[tokio::test]
async fn a_client_that_reads_but_answers_no_ping_is_dropped() {
    let limits = SlowReaderLimits { pong_timeout_ms: 300, ..SlowReaderLimits::default() };
    let options = ScriptOptions {
        slow_reader_limits: Some(limits),
        ping_interval_ms: Some(50),
        turns: vec![ScriptedTurn {
            spread_ms: Some(600),
            ..ScriptedTurn::text("12345678".chars())
        }],
        ..ScriptOptions::default()
    };
    let server = MockServer::scripted(options).expect("server");
    let mut mute = TcpStream::connect(server.url().replace("ws://", "")).await.expect("connected");
    let head = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    mute.write_all(head.as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    // Its end comes without a close frame.
    mute.read_to_end(&mut bytes).await.expect("read");
    let pings = bytes.windows(2).filter(|pair| pair == b"\x89\x00").count();
    assert!(pings > 1 && bytes.ends_with(b"\x89\x00"), "{pings}");
    let mut client = Client::open(&format!("{}/ws", server.url())).await;
    assert_eq!(reason(&server), "no pong for 0 s");
    // One that answers stays for longer than the limit.
    let (runtime, asked) = (client.runtime().await, Instant::now());
    client.send(message(&runtime, "1", "one")).await;
    assert_eq!(text(&client.until_type("turn_finished").await), "12345678");
    assert!(asked.elapsed() > Duration::from_millis(600), "the deltas are spread");
    assert_eq!(server.terminated().len(), 1);
}

#[test]
fn limits_can_be_read_from_json() {
    let read = |text: &str| {
        let options: ScriptOptions = serde_json::from_str(text).expect("options");
        options.slow_reader_limits
    };
    assert_eq!(read("{}"), None);
    assert_eq!(read(r#"{"slow_reader_limits": null}"#), None);
    assert_eq!(read(r#"{"slow_reader_limits": false}"#), None);
    let whole = SlowReaderLimits {
        pause_bytes: 524_288,
        max_queued_frames: 512,
        max_unsent_bytes: 16_777_216,
        pong_timeout_ms: 90_000,
    };
    assert_eq!(read(r#"{"slow_reader_limits": true}"#), Some(whole));
    let some = SlowReaderLimits { max_queued_frames: 3, ..whole };
    assert_eq!(read(r#"{"slow_reader_limits": {"max_queued_frames": 3}}"#), Some(some));
    let wrong = r#"{"slow_reader_limits": {"queue": 3}}"#;
    assert!(serde_json::from_str::<ScriptOptions>(wrong).is_err());
}
