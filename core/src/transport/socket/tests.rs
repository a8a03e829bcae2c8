//! Order and patience of a socket whose server takes and sends a few bytes at a time.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;

use super::*;

/// A socket with room for so many bytes on the way, and the server's end.
pub(in crate::transport) async fn pair(room: usize) -> (Socket, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(room);
    let options = ConnectOptions::new("ws://127.0.0.1:1");
    let socket = Socket::new(Box::new(ours), Vec::new(), Channel::Control, &options);
    (socket, WebSocketStream::from_raw_socket(theirs, Role::Server, None).await)
}

async fn frame(socket: &mut Socket) -> Result<Text, Ended> {
    poll_fn(|cx| {
        socket.write(cx);
        socket.poll_frame(cx)
    })
    .await
}

#[tokio::test]
async fn messages_keep_their_order_where_the_server_takes_a_few_bytes_at_a_time() {
    let (mut socket, mut server) = pair(7).await;
    let texts: Vec<String> = (0..20).map(|number| number.to_string().repeat(30)).collect();
    for text in &texts {
        socket.send(Text::from(text.clone()));
    }
    let seen = async {
        let mut seen = Vec::new();
        while seen.len() < texts.len() {
            seen.push(server.next().await.unwrap().unwrap().into_text().unwrap().to_string());
        }
        server.send(Message::text("all")).await.unwrap();
        seen
    };
    let (seen, answer) = tokio::join!(seen, frame(&mut socket));
    assert_eq!(seen, texts);
    assert_eq!(answer.unwrap().as_str(), "all");
}

#[tokio::test]
async fn a_large_message_arrives_as_one_and_its_memory_is_not_kept() {
    let (mut socket, mut server) = pair(16 << 20).await;
    let large: Text = "0123456789".repeat(1 << 20).into();
    socket.send(large.clone());
    socket.send(Text::from("behind"));
    socket.write(&mut Context::from_waker(std::task::Waker::noop()));
    let freed = allocation_counter::measure(|| drop(socket)).bytes_current;
    assert!((-500_000..0).contains(&freed), "{freed}");
    for expected in [large.as_str(), "behind"] {
        assert_eq!(server.next().await.unwrap().unwrap().to_text().unwrap(), expected);
    }
}

#[tokio::test]
async fn frames_are_read_while_a_write_waits() {
    let (mut socket, mut server) = pair(64).await;
    socket.send(Text::from("x".repeat(1000)));
    server.send(Message::text("meanwhile")).await.unwrap();
    assert_eq!(frame(&mut socket).await.unwrap().as_str(), "meanwhile");
    assert!(socket.blocked, "the server has read nothing");
}

#[tokio::test]
async fn what_has_come_is_handled_together_up_to_a_burst() {
    let (mut socket, mut server) = pair(1 << 20).await;
    for number in 0..=BURST {
        server.send(Message::text(number.to_string())).await.unwrap();
    }
    let mut seen = Vec::new();
    for is_full in [true, false] {
        let first = frame(&mut socket).await.unwrap();
        let more = socket.handle_all(&first, |frame| seen.push(frame.to_string())).await;
        assert_eq!((more, seen.len()), (is_full, if is_full { BURST } else { BURST + 1 }));
    }
    let expected: Vec<_> = (0..=BURST).map(|number| number.to_string()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_came_before_the_end_comes_first_and_the_end_stays() {
    let (mut socket, mut server) = pair(1 << 20).await;
    server.send(Message::text("last")).await.unwrap();
    let close = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    server.close(Some(close)).await.unwrap();
    let first = frame(&mut socket).await.unwrap();
    assert!(!socket.handle_all(&first, |frame| assert_eq!(frame.as_str(), "last")).await);
    for _ in 0..2 {
        let ended = frame(&mut socket).await.unwrap_err();
        assert_eq!((ended.code, ended.reason.as_str()), (1001, "bye"));
    }
}
