//! Answers of something that may be a server, told by bytes: the probe, the upgrade and the frames behind
//! it. Nothing panics, and every attempt to connect ends.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use letta_app_client::engine::Delivery;
use letta_app_client::testing::{Opening, Simulated, Stream};
use letta_app_client::{ConnectOptions, Connection, Mailbox, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What stands in an answer for the right `Sec-WebSocket-Accept`, which nobody can guess.
const KEY: &[u8] = b"@KEY@";

/// What is between the answers of two connections.
const NEXT: &[u8] = b"\n%%\n";

/// What one connection answers, in pieces.
struct Answers {
    asked: Vec<u8>,
    data: Vec<u8>,
    at: usize,
    piece: usize,
    /// It stays open when there is nothing more.
    stays: bool,
    accepted: bool,
}

impl AsyncRead for Answers {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.accepted {
            self.accepted = true;
            let asked = String::from_utf8_lossy(&self.asked).into_owned();
            let key = asked.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            let place = self.data.windows(KEY.len()).position(|window| window == KEY);
            if let (Some(key), Some(place)) = (key, place) {
                let accept = derive_accept_key(key.trim().as_bytes());
                self.data.splice(place..place + KEY.len(), accept.into_bytes());
            }
        }
        if self.at == self.data.len() {
            // Whoever waits for more has a limit; the clock is a test's.
            return if self.stays { Poll::Pending } else { Poll::Ready(Ok(())) };
        }
        let end = (self.at + self.piece.min(buf.remaining())).min(self.data.len());
        buf.put_slice(&self.data[self.at..end]);
        self.at = end;
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Answers {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Connects once to what the bytes say. Whether that came to a connection.
pub fn run(data: &[u8]) -> bool {
    let Some((&[how, piece], data)) = data.split_first_chunk() else { return false };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(connect(how, usize::from(piece) + 1, data))
}

async fn connect(how: u8, piece: usize, data: &[u8]) -> bool {
    let answers = Arc::new(Mutex::new(split(data)));
    let open = move |_: &str| -> Opening {
        let data = answers.lock().expect("no panic").pop();
        Box::pin(async move {
            let data = data.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (asked, stays) = (Vec::new(), how & 4 == 0);
            let stream: Box<dyn Stream> =
                Box::new(Answers { asked, data, at: 0, piece, stays, accepted: false });
            Ok(stream)
        })
    };
    let mut options = ConnectOptions::new("ws://server").reconnect(None);
    options.transport = match how & 3 {
        0 | 1 => Transport::Auto,
        2 => Transport::Single,
        _ => Transport::Split,
    };
    options.simulated = Some(Simulated { open: Arc::new(open), seed: 1 });
    let rung = Arc::new(Notify::new());
    let bell = Arc::clone(&rung);
    let mailbox = Mailbox::new(move || bell.notify_one());
    mailbox.want_messages(true);
    let connection = Connection::open(options, Arc::clone(&mailbox)).expect("good options");
    let token = connection.token();
    connection.connect(token).expect("an open client");
    let connected = ended(&mailbox, &rung, token).await;
    let token = connection.token();
    assert!(connection.close(token), "it was not closed");
    assert!(ended(&mailbox, &rung, token).await, "a close succeeds");
    connected
}

/// Waits for the end of a call. Whether it succeeded.
async fn ended(mailbox: &Mailbox, rung: &Notify, token: u64) -> bool {
    let ends = |delivery: Delivery| match delivery {
        Delivery::Done { token: done } if done == token => Some(true),
        Delivery::Failed { token: failed, .. } if failed == token => Some(false),
        _ => None,
    };
    let waiting = async {
        loop {
            if let Some(end) = mailbox.drain().into_iter().find_map(ends) {
                return end;
            }
            rung.notified().await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.expect("every wait ends")
}

/// The answers, the first one last.
fn split(data: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = vec![Vec::new()];
    let mut at = 0;
    while at < data.len() {
        if data[at..].starts_with(NEXT) {
            answers.push(Vec::new());
            at += NEXT.len();
        } else {
            answers.last_mut().expect("one").push(data[at]);
            at += 1;
        }
    }
    answers.reverse();
    answers
}
