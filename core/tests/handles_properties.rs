//! Whatever sessions come and go on one conversation, and in whatever order the server does what it is sent: in the end
//! it has the tools of those that are there and the mode that is shown, also after a reconnect (PROTOCOL.md sections 8,
//! 14 and 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{Command, Correlation, Expect, Modes, Reconnect};
use letta_app_client::protocol::Text;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::Lab;

const RULES: Reconnect =
    Reconnect { max_attempts: None, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

const MODES: [&str; 3] = ["standard", "acceptEdits", "strict"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Open {
        tools: bool,
        mode: Option<usize>,
        refused: bool,
    },
    Answer(usize),
    Take(usize),
    Close(usize),
    Cancel(usize),
    SetMode(usize),
    Lose,
    /// So long that what brings the conversation back counts as failed.
    Silence,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let open = (any::<bool>(), proptest::option::of(0..3_usize), proptest::bool::weighted(0.2));
    let step = prop_oneof![
        5 => open.prop_map(|(tools, mode, refused)| Step::Open { tools, mode, refused }),
        5 => (0..8_usize).prop_map(Step::Answer),
        4 => (0..8_usize).prop_map(Step::Take),
        3 => (0..8_usize).prop_map(Step::Close),
        2 => (0..8_usize).prop_map(Step::Cancel),
        2 => (0..3_usize).prop_map(Step::SetMode),
        1 => Just(Step::Lose),
        1 => Just(Step::Silence),
    ];
    proptest::collection::vec(step, 1..60)
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Answered,
    Held,
}

struct World {
    lab: Lab,
    modes: Arc<Modes>,
    /// Whether the server registers the tools of a start when it answers it, and not when it gets it.
    late: bool,
    /// Sessions by token, and whether each has a tool.
    sessions: BTreeMap<u64, (Stage, bool)>,
    next: u64,
    /// Starts that the server has not answered, and whether it refuses them.
    unanswered: Vec<(u64, Value, bool)>,
    refused: BTreeSet<u64>,
    /// What the server has.
    tools: BTreeSet<String>,
    mode: Option<String>,
    /// The modes that were asked for, in order, each with the session that was opened with it, or none.
    wanted: Vec<(u64, &'static str)>,
}

fn place() -> (String, String) {
    ("a".to_owned(), "c".to_owned())
}

fn scope() -> Value {
    json!({ "agent_id": "a", "conversation_id": "c" })
}

fn names(groups: &Value) -> BTreeSet<String> {
    let groups = groups.as_array().into_iter().flatten();
    let tools = groups.flat_map(|group| group["tools"].as_array().unwrap());
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

impl World {
    fn new(late: bool) -> Self {
        let (mut lab, modes) = (Lab::reconnecting(RULES), Arc::default());
        lab.engine = lab.engine.showing(&modes);
        Self {
            lab,
            modes,
            late,
            sessions: BTreeMap::new(),
            next: 0,
            unanswered: Vec::new(),
            refused: BTreeSet::new(),
            tools: BTreeSet::new(),
            mode: None,
            wanted: Vec::new(),
        }
    }

    /// The server gets what was sent.
    fn serve(&mut self) {
        for frame in self.lab.sent() {
            match frame["type"].as_str().unwrap() {
                "runtime_start" => self.start(frame),
                "runtime_external_tools_update" => {
                    self.tools = names(&frame["updates"][0]["external_tools"]);
                    self.lab.receive(&json!({
                        "type": "runtime_external_tools_update_response",
                        "request_id": frame["request_id"], "success": true,
                    }));
                }
                "change_device_state" => {
                    self.mode = frame["payload"]["mode"].as_str().map(str::to_owned);
                }
                "sync" => self.lab.receive(&json!({
                    "type": "sync_response", "request_id": frame["request_id"], "success": true,
                })),
                other => unreachable!("{other}"),
            }
        }
    }

    fn start(&mut self, frame: Value) {
        let id = frame["request_id"].as_str().unwrap().to_owned();
        let token = id.strip_prefix("start-").map(|token| token.parse().unwrap());
        let refused = token.is_some_and(|token| self.refused.contains(&token));
        let token = token.unwrap_or(0);
        if !refused {
            self.take(&frame, !self.late, !self.is_mode_late(token));
        }
        // What brings it back after a reconnect is of no session.
        self.unanswered.push((token, frame, refused));
    }

    /// It may take the mode of one start at once, and that of another when it answers.
    fn is_mode_late(&self, token: u64) -> bool {
        self.late != token.is_multiple_of(2)
    }

    /// The server does what a start says, or a part of it.
    fn take(&mut self, frame: &Value, tools: bool, mode: bool) {
        if let Some(mode) = frame["mode"].as_str().filter(|_| mode) {
            self.mode = Some(mode.to_owned());
        }
        if tools {
            self.tools = names(&frame["external_tools"]);
        }
    }

    fn answer(&mut self, index: usize) {
        if self.unanswered.is_empty() {
            return;
        }
        let (token, frame, refused) = self.unanswered.remove(index % self.unanswered.len());
        if !refused {
            self.take(&frame, self.late, self.is_mode_late(token));
        }
        if let Some((stage, _)) = self.sessions.get_mut(&token) {
            *stage = Stage::Answered;
        }
        if refused {
            self.sessions.remove(&token);
            self.wanted.retain(|(of, _)| *of != token);
        }
        self.lab.receive(&json!({
            "type": "runtime_start_response", "request_id": frame["request_id"],
            "success": !refused, "runtime": if refused { Value::Null } else { scope() },
        }));
    }

    fn open(&mut self, tools: bool, mode: Option<usize>, refused: bool) {
        self.next += 1;
        let token = self.next;
        let mut start = scope();
        start["type"] = json!("runtime_start");
        start["request_id"] = json!(format!("start-{token}"));
        if tools {
            start["external_tools"] = json!([{ "tools": [{ "name": format!("tool-{token}") }] }]);
        }
        if let Some(mode) = mode {
            start["mode"] = json!(MODES[mode]);
            self.wanted.push((token, MODES[mode]));
        }
        if refused {
            self.refused.insert(token);
        }
        self.sessions.insert(token, (Stage::Asked, tools));
        self.lab.command(Command::Register {
            token,
            command: "runtime_start".to_owned(),
            text: Text::from(start.to_string()),
            expect: Expect {
                correlation: Correlation::RequestId(format!("start-{token}")),
                response_type: Some("runtime_start_response".to_owned()),
                timeout: None,
                manual: false,
            },
            opening: true,
        });
    }

    /// One of those that are so far.
    fn one(&self, wanted: impl Fn(Stage) -> bool, index: usize) -> Option<u64> {
        let of: Vec<_> = self.sessions.iter().filter(|(_, (stage, _))| wanted(*stage)).collect();
        of.get(index % of.len().max(1)).map(|(token, _)| **token)
    }

    fn hold(&mut self, token: u64, held: bool) {
        let opening = format!("start-{token}");
        self.lab.command(Command::HoldRuntime { runtime: place(), opening, held });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open { tools, mode, refused } => self.open(tools, mode, refused),
            Step::Answer(index) => self.answer(index),
            Step::Take(index) => {
                if let Some(token) = self.one(|stage| stage == Stage::Answered, index) {
                    self.sessions.get_mut(&token).unwrap().0 = Stage::Held;
                    self.hold(token, true);
                }
            }
            Step::Close(index) => {
                if let Some(token) = self.one(|stage| stage == Stage::Held, index) {
                    self.sessions.remove(&token);
                    self.hold(token, false);
                }
            }
            Step::Cancel(index) => {
                if let Some(token) = self.one(|stage| stage != Stage::Held, index) {
                    self.sessions.remove(&token);
                    // Whether its mode counts is up to the server: what was asked for before may be over.
                    let its = self.wanted.iter().position(|(of, _)| *of == token);
                    self.wanted.drain(..its.map_or(0, |index| index + 1));
                    self.lab.command(Command::Cancel { token });
                }
            }
            Step::SetMode(mode) => {
                self.wanted.push((0, MODES[mode]));
                let payload = json!({ "mode": MODES[mode] });
                let change = json!({ "type": "change_device_state", "runtime": scope(), "payload": payload });
                let text = Text::from(change.to_string());
                self.lab.command(Command::Send { text, runtime: Some(place()), settles: false });
            }
            Step::Lose => self.lose(),
            Step::Silence => self.lab.pass(31.0),
        }
        self.serve();
        if self.sessions.is_empty() && !matches!(step, Step::SetMode(_)) {
            self.wanted.clear();
        }
    }

    fn lose(&mut self) {
        self.serve();
        let sessions = &self.sessions;
        let is_asked = |of: &u64| sessions.get(of).is_some_and(|(stage, _)| *stage == Stage::Asked);
        self.wanted.retain(|(of, _)| !is_asked(of));
        self.sessions.retain(|_, (stage, _)| *stage != Stage::Asked);
        self.unanswered.clear();
        self.tools.clear();
        self.lab.lose();
        self.lab.pass(0.002);
        assert!(self.lab.engine.poll_connect());
        self.lab.reopen();
        self.serve();
    }

    /// Everything is answered, and somebody has each session.
    fn end(&mut self) {
        while !self.unanswered.is_empty() {
            self.step(Step::Answer(0));
        }
        while self.one(|stage| stage == Stage::Answered, 0).is_some() {
            self.step(Step::Take(0));
        }
    }

    fn check(&self) {
        if self.sessions.is_empty() {
            return;
        }
        let wanted = self.sessions.iter().filter(|(_, (_, tools))| *tools);
        let wanted: BTreeSet<_> = wanted.map(|(token, _)| format!("tool-{token}")).collect();
        assert_eq!(self.tools, wanted);
        assert!(self.mode.is_some());
        assert_eq!(self.modes.of(&place()), self.mode);
        if let Some((_, wanted)) = self.wanted.last() {
            assert_eq!(self.mode.as_deref(), Some(*wanted));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_has_what_the_sessions_have(steps in steps(), late in any::<bool>()) {
        let mut world = World::new(late);
        for step in steps {
            world.step(step);
        }
        world.end();
        world.check();
        let mode = world.mode.clone();
        world.lose();
        world.end();
        world.check();
        if !world.sessions.is_empty() {
            assert_eq!(world.mode, mode);
        }
    }
}
