//! A story of commands, frames and time, told by bytes, through the engine.

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{
    Channel, Command, Correlation, Engine, Expect, Ids, Token, TurnOptions,
};
use letta_app_client::protocol::Text;
use letta_app_client::{Approvals, Error, ErrorKind};
use serde_json::{Value, json};

use crate::bytes::Bytes;
use crate::ledger::Ledger;

const RUNS: [&str; 5] = ["run-1", "run-2", "run-3", "run-4", "run-5"];
const CALLS: [&str; 3] = ["call-1", "call-2", "call-3"];
const STATUSES: [&str; 7] = [
    "WAITING_ON_INPUT",
    "SENDING_API_REQUEST",
    "PROCESSING_API_RESPONSE",
    "EXECUTING_CLIENT_SIDE_TOOL",
    "WAITING_ON_APPROVAL",
    "RETRYING_API_REQUEST",
    "SOMETHING_NEW",
];
const REASONS: [&str; 6] =
    ["end_turn", "requires_approval", "llm_api_error", "cancelled", "error", "max_steps"];

/// Runs a story and gives the number of its steps.
pub fn run(data: &[u8]) -> u64 {
    let mut story = Story::new(Bytes::new(data));
    let mut steps = 0;
    while !story.bytes.is_empty() {
        story.step();
        story.settle();
        steps += 1;
    }
    story.finish();
    steps
}

struct Story<'a> {
    bytes: Bytes<'a>,
    engine: Engine,
    ledger: Ledger,
    now: Duration,
    seq: u64,
    tokens: u64,
    /// The turns and requests that were made.
    calls: Vec<Token>,
    tools: u64,
}

impl<'a> Story<'a> {
    fn new(mut bytes: Bytes<'a>) -> Self {
        let ids = Arc::new(Ids::with_prefix("x".to_owned()));
        let mut engine = Engine::new(ids, Duration::from_millis(400));
        engine.handle_connected(Duration::ZERO, bytes.flag());
        let (ledger, now, calls) = (Ledger::default(), Duration::ZERO, Vec::new());
        Self { bytes, engine, ledger, now, seq: 0, tokens: 0, calls, tools: 0 }
    }

    fn step(&mut self) {
        match self.bytes.below(20) {
            0 | 1 => self.turn(),
            2 => self.leave(),
            3 | 4 => self.accept(),
            5..=7 => self.status(),
            8 => self.queue(),
            9 => self.finished(),
            10..=12 => self.delta(),
            13 => self.ask(),
            14 => self.tool(),
            15 => self.handlers(),
            16 => self.request(),
            17 => self.pass(),
            18 => {
                let text = self.bytes.text();
                self.frame(&text);
            }
            _ => self.lose(),
        }
    }

    /// Takes what the engine has to say.
    fn settle(&mut self) {
        while let Some(frame) = self.engine.poll_transmit() {
            let frame: Value = serde_json::from_str(&frame).expect("what is sent is JSON");
            if frame["type"] == "external_tool_call_response" {
                self.ledger.tool_answered(frame["request_id"].as_str().expect("an id"));
            }
        }
        while let Some(delivery) = self.engine.poll_delivery() {
            self.ledger.deliver(delivery);
        }
    }

    /// With time and then without a connection, everything ends.
    fn finish(&mut self) {
        for _ in 0..1000 {
            let Some(at) = self.engine.next_timeout().filter(|at| *at < Duration::MAX / 2) else {
                break;
            };
            self.now = at.max(self.now);
            self.engine.handle_timeout(self.now);
            let next = self.engine.next_timeout();
            assert!(next.is_none_or(|next| next > self.now), "it wants to be woken at once, again");
        }
        self.settle();
        self.lose();
        self.settle();
        self.ledger.close();
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        self.calls.push(self.tokens);
        self.ledger.called(self.tokens);
        self.tokens
    }

    /// A call that was made, most likely one of the last.
    fn some_call(&mut self) -> Option<Token> {
        let back = usize::from(self.bytes.below(4));
        let index = self.calls.len().checked_sub(1 + back)?;
        self.calls.get(index).copied()
    }

    fn message_id(&mut self) -> String {
        let token = self.some_call().unwrap_or_default();
        format!("m{token}")
    }

    fn turn(&mut self) {
        let token = self.token();
        let limit = |bytes: &mut Bytes<'_>| {
            let seconds = u64::from(bytes.next());
            (seconds > 0).then(|| Duration::from_secs(seconds))
        };
        let bytes = &mut self.bytes;
        let options = TurnOptions {
            timeout: limit(bytes),
            idle_timeout: limit(bytes),
            tool_timeout: limit(bytes),
            approval_timeout: limit(bytes),
            approvals: Some(bytes.pick(&Approvals::NAMES).1),
            events: bytes.flag(),
            ..TurnOptions::default()
        };
        let mut client_ids = vec![format!("m{token}")];
        if bytes.below(8) == 1 {
            client_ids.push(self.message_id());
        }
        let command = Command::RunTurn {
            token,
            text: Text::from(json!({ "type": "input" }).to_string()),
            request_id: format!("r{token}"),
            runtime: self.runtime(),
            client_ids,
            options,
        };
        self.command(command);
    }

    fn runtime(&mut self) -> (String, String) {
        let conversation = if self.bytes.below(8) == 1 { "other" } else { "c" };
        ("a".to_owned(), conversation.to_owned())
    }

    fn leave(&mut self) {
        let Some(token) = self.some_call() else { return };
        match self.bytes.below(3) {
            0 => self.command(Command::Abort { token }),
            1 => {
                self.command(Command::Cancel { token });
                self.ledger.left(token);
            }
            _ => {
                // Only turns can be detached; a request goes on waiting.
                self.command(Command::Detach { token });
                if self.engine.report(self.now, token).is_none() && self.ledger.waits(token) {
                    self.settle();
                    self.command(Command::Cancel { token });
                    self.ledger.left(token);
                }
            }
        }
    }

    fn accept(&mut self) {
        let Some(token) = self.some_call() else { return };
        let accepted = self.bytes.below(8) != 1;
        let disposition = self.bytes.pick(&["started", "queued", "new"]);
        self.send(json!({
            "type": "input_accepted", "request_id": format!("r{token}"),
            "accepted": accepted, "disposition": disposition,
        }));
    }

    fn status(&mut self) {
        let mut state = json!({ "status": self.bytes.pick(&STATUSES), "active_run_ids": [] });
        if self.bytes.flag() {
            state["active_run_ids"] = json!([self.bytes.pick(&RUNS)]);
        }
        if self.bytes.flag() {
            let mut map = json!({});
            for _ in 0..self.bytes.below(3) {
                let run = self.bytes.pick(&RUNS);
                map[run] = json!([self.message_id()]);
            }
            state["client_message_ids_by_run_id"] = map;
        }
        self.event("update_loop_status", json!({ "loop_status": state }));
    }

    fn queue(&mut self) {
        let mut items = Vec::new();
        for place in 0..self.bytes.below(3) {
            let id = self.message_id();
            items.push(json!({ "id": format!("q{place}"), "client_message_id": id }));
        }
        let mut frame = json!({ "queue": items });
        if self.bytes.flag() {
            let disposition = self.bytes.pick(&["dequeued", "cancelled"]);
            let id = self.message_id();
            frame["removed"] = json!([{ "client_message_id": id, "disposition": disposition }]);
        }
        self.event("update_queue", frame);
    }

    fn finished(&mut self) {
        let mut frame = json!({ "turn_id": "batch-1", "stop_reason": self.bytes.pick(&REASONS) });
        if self.bytes.below(4) != 1 {
            frame["run_id"] = json!(self.bytes.pick(&RUNS));
        }
        self.event("turn_finished", frame);
    }

    fn delta(&mut self) {
        let call = self.bytes.pick(&CALLS);
        let mut delta = match self.bytes.below(14) {
            0..=3 => json!({ "message_type": "assistant_message", "content": "text " }),
            4 => json!({ "message_type": "reasoning_message", "reasoning": "thought " }),
            5 => json!({
                "message_type": "approval_request_message",
                "tool_call": { "tool_call_id": call, "name": "Bash", "arguments": "{}" },
            }),
            6 => json!({ "message_type": "tool_call_message", "tool_call": { "arguments": "x" } }),
            7 => json!({ "message_type": "stop_reason", "stop_reason": self.bytes.pick(&REASONS) }),
            8 => {
                json!({ "message_type": "loop_error", "message": "!", "is_terminal": self.bytes.flag() })
            }
            9 => json!({ "message_type": "status", "message": "Interrupted" }),
            10 => json!({ "message_type": "user_message", "otid": self.message_id() }),
            11 => {
                json!({ "message_type": "tool_return_message", "tool_call_id": call, "status": "success" })
            }
            12 => json!({ "message_type": "retry", "attempt": 1 }),
            _ => {
                json!({ "message_type": "client_tool_end", "tool_call_id": call, "status": "error" })
            }
        };
        if self.bytes.below(8) != 1 {
            delta["run_id"] = json!(self.bytes.pick(&RUNS));
        }
        if self.bytes.flag() {
            delta["otid"] = json!("o1");
        }
        let mut frame = json!({ "delta": delta });
        if self.bytes.below(16) == 1 {
            frame["subagent_id"] = json!("s");
        }
        self.event("stream_delta", frame);
    }

    fn ask(&mut self) {
        let call = self.bytes.pick(&CALLS);
        let question = json!({
            "request_id": format!("perm-{call}"),
            "request": { "subtype": "can_use_tool", "tool_name": "Bash", "tool_call_id": call },
        });
        if self.bytes.flag() {
            self.event("control_request", question);
        } else {
            let open = if self.bytes.flag() { json!([question]) } else { json!([]) };
            let status = json!({ "pending_control_requests": open });
            self.event("update_device_status", json!({ "device_status": status }));
        }
    }

    fn tool(&mut self) {
        if self.bytes.flag() {
            self.tools += 1;
            let mut frame = json!({
                "type": "external_tool_call_request", "request_id": format!("t{}", self.tools),
                "tool_call_id": self.bytes.pick(&CALLS), "tool_name": "lookup",
            });
            if self.bytes.flag() {
                frame["runtime"] = json!({ "agent_id": "a", "conversation_id": "c" });
            }
            self.send(frame);
        } else {
            let request_id = format!("t{}", u64::from(self.bytes.next()) % (self.tools + 1));
            let answer = if self.bytes.flag() { Ok("{\"content\":[]}") } else { Err("no") };
            let answer = answer.map(str::to_owned).map_err(str::to_owned);
            self.command(Command::AnswerTool { request_id, answer });
        }
    }

    fn handlers(&mut self) {
        match self.bytes.below(3) {
            0 => {
                let handled = self.bytes.flag();
                self.command(Command::HandleTools { handled });
                if self.bytes.flag() {
                    let runtime = self.runtime();
                    self.command(Command::HoldRuntime {
                        runtime,
                        opening: String::new(),
                        held: handled,
                    });
                }
            }
            1 => {
                let runtime = self.bytes.flag().then(|| self.runtime());
                let token = 1_000_000 + u64::from(self.bytes.below(3));
                let handled = self.bytes.flag();
                self.command(Command::HandleApprovals { token, runtime, handled });
            }
            _ => {
                let ask = u64::from(self.bytes.below(20));
                let answer = match self.bytes.below(4) {
                    3 => return self.command(Command::ReturnApproval { ask }),
                    0 => Ok("{\"behavior\":\"allow\"}"),
                    1 => Ok("7"),
                    _ => Err("it raised"),
                };
                let answer = answer.map(str::to_owned).map_err(str::to_owned);
                self.command(Command::AnswerApproval { ask, answer });
            }
        }
    }

    fn request(&mut self) {
        if self.bytes.flag() {
            let token = self.token();
            let expect = Expect {
                correlation: Correlation::RequestId(format!("r{token}")),
                response_type: Some("sync_response".to_owned()),
                timeout: self.bytes.flag().then(|| Duration::from_secs(30)),
                manual: false,
            };
            let text = Text::from(json!({ "type": "sync" }).to_string());
            let runtime = Some(self.runtime());
            let command = "sync".to_owned();
            let settles = false;
            self.command(Command::Request { token, command, text, runtime, settles, expect });
        } else if let Some(token) = self.some_call() {
            let success = self.bytes.flag();
            let id = format!("r{token}");
            self.send(json!({ "type": "sync_response", "request_id": id, "success": success }));
        }
    }

    fn pass(&mut self) {
        let time =
            Duration::from_millis(u64::from(self.bytes.next()) * self.bytes.pick(&[1, 1000]));
        self.now += time;
        self.engine.handle_timeout(self.now);
    }

    fn lose(&mut self) {
        let error = Error::new(ErrorKind::Disconnected, "cut");
        self.engine.handle_connection_lost(self.now, &error);
        let split = self.bytes.flag();
        self.engine.handle_connected(self.now, split);
        self.seq = 0;
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
    }

    fn event(&mut self, kind: &str, mut frame: Value) {
        let (agent, conversation) = self.runtime();
        self.seq += u64::from(self.bytes.below(16) != 1);
        frame["type"] = kind.into();
        frame["runtime"] = json!({ "agent_id": agent, "conversation_id": conversation });
        frame["event_seq"] = self.seq.into();
        self.send(frame);
    }

    fn send(&mut self, frame: Value) {
        self.frame(&frame.to_string());
    }

    fn frame(&mut self, text: &str) {
        let channel = if self.bytes.below(4) == 1 { Channel::Stream } else { Channel::Control };
        self.engine.handle_frame(self.now, channel, &Text::from(text));
    }
}
