//! How a server of your own has ended, and what its clients say of it. A small program stands in for it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::process::Command;

use letta_app_client::{
    Client, ErrorKind, Event, Server, ServerExit, ServerOptions, State, Transport, spawn_server,
};

/// Opens WebSockets, on which it says nothing, and prints its process id.
const STAND_IN: &str = r#"
import base64, hashlib, http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        key = self.headers.get("Sec-WebSocket-Key")
        if key is None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.rfile.read()
        os._exit(int(os.environ.get("CODE", "0")))
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("pid", os.getpid(), flush=True)
print(f"Listening on ws://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"#;

fn options() -> ServerOptions {
    ServerOptions {
        command: ["python3", "-c", STAND_IN].map(str::to_owned).into(),
        ..ServerOptions::default()
    }
}

fn kill(server: &Server) {
    let pid = server.output().iter().find_map(|line| line.strip_prefix("pid ").map(str::to_owned));
    assert!(Command::new("kill").args(["-9", &pid.unwrap()]).status().unwrap().success());
}

async fn connected(server: &Server) -> Client {
    let client = Client::new(server.connect_options().transport(Transport::Single)).unwrap();
    client.connect().await.unwrap();
    client
}

#[tokio::test]
async fn how_a_server_has_ended_is_told_to_all_who_wait() {
    let server = spawn_server(options()).await.unwrap();
    assert_eq!(server.try_exited(), None);
    let (one, other, left) = (server.exited(), server.exited(), server.exited());
    drop(left);
    kill(&server);
    let exit = one.await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert_eq!(exit.to_string(), "killed by signal 9");
    assert_eq!((other.await, server.exited().await), (exit, exit));
    assert_eq!(server.try_exited(), Some(exit));
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_ends_by_itself_has_a_code() {
    let env = vec![("CODE".to_owned(), "3".to_owned())];
    let server = spawn_server(ServerOptions { env, ..options() }).await.unwrap();
    // It ends with its connection.
    connected(&server).await.close().await;
    let exit = server.exited().await;
    assert_eq!((exit.code, exit.signal), (Some(3), None));
}

#[tokio::test]
async fn a_server_that_is_closed_or_dropped_has_ended_too() {
    let (closed, dropped) = tokio::join!(spawn_server(options()), spawn_server(options()));
    let (closed, dropped) = (closed.unwrap(), dropped.unwrap());
    let ends = [closed.exited(), dropped.exited()];
    closed.shutdown().await;
    drop(dropped);
    for end in ends {
        // It is asked to end by a signal.
        assert_eq!(end.await.signal, Some(15));
    }
}

#[tokio::test]
async fn who_was_to_be_called_is_called_unless_it_has_gone() {
    let server = spawn_server(options()).await.unwrap();
    let (to, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let gone = to.clone();
    drop(server.watch().on_exit(move || gone.send("gone").unwrap()));
    let stays = server.watch().on_exit(move || to.send("stays").unwrap());
    kill(&server);
    assert_eq!(calls.recv().await, Some("stays"));
    // Both functions were let go of.
    assert_eq!(calls.recv().await, None);
    drop(stays);
}

#[tokio::test]
async fn a_client_says_that_its_server_has_ended_and_does_not_try_again() {
    let server = spawn_server(options()).await.unwrap();
    let client = connected(&server).await;
    let mut events = client.events();
    kill(&server);
    // The loss is told of by itself; what has become of the server follows.
    let error = loop {
        match events.next().await.unwrap() {
            Event::State { state: State::Disconnected, error } => break error.unwrap(),
            Event::State { state, .. } => assert_eq!(state, State::Reconnecting),
            _ => {}
        }
    };
    let ended = "the server has ended: killed by signal 9";
    assert_eq!((error.kind(), error.message()), (ErrorKind::ConnectionFailed, ended));
    assert!(!error.will_reconnect() && !error.retryable(), "{error}");
    // What is asked for now, and an attempt by hand.
    let error = client.info().await.unwrap_err();
    assert!(error.to_string().contains(ended), "{error}");
    for client in [client, Client::new(server.connect_options()).unwrap()] {
        let error = client.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionFailed);
        assert_eq!(error.message(), ended);
        assert_eq!(error.hint(), Some("start another server, and make a client of that one"));
        assert!(!error.retryable());
        assert_eq!(client.state(), State::Disconnected);
    }
    assert_eq!(server.exited().await, server.try_exited().unwrap_or_else(ServerExit::default));
}
