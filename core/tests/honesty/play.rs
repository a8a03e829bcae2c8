//! A scenario, step by step, over a plain WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::scenarios::{Scenario, Step};

const LONG: Duration = Duration::from_secs(40);
/// A server that has nothing more to say is silent for so long; the clean-up after a turn is shorter.
const QUIET: Duration = Duration::from_millis(400);

pub struct Player {
    socket: WebSocketStream<TcpStream>,
    runtime: Value,
    cwd: String,
    frames: Vec<Value>,
    /// How many of them a step has already waited for.
    seen: usize,
    request: String,
    tool_request: String,
}

impl Player {
    pub async fn raw(url: &str) -> Self {
        let tcp = TcpStream::connect(url.strip_prefix("ws://").unwrap()).await.unwrap();
        let (socket, _) = client_async(format!("{url}/ws"), tcp).await.unwrap();
        let (frames, runtime) = (Vec::new(), Value::Null);
        let (request, tool_request, cwd) = (String::new(), String::new(), String::new());
        Self { socket, runtime, cwd, frames, seen: 0, request, tool_request }
    }

    /// Connects and starts a conversation.
    pub async fn connect(url: &str, agent: &str, cwd: &str, scenario: &Scenario) -> Self {
        let mut player = Self::raw(url).await;
        cwd.clone_into(&mut player.cwd);
        let mut start = json!({
            "type": "runtime_start", "request_id": "start", "agent_id": agent,
            "create_conversation": { "body": {} }, "mode": scenario.mode, "cwd": cwd,
        });
        if !scenario.tools.is_null() {
            start["external_tools"] = scenario.tools.clone();
        }
        player.send(start).await;
        player.runtime = player.wait("runtime_start_response").await["runtime"].clone();
        player.settle().await;
        player
    }

    pub async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.next().await.unwrap().unwrap() {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if self.is_of_another(&frame) {
                    continue;
                }
                match frame["type"].as_str().unwrap() {
                    "control_request" => {
                        text_of(&frame, "request_id").clone_into(&mut self.request);
                    }
                    "external_tool_call_request" => {
                        text_of(&frame, "request_id").clone_into(&mut self.tool_request);
                    }
                    _ => {}
                }
                self.frames.push(frame.clone());
                return frame;
            }
        }
    }

    /// A new connection is asked for all permissions that are open, also in other scenarios (section 7).
    fn is_of_another(&self, frame: &Value) -> bool {
        let theirs = &frame["runtime"]["conversation_id"];
        let asks = frame["type"] == "control_request";
        let started = self.runtime["conversation_id"].is_string();
        theirs.is_string()
            && if started { *theirs != self.runtime["conversation_id"] } else { asks }
    }

    /// Waits for the next frame of a type; of a `stream_delta` also `delta:MESSAGE_TYPE`, or for a status of the
    /// loop.
    pub async fn wait(&mut self, kind: &str) -> Value {
        let waited = timeout(LONG, async {
            loop {
                while let Some(frame) = self.frames.get(self.seen) {
                    self.seen += 1;
                    let delta = frame["delta"]["message_type"].as_str();
                    let is_it = frame["type"] == kind
                        || frame["loop_status"]["status"] == kind
                        || kind.strip_prefix("delta:").is_some_and(|kind| delta == Some(kind));
                    if is_it {
                        return frame.clone();
                    }
                }
                self.receive().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no {kind}"))
    }

    /// Waits until nothing comes any more.
    async fn settle(&mut self) {
        while timeout(QUIET, self.receive()).await.is_ok() {}
        self.seen = self.frames.len();
    }

    pub async fn play(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Send(frame) => {
                    let frame = self.filled(frame);
                    self.send(frame).await;
                }
                Step::Raw(text) => self.socket.send(Message::text(*text)).await.unwrap(),
                Step::Wait(kind) => drop(self.wait(kind).await),
                Step::Settle => self.settle().await,
            }
        }
        self.settle().await;
    }

    /// A frame with the runtime, the directory and the latest questions of the server in their places.
    fn filled(&self, frame: &Value) -> Value {
        match frame {
            Value::String(text) if text == "$runtime" => self.runtime.clone(),
            Value::String(text) => text
                .replace("$agent", self.runtime["agent_id"].as_str().unwrap())
                .replace("$conversation", self.runtime["conversation_id"].as_str().unwrap())
                .replace("$request", &self.request)
                .replace("$tool", &self.tool_request)
                .replace("$cwd", &self.cwd)
                .into(),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), self.filled(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// All frames, with the directory as `$cwd`.
    pub fn frames(&self) -> Vec<Value> {
        let all = Value::from(self.frames.clone()).to_string().replace(&self.cwd, "$cwd");
        serde_json::from_str(&all).unwrap()
    }
}

fn text_of<'a>(frame: &'a Value, field: &str) -> &'a str {
    frame[field].as_str().unwrap()
}
