//! fastwebsockets as it is: the limit of what reading costs.

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, handshake};
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use tokio::net::TcpStream;

use super::{Outcome, input, is_end, start};
use crate::usage::Usage;

struct Executor;

impl<F: Future<Output: Send + 'static> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// One turn to warm up, and so many that are measured.
///
/// # Errors
///
/// When the connection is lost.
pub async fn stream(url: &str, turns: usize) -> Outcome {
    let host = url.trim_start_matches("ws://");
    let tcp = TcpStream::connect(host).await?;
    tcp.set_nodelay(true)?;
    let request = Request::get(format!("http://{host}/ws"))
        .header(HOST, host)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header("Sec-WebSocket-Key", handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .body(Empty::<Bytes>::new())?;
    let (socket, _) = handshake::client(&Executor, request, tcp).await?;
    let mut socket = FragmentCollector::new(socket);
    let text = |text: String| Frame::text(Payload::Owned(text.into_bytes()));
    socket.write_frame(text(start())).await?;
    let (mut usage, mut frames) = (Usage::now(), 0);
    for turn in 0..=turns {
        if turn == 1 {
            (usage, frames) = (Usage::now(), 0);
        }
        socket.write_frame(text(input())).await?;
        loop {
            let frame = socket.read_frame().await?;
            frames += usize::from(frame.opcode == OpCode::Text);
            if is_end(&frame.payload) {
                break;
            }
        }
    }
    println!("{}", usage.report(frames, None));
    Ok(())
}
