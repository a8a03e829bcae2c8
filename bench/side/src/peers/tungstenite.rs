//! tokio-tungstenite as it is, with this project's scanner, or with serde.

use std::hint::black_box;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Outcome, input, is_end, look, start};
use crate::usage::Usage;

/// One turn to warm up, and so many that are measured.
///
/// # Errors
///
/// When the connection is lost.
pub async fn stream(url: &str, way: &str, turns: usize) -> Outcome {
    let config = WebSocketConfig::default().read_buffer_size(32 * 1024);
    let (mut socket, _) =
        connect_async_with_config(format!("{url}/ws"), Some(config), true).await?;
    socket.send(Message::text(start())).await?;
    let (mut usage, mut frames) = (Usage::now(), 0);
    for turn in 0..=turns {
        if turn == 1 {
            (usage, frames) = (Usage::now(), 0);
        }
        socket.send(Message::text(input())).await?;
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            frames += 1;
            black_box(look(way, &text));
            if is_end(text.as_bytes()) {
                break;
            }
        }
    }
    println!("{}", usage.report(frames, None));
    Ok(())
}
