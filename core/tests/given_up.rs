//! What was written to a connection that is given up, and has not left yet, never reaches the server: the
//! client looks for its inputs on the next connection, and sends what has not arrived once more (PROTOCOL.md
//! sections 10 and 16).
#![cfg(feature = "testing")]

mod raw;

use std::io::ErrorKind as IoErrorKind;
use std::time::Duration;

use letta_app_client::{Client, ConnectOptions, Event, Transport};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// More than fits between the two, with so little room on the server's side.
const INPUTS: usize = 40;

#[tokio::test]
async fn a_server_that_reads_again_after_the_loss_gets_no_late_input() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let mut options = ConnectOptions::new(url).transport(Transport::Single).reconnect(None);
    options.keepalive_interval = Duration::from_millis(100);
    options.keepalive_timeout = Duration::from_millis(100);
    let client = Client::new(options).unwrap();
    let mut events = client.events();
    let (connected, mut server) = tokio::join!(client.connect(), raw::accepted(&listener));
    connected.unwrap();
    for n in 0..INPUTS {
        let message = json!({ "role": "user", "content": format!("{n}:{}", "x".repeat(2000)) });
        let payload = json!({ "kind": "create_message", "messages": [message] });
        let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
        client.send(&json!({ "type": "input", "runtime": runtime, "payload": payload })).unwrap();
    }
    // Nothing is read, so no ping is answered either.
    let lost =
        async { while !matches!(events.next().await.unwrap(), Event::Disconnected { .. }) {} };
    timeout(SOON, lost).await.unwrap();
    let mut all = Vec::new();
    let end = timeout(SOON, server.read_to_end(&mut all)).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), IoErrorKind::ConnectionReset);
    assert!(all.len() < INPUTS * 2000, "{} bytes", all.len());
}
