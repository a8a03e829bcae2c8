//! An engine on a virtual clock, with frames written in few words.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test may fail by panicking, and `json!` makes values"
)]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{
    Channel, Command, Correlation, Delivery, Engine, Expect, Ids, Reconnect, Token, TurnOptions,
};
use letta_app_client::protocol::Text;
use letta_app_client::{Error, ErrorKind, TurnResult};
use serde_json::{Value, json};

pub struct Lab {
    pub engine: Engine,
    pub now: Duration,
    seq: u64,
}

/// How a call ended.
#[derive(Debug)]
pub enum End {
    Turn(Box<TurnResult>),
    Response(Value, bool),
    Failed(Error),
}

impl End {
    pub fn turn(self) -> TurnResult {
        match self {
            Self::Turn(result) => *result,
            other => panic!("not a turn: {other:?}"),
        }
    }

    pub fn error(self) -> Error {
        match self {
            Self::Failed(error) => error,
            other => panic!("not an error: {other:?}"),
        }
    }
}

pub fn runtime() -> Value {
    json!({ "agent_id": "a", "conversation_id": "c" })
}

impl Lab {
    pub fn new() -> Self {
        let ids = Arc::new(Ids::with_prefix("t".to_owned()));
        let mut engine = Engine::new(ids, Duration::from_millis(150));
        engine.handle_connected(Duration::ZERO, false);
        Self { engine, now: Duration::ZERO, seq: 0 }
    }

    /// The same with connections that are opened again when they are lost.
    pub fn reconnecting(rules: Reconnect) -> Self {
        let mut lab = Self::new();
        let ids = Arc::new(Ids::with_prefix("t".to_owned()));
        lab.engine = Engine::new(ids, Duration::from_millis(150)).reconnecting(rules, 7);
        lab.engine.handle_connected(Duration::ZERO, false);
        lab
    }

    /// The same with a limit to what is sent.
    pub fn limited(rules: Reconnect, most: usize) -> Self {
        let mut lab = Self::reconnecting(rules);
        lab.engine = lab.engine.max_message_bytes(most);
        lab
    }

    /// The same with a second connection that takes over.
    pub fn standing_by(rules: Reconnect) -> Self {
        let mut lab = Self::new();
        let ids = Arc::new(Ids::with_prefix("t".to_owned()));
        let engine = Engine::new(ids, Duration::from_millis(150)).reconnecting(rules, 7);
        lab.engine = engine.standing_by(rules, 8);
        lab.engine.handle_connected(Duration::ZERO, false);
        lab
    }

    /// Opens the standby when its time has come.
    pub fn open_standby(&mut self) {
        assert!(self.engine.poll_connect_standby());
        self.engine.handle_standby_opened(self.now);
    }

    /// The frames that went out on the standby since the last look.
    pub fn sent_on_standby(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.engine.poll_transmit_standby())
            .map(|text| serde_json::from_str(&text).expect("frames are JSON"))
            .collect()
    }

    pub fn receive_on_standby(&mut self, frame: &Value) {
        self.engine.handle_standby_frame(self.now, &Text::from(frame.to_string()));
    }

    /// The first connection is lost, and the standby takes over.
    pub fn switch(&mut self) {
        let error = Error::new(ErrorKind::Disconnected, "cut").with_close_code(Some(1006));
        self.engine.handle_switched(self.now, &error);
    }

    /// A lost connection is there again; `event_seq` starts anew.
    pub fn reopen(&mut self) {
        self.seq = 0;
        self.engine.handle_connected(self.now, false);
    }

    /// The connection is lost and opened again; the two `sync`s of its one runtime are answered, before which
    /// `state` tells how that stands.
    pub fn come_back(&mut self, state: impl Fn(&mut Self)) {
        self.lose();
        self.pass(0.25);
        assert!(self.engine.poll_connect());
        self.reopen();
        for _ in 0..2 {
            let sync = self.sent().remove(0);
            assert_eq!(sync["type"], "sync");
            state(self);
            let id = &sync["request_id"];
            self.receive(
                &json!({ "type": "sync_response", "request_id": id, "runtime": runtime() }),
            );
        }
    }

    /// The connection is lost, and opened again a moment later.
    pub fn reconnect(&mut self) {
        self.lose();
        self.pass(0.002);
        assert!(self.engine.poll_connect());
        self.reopen();
    }

    /// What the engine has to tell, apart from calls that ended and commands it sends.
    pub fn told(&mut self) -> Vec<Delivery> {
        let all = std::iter::from_fn(|| self.engine.poll_delivery());
        all.filter(|delivery| !matches!(delivery, Delivery::Message { .. } | Delivery::Sent { .. }))
            .collect()
    }

    /// Lets time pass, waking the engine whenever it wants to be woken.
    pub fn pass(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while let Some(at) = self.engine.next_timeout().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.engine.handle_timeout(self.now);
        }
        self.now = until;
    }

    pub fn receive(&mut self, frame: &Value) {
        self.receive_text(&frame.to_string());
    }

    pub fn receive_text(&mut self, text: &str) {
        self.engine.handle_frame(self.now, Channel::Control, &Text::from(text));
    }

    /// An event of the runtime.
    pub fn event(&mut self, kind: &str, mut fields: Value) {
        self.seq += 1;
        fields["type"] = kind.into();
        fields["runtime"] = runtime();
        fields["event_seq"] = self.seq.into();
        self.receive(&fields);
    }

    pub fn status(&mut self, status: &str) {
        self.event(
            "update_loop_status",
            json!({ "loop_status": { "status": status, "active_run_ids": [] } }),
        );
    }

    /// A loop status that says which messages a run answers.
    pub fn run(&mut self, run: &str, ids: &[&str]) {
        self.run_at("PROCESSING_API_RESPONSE", run, ids);
    }

    /// The same under another status; a lost runtime always says that it is idle.
    pub fn run_at(&mut self, status: &str, run: &str, ids: &[&str]) {
        let map = json!({ run: ids });
        let state = json!({
            "status": status, "active_run_ids": [run], "client_message_ids_by_run_id": map,
        });
        self.event("update_loop_status", json!({ "loop_status": state }));
    }

    pub fn delta(&mut self, body: Value) {
        self.event("stream_delta", json!({ "delta": body }));
    }

    pub fn says(&mut self, run: &str, text: &str) {
        self.delta(json!({ "message_type": "assistant_message", "run_id": run, "content": text }));
    }

    pub fn finished(&mut self, run: Option<&str>, reason: &str) {
        let mut fields = json!({ "turn_id": "batch-direct-1", "stop_reason": reason });
        if let Some(run) = run {
            fields["run_id"] = run.into();
        }
        self.event("turn_finished", fields);
    }

    /// Sends an input whose one message has an id.
    pub fn turn(&mut self, token: Token, id: &str, options: TurnOptions) {
        self.turn_with(token, id, json!({}), options);
    }

    /// The same with fields of its payload.
    pub fn turn_with(&mut self, token: Token, id: &str, payload: Value, options: TurnOptions) {
        let text = json!({
            "type": "input", "request_id": format!("r{token}"), "id": id, "runtime": runtime(),
            "payload": payload,
        });
        let command = Command::RunTurn {
            token,
            text: Text::from(text.to_string()),
            request_id: format!("r{token}"),
            runtime: ("a".to_owned(), "c".to_owned()),
            client_ids: vec![id.to_owned()],
            options,
        };
        self.engine.handle_command(self.now, command);
    }

    pub fn accept(&mut self, token: Token, disposition: &str) {
        self.receive(&json!({
            "type": "input_accepted", "request_id": format!("r{token}"), "runtime": runtime(),
            "accepted": true, "disposition": disposition,
        }));
    }

    /// A request for `response`, without a runtime.
    pub fn request(&mut self, token: Token, id: &str, response: &str, timeout: f64) {
        let expect = Expect {
            correlation: Correlation::RequestId(id.to_owned()),
            response_type: Some(response.to_owned()),
            timeout: Some(Duration::from_secs_f64(timeout)),
            manual: false,
        };
        self.command(Command::Request {
            token,
            command: "list_models".to_owned(),
            text: Text::from(json!({ "request_id": id }).to_string()),
            runtime: None,
            settles: false,
            expect,
        });
    }

    pub fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
    }

    pub fn lose(&mut self) {
        let error = Error::new(ErrorKind::Disconnected, "cut").with_close_code(Some(1006));
        self.engine.handle_connection_lost(self.now, &error);
    }

    /// The frames that went out since the last look.
    pub fn sent(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.engine.poll_transmit())
            .map(|text| serde_json::from_str(&text).expect("frames are JSON"))
            .collect()
    }

    /// The types of the frames that went out since the last look.
    pub fn sent_kinds(&mut self) -> Vec<String> {
        self.sent().iter().map(|frame| frame["type"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// The calls that ended since the last look.
    pub fn ended(&mut self) -> Vec<(Token, End)> {
        let mut ended = Vec::new();
        while let Some(delivery) = self.engine.poll_delivery() {
            ended.extend(match delivery {
                Delivery::Turn { token, result } => Some((token, End::Turn(result))),
                Delivery::Failed { token, error } => Some((token, End::Failed(error))),
                Delivery::Response { token, text, refused, .. } => {
                    let value = serde_json::from_str(&text).expect("responses are JSON");
                    Some((token, End::Response(value, refused)))
                }
                _ => None,
            });
        }
        ended
    }

    /// The one call that ended since the last look.
    pub fn one_end(&mut self) -> (Token, End) {
        let mut ended = self.ended();
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended.remove(0)
    }
}
