//! Turns that the server has merged into one run: it can be aborted as a whole only, so one that is given up ends by
//! itself, and the last of them aborts the run (PROTOCOL.md sections 10 and 15).

mod support;

use std::time::Duration;

use letta_app_client::engine::Command;
use letta_app_client::{ErrorKind, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::{End, Lab};

/// A queue snapshot of these inputs, and how others left the queue.
fn queue(lab: &mut Lab, waiting: &[&str], left: &[(&str, &str)]) {
    let item = |id: &&str| json!({ "id": format!("q-{id}"), "client_message_id": id });
    let gone = |(id, how): &(&str, &str)| json!({ "client_message_id": id, "disposition": how });
    let queue: Vec<Value> = waiting.iter().map(item).collect();
    let removed: Vec<Value> = left.iter().map(gone).collect();
    lab.event("update_queue", json!({ "queue": queue, "removed": removed }));
}

fn echo(lab: &mut Lab, id: &str) {
    lab.delta(json!({ "message_type": "user_message", "otid": id }));
}

/// Two inputs wait in the queue behind somebody else's turn, which has just ended.
fn two_in_the_queue(options: TurnOptions) -> Lab {
    let mut lab = Lab::new();
    lab.run("other", &["elsewhere"]);
    lab.turn(1, "m1", options);
    lab.accept(1, "queued");
    queue(&mut lab, &["m1"], &[]);
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    queue(&mut lab, &["m1", "m2"], &[]);
    assert_eq!(lab.sent_kinds(), ["input", "input"]);
    lab
}

/// They leave it together, as in `single/queued_two_coalesced`.
fn leave_together(lab: &mut Lab) {
    lab.finished(Some("other"), "end_turn");
    echo(lab, "m1");
    queue(lab, &[], &[]);
    lab.status("WAITING_ON_INPUT");
    lab.status("SENDING_API_REQUEST");
    queue(lab, &[], &[("m1", "dequeued"), ("m2", "dequeued")]);
}

fn merged(options: TurnOptions) -> Lab {
    let mut lab = two_in_the_queue(options);
    leave_together(&mut lab);
    lab.run("r1", &["m1", "m2"]);
    lab.says("r1", "both ");
    lab
}

/// The second turn goes on, and has all of the answer.
fn second_completes(lab: &mut Lab) {
    lab.run("r1", &["m1", "m2"]);
    lab.says("r1", "answered");
    lab.finished(Some("r1"), "end_turn");
    let (token, end) = lab.one_end();
    let result = end.turn();
    assert_eq!((token, result.status), (2, Some(TurnStatus::Completed)));
    assert!(result.text.ends_with("answered"), "{}", result.text);
    assert_eq!(result.merged_with, ["m1"]);
}

fn uses(lab: &mut Lab, run: &str, tokens: u64) {
    lab.delta(json!({
        "message_type": "usage_statistics", "run_id": run, "total_tokens": tokens, "step_count": 1,
    }));
}

/// What each turn has used, and what of that counts as its own.
fn used(lab: &mut Lab) -> Vec<(u64, u64, Option<u64>)> {
    let of = |(token, end): (u64, End)| {
        let result = end.turn();
        (token, result.usage.total_tokens, result.own_usage.map(|own| own.total_tokens))
    };
    lab.ended().into_iter().map(of).collect()
}

#[test]
fn what_a_shared_run_used_is_counted_once() {
    let mut lab = merged(TurnOptions::default());
    uses(&mut lab, "r1", 26);
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(used(&mut lab), [(1, 26, None), (2, 26, Some(0))]);
}

#[test]
fn one_that_joins_a_turn_adds_nothing_to_it() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    uses(&mut lab, "r1", 10);
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    queue(&mut lab, &["m2"], &[]);
    // As in `single/queued_during_tool_merged`.
    echo(&mut lab, "m2");
    queue(&mut lab, &[], &[("m2", "dequeued")]);
    lab.run("r2", &["m1", "m2"]);
    uses(&mut lab, "r2", 5);
    lab.finished(Some("r2"), "end_turn");
    assert_eq!(used(&mut lab), [(1, 15, None), (2, 5, Some(0))]);
}

#[test]
fn one_that_is_given_up_before_anything_is_counted_takes_nothing_from_the_other() {
    let mut lab = merged(TurnOptions::default());
    lab.command(Command::Abort { token: 1 });
    assert_eq!(used(&mut lab), [(1, 0, None)]);
    uses(&mut lab, "r1", 26);
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(used(&mut lab), [(2, 26, None)]);
}

#[test]
fn what_a_shared_run_used_is_counted_once_where_the_connection_is_lost() {
    let mut lab = merged(TurnOptions { recover_timeout: Duration::ZERO, ..TurnOptions::default() });
    uses(&mut lab, "r1", 26);
    lab.lose();
    let used: Vec<_> = lab
        .ended()
        .into_iter()
        .map(|(token, end)| {
            let result = end.error().result().expect("what is known").clone();
            (token, result.usage.total_tokens, result.own_usage.map(|own| own.total_tokens))
        })
        .collect();
    assert_eq!(used, [(1, 26, None), (2, 26, Some(0))]);
}

#[test]
fn one_that_is_aborted_leaves_the_answer_to_the_other() {
    let mut lab = merged(TurnOptions::default());
    lab.command(Command::Abort { token: 1 });
    assert!(lab.sent().is_empty(), "an abort would end both");
    let (token, end) = lab.one_end();
    let result = end.turn();
    assert_eq!((token, result.status), (1, Some(TurnStatus::Aborted)));
    assert_eq!((&*result.text, &*result.merged_with), ("both ", &["m2".to_owned()][..]));
    second_completes(&mut lab);
}

#[test]
fn the_last_that_is_given_up_aborts_the_run() {
    let mut lab = merged(TurnOptions::default());
    lab.command(Command::Cancel { token: 2 });
    assert!(lab.sent().is_empty());
    lab.command(Command::Abort { token: 1 });
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.finished(Some("r1"), "cancelled");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Aborted));
}

#[test]
fn a_limit_of_one_is_its_own() {
    let timeout = Some(Duration::from_secs(5));
    let mut lab = merged(TurnOptions { timeout, ..TurnOptions::default() });
    lab.pass(5.1);
    assert!(lab.sent().is_empty());
    let (token, end) = lab.one_end();
    let error = end.error();
    assert_eq!((token, error.kind()), (1, ErrorKind::TurnTimeout));
    assert_eq!(error.result().map(|result| &*result.text), Some("both "));
    second_completes(&mut lab);
}

#[test]
fn one_that_was_detached_goes_on() {
    let mut lab = merged(TurnOptions::default());
    lab.command(Command::Detach { token: 2 });
    lab.command(Command::Cancel { token: 1 });
    assert!(lab.sent().is_empty() && lab.ended().is_empty());
}

#[test]
fn before_the_run_has_a_name_it_is_shared_as_well() {
    let mut lab = two_in_the_queue(TurnOptions::default());
    leave_together(&mut lab);
    lab.command(Command::Cancel { token: 1 });
    assert!(lab.sent().is_empty());
    second_completes(&mut lab);
}

#[test]
fn a_removal_that_comes_too_late_does_not_become_an_abort_of_both() {
    for (given_up, stays) in [(1, 2), (2, 1)] {
        let mut lab = two_in_the_queue(TurnOptions::default());
        lab.command(Command::Abort { token: given_up });
        assert_eq!(lab.sent_kinds(), ["remove_queue_item"]);
        leave_together(&mut lab);
        assert!(lab.sent().is_empty(), "the echo names the first alone, but both run");
        assert!(!lab.engine.has_unsent());
        let (token, end) = lab.one_end();
        assert_eq!((token, end.turn().status), (given_up, Some(TurnStatus::Aborted)));
        lab.run("r1", &["m1", "m2"]);
        lab.finished(Some("r1"), "end_turn");
        let (token, end) = lab.one_end();
        assert_eq!((token, end.turn().status), (stays, Some(TurnStatus::Completed)));
    }
}

#[test]
fn a_removal_that_comes_too_late_aborts_a_turn_that_is_not_shared() {
    let mut lab = two_in_the_queue(TurnOptions::default());
    lab.command(Command::Abort { token: 1 });
    lab.finished(Some("other"), "end_turn");
    lab.sent();
    echo(&mut lab, "m1");
    assert!(lab.sent().is_empty(), "the second may have left with it");
    assert!(lab.engine.has_unsent(), "a close waits a moment for it");
    queue(&mut lab, &["m2"], &[]);
    assert_eq!(lab.sent_kinds(), ["abort_message"], "it has not");
    lab.finished(None, "cancelled");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Aborted));
}

#[test]
fn what_is_never_said_of_the_other_holds_nobody_up() {
    let mut lab = two_in_the_queue(TurnOptions::default());
    lab.command(Command::Abort { token: 1 });
    echo(&mut lab, "m1");
    lab.sent();
    lab.pass(2.1);
    assert_eq!(lab.one_end().0, 1, "its grace is over");
    queue(&mut lab, &["m2"], &[]);
    assert_eq!(lab.sent_kinds(), ["abort_message"], "it is stopped all the same");
}

#[test]
fn two_that_are_given_up_in_the_queue_are_aborted_once() {
    let mut lab = two_in_the_queue(TurnOptions::default());
    lab.command(Command::Cancel { token: 1 });
    lab.command(Command::Cancel { token: 2 });
    assert_eq!(lab.sent_kinds(), ["remove_queue_item", "remove_queue_item"]);
    leave_together(&mut lab);
    assert_eq!(lab.sent_kinds(), ["abort_message"], "a second one might hit the next turn");
}

/// One turn runs, and the next one is in the queue.
fn one_behind_another() -> Lab {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    queue(&mut lab, &["m2"], &[]);
    lab.sent();
    lab
}

#[test]
fn an_input_that_joins_a_running_turn_keeps_it_running() {
    let mut lab = one_behind_another();
    // Handed to the model with what a tool has returned.
    echo(&mut lab, "m2");
    queue(&mut lab, &[], &[("m2", "dequeued")]);
    lab.command(Command::Abort { token: 1 });
    assert!(lab.sent().is_empty());
    assert_eq!(lab.one_end().0, 1);
    lab.run("r2", &["m1", "m2"]);
    lab.says("r2", "answered");
    lab.finished(Some("r2"), "end_turn");
    let (token, end) = lab.one_end();
    assert_eq!((token, end.turn().status), (2, Some(TurnStatus::Completed)));
}

#[test]
fn a_turn_with_another_waiting_behind_it_is_aborted_as_ever() {
    let mut lab = one_behind_another();
    lab.command(Command::Abort { token: 1 });
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}

#[test]
fn a_turn_that_has_ended_but_for_its_error_is_no_reason_to_let_the_next_one_run() {
    let mut lab = Lab::new();
    lab.turn(1, "first", TurnOptions::default());
    lab.status("SENDING_API_REQUEST");
    lab.says("r1", "text");
    lab.turn(2, "second", TurnOptions::default());
    queue(&mut lab, &["second"], &[]);
    lab.sent();
    lab.command(Command::Abort { token: 2 });
    // The error's text may still come (section 17).
    lab.delta(
        json!({ "message_type": "stop_reason", "run_id": "r1", "stop_reason": "llm_api_error" }),
    );
    lab.status("WAITING_ON_INPUT");
    assert!(lab.ended().is_empty());
    lab.sent();
    echo(&mut lab, "second");
    lab.status("SENDING_API_REQUEST");
    lab.event("update_queue", json!({ "queue": [] }));
    lab.says("r2", "more");
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}
