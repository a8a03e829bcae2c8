//! The token goes to the server that it is for, in one header, and nowhere else.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod raw;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions};
use letta_app_client::{
    Client, ConnectOptions, ErrorKind, Event, SessionOptions, State, TlsOptions, Transport,
};
use raw::{accepted, frame};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

const TOKEN: &str = "s3cret-t0ken";
const SOON: Duration = Duration::from_secs(10);

/// What a server was sent, connection by connection.
type Heads = Arc<Mutex<Vec<String>>>;

/// A server that answers everything with the same bytes.
async fn answering(answer: String) -> (String, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut head = [0; 2048];
            let length = tcp.read(&mut head).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            seen.lock().unwrap().push(text);
            let _ = tcp.write_all(answer.as_bytes()).await;
        }
    });
    (address, heads)
}

/// Everything that is told of a failed connect, in all forms.
async fn told(options: ConnectOptions) -> String {
    let mut told = format!("{options:?} {options:#?}");
    let client = match Client::new(options) {
        Ok(client) => client,
        Err(error) => return format!("{told} {error} {error:?} {error:#?} {}", error.to_json()),
    };
    let mut events = client.events();
    let error = timeout(SOON, client.connect()).await.unwrap().unwrap_err();
    write!(told, " {error} {error:?} {error:#?} {:?} {}", error.hint(), error.to_json()).unwrap();
    write!(told, " {client:?} {client:#?}").unwrap();
    let later = client.sync(serde_json::json!({
        "runtime": { "agent_id": "a", "conversation_id": "c" }
    }));
    write!(told, " {:?}", later.await.unwrap_err()).unwrap();
    client.close().await;
    while let Some(event) = events.next().await {
        write!(told, " {event:?}").unwrap();
    }
    told
}

#[tokio::test]
async fn no_failure_to_connect_shows_it() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let own = MockServer::scripted(ScriptOptions {
        token: Some("another".to_owned()),
        ..ScriptOptions::default()
    });
    let own = own.unwrap();
    let mut cases = vec![
        ("refused", format!("ws://{nobody}")),
        ("no name", "ws://no-such-host.invalid".to_owned()),
        ("wrong token", own.url()),
        ("wrong path", format!("{}/elsewhere?token={TOKEN}", own.url())),
        ("userinfo", format!("ws://user:{TOKEN}@127.0.0.1")),
        ("userinfo and no host", format!("ws://user:{TOKEN}@")),
        ("no scheme", format!("user:{TOKEN}@127.0.0.1")),
        ("bad port", format!("ws://127.0.0.1:x?token={TOKEN}")),
        ("bad host", format!("ws://ho st/?token={TOKEN}")),
        ("other scheme", format!("ftp://user:{TOKEN}@h?token={TOKEN}")),
    ];
    for (name, answer) in [
        // A server, or a proxy that reports what it got, may repeat the token anywhere.
        ("401", format!("HTTP/1.1 401 no {TOKEN}\r\n\r\n{{\"error\":\"not {TOKEN}\"}}")),
        ("403", format!("HTTP/1.1 403 Forbidden for {TOKEN}\r\n\r\n")),
        ("404", format!("HTTP/1.1 404 {TOKEN}\r\n\r\n")),
        ("500", format!("HTTP/1.1 500 {TOKEN}\r\n\r\n")),
        ("redirect", format!("HTTP/1.1 302 Found\r\nLocation: ws://h/?token={TOKEN}\r\n\r\n")),
        ("no HTTP", TOKEN.to_owned()),
        (
            "a wrong accept",
            format!(
                "HTTP/1.1 101 Hi\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {TOKEN}\r\n\r\n"
            ),
        ),
    ] {
        let (address, _) = answering(answer).await;
        cases.push((name, format!("ws://{address}/?token={TOKEN}")));
        // The same through TLS, which fails.
        cases.push((name, format!("wss://{address}/?token={TOKEN}")));
    }
    for (name, url) in cases {
        for transport in [Transport::Auto, Transport::Single] {
            let options = ConnectOptions::new(&url).token(TOKEN).transport(transport);
            let told = told(options).await;
            assert!(!told.contains(TOKEN), "{name}: {told}");
        }
    }
    let mut options = ConnectOptions::new("wss://127.0.0.1:1").token(TOKEN);
    options.tls = TlsOptions { ca: Some("/does/not/exist".to_owned()), verify: true };
    assert!(!told(options).await.contains(TOKEN));
    for token in [format!("{TOKEN}\n"), format!("{TOKEN}é")] {
        let token = if token.ends_with('\n') { format!("a\n{token}b") } else { token };
        assert!(!told(ConnectOptions::new("ws://h").token(token)).await.contains(TOKEN));
    }
}

#[tokio::test]
async fn a_turn_that_is_printed_shows_nothing_of_others() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let client = Client::new(ConnectOptions::new(server.url()).token(TOKEN)).unwrap();
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let turn = session.send("my own prompt").unwrap();
    let runtime = session.runtime();
    // More than the thread of the connection takes while this one writes.
    let mut told = String::new();
    for number in 0..200 {
        let payload = json!({ "kind": "create_message", "messages": [
            { "role": "user", "content": format!("another's secret {number}") },
        ] });
        client.input(json!({ "runtime": runtime, "payload": payload })).unwrap();
        write!(told, "{turn:?} {session:?} {client:?}").unwrap();
    }
    assert!(told.contains("my own prompt"), "{told}");
    assert!(!told.contains("another's secret") && !told.contains(TOKEN), "{told}");
    client.close().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_stays() {
    for code in [301, 302, 303, 307, 308] {
        let (target, target_heads) = answering(String::new()).await;
        let answer = format!("HTTP/1.1 {code} Moved\r\nLocation: ws://{target}/ws\r\n\r\n");
        let (address, heads) = answering(answer).await;
        let client =
            Client::new(ConnectOptions::new(format!("ws://{address}")).token(TOKEN)).unwrap();
        let error = client.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionFailed);
        assert!(error.message().contains(&format!("the redirect to ws://{target}/ws is not")));
        client.close().await;
        assert!(target_heads.lock().unwrap().is_empty(), "{code}");
        let heads = heads.lock().unwrap();
        assert!(!heads.is_empty());
        for head in heads.iter() {
            let header = format!("\r\nAuthorization: Bearer {TOKEN}\r\n");
            assert_eq!(head.matches(TOKEN).count(), 1, "{head}");
            assert!(head.contains(&header), "{head}");
        }
    }
}

#[tokio::test]
async fn a_close_reason_that_repeats_it_does_not_show_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let options =
        ConnectOptions::new(url).token(TOKEN).transport(Transport::Single).reconnect(None);
    let client = Client::new(options).unwrap();
    let mut events = client.events();
    let (connected, mut tcp) = tokio::join!(client.connect(), accepted(&listener));
    connected.unwrap();
    let reason = [&4000_u16.to_be_bytes()[..], format!("bye {TOKEN}").as_bytes()].concat();
    tcp.write_all(&frame(0x8, &reason)).await.unwrap();
    let mut told = String::new();
    loop {
        let event = timeout(SOON, events.next()).await.unwrap().unwrap();
        write!(told, "{event:?}").unwrap();
        if matches!(event, Event::State { state: State::Disconnected, .. }) {
            break;
        }
    }
    assert!(told.contains("bye [hidden]"), "{told}");
    assert!(!told.contains(TOKEN), "{told}");
    client.close().await;
}

#[tokio::test]
async fn a_token_in_clear_over_a_network_is_told_once() {
    // Nobody is reached: the name belongs to no network.
    let options = ConnectOptions::new("ws://app.invalid:4500").token(TOKEN);
    let client = Client::new(options).unwrap();
    let mut events = client.events();
    for _ in 0..2 {
        client.connect().await.unwrap_err();
    }
    client.close().await;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::InsecureToken { reason } = event {
            told.push(reason);
        }
    }
    let [reason] = &told[..] else { panic!("{told:?}") };
    assert!(reason.contains("app.invalid:4500") && reason.contains("wss://"), "{reason}");
}
