//! Whatever the order of frames: each turn ends once, with its own text, and nothing panics.
//!
//! The server model follows PROTOCOL.md sections 9 and 10 for one conversation: our inputs, another
//! client's and a scheduler's share one queue; a subagent speaks in between with run ids that collide.

mod support;

use std::collections::{HashMap, HashSet, VecDeque};

use letta_app_client::engine::Command;
use letta_app_client::{Approvals, TurnOptions};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{End, Lab, runtime};

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// We send an input.
    Ours,
    /// Another client sends one, or a schedule fires.
    Foreign,
    /// The running turn goes on by one frame, or the next one starts.
    Advance,
    /// A subagent says something under a run id of the parent's.
    Subagent,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Ours),
        2 => Just(Step::Foreign),
        9 => Just(Step::Advance),
        2 => Just(Step::Subagent),
    ];
    proptest::collection::vec(step, 1..120)
}

#[derive(Debug, Clone, PartialEq)]
struct Input {
    id: String,
    ours: bool,
}

/// A one-socket server; `correlates` since 0.30.28.
struct Server {
    lab: Lab,
    correlates: bool,
    queue: VecDeque<Input>,
    running: VecDeque<Frame>,
    runs: u64,
    /// The text each of our inputs must get.
    wanted: HashMap<String, String>,
    map: Value,
}

/// A frame of the running turn that is still to come.
enum Frame {
    Status(&'static str, Vec<String>),
    Delta(Value),
    Queue(Value),
    Finished(String),
}

impl Server {
    fn new(correlates: bool) -> Self {
        let mut lab = Lab::new();
        lab.status("WAITING_ON_INPUT");
        Self {
            lab,
            correlates,
            queue: VecDeque::new(),
            running: VecDeque::new(),
            runs: 0,
            wanted: HashMap::new(),
            map: json!({}),
        }
    }

    fn submit(&mut self, input: Input, token: Option<u64>) {
        let idle = self.running.is_empty() && self.queue.is_empty();
        if let Some(token) = token {
            self.lab.accept(token, if idle { "started" } else { "queued" });
        }
        if idle {
            self.start(&[input], false);
        } else {
            self.queue.push_back(input);
            let queue = self.snapshot();
            self.lab.event("update_queue", json!({ "queue": queue, "removed": [] }));
        }
    }

    fn snapshot(&self) -> Value {
        let item = |input: &Input| json!({ "id": "q", "client_message_id": input.id });
        self.queue.iter().map(item).collect()
    }

    /// Plans a turn: two runs, the first with a tool call, then the text.
    fn start(&mut self, inputs: &[Input], queued: bool) {
        let ids: Vec<String> = inputs.iter().map(|input| input.id.clone()).collect();
        let frames = &mut self.running;
        if queued {
            frames
                .push_back(Frame::Delta(json!({ "message_type": "user_message", "otid": ids[0] })));
        }
        frames.push_back(Frame::Status("SENDING_API_REQUEST", vec![]));
        if queued {
            let removed: Vec<_> = ids
                .iter()
                .map(|id| json!({ "client_message_id": id, "disposition": "dequeued" }))
                .collect();
            frames.push_back(Frame::Queue(removed.into()));
        }
        let mut text = String::new();
        let mut last = String::new();
        for tool in [true, false] {
            self.runs += 1;
            let run = format!("run-{}", self.runs);
            let reason = if tool { "requires_approval" } else { "end_turn" };
            frames.push_back(Frame::Status("PROCESSING_API_RESPONSE", vec![run.clone()]));
            for part in 0..2 {
                let words = format!("{run}.{part} ");
                text.push_str(&words);
                let body =
                    json!({ "message_type": "assistant_message", "run_id": run, "content": words });
                frames.push_back(Frame::Delta(body));
            }
            let stop =
                json!({ "message_type": "stop_reason", "run_id": run, "stop_reason": reason });
            frames.push_back(Frame::Delta(stop));
            if inputs.iter().any(|input| input.id != "cron") {
                self.map[&run] = ids.clone().into();
            }
            last = run;
        }
        frames.push_back(Frame::Status("WAITING_ON_INPUT", vec![]));
        frames.push_back(Frame::Finished(last));
        for input in inputs.iter().filter(|input| input.ours) {
            self.wanted.insert(input.id.clone(), text.clone());
        }
    }

    fn advance(&mut self) {
        match self.running.pop_front() {
            Some(Frame::Status(status, active)) => {
                let mut state = json!({ "status": status, "active_run_ids": active });
                if self.correlates {
                    // Only runs that have begun are listed.
                    let begun = active.first().cloned();
                    state["client_message_ids_by_run_id"] = self.begun(begun.as_deref());
                }
                self.lab.event("update_loop_status", json!({ "loop_status": state }));
            }
            Some(Frame::Delta(body)) => self.lab.delta(body),
            Some(Frame::Queue(removed)) => {
                let queue = self.snapshot();
                self.lab.event("update_queue", json!({ "queue": queue, "removed": removed }));
            }
            Some(Frame::Finished(run)) => self.lab.finished(Some(&run), "end_turn"),
            None => self.start_queued(),
        }
    }

    fn begun(&mut self, active: Option<&str>) -> Value {
        let number = |run: &str| run.trim_start_matches("run-").parse::<u64>().unwrap_or(0);
        let upto = active.map_or_else(|| self.pending_from(), number);
        let all = self.map.as_object().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|(run, _)| number(run) <= upto)
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The last run that is over, by what is still to come.
    fn pending_from(&self) -> u64 {
        let first = self.running.iter().find_map(|frame| match frame {
            Frame::Status(_, active) => active.first().cloned(),
            _ => None,
        });
        let number = |run: String| run.trim_start_matches("run-").parse::<u64>().unwrap_or(0);
        first.map_or(self.runs, |run| number(run).saturating_sub(1))
    }

    /// Adjacent inputs of one client become one turn.
    fn start_queued(&mut self) {
        let Some(first) = self.queue.pop_front() else {
            return;
        };
        let mut batch = vec![first];
        while self.queue.front().is_some_and(|next| batch[0].ours && next.ours) {
            batch.extend(self.queue.pop_front());
        }
        let queue = self.snapshot();
        self.lab.event("update_queue", json!({ "queue": queue, "removed": [] }));
        self.start(&batch, true);
    }
}

fn play(steps: &[Step], correlates: bool) {
    let mut server = Server::new(correlates);
    let mut ours: HashMap<u64, String> = HashMap::new();
    let mut ended: HashMap<u64, End> = HashMap::new();
    let mut next = 0;
    let mut collect = |server: &mut Server| {
        for (token, end) in server.lab.ended() {
            assert!(ended.insert(token, end).is_none(), "turn {token} ended twice");
        }
    };
    let all = steps.iter().copied().chain(std::iter::repeat_n(Step::Advance, 5000));
    for step in all {
        next += 1;
        match step {
            Step::Ours => {
                let id = format!("m{next}");
                server.lab.turn(next, &id, TurnOptions::default());
                // The settle pause keeps an input back; it is not the subject here.
                server.lab.pass(0.2);
                ours.insert(next, id.clone());
                server.submit(Input { id, ours: true }, Some(next));
            }
            Step::Foreign => {
                let id = if next % 2 == 0 { "cron".to_owned() } else { format!("f{next}") };
                server.submit(Input { id, ours: false }, None);
            }
            Step::Advance => server.advance(),
            Step::Subagent => server.lab.event(
                "stream_delta",
                json!({ "subagent_id": "s", "delta": {
                    "message_type": "stop_reason", "stop_reason": "end_turn",
                    "run_id": format!("run-{}", server.runs),
                } }),
            ),
        }
        collect(&mut server);
    }
    for (token, id) in ours {
        let result = ended.remove(&token).map(End::turn);
        let text = result.map(|result| result.text);
        assert_eq!(text.as_ref(), server.wanted.get(&id), "input {id}");
    }
    assert!(ended.is_empty());
}

/// Frames of the right and of the wrong shape, and what a caller may do between them.
fn noise() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just(json!("m1")),
        Just(json!("r1")),
        Just(json!("WAITING_ON_INPUT")),
        Just(json!(null)),
        Just(json!(7)),
        Just(json!([])),
        Just(json!({})),
        Just(json!(["m1"])),
        Just(json!(true)),
    ];
    let kind = prop_oneof![
        Just("update_loop_status"),
        Just("update_queue"),
        Just("turn_finished"),
        Just("stream_delta"),
        Just("control_request"),
        Just("update_device_status"),
        Just("input_accepted"),
        Just("x"),
    ];
    let message = prop_oneof![
        Just("stop_reason"),
        Just("loop_error"),
        Just("status"),
        Just("retry"),
        Just("user_message"),
        Just("assistant_message"),
        Just("usage_statistics"),
        Just("tool_return_message"),
    ];
    (kind, message, proptest::collection::vec(word, 12)).prop_map(|(kind, message, w)| {
        json!({
            "type": kind, "request_id": w[0], "run_id": w[1], "stop_reason": w[2],
            "runtime": if w[3] == json!(7) { json!(7) } else { runtime() },
            "delta": { "message_type": message, "run_id": w[1], "stop_reason": "end_turn",
                "content": w[4], "otid": w[5], "message": "Interrupted", "is_terminal": w[6] },
            "loop_status": { "status": w[7], "active_run_ids": w[8],
                "client_message_ids_by_run_id": { "r1": w[9] } },
            "queue": [{ "id": "q", "client_message_id": w[10] }],
            "removed": w[11], "device_status": { "pending_control_requests": w[9] },
            "request": { "tool_call_id": w[0] }, "accepted": w[6], "disposition": "queued",
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_turn_ends_once_with_its_own_text(steps in steps(), correlates: bool) {
        play(&steps, correlates);
    }

    #[test]
    fn any_frames_leave_every_wait_ended_once(
        frames in proptest::collection::vec((noise(), 0_u8..8), 0..60),
        wait: bool,
    ) {
        let mut lab = Lab::new();
        let approvals = if wait { Approvals::Wait } else { Approvals::Pause };
        let mut ended = HashSet::new();
        let mut gone = Vec::new();
        let mut next = 0;
        let mut collect = |lab: &mut Lab| {
            for (token, _) in lab.ended() {
                assert!(ended.insert(token), "{token} ended twice");
            }
        };
        for (frame, act) in frames {
            match act {
                0 | 1 => {
                    next += 1;
                    let options = TurnOptions { approvals: Some(approvals), ..TurnOptions::default() };
                    lab.turn(next, "m1", options);
                }
                2 if next > 0 => {
                    lab.command(Command::Cancel { token: next });
                    gone.push(next);
                }
                3 => lab.pass(700.0),
                _ => lab.receive(&frame),
            }
            lab.sent();
            collect(&mut lab);
        }
        lab.lose();
        collect(&mut lab);
        for token in 1..=next {
            prop_assert!(ended.contains(&token) || gone.contains(&token), "{} hangs", token);
        }
    }
}
