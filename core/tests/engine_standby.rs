//! Two connections, one of which takes over from the other: each event counts once, turns go on
//! (PROTOCOL.md sections 6, 7, 10, 13, 14 and 16). The frames are those of a small server that does as
//! recordings with two clients show.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use letta_app_client::engine::{Command, Delivery, Reconnect, TurnPhase};
use letta_app_client::protocol::Text;
use letta_app_client::{Approvals, Error, ErrorKind, StandbyState, TurnOptions};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Lab, runtime};

const RULES: Reconnect = Reconnect {
    max_attempts: None,
    base: Duration::from_millis(250),
    cap: Duration::from_secs(15),
};

/// What one connection has on its way.
#[derive(Debug, Default)]
struct Wire {
    subscribed: bool,
    /// How many deltas there had been before.
    from: u64,
    seq: u64,
    frames: VecDeque<Value>,
}

impl Wire {
    fn event(&mut self, kind: &str, mut frame: Value) {
        self.seq += 1;
        frame["type"] = kind.into();
        frame["runtime"] = runtime();
        frame["event_seq"] = self.seq.into();
        frame["idempotency_key"] = format!("{kind}:{}", self.seq).into();
        self.frames.push_back(frame);
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// Something happens on the server.
    Delta,
    Status,
    /// So many frames come in.
    First(usize),
    Second(usize),
    /// The program asks how things stand.
    Sync,
    Cut,
    CutStandby,
    OpenStandby,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Delta),
        4 => Just(Op::Status),
        4 => (1_usize..6).prop_map(Op::First),
        4 => (1_usize..6).prop_map(Op::Second),
        1 => Just(Op::Sync),
        1 => Just(Op::Cut),
        1 => Just(Op::CutStandby),
        2 => Just(Op::OpenStandby),
    ]
}

/// A server with one runtime, and a client with a standby.
struct World {
    lab: Lab,
    first: Wire,
    second: Option<Wire>,
    deltas: u64,
    status: u64,
    heard: Vec<u64>,
    stands: Value,
    switches: u64,
}

impl World {
    fn new() -> Self {
        let rules =
            Reconnect { base: Duration::from_millis(1), cap: Duration::from_millis(1), ..RULES };
        let mut world = Self {
            lab: Lab::standing_by(rules),
            first: Wire::default(),
            second: None,
            deltas: 0,
            status: 0,
            heard: Vec::new(),
            stands: Value::Null,
            switches: 0,
        };
        world.act(Op::Sync);
        world
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Delta => {
                self.deltas += 1;
                let delta = json!({ "message_type": "assistant_message", "n": self.deltas });
                self.tell("stream_delta", &json!({ "delta": delta }));
            }
            Op::Status => {
                self.status = (self.status + 1) % 3;
                self.tell("update_loop_status", &self.stands_now());
            }
            Op::First(count) => {
                for _ in 0..count {
                    let Some(frame) = self.first.frames.pop_front() else { break };
                    self.lab.receive(&frame);
                }
            }
            Op::Second(count) => {
                for _ in 0..count {
                    let frame = self.second.as_mut().and_then(|wire| wire.frames.pop_front());
                    let Some(frame) = frame else { break };
                    self.lab.receive_on_standby(&frame);
                }
            }
            Op::Sync => {
                let text = json!({ "type": "sync", "request_id": "own", "runtime": runtime() });
                let (text, scope) = (Text::from(text.to_string()), ("a".into(), "c".into()));
                self.lab.command(Command::Send { text, runtime: Some(scope), settles: false });
            }
            // Earlier, it is a loss as without a standby.
            Op::Cut if self.may_cut() => {
                self.first = self.second.take().unwrap();
                self.lab.switch();
                self.switches += 1;
            }
            Op::CutStandby if self.second.take().is_some() => {
                let error = Error::new(ErrorKind::Disconnected, "cut");
                self.lab.engine.handle_standby_lost(self.lab.now, &error);
            }
            Op::OpenStandby if self.second.is_none() => {
                self.lab.pass(0.002);
                self.lab.open_standby();
                self.second = Some(Wire::default());
            }
            Op::Cut | Op::CutStandby | Op::OpenStandby => {}
        }
        self.answer();
        self.listen();
    }

    /// Whether the standby takes over without a loss: it is ready, and nothing that is older than its
    /// subscription is still on its way on the first connection.
    fn may_cut(&self) -> bool {
        let from = self.second.as_ref().map_or(u64::MAX, |wire| wire.from);
        self.lab.engine.counters().standby == StandbyState::Ready && self.heard.len() as u64 >= from
    }

    fn stands_now(&self) -> Value {
        let status = format!("STATUS_{}", self.status);
        json!({ "loop_status": { "status": status, "active_run_ids": [] } })
    }

    fn tell(&mut self, kind: &str, frame: &Value) {
        let wires = self.second.iter_mut().chain([&mut self.first]);
        wires.filter(|wire| wire.subscribed).for_each(|wire| wire.event(kind, frame.clone()));
    }

    /// The server takes what the client sent.
    fn answer(&mut self) {
        let stands = self.stands_now();
        let mut sent: Vec<_> = self.lab.sent().into_iter().map(|frame| (true, frame)).collect();
        sent.extend(self.lab.sent_on_standby().into_iter().map(|frame| (false, frame)));
        for (on_first, frame) in sent {
            assert_eq!(frame["type"], "sync");
            let second = self.second.as_mut();
            let wire = if on_first { &mut self.first } else { second.unwrap() };
            if !wire.subscribed {
                (wire.subscribed, wire.from) = (true, self.deltas);
            }
            wire.event("update_device_status", json!({ "device_status": {} }));
            wire.event("update_loop_status", stands.clone());
            wire.event("update_queue", json!({ "queue": [] }));
            wire.frames.push_back(json!({
                "type": "sync_response", "request_id": frame["request_id"], "success": true,
            }));
        }
    }

    /// The program takes what it is told.
    fn listen(&mut self) {
        while let Some(delivery) = self.lab.engine.poll_delivery() {
            let Delivery::Message { text, .. } = delivery else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            match frame["type"].as_str().unwrap() {
                "stream_delta" => self.heard.push(frame["delta"]["n"].as_u64().unwrap()),
                "update_loop_status" => self.stands = frame["loop_status"].clone(),
                _ => {}
            }
        }
    }

    fn finish(&mut self) {
        for _ in 0..4 {
            self.act(Op::Second(usize::MAX));
            self.act(Op::First(usize::MAX));
        }
        let all: Vec<u64> = (1..=self.deltas).collect();
        assert_eq!(self.heard, all);
        assert_eq!(self.stands, self.stands_now()["loop_status"]);
        assert_eq!(self.lab.engine.counters().reconnects, self.switches);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_event_counts_once_however_the_two_streams_meet(
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new();
        for op in ops {
            world.act(op);
        }
        world.finish();
    }
}

/// A world whose standby is ready.
fn ready() -> World {
    let mut world = World::new();
    world.act(Op::First(9));
    world.act(Op::OpenStandby);
    world.act(Op::Second(9));
    world.act(Op::First(9));
    assert_eq!(world.lab.engine.counters().standby, StandbyState::Ready);
    world
}

#[test]
fn a_standby_may_be_far_behind() {
    let mut world = ready();
    for _ in 0..6_000 {
        world.act(Op::Delta);
        world.act(Op::First(1));
    }
    world.act(Op::Cut);
    world.act(Op::Delta);
    world.finish();
}

#[test]
fn a_turn_of_which_too_much_was_missed_is_looked_for() {
    for (count, phase) in [(4_000, TurnPhase::Running), (5_000, TurnPhase::Recovering)] {
        let mut world = ready();
        world.lab.turn(1, "m1", TurnOptions::default());
        world.lab.sent();
        world.lab.accept(1, "started");
        world.act(Op::Delta);
        world.act(Op::First(1));
        world.act(Op::Second(1));
        for _ in 0..count {
            world.act(Op::Delta);
            world.act(Op::Second(1));
        }
        world.act(Op::Cut);
        assert_eq!(world.lab.engine.report(world.lab.now, 1).unwrap().phase, phase);
        // Everything there is was told in order.
        assert!(world.heard.is_sorted());
        assert_eq!(world.heard.len(), count.min(4096) + 1);
    }
}

#[test]
fn the_first_connection_may_catch_up_again() {
    let mut world = ready();
    for _ in 0..5_000 {
        world.act(Op::Delta);
        world.act(Op::Second(1));
    }
    world.act(Op::First(usize::MAX));
    world.act(Op::Delta);
    world.act(Op::Cut);
    world.finish();
}

#[test]
fn a_standby_is_for_servers_with_one_socket_and_for_clients_that_reconnect() {
    let mut lab = Lab::standing_by(RULES);
    assert_eq!(lab.engine.counters().standby, StandbyState::Opening);
    lab.lose();
    assert_eq!(lab.engine.counters().standby, StandbyState::Off);
    lab.pass(1.0);
    lab.engine.handle_connected(lab.now, true);
    assert_eq!(lab.engine.counters().standby, StandbyState::Off);
    assert!(!lab.engine.poll_connect_standby());
}

#[test]
fn attempts_to_open_the_standby_are_repeated_with_growing_waits() {
    let mut lab = Lab::standing_by(RULES);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert!(lab.engine.poll_connect_standby());
        assert!(!lab.engine.poll_connect_standby(), "said once");
        let error = Error::new(ErrorKind::ConnectionFailed, "no");
        lab.engine.handle_standby_failed(lab.now, &error);
        let at = lab.engine.next_timeout().unwrap();
        let wait = at.checked_sub(lab.now).unwrap();
        waits.push(wait);
        lab.pass(wait.as_secs_f64());
    }
    assert!(waits[0] <= RULES.base && waits.iter().all(|wait| *wait <= RULES.cap), "{waits:?}");
    assert!(waits[8..].iter().any(|wait| *wait > 4 * RULES.base), "{waits:?}");
}

#[test]
fn runtimes_are_subscribed_to_a_few_at_a_time_and_new_ones_at_once() {
    let mut lab = Lab::standing_by(RULES);
    let sync = |lab: &mut Lab, n: usize| {
        let text = json!({ "type": "sync", "runtime": {
            "agent_id": "a", "conversation_id": n.to_string() } });
        let (text, scope) = (Text::from(text.to_string()), ("a".into(), n.to_string()));
        lab.command(Command::Send { text, runtime: Some(scope), settles: false });
    };
    (0..40).for_each(|n| sync(&mut lab, n));
    lab.open_standby();
    let mut all = Vec::new();
    for most in [16, 16, 8] {
        let sent = lab.sent_on_standby();
        assert_eq!(sent.len(), most);
        all.extend(sent.iter().map(|frame| frame["runtime"]["conversation_id"].clone()));
        assert_eq!(lab.engine.counters().standby, StandbyState::Opening);
        for frame in sent {
            lab.receive_on_standby(&json!({
                "type": "sync_response", "request_id": frame["request_id"], "success": true,
            }));
        }
    }
    assert_eq!(all, (0..40).map(|n| json!(n.to_string())).collect::<Vec<_>>());
    assert_eq!(lab.engine.counters().standby, StandbyState::Ready);
    sync(&mut lab, 40);
    assert_eq!(lab.sent_on_standby()[0]["runtime"]["conversation_id"], "40");
    assert_eq!(lab.engine.counters().standby, StandbyState::Opening);
    // A server that does not answer does not keep it waiting for ever.
    lab.pass(31.0);
    assert_eq!(lab.engine.counters().standby, StandbyState::Ready);
}

#[test]
fn requests_fail_and_a_turn_that_was_not_covered_is_looked_for() {
    let mut world = World::new();
    world.act(Op::First(9));
    world.act(Op::OpenStandby);
    let lab = &mut world.lab;
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.request(2, "x", "list_models_response", 30.0);
    // The server has not said that it has subscribed the standby.
    lab.switch();
    let (token, end) = lab.one_end();
    let error = end.error();
    assert_eq!((token, error.kind(), error.will_reconnect()), (2, ErrorKind::Disconnected, true));
    assert_eq!(lab.engine.report(lab.now, 1).unwrap().phase, TurnPhase::Recovering);
}

#[test]
fn a_state_is_not_told_again_although_a_question_was_repeated_before_it() {
    let mut world = ready();
    // The answer to a `sync` of the program repeats the open question, on the first connection alone.
    let question = json!({ "request_id": "perm-1", "request": { "subtype": "can_use_tool" } });
    world.first.event("control_request", question);
    world.act(Op::Status);
    world.act(Op::Status);
    world.act(Op::First(9));
    world.act(Op::Second(9));
    world.lab.switch();
    let told = std::iter::from_fn(|| world.lab.engine.poll_delivery());
    assert_eq!(told.filter(|told| matches!(told, Delivery::Message { .. })).count(), 0);
}

#[test]
fn it_is_ready_when_all_that_is_older_has_come() {
    let mut world = World::new();
    world.act(Op::First(9));
    world.lab.turn(1, "m1", TurnOptions::default());
    world.lab.sent();
    world.lab.accept(1, "started");
    world.act(Op::Delta);
    world.act(Op::OpenStandby);
    world.act(Op::Second(9));
    let state = |world: &World| world.lab.engine.counters().standby;
    assert_eq!(state(&world), StandbyState::Opening, "a delta is on its way");
    world.act(Op::First(9));
    assert_eq!(state(&world), StandbyState::Ready);
    world.act(Op::Cut);
    world.finish();
    assert_eq!(world.lab.engine.report(world.lab.now, 1).unwrap().phase, TurnPhase::Running);
}

#[test]
fn an_open_question_is_asked_once_and_a_lost_answer_again() {
    let mut world = ready();
    let lab = &mut world.lab;
    lab.command(Command::HandleApprovals { token: 9, runtime: None, handled: true });
    lab.turn(1, "m1", TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() });
    lab.accept(1, "started");
    lab.sent();
    let question = json!({ "request_id": "perm-1", "request": {
        "subtype": "can_use_tool", "tool_name": "Write", "input": {}, "tool_call_id": "call-1" } });
    let asked = |lab: &mut Lab| {
        let told = lab.told().into_iter().filter_map(|delivery| match delivery {
            Delivery::Approval { ask, .. } => Some(ask),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    lab.event("control_request", question.clone());
    let first = asked(lab);
    assert_eq!(first.len(), 1);
    lab.switch();
    let sent = lab.sent();
    assert_eq!(sent[0]["recover_approvals"], true);
    lab.event("control_request", question.clone());
    assert_eq!(asked(lab), [0_u64; 0], "somebody works on it");
    let allow = || Ok(r#"{"behavior":"allow"}"#.to_owned());
    lab.command(Command::AnswerApproval { ask: first[0], answer: allow() });
    assert_eq!(lab.sent_kinds(), ["input"]);

    // The answer has not arrived.
    lab.pass(0.01);
    lab.open_standby();
    lab.switch();
    lab.event("control_request", question);
    let again = asked(lab);
    assert_eq!(again.len(), 1);
    lab.command(Command::AnswerApproval { ask: again[0], answer: allow() });
    assert!(lab.sent_kinds().contains(&"input".to_owned()));
}

#[test]
fn external_tools_move_over() {
    // With the command for tools alone where the server is new enough to have it.
    for (correlation, command) in
        [(true, "runtime_external_tools_update"), (false, "runtime_start")]
    {
        let mut lab = Lab::standing_by(RULES);
        let tools = json!([{ "tools": [{ "name": "t", "description": "", "parameters": {} }] }]);
        let start = json!({
            "type": "runtime_start", "request_id": "s", "agent_id": "a", "conversation_id": "c",
            "mode": "standard", "external_tools": tools,
        });
        let text = Text::from(start.to_string());
        lab.command(Command::Send { text, runtime: None, settles: false });
        lab.command(Command::HandleTools { handled: true });
        lab.receive(&json!({
            "type": "runtime_start_response", "request_id": "s", "success": true,
            "runtime": runtime(),
        }));
        if correlation {
            lab.run("run-1", &[]);
        }
        lab.open_standby();
        lab.receive(&json!({
            "type": "external_tool_call_request", "request_id": "call", "runtime": runtime(),
            "tool_call_id": "1", "tool_name": "t", "input": {},
        }));
        lab.sent();
        lab.told();
        lab.switch();
        let over = lab.told().into_iter().any(
            |delivery| matches!(delivery, Delivery::ToolOver { request_id, .. } if request_id == "call"),
        );
        assert!(over);
        let sent = lab.sent();
        let kinds: Vec<_> = sent.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, [command, "sync"]);
        let group = sent[0]["updates"][0].as_object();
        let registered = group.map_or(&sent[0]["external_tools"], |group| &group["external_tools"]);
        assert_eq!(*registered, tools);
    }
}
