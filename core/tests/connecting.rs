//! What the user is told when a connection cannot be opened, and how one is.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use letta_app_client::testing::{Generation, MockServer, ScriptOptions};
use letta_app_client::{Client, ConnectOptions, Error, ErrorKind, State, TlsOptions, Transport};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

mod tls_proxy;

async fn connect(options: ConnectOptions) -> Result<Client, Error> {
    let client = Client::new(options)?;
    client.connect().await.map(|()| client)
}

async fn failure(options: ConnectOptions) -> Error {
    connect(options).await.unwrap_err()
}

/// A TCP server that answers every connection with the same bytes.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut head = [0; 2048];
            let _ = tcp.read(&mut head).await;
            let _ = tcp.write_all(bytes).await;
        }
    });
    url
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = failure(ConnectOptions::new(format!("ws://{address}"))).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionFailed);
    assert!(error.message().contains("refused"), "{error}");
    let command = format!("is the server running? letta server --listen ws://{address}");
    assert_eq!(error.hint(), Some(&*command));
    // Nobody can start it from here, or it needs more than that.
    let error = failure(ConnectOptions::new(format!("wss://{address}"))).await;
    assert_eq!(error.hint(), Some("is the server running there?"));
}

#[tokio::test]
async fn a_client_may_be_built_before_its_server_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(ConnectOptions::new(format!("ws://{address}"))).unwrap();
    assert_eq!(client.state(), State::New);
    let early =
        client.sync(json!({ "runtime": { "agent_id": "a", "conversation_id": "c" } })).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(client.connect().await.is_err());
    let listener = TcpListener::bind(address).await.unwrap();
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let target = server.url().replace("ws://", "");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    client.connect().await.unwrap();
    assert_eq!(client.state(), State::Open);
    client.close().await;
}

#[tokio::test]
async fn the_reason_of_a_refused_token_is_told() {
    let options = ScriptOptions { token: Some("right".to_owned()), ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    for transport in [Transport::Auto, Transport::Single] {
        let options = ConnectOptions::new(server.url()).transport(transport);
        let error = failure(options.clone()).await;
        assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
        assert!(error.message().contains("missing websocket bearer token"), "{error}");
        let error = failure(options.clone().token("wrong-token")).await;
        assert!(error.message().contains("invalid websocket bearer token"), "{error}");
        assert!(!error.to_string().contains("wrong-token"), "{error}");
        connect(options.token(" right ")).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn other_servers_are_named_for_what_they_are() {
    for (answer, words) in [
        (&b"HTTP/1.1 404 Not Found\r\n\r\n"[..], "404 Not Found: no WebSocket at /ws"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "HTTP 200 OK: not a WebSocket"),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://elsewhere\r\n\r\n", "redirect to ws://elsewhere is not followed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"", "closed the connection without an answer"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
            "not as a WebSocket",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
    ] {
        let url = answering(answer).await;
        let error = failure(ConnectOptions::new(url).transport(Transport::Single)).await;
        assert!(error.message().contains(words), "expected {words:?}, got {error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = ConnectOptions::new(format!("ws://{}", listener.local_addr().unwrap()));
    options.connect_timeout = Duration::from_millis(100);
    let error = failure(options).await;
    assert_eq!(error.kind(), ErrorKind::ConnectionFailed);
    assert!(error.message().contains("within 0.1 s"), "{error}");
}

#[tokio::test]
async fn closing_during_the_handshake_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let client = Client::new(ConnectOptions::new(url)).unwrap();
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect().await }
    });
    let (_held, _) = listener.accept().await.unwrap();
    client.close().await;
    assert_eq!(connecting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(client.connect().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn closing_from_several_threads_at_once_is_one_close() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let client = Client::new(ConnectOptions::new(url)).unwrap();
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.connect().await }
    });
    let (_held, _) = listener.accept().await.unwrap();
    let closers: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            // Any executor, and none of tokio's.
            std::thread::spawn(move || futures_util::FutureExt::now_or_never(client.close()))
        })
        .collect();
    for closer in closers {
        closer.join().unwrap();
    }
    client.close().await;
    client.close().await;
    assert_eq!(connecting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(client.state(), State::Closed);
}

#[tokio::test]
async fn dropping_the_client_in_the_handshake_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let client = Client::new(ConnectOptions::new(url)).unwrap();
    let connecting = tokio::spawn(async move { client.connect().await });
    let (mut held, _) = listener.accept().await.unwrap();
    connecting.abort();
    assert!(connecting.await.unwrap_err().is_cancelled());
    // The last handle is gone, and the connection with it.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), held.read_to_end(&mut rest));
    assert!(matches!(ended.await, Ok(Ok(_) | Err(_))));
}

#[tokio::test]
async fn the_transport_is_chosen_by_asking() {
    for (generation, split) in [(Generation::Single, false), (Generation::Split, true)] {
        let options = ScriptOptions { generation, ..ScriptOptions::default() };
        let server = MockServer::scripted(options).unwrap();
        let client = connect(ConnectOptions::new(server.url())).await.unwrap();
        assert_eq!(client.is_split(), split);
        assert_eq!(client.server_info().is_some(), !split, "this split server knows no info");
        client.close().await;
    }
}

#[tokio::test]
async fn a_forced_transport_that_does_not_fit_says_so() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let error = failure(ConnectOptions::new(server.url()).transport(Transport::Split)).await;
    assert_eq!(error.kind(), ErrorKind::ProtocolMismatch);
    assert!(error.message().contains("one socket"), "{error}");
    // The other way round works: a split server sends everything on the one socket it gets.
    let options = ScriptOptions { generation: Generation::Split, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let single = ConnectOptions::new(server.url()).transport(Transport::Single);
    connect(single).await.unwrap().close().await;
}

#[test]
fn authorities_that_are_none_are_refused_before_anything_is_opened() {
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    let broken = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----";
    for (ca, words) in [
        ("/does/not/exist.pem", "got \"/does/not/exist.pem\""),
        ("", "got \"\""),
        (broken, "got a text"),
        (key, "at least one certificate"),
    ] {
        for url in ["ws://127.0.0.1:1", "wss://127.0.0.1:1"] {
            let mut options = ConnectOptions::new(url);
            options.tls = TlsOptions { ca: Some(ca.to_owned()), verify: true };
            assert!(options.check_values().is_ok(), "it may be for another machine");
            let error = Client::new(options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{ca:?}");
            assert!(error.message().starts_with("tls.ca: expected "), "{error}");
            assert!(error.message().contains(words), "{error}");
        }
    }
}

#[tokio::test]
async fn certificates_are_checked() {
    let server = MockServer::scripted(ScriptOptions::default()).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = made.cert.pem();
    let port = tls_proxy::start(&made, server.url().replace("ws://", "")).await;
    let url = format!("wss://localhost:{port}");

    let error = failure(ConnectOptions::new(&url)).await;
    assert!(error.message().contains("certificate"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("tls.ca")), "{error}");

    let mut trusting = ConnectOptions::new(&url);
    trusting.tls = TlsOptions { ca: Some(ca), verify: true };
    connect(trusting).await.unwrap().close().await;

    let mut careless = ConnectOptions::new(&url);
    careless.tls = TlsOptions { ca: None, verify: false };
    connect(careless).await.unwrap().close().await;

    let plain = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.replace("ws://", "wss://");
    let error = failure(ConnectOptions::new(plain)).await;
    assert!(error.message().contains("TLS"), "{error}");
}
