//! What a hostile or broken server can send, and what the client makes of it: `docs/hostile-input.md`
//! has the same table, and both are held against each other.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod raw;

use std::time::Duration;

use letta_app_client::{Client, ConnectOptions, ErrorKind, Event, Transport};
use raw::{accepted, frame, text};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hostile-input.md");

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes on, and the frame was handed to message handlers as it came.
    Delivered,
    /// It goes on; the frame was counted as malformed and handed to nobody.
    Counted,
    /// It goes on; there was nothing to hand on.
    Unmoved,
    /// It is closed, with this code.
    Lost(u16),
}

impl Fate {
    fn words(self) -> String {
        match self {
            Self::Delivered => "handed on as it came".to_owned(),
            Self::Counted => "counted as malformed, handed to nobody".to_owned(),
            Self::Unmoved => "nothing happens".to_owned(),
            Self::Lost(code) => format!("connection closed ({code})"),
        }
    }
}

/// What comes after the handshake, in words and in bytes, and what it may do.
fn cases() -> Vec<(&'static str, Vec<u8>, Fate)> {
    use Fate::{Counted, Delivered, Lost, Unmoved};
    let nested = format!(r#"{{"type":"x","deep":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let levels = format!(r#"{{"type":"x","deep":{}{}}}"#, "[".repeat(126), "]".repeat(126));
    let open = format!(r#"{{"type":"x","deep":{}"#, "[".repeat(100_000));
    let number = format!(r#"{{"type":"x","n":{}}}"#, "9".repeat(100_000));
    let invalid = [&br#"{"type":"x","text":""#[..], &[0xC3, 0x28], br#""}"#].concat();
    let mut masked = frame(0x1, b"");
    masked[1] |= 0x80;
    masked.extend([1, 2, 3, 4]);
    let mut compressed = text(r#"{"type":"x"}"#);
    compressed[0] |= 0x40;
    let empty = [&[0x01, 0x00][..], &[0x00, 0x00].repeat(100_000), &[0x80, 0x00]].concat();
    vec![
        ("a frame that announces 1 GB", announced(1 << 30), Lost(1009)),
        ("a frame that announces 2^63 bytes", announced(1 << 63), Lost(1009)),
        ("100,000 nested arrays", text(&nested), Counted),
        ("100,000 arrays that are not closed", text(&open), Counted),
        ("127 levels of arrays and objects", text(&levels), Delivered),
        ("a number above every float", text(r#"{"type":"x","n":1e999999}"#), Delivered),
        ("a number of 100,000 digits", text(&number), Delivered),
        ("a message that is no UTF-8", frame(0x1, &invalid), Lost(1006)),
        ("a lone surrogate as an escape", text(r#"{"type":"x","text":"\ud800"}"#), Delivered),
        ("a lone surrogate as the type", text(r#"{"type":"\ud800"}"#), Counted),
        ("one field twice", text(r#"{"type":"x","a":1,"a":2}"#), Delivered),
        ("the type twice", text(r#"{"type":"x","type":"y"}"#), Delivered),
        ("no JSON", text("hello"), Counted),
        ("an empty message", text(""), Counted),
        ("JSON that is no object", text("[1,2]"), Counted),
        ("an object and more behind it", text(r#"{"type":"x"} {"#), Counted),
        ("an object without a type", text(r#"{"a":1}"#), Delivered),
        ("a type that is no text", text(r#"{"type":7}"#), Delivered),
        ("fields of the wrong types", text(r#"{"type":"turn_finished","runtime":3}"#), Delivered),
        ("JSON in a binary message", frame(0x2, br#"{"type":"x"}"#), Delivered),
        ("a binary message that is no UTF-8", frame(0x2, &invalid), Unmoved),
        ("reserved bits", vec![0xF1, 0x00], Lost(1006)),
        ("a compressed message that was not agreed on", compressed, Lost(1006)),
        ("an opcode that nobody knows", frame(0x3, b""), Lost(1006)),
        ("a masked message", masked, Lost(1006)),
        ("a ping in two pieces", vec![0x09, 0x00], Lost(1006)),
        ("a ping of 126 bytes", frame(0x9, &[0; 126]), Lost(1006)),
        ("a close in two pieces", vec![0x08, 0x00], Lost(1006)),
        ("100,000 pings", frame(0x9, b"x").repeat(100_000), Unmoved),
        ("a pong that nobody asked for", frame(0xA, b"x"), Unmoved),
        ("100,000 continuations without content", empty, Counted),
        ("a continuation of nothing", frame(0x0, b"x"), Lost(1006)),
        ("a new message within another", [vec![0x01, 0x01, b'{'], text("{}")].concat(), Lost(1006)),
        ("a close without a code", frame(0x8, b""), Lost(1005)),
        ("a close with half a code", frame(0x8, &[3]), Lost(1006)),
        ("a close with a code of its own", close(4999), Lost(4999)),
        ("a close with a code that none may send", close(1005), Lost(1002)),
        ("a close with a code below all", close(3), Lost(1002)),
        ("a message after the close", [close(4999), text(r#"{"type":"x"}"#)].concat(), Lost(4999)),
        ("a close, and the connection stays open", close(4998), Lost(4998)),
        ("a close whose reason is no UTF-8", frame(0x8, &[0x03, 0xE8, 0xC3, 0x28]), Lost(1006)),
        ("half a frame, and the end", vec![0x81], Lost(1006)),
    ]
}

fn close(code: u16) -> Vec<u8> {
    frame(0x8, &code.to_be_bytes())
}

/// The head of a message, and none of its bytes.
fn announced(length: u64) -> Vec<u8> {
    [&[0x81, 127][..], &length.to_be_bytes()].concat()
}

/// What the client makes of these bytes. A frame behind them shows whether it still listens.
async fn fate(name: &str, bytes: &[u8]) -> Fate {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let options = ConnectOptions::new(url).transport(Transport::Single).reconnect(None);
    let client = Client::new(options).unwrap();
    let mut events = client.events();
    let (connected, mut tcp) = tokio::join!(client.connect(), accepted(&listener));
    connected.unwrap();
    tcp.write_all(bytes).await.unwrap();
    if name.ends_with("the end") {
        tcp.shutdown().await.unwrap();
    } else if !name.ends_with("stays open") {
        // The client may have gone by now, or does not read what it says itself.
        let _ = tcp.write_all(&text(r#"{"type":"last"}"#)).await;
    }
    let mut seen = 0;
    let fate = loop {
        match timeout(SOON, events.next()).await.unwrap_or_else(|_| panic!("{name}: no end")) {
            Some(Event::Message(message)) if message.text().contains(r#""last""#) => {
                break match (seen, client.counters().malformed) {
                    (0, 0) => Fate::Unmoved,
                    (0, 1) => Fate::Counted,
                    (1, 0) => Fate::Delivered,
                    other => panic!("{name}: {other:?}"),
                };
            }
            Some(Event::Message(message)) => {
                assert!(bytes.ends_with(message.text().as_bytes()), "{name}: not as it came");
                seen += 1;
            }
            Some(Event::Disconnected { code, .. }) => break Fate::Lost(code),
            Some(Event::State { .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    };
    drop(tcp);
    client.close().await;
    fate
}

#[tokio::test]
async fn every_case_has_the_fate_that_is_documented() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    for (name, bytes, expected) in cases() {
        assert_eq!(fate(name, &bytes).await, expected, "{name}");
        let row = format!("| {name} | {} |", expected.words());
        assert!(document.contains(&row), "docs/hostile-input.md lacks: {row}");
    }
    let tables: Vec<&str> = document.split("\n| what ").collect();
    let rows = |table: &str| table.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(rows(tables[1]), cases().len(), "a row of the table is not tested");
    assert_eq!(rows(tables[2]), handshakes().len(), "a row of the table is not tested");
}

/// What a server does in the handshake.
#[derive(Clone)]
enum Handshake {
    Says(Vec<u8>),
    /// And ends the connection.
    Ends(Vec<u8>),
    /// Begins with the one, and repeats the other for ever, with a pause in between.
    Repeats(&'static str, &'static str, Duration),
}

/// What comes in the handshake, and what `connect` fails with.
fn handshakes() -> Vec<(&'static str, Handshake, &'static str)> {
    use Handshake::{Ends, Repeats, Says};
    let says = |text: &str| Says(text.as_bytes().to_vec());
    let (no_time, a_while) = (Duration::ZERO, Duration::from_millis(5));
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
    let wrong = format!("{upgraded}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
    vec![
        ("nothing", says(""), "no connection to"),
        ("the end", Ends(Vec::new()), "closed the connection without an answer"),
        ("half a head, and the end", Ends(upgraded.into()), "closed the connection without"),
        ("one byte at a time, for ever", Repeats("", "H", a_while), "does not speak HTTP"),
        ("a head that goes on for ever", Repeats(upgraded, "a", a_while), "no connection to"),
        ("headers without end", Repeats(upgraded, "a: b\r\n", no_time), "answer is too long"),
        ("a header without end", Repeats(upgraded, "a", no_time), "answer is too long"),
        ("a wrong `Sec-WebSocket-Accept`", Says(wrong.into()), "not as a WebSocket"),
        ("no `Sec-WebSocket-Accept`", Says(format!("{upgraded}\r\n").into()), "not as a WebSocket"),
        ("a redirect", says("HTTP/1.1 302 Found\r\nLocation: ws://h\r\n\r\n"), "is not followed"),
        ("an answer without an upgrade", says("HTTP/1.1 200 OK\r\n\r\n"), "not a WebSocket"),
        ("no HTTP", says("SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
        ("bytes that are no text", Says(vec![0xFF; 64]), "does not speak HTTP"),
        ("frames before the answer", Says(text("{}")), "does not speak HTTP"),
    ]
}

/// Plays the server's side until the client has gone.
async fn play(tcp: &mut TcpStream, handshake: Handshake) {
    match handshake {
        Handshake::Says(bytes) => tcp.write_all(&bytes).await.unwrap(),
        Handshake::Ends(bytes) => {
            tcp.write_all(&bytes).await.unwrap();
            tcp.shutdown().await.unwrap();
        }
        Handshake::Repeats(first, again, pause) => {
            // Without a pause there are enough of them at once.
            let again = again.repeat(if pause.is_zero() { 256 } else { 1 });
            let mut sent = tcp.write_all(first.as_bytes()).await;
            while sent.is_ok() {
                sent = tcp.write_all(again.as_bytes()).await;
                tokio::time::sleep(pause).await;
            }
        }
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn every_handshake_fails_as_it_is_documented() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    for (name, handshake, words) in handshakes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let mut options = ConnectOptions::new(url).transport(Transport::Single);
        options.connect_timeout = Duration::from_millis(250);
        let client = Client::new(options).unwrap();
        let serving = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 4096]).await.unwrap();
            play(&mut tcp, handshake).await;
        };
        let error = tokio::select! {
            outcome = client.connect() => outcome.unwrap_err(),
            () = serving => panic!("{name}: served"),
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionFailed, "{name}");
        assert!(error.message().contains(words), "{name}: {error}");
        let row = format!("| {name} | `ConnectionFailed`: {words} |");
        assert!(document.contains(&row), "docs/hostile-input.md lacks: {row}");
        client.close().await;
    }
}

/// A turn is not settled, and a request not answered, by what is malformed or not meant for it.
#[tokio::test]
async fn nothing_waits_for_ever_or_ends_for_the_wrong_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let mut options = ConnectOptions::new(url).transport(Transport::Single);
    options.request_timeout = Duration::from_millis(300);
    let client = Client::new(options).unwrap();
    let (connected, mut tcp) = tokio::join!(client.connect(), accepted(&listener));
    connected.unwrap();
    for (_, bytes, expected) in cases() {
        if !matches!(expected, Fate::Lost(_)) {
            tcp.write_all(&bytes).await.unwrap();
        }
    }
    let runtime: Value = json!({ "agent_id": "a", "conversation_id": "c" });
    let error = client.sync(json!({ "runtime": runtime })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestTimeout);
    drop(tcp);
    client.close().await;
}
