//! Sessions of one client on one conversation, over an engine on a virtual clock.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{Command, Correlation, Expect, Modes, Reconnect};
use letta_app_client::protocol::Text;
use serde_json::{Value, json};

use crate::support::Lab;

pub const RULES: Reconnect =
    Reconnect { max_attempts: None, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

/// A client with a name for each of its sessions, which is the `request_id` of its start.
pub struct Client {
    pub lab: Lab,
    pub modes: Arc<Modes>,
}

pub fn tools(names: &[&str]) -> Value {
    let tools = names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
    json!([{ "tools": tools }])
}

/// The names of all tools of a command.
pub fn names(groups: &Value) -> Vec<&str> {
    let groups = groups.as_array().into_iter().flatten();
    let tools = groups.flat_map(|group| group["tools"].as_array().unwrap());
    tools.map(|tool| tool["name"].as_str().unwrap()).collect()
}

impl Client {
    pub fn new() -> Self {
        Self::over(Lab::reconnecting(RULES))
    }

    pub fn over(mut lab: Lab) -> Self {
        let modes = Arc::default();
        lab.engine = lab.engine.showing(&modes);
        Self { lab, modes }
    }

    pub fn place() -> (String, String) {
        ("a".to_owned(), "c".to_owned())
    }

    /// Sends a command that registers tools; its answer is of its type.
    fn register(&mut self, token: u64, command: &Value, opening: bool) -> Vec<Value> {
        let kind = command["type"].as_str().unwrap();
        let id = command["request_id"].as_str().unwrap();
        self.lab.command(Command::Register {
            token,
            command: kind.to_owned(),
            text: Text::from(command.to_string()),
            expect: Expect {
                correlation: Correlation::RequestId(id.to_owned()),
                response_type: Some(format!("{kind}_response")),
                timeout: Some(Duration::from_secs(30)),
                manual: false,
            },
            opening,
        });
        self.lab.sent()
    }

    /// Offers a tool, which is registered as `offer-` and the token.
    pub fn offer(&mut self, token: u64, owner: &str) -> Vec<Value> {
        let offered = json!([{ "scope_id": owner, "tools": [{ "name": owner }] }]);
        let (runtime, owner) = (Self::place(), owner.to_owned());
        let groups = Some(offered.to_string());
        self.lab.command(Command::OfferTools { runtime, owner, groups });
        let scope = json!({ "agent_id": "a", "conversation_id": "c" });
        let update = json!({
            "type": "runtime_external_tools_update", "request_id": format!("offer-{token}"),
            "updates": [{ "runtimes": [scope], "external_tools": offered }],
        });
        self.register(token, &update, false)
    }

    /// Opens a session, and returns the frame that is sent for it.
    pub fn open(&mut self, token: u64, more: &Value) -> Value {
        let mut sent = self.open_all(token, more);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// The same, where it may not be sent.
    pub fn open_all(&mut self, token: u64, more: &Value) -> Vec<Value> {
        let mut start = json!({
            "type": "runtime_start", "request_id": format!("start-{token}"), "agent_id": "a",
            "conversation_id": "c",
        });
        start.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.register(token, &start, true)
    }

    pub fn answer(&mut self, token: u64, success: bool) {
        let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
        self.lab.receive(&json!({
            "type": "runtime_start_response", "request_id": format!("start-{token}"),
            "success": success, "runtime": if success { runtime } else { Value::Null },
        }));
    }

    pub fn hold(&mut self, token: u64, held: bool) {
        let opening = format!("start-{token}");
        self.lab.command(Command::HoldRuntime { runtime: Self::place(), opening, held });
    }

    /// A session that somebody has.
    pub fn session(&mut self, token: u64, more: &Value) -> Value {
        let sent = self.open(token, more);
        self.answer(token, true);
        self.hold(token, true);
        sent
    }

    pub fn change_mode(&mut self, mode: &str) {
        let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
        let payload = json!({ "mode": mode });
        let change =
            json!({ "type": "change_device_state", "runtime": runtime, "payload": payload });
        let text = Text::from(change.to_string());
        let runtime = Some(Self::place());
        self.lab.command(Command::Send { text, runtime, settles: false });
        self.lab.sent();
    }

    /// The tools that are registered by the next frame alone.
    pub fn registered(&mut self) -> Vec<String> {
        let sent = self.lab.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0]["type"], "runtime_external_tools_update");
        let place = json!([{ "agent_id": "a", "conversation_id": "c" }]);
        assert_eq!(sent[0]["updates"][0]["runtimes"], place);
        let groups = &sent[0]["updates"][0]["external_tools"];
        let registered = names(groups).into_iter().map(str::to_owned).collect();
        self.updated(&sent[0]["request_id"], true);
        registered
    }

    /// The server's answer to a registration of tools.
    pub fn updated(&mut self, id: &Value, success: bool) {
        self.lab.receive(&json!({
            "type": "runtime_external_tools_update_response", "request_id": id, "success": success,
        }));
    }

    /// The server's answers to what was sent after a reconnect.
    pub fn restored(&mut self, again: &[Value]) {
        for frame in again {
            let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
            self.lab.receive(&json!({
                "type": "runtime_start_response", "request_id": frame["request_id"], "success": true,
                "runtime": runtime,
            }));
        }
    }

    /// What is sent after a reconnect.
    pub fn again(&mut self) -> Vec<Value> {
        assert_eq!(self.lab.sent(), [Value::Null; 0]);
        self.lab.lose();
        self.lab.pass(0.002);
        assert!(self.lab.engine.poll_connect());
        self.lab.reopen();
        self.lab.sent()
    }
}
