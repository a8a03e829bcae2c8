//! A plain WebSocket client for the tests of the server double; `tests/mock_server.rs` uses it as well.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long a test waits for anything.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A client that knows no more than JSON.
pub struct Client(pub WebSocketStream<TcpStream>);

impl Client {
    pub async fn try_open(url: &str, token: Option<&str>) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("header value");
            request.headers_mut().insert("authorization", value);
        }
        let host = request.uri().authority().expect("authority").as_str().to_owned();
        let stream = TcpStream::connect(host).await?;
        Ok(Self(client_async(request, stream).await?.0))
    }

    pub async fn open(url: &str) -> Self {
        Self::try_open(url, None).await.expect("connection")
    }

    pub async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// The next data frame; `None` when the connection is over.
    pub async fn next_text(&mut self) -> Option<String> {
        loop {
            let message = timeout(LIMIT, self.0.next()).await.expect("in time")?;
            if let Message::Text(text) = message.ok()? {
                return Some(text.as_str().to_owned());
            }
        }
    }

    pub async fn next(&mut self) -> Option<Value> {
        let text = self.next_text().await?;
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// All frames up to and with the first that fits.
    pub async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let Some(frame) = self.next().await else {
                panic!("connection ended after {seen:#?}");
            };
            let found = fits(&frame);
            seen.push(frame);
            if found {
                return seen;
            }
        }
    }

    pub async fn until_type(&mut self, kind: &str) -> Vec<Value> {
        self.until(|frame| frame["type"] == kind).await
    }

    /// Starts a runtime and returns its scope.
    pub async fn runtime(&mut self) -> Value {
        self.send(json!({"type": "runtime_start", "request_id": "start", "agent_id": "agent-1",
            "create_conversation": {"body": {}}, "mode": "standard"}))
            .await;
        let seen = self.until_type("runtime_start_response").await;
        last(&seen)["runtime"].clone()
    }
}

pub fn last(frames: &[Value]) -> &Value {
    frames.last().expect("a frame")
}

pub fn message(runtime: &Value, request: &str, id: &str) -> Value {
    json!({"type": "input", "request_id": request, "runtime": runtime, "payload":
        {"kind": "create_message", "messages": [
            {"role": "user", "content": id, "client_message_id": id}]}})
}

/// What the frames are, in one word each.
pub fn outline(frames: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    frames
        .iter()
        .filter_map(|frame| match frame["type"].as_str()? {
            "update_device_status" => None,
            "update_loop_status" => Some(word(&frame["loop_status"]["status"])),
            "stream_delta" => Some(word(&frame["delta"]["message_type"])),
            other => Some(other.to_owned()),
        })
        .collect()
}

pub fn text(frames: &[Value]) -> String {
    frames
        .iter()
        .filter(|frame| frame["delta"]["message_type"] == "assistant_message")
        .filter_map(|frame| frame["delta"]["content"][0]["text"].as_str())
        .collect()
}
