//! How a turn goes on the server, step by step (sections 9, 10 and 13 to 16).

use std::time::Duration;

use serde_json::{Value, json};

use super::conversation::{IDLE, Input, Running, Step};
use super::frames::{delta, echo, question, scope, stored, words};
use super::{ConnId, Server};
use crate::sim::ledger::{End, InputRecord, RunRecord, TurnRecord};
use crate::sim::plan::{Plan, Tool, tag_of};

/// How long a client may take for an external tool (section 14).
const TOOL_LIMIT: Duration = Duration::from_secs(300);

impl Server {
    /// Starts a turn with inputs, which are committed now.
    pub(super) fn begin(&mut self, place: &str, inputs: Vec<Input>, batch: bool) {
        let record = self.ledger.turns.len();
        let cleaning = self.place(place).cleaning_until.take();
        let orphan = !batch && cleaning.is_some_and(|until| until > self.now);
        self.ledger.turns.push(TurnRecord {
            conversation: place.to_owned(),
            inputs: Vec::new(),
            runs: Vec::new(),
            end: End::Running,
            asked: false,
            orphan,
        });
        // Merged inputs are one message of many parts, under the first one's id (section 10).
        let mut parts: Vec<_> = inputs.iter().flat_map(|input| ["\n", &*input.text]).collect();
        parts.remove(0);
        self.store("user_message", place, &parts, inputs.first().map(|input| &*input.client_id));
        for input in &inputs {
            self.commit(record, input);
        }
        let plan = Plan::read(&inputs.first().map(|input| input.text.clone()).unwrap_or_default());
        let conversation = self.place(place);
        conversation.interrupted = false;
        conversation.batches += u64::from(batch);
        let turn_id = if batch {
            format!("batch-{}", conversation.batches)
        } else {
            format!("batch-direct-{record}")
        };
        conversation.turn = Some(Running {
            record,
            turn_id,
            inputs,
            plan,
            step: Step::Send,
            run: None,
            said: 0,
            tool_done: false,
            failed: 0,
            call: format!("call-{record}"),
            calling: None,
            orphan,
        });
        self.tell_status(place, "SENDING_API_REQUEST");
        self.tell_device(place);
        self.wake(place, Duration::from_millis(10));
    }

    fn commit(&mut self, record: usize, input: &Input) {
        let turn = &mut self.ledger.turns[record];
        turn.inputs.push(InputRecord {
            tag: tag_of(&input.text).to_owned(),
            client_id: input.client_id.clone(),
            from_run: turn.runs.len(),
            own_tools: Plan::read(&input.text).own_tools,
        });
    }

    fn store(&mut self, kind: &str, place: &str, texts: &[&str], otid: Option<&str>) {
        self.serial += 1;
        let message = stored(kind, self.serial, texts, otid);
        self.place(place).messages.push(message);
    }

    fn store_part(&mut self, place: &str, mut message: Value) {
        self.serial += 1;
        message["id"] = format!("ui-msg-{}", self.serial).into();
        self.place(place).messages.push(message);
    }

    /// The next step of a conversation whose time has come.
    pub(super) fn advance(&mut self, place: &str) {
        let Some(turn) = self.place(place).turn.as_mut() else {
            self.start_queued(place);
            return;
        };
        match turn.step {
            Step::Send => {
                turn.step = Step::WaitForModel;
                self.tell_status(place, "WAITING_FOR_API_RESPONSE");
                let wait = self.dice.millis(5, 300);
                self.wake(place, wait);
            }
            Step::WaitForModel => {
                turn.step = Step::Process;
                self.tell_status(place, "PROCESSING_API_RESPONSE");
                self.wake(place, Duration::from_millis(10));
            }
            Step::Process => self.start_run(place),
            Step::StartRun | Step::Say => self.say(place),
            Step::EndRun => self.end_run(place),
            Step::Working => self.tool_ended(place, "success", "done"),
            Step::Calling => self.tool_ended(place, "error", "External tool call timed out: count"),
            Step::Asking => {}
        }
    }

    fn start_run(&mut self, place: &str) {
        self.runs += 1;
        let run = format!("local-run-{}", self.runs);
        let conversation = self.place(place);
        let Some(turn) = conversation.turn.as_mut() else { return };
        turn.step = Step::Say;
        turn.run = Some(run.clone());
        turn.said = 0;
        let (record, wait) = (turn.record, turn.plan.pace);
        let ids = turn.inputs.iter().map(|input| input.client_id.clone()).collect();
        conversation.correlation.push((run.clone(), ids));
        if conversation.correlation.len() > 32 {
            conversation.correlation.remove(0);
        }
        let runs = &mut self.ledger.turns[record].runs;
        runs.push(RunRecord { id: run, text: String::new(), withdrawn: false });
        self.tell_status(place, "PROCESSING_API_RESPONSE");
        self.wake(place, wait);
    }

    fn say(&mut self, place: &str) {
        let Some(turn) = self.place(place).turn.as_mut() else { return };
        if turn.said >= turn.plan.words {
            turn.step = Step::EndRun;
            self.wake(place, Duration::from_millis(5));
            return;
        }
        let run = turn.run.clone().unwrap_or_default();
        let word = format!("{}.{run}.{} ", turn.plan.tag, turn.said);
        turn.said += 1;
        let (record, wait) = (turn.record, turn.plan.pace);
        if let Some(run) = self.ledger.turns[record].runs.last_mut() {
            run.text.push_str(&word);
        }
        let frame = words(&run, &format!("otid-{run}"), &word);
        self.broadcast(place, &frame);
        self.wake(place, wait);
    }

    fn end_run(&mut self, place: &str) {
        let Some(turn) = self.place(place).turn.as_mut() else { return };
        let run = turn.run.clone().unwrap_or_default();
        let record = turn.record;
        let fails = turn.failed < turn.plan.failures;
        let calls = turn.plan.tool.filter(|_| !turn.tool_done && !fails);
        turn.failed += u32::from(fails);
        let fatal = turn.plan.fatal && turn.failed == turn.plan.failures;
        let call = turn.call.clone();
        if fails {
            self.fail_run(place, &run, fatal);
            return;
        }
        let text = self.ledger.turns[record].runs.last().map(|run| run.text.clone());
        let text = text.unwrap_or_default();
        if !text.is_empty() {
            self.store("assistant_message", place, &[&text], None);
        }
        if calls.is_some() {
            let call = json!({ "tool_call_id": call, "name": "count", "arguments": "{}" });
            self.store_part(place, json!({
                "message_type": "approval_request_message", "role": "assistant", "tool_call": call,
            }));
            let frame = delta("approval_request_message", Some(&run), json!({ "tool_call": call }));
            self.broadcast(place, &frame);
        }
        let usage = json!({ "prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11 });
        self.broadcast(place, &delta("usage_statistics", Some(&run), usage));
        let reason = if calls.is_some() { "requires_approval" } else { "end_turn" };
        self.broadcast(place, &delta("stop_reason", Some(&run), json!({ "stop_reason": reason })));
        if calls.is_some() {
            self.ask_or_run(place);
        } else {
            let end = End::Finished { stop_reason: reason.to_owned() };
            self.tell_status(place, IDLE);
            self.finish(place, end, reason, None);
        }
    }

    /// The model's provider has failed: the server tries again, or gives up (section 9.4).
    fn fail_run(&mut self, place: &str, run: &str, fatal: bool) {
        let reason = "llm_api_error";
        let body = json!({ "message": "overloaded", "stop_reason": reason, "is_terminal": false });
        self.broadcast(place, &delta("loop_error", Some(run), body));
        let body = json!({ "message": "overloaded", "error_type": "llm_error" });
        self.broadcast(place, &delta("error_message", Some(run), body));
        self.broadcast(place, &delta("stop_reason", Some(run), json!({ "stop_reason": reason })));
        if fatal {
            let end = End::Finished { stop_reason: reason.to_owned() };
            self.tell_status(place, IDLE);
            self.finish(place, end, reason, Some("overloaded"));
            return;
        }
        let body = json!({ "message": "again", "reason": reason, "attempt": 1, "delay_ms": 1000 });
        self.broadcast(place, &delta("retry", Some(run), body));
        let Some(turn) = self.place(place).turn.as_mut() else { return };
        turn.step = Step::Send;
        let record = turn.record;
        if let Some(run) = self.ledger.turns[record].runs.last_mut() {
            run.withdrawn = true;
        }
        self.wake(place, Duration::from_secs(1));
    }

    fn ask_or_run(&mut self, place: &str) {
        let Some(turn) = self.place(place).turn.as_mut() else { return };
        if !turn.plan.asks {
            self.decided(place, true);
            return;
        }
        turn.step = Step::Asking;
        let record = turn.record;
        self.ledger.turns[record].asked = true;
        self.tell_status(place, "WAITING_ON_APPROVAL");
        self.tell_question(place, None);
        self.tell_status(place, "WAITING_ON_APPROVAL");
        self.tell_device(place);
    }

    pub(super) fn is_orphan(&mut self, place: &str) -> bool {
        self.place(place).turn.as_ref().is_some_and(|turn| turn.orphan)
    }

    /// The permission that is wanted, as the device status lists it.
    pub(super) fn open_question(&mut self, place: &str) -> Option<Value> {
        let turn = self.place(place).turn.as_ref()?;
        (turn.step == Step::Asking).then(|| question(&turn.call, "count"))
    }

    /// Tells one connection or all who listen that a permission is wanted.
    pub(super) fn tell_question(&mut self, place: &str, conn: Option<ConnId>) {
        let Some(mut frame) = self.open_question(place) else { return };
        frame["type"] = "control_request".into();
        match conn {
            Some(conn) => self.event(conn, place, &frame),
            None => self.broadcast(place, &frame),
        }
    }

    /// A call may run, or may not.
    pub(super) fn decided(&mut self, place: &str, allowed: bool) {
        let Some(turn) = self.place(place).turn.as_mut() else { return };
        turn.step = Step::Working;
        let (call, tool, run) = (turn.call.clone(), turn.plan.tool, turn.run.clone());
        if turn.plan.asks {
            self.tell_device(place);
        }
        self.tell_status(place, "EXECUTING_CLIENT_SIDE_TOOL");
        if !allowed {
            self.tool_ended(place, "error", "denied");
            return;
        }
        let body = json!({ "tool_call_id": call, "tool_name": "count", "tool_args": "{}" });
        self.broadcast(place, &delta("client_tool_start", run.as_deref(), body));
        if tool == Some(Tool::Own) {
            let wait = self.dice.millis(5, 2000);
            self.wake(place, wait);
            return;
        }
        let owner = self.conns.keys().copied().find(|conn| self.has_tools(*conn, place));
        let Some(owner) = owner else {
            self.tool_ended(place, "error", "no such tool");
            return;
        };
        let id = format!("external-tool-{call}");
        if let Some(turn) = self.place(place).turn.as_mut() {
            turn.step = Step::Calling;
            turn.calling = Some((owner, id.clone()));
        }
        self.reply(
            owner,
            &json!({
                "type": "external_tool_call_request", "request_id": id, "runtime": scope(place),
                "tool_call_id": call, "tool_name": "count", "input": {},
            }),
        );
        self.wake(place, TOOL_LIMIT);
    }

    pub(super) fn tool_answered(&mut self, conn: ConnId, frame: &Value) {
        let id = frame["request_id"].as_str().unwrap_or_default().to_owned();
        let called = Some((conn, id));
        let found = self.conversations.iter().find(|(_, conversation)| {
            conversation.turn.as_ref().is_some_and(|turn| turn.calling == called)
        });
        if let Some(place) = found.map(|(place, _)| place.clone()) {
            let error = frame["result"]["is_error"] == true || !frame["error"].is_null();
            self.tool_ended(&place, if error { "error" } else { "success" }, "answered");
        }
    }

    /// The owner of the tool that runs has gone, and others listen.
    pub(super) fn fail_call_of(&mut self, place: &str, conn: ConnId) {
        let turn = self.place(place).turn.as_ref();
        let calling = turn.and_then(|turn| turn.calling.as_ref());
        if calling.is_some_and(|(owner, _)| *owner == conn) {
            let text = "External tool execution error: Listener connection closed";
            self.tool_ended(place, "error", text);
        }
    }

    fn tool_ended(&mut self, place: &str, status: &str, output: &str) {
        let Some(turn) = self.place(place).turn.as_mut() else { return };
        turn.step = Step::Send;
        turn.tool_done = true;
        turn.calling = None;
        let (call, run) = (turn.call.clone(), turn.run.clone());
        let body = json!({ "tool_call_id": call, "status": status });
        self.broadcast(place, &delta("client_tool_end", run.as_deref(), body));
        let returned = json!([{ "tool_call_id": call, "status": status, "tool_return": output }]);
        let body = json!({
            "tool_call_id": call, "status": status, "tool_return": output,
            "tool_returns": returned,
        });
        let mut part = body.clone();
        part["message_type"] = "tool_return_message".into();
        self.store_part(place, part);
        self.broadcast(place, &delta("tool_return_message", run.as_deref(), body));
        self.join_waiting(place);
        self.tell_status(place, "SENDING_API_REQUEST");
        self.wake(place, Duration::from_millis(10));
    }

    /// What waits is answered together with the results of a tool (section 10).
    fn join_waiting(&mut self, place: &str) {
        let joining: Vec<_> = self.place(place).queue.drain(..).collect();
        if joining.is_empty() {
            return;
        }
        let conversation = self.place(place);
        conversation.batches += 1;
        let batch = format!("batch-{}", conversation.batches);
        let Some(turn) = conversation.turn.as_mut() else { return };
        turn.turn_id = batch;
        turn.inputs.extend(joining.iter().cloned());
        let record = turn.record;
        for input in &joining {
            self.commit(record, input);
            self.store("user_message", place, &[&input.text], Some(&input.client_id));
            self.broadcast(place, &echo(&input.client_id, &input.text));
        }
        self.tell_dequeued(place, &joining);
    }

    fn tell_dequeued(&mut self, place: &str, inputs: &[Input]) {
        let removed: Vec<_> =
            inputs.iter().map(|input| (input.client_id.as_str(), "dequeued")).collect();
        self.tell_queue(place, &removed);
    }

    /// The next batch: what one connection has queued, as far as nobody else's is between.
    pub(super) fn start_queued(&mut self, place: &str) {
        let queue = &mut self.place(place).queue;
        let Some(first) = queue.pop_front() else { return };
        let mut batch = vec![first];
        while queue.front().is_some_and(|next| next.conn == batch[0].conn) {
            batch.extend(queue.pop_front());
        }
        let text = batch.iter().map(|input| input.text.as_str()).collect::<Vec<_>>().join("\n");
        self.broadcast(place, &echo(&batch[0].client_id, &text));
        self.tell_queue(place, &[]);
        self.begin(place, batch.clone(), true);
        self.tell_dequeued(place, &batch);
    }

    pub(super) fn drop_queued(&mut self, place: &str, gone: impl Fn(&Input) -> bool) {
        let queue = &mut self.place(place).queue;
        let (dropped, kept) = std::mem::take(queue).into_iter().partition::<Vec<_>, _>(gone);
        *queue = kept.into();
        if dropped.is_empty() {
            return;
        }
        for input in &dropped {
            *self.ledger.dropped.entry(tag_of(&input.text).to_owned()).or_default() += 1;
        }
        let removed: Vec<_> =
            dropped.iter().map(|input| (input.client_id.as_str(), "cancelled")).collect();
        self.tell_queue(place, &[]);
        if self.generation.acks {
            self.tell_queue(place, &removed);
        }
    }

    /// The marks of an abort, before its answer (section 15).
    pub(super) fn interrupt(&mut self, place: &str) {
        self.tell_status(place, IDLE);
        let run = self.place(place).turn.as_ref().and_then(|turn| turn.run.clone());
        self.store_partial(place);
        let body = json!({ "message": "Interrupted", "level": "warning" });
        self.broadcast(place, &delta("status", run.as_deref(), body));
        self.place(place).interrupted = true;
    }

    /// What a turn has said of a run that does not come to its end is stored without a mark.
    fn store_partial(&mut self, place: &str) {
        let Some(turn) = self.place(place).turn.as_ref() else { return };
        let (record, saying) = (turn.record, matches!(turn.step, Step::Say | Step::EndRun));
        let text = self.ledger.turns[record].runs.last().map(|run| run.text.clone());
        if let Some(text) = text.filter(|text| saying && !text.is_empty()) {
            self.store("assistant_message", place, &[&text], None);
        }
    }

    /// The turn is over, and its end is told.
    pub(super) fn finish(&mut self, place: &str, end: End, reason: &str, error: Option<&str>) {
        let Some(turn) = self.place(place).turn.take() else { return };
        self.ledger.turns[turn.record].end = end;
        self.tell_device(place);
        if self.generation.acks {
            let mut frame = json!({
                "type": "turn_finished", "turn_id": turn.turn_id, "stop_reason": reason,
            });
            if let Some(run) = &turn.run {
                frame["run_id"] = run.as_str().into();
            }
            if let Some(error) = error {
                frame["error"] = error.into();
            }
            self.broadcast(place, &frame);
        }
        self.tell_device(place);
        if let Some(error) = error {
            let body = json!({ "message": error, "stop_reason": reason, "is_terminal": true });
            self.broadcast(place, &delta("loop_error", turn.run.as_deref(), body));
        }
        let queued = turn.turn_id.strip_prefix("batch-direct-").is_none();
        let cleaning = self.dice.millis(0, self.cleaning);
        self.place(place).cleaning_until = Some(self.now + cleaning);
        if queued && self.generation.acks && self.place(place).queue.is_empty() {
            // The closing frames of a queued turn come after the clean-up (section 10).
            self.place(place).cleaning_until = None;
            self.tell_queue(place, &[]);
            self.tell_status(place, IDLE);
        }
        self.wake(place, cleaning);
    }

    /// A conversation that nobody listens to any more: its turn is cancelled, and nobody gets its end.
    pub(super) fn tear_down(&mut self, place: &str, end: End) {
        self.store_partial(place);
        self.drop_queued(place, |_| true);
        let cleaning = self.dice.millis(0, self.cleaning);
        let until = self.now + cleaning;
        let conversation = self.place(place);
        conversation.status = IDLE;
        if let Some(turn) = conversation.turn.take() {
            conversation.cleaning_until = Some(until);
            self.ledger.turns[turn.record].end = end;
        }
    }
}
