//! Servers that do not say which input a turn answers (PROTOCOL.md section 17.3): what a turn does that
//! nobody waits for any more is not taken for a later one's. Found by the simulated network.

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, TurnOptions};
use letta_app_client::{Approvals, ErrorKind, TurnStatus};
use serde_json::{Value, json};
use support::Lab;

fn interrupted(lab: &mut Lab, run: &str) {
    let mark = json!({ "message_type": "status", "message": "Interrupted", "run_id": run });
    lab.delta(mark);
}

fn stopped(lab: &mut Lab, run: &str) {
    lab.delta(json!({ "message_type": "stop_reason", "stop_reason": "end_turn", "run_id": run }));
    lab.status("WAITING_ON_INPUT");
}

fn queue(lab: &mut Lab, ids: &[&str]) {
    let items = ids.iter().map(|id| json!({ "id": format!("q-{id}"), "client_message_id": id }));
    lab.event("update_queue", json!({ "queue": items.collect::<Value>() }));
}

/// A turn of another input, from its first status to its end.
fn whole_turn(lab: &mut Lab, run: &str, text: &str) {
    lab.status("SENDING_API_REQUEST");
    lab.says(run, text);
    stopped(lab, run);
}

fn limited(seconds: u64) -> TurnOptions {
    TurnOptions { timeout: Some(Duration::from_secs(seconds)), ..TurnOptions::default() }
}

#[test]
fn the_mark_of_an_abort_does_not_end_the_input_behind_it() {
    let mut lab = Lab::new();
    lab.turn(1, "a", TurnOptions::default());
    lab.status("SENDING_API_REQUEST");
    lab.says("run-1", "one");
    lab.command(Command::Cancel { token: 1 });
    lab.turn(2, "b", TurnOptions::default());
    lab.status("WAITING_ON_INPUT");
    interrupted(&mut lab, "run-1");
    assert!(lab.ended().is_empty(), "it has not even begun");
    queue(&mut lab, &["b"]);
    lab.delta(json!({ "message_type": "user_message", "otid": "b", "content": "x" }));
    queue(&mut lab, &[]);
    whole_turn(&mut lab, "run-2", "two");
    let result = lab.one_end().1.turn();
    assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Completed), "two"));
}

#[test]
fn a_queued_input_that_was_given_up_and_starts_is_not_the_next_one() {
    let mut lab = Lab::new();
    lab.turn(1, "a", TurnOptions::default());
    lab.status("SENDING_API_REQUEST");
    lab.says("run-1", "one");
    lab.turn(2, "b", limited(5));
    queue(&mut lab, &["b"]);
    lab.pass(8.0);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnTimeout);
    lab.turn(3, "c", TurnOptions::default());
    stopped(&mut lab, "run-1");
    assert_eq!(lab.one_end().1.turn().text, "one");
    lab.delta(json!({ "message_type": "user_message", "otid": "b", "content": "x" }));
    queue(&mut lab, &[]);
    whole_turn(&mut lab, "run-2", "two");
    assert!(lab.ended().is_empty(), "that was the answer to b");
    whole_turn(&mut lab, "run-3", "three");
    let (token, end) = lab.one_end();
    assert_eq!((token, end.turn().text.as_str()), (3, "three"));
}

#[test]
fn an_input_without_a_sign_may_still_be_answered_when_the_silence_is_over() {
    let mut lab = Lab::new();
    lab.status("WAITING_ON_INPUT");
    lab.turn(1, "a", TurnOptions::default());
    lab.pass(31.0);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
    lab.turn(2, "b", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input", "input"], "it does not wait for the lost one");
    whole_turn(&mut lab, "run-1", "one");
    assert!(lab.ended().is_empty(), "that was the answer to a");
    whole_turn(&mut lab, "run-2", "two");
    assert_eq!(lab.one_end().1.turn().text, "two");
}

#[test]
fn what_it_asks_is_denied_where_nobody_was_to_be_asked() {
    let mut lab = Lab::new();
    lab.status("WAITING_ON_INPUT");
    let denying = TurnOptions { approvals: Some(Approvals::Deny), ..TurnOptions::default() };
    lab.turn(1, "a", denying);
    lab.pass(31.0);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
    lab.turn(2, "b", TurnOptions::default());
    lab.sent();
    lab.status("SENDING_API_REQUEST");
    let call = json!({ "tool_call_id": "call-1", "name": "Bash", "arguments": "{}" });
    let message_type = "approval_request_message";
    lab.delta(json!({ "message_type": message_type, "tool_call": call, "run_id": "run-1" }));
    let request =
        json!({ "subtype": "can_use_tool", "tool_name": "Bash", "tool_call_id": "call-1" });
    lab.event("control_request", json!({ "request_id": "perm-1", "request": request }));
    let sent = lab.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0]["payload"]["request_id"], "perm-1");
    assert_eq!(sent[0]["payload"]["decision"]["behavior"], "deny");
    stopped(&mut lab, "run-1");
    whole_turn(&mut lab, "run-2", "two");
    assert_eq!(lab.one_end().1.turn().text, "two");
}

#[test]
fn an_input_that_the_server_never_got_is_forgotten() {
    let mut lab = Lab::new();
    lab.status("WAITING_ON_INPUT");
    lab.turn(1, "a", TurnOptions::default());
    lab.pass(31.0);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
    lab.status("WAITING_ON_INPUT");
    lab.pass(31.0);
    lab.status("WAITING_ON_INPUT");
    lab.turn(2, "b", TurnOptions::default());
    whole_turn(&mut lab, "run-1", "one");
    assert_eq!(lab.one_end().1.turn().text, "one");
}

#[test]
fn an_event_that_comes_twice_counts_once() {
    let mut lab = Lab::new();
    lab.turn(1, "a", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("run-1", &["a"]);
    let piece = json!({
        "type": "stream_delta", "runtime": support::runtime(), "event_seq": 77,
        "delta": { "message_type": "assistant_message", "run_id": "run-1", "content": "once" },
        "idempotency_key": "stream_delta:77:4a1c0dcd-0b68-4b92-a1b6-6b2f41e0d3c5",
    });
    lab.receive(&piece);
    lab.receive(&piece);
    lab.finished(Some("run-1"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "once");
    assert_eq!(lab.engine.counters().repeated, 1);
}

#[test]
fn a_turn_that_goes_on_from_before_the_loss_is_not_the_next_input() {
    let mut lab = Lab::new();
    lab.turn(1, "a", TurnOptions::default());
    // The first status of the connection: what it is at work on was sent over the one before.
    lab.status("PROCESSING_API_RESPONSE");
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
    lab.says("run-1", "old");
    lab.finished(Some("run-1"), "end_turn");
    assert!(lab.ended().is_empty(), "the server has not even taken it");
    lab.accept(1, "started");
    lab.status("SENDING_API_REQUEST");
    lab.says("run-2", "new");
    lab.finished(Some("run-2"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "new");
}

#[test]
fn an_input_behind_one_that_has_just_left_the_queue_is_not_answered_with_it() {
    let mut lab = Lab::new();
    lab.turn(1, "a", TurnOptions::default());
    lab.status("SENDING_API_REQUEST");
    lab.says("run-1", "one");
    lab.turn(2, "b", TurnOptions::default());
    queue(&mut lab, &["b"]);
    stopped(&mut lab, "run-1");
    assert_eq!(lab.one_end().1.turn().text, "one");
    lab.delta(json!({ "message_type": "user_message", "otid": "b", "content": "x" }));
    lab.pass(1.0);
    lab.turn(3, "c", TurnOptions::default());
    queue(&mut lab, &[]);
    whole_turn(&mut lab, "run-2", "two");
    let (token, end) = lab.one_end();
    assert_eq!((token, end.turn().text.as_str()), (2, "two"));
    lab.pass(1.0);
    whole_turn(&mut lab, "run-3", "three");
    let (token, end) = lab.one_end();
    assert_eq!((token, end.turn().text.as_str()), (3, "three"));
}
