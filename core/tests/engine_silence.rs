//! What a turn's silence counts against, and how a turn that is under way stands.

mod support;

use letta_app_client::engine::Command;
use letta_app_client::{Approvals, ErrorKind, InputDelivery, TurnOptions, TurnPhase};
use serde_json::json;
use std::time::Duration;
use support::Lab;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn running(options: TurnOptions) -> Lab {
    let mut lab = Lab::new();
    lab.turn(1, "m1", options);
    lab.accept(1, "started");
    lab.status("SENDING_API_REQUEST");
    lab.run("r1", &["m1"]);
    lab.ended();
    lab.sent();
    lab
}

fn ask(lab: &mut Lab) {
    let request = json!({ "subtype": "can_use_tool", "tool_name": "Write", "tool_call_id": "c1" });
    lab.event("control_request", json!({ "request_id": "p1", "request": request }));
}

/// The error of a turn that was told to stop and did not.
fn limit_error(lab: &mut Lab) -> (ErrorKind, String) {
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.pass(2.1);
    let error = lab.one_end().1.error();
    (error.kind(), error.message().to_owned())
}

#[test]
fn a_tool_has_a_limit_of_its_own() {
    let mut lab =
        running(TurnOptions { tool_timeout: Some(seconds(3600)), ..TurnOptions::default() });
    lab.status("EXECUTING_CLIENT_SIDE_TOOL");
    lab.pass(3000.0);
    lab.delta(json!({
        "message_type": "tool_return_message", "id": "synthetic-tool-return-stream-c1", "run_id": "r1",
        "tool_call_id": "c1", "tool_return": "still here",
    }));
    lab.pass(3599.0);
    assert!(lab.sent().is_empty(), "output restarts the clock");
    lab.pass(1.1);
    let (kind, message) = limit_error(&mut lab);
    assert_eq!(kind, ErrorKind::TurnIdleTimeout);
    assert!(message.contains("3600 s") && message.contains("tool"), "{message}");
}

#[test]
fn the_idle_limit_counts_from_the_end_of_the_tool() {
    let mut lab = running(TurnOptions::default());
    lab.status("EXECUTING_CLIENT_SIDE_TOOL");
    lab.pass(1000.0);
    lab.status("SENDING_API_REQUEST");
    lab.pass(599.0);
    assert!(lab.sent().is_empty());
    lab.pass(1.1);
    assert!(limit_error(&mut lab).1.contains("600 s"));
}

#[test]
fn a_person_may_take_any_time_unless_it_is_limited() {
    let wait = TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() };
    let mut lab = running(wait.clone());
    ask(&mut lab);
    lab.pass(1_000_000.0);
    assert!(lab.sent().is_empty() && lab.ended().is_empty());

    let mut lab = running(TurnOptions { approval_timeout: Some(seconds(60)), ..wait });
    ask(&mut lab);
    lab.pass(59.0);
    assert!(lab.sent().is_empty());
    lab.pass(1.1);
    let (kind, message) = limit_error(&mut lab);
    assert_eq!(kind, ErrorKind::TurnIdleTimeout);
    assert!(message.contains("permission"), "{message}");
}

#[test]
fn an_approval_status_without_a_question_is_a_tool() {
    // Newer servers say so of calls that they approve themselves.
    let mut lab =
        running(TurnOptions { tool_timeout: Some(seconds(100)), ..TurnOptions::default() });
    lab.status("WAITING_ON_APPROVAL");
    lab.pass(100.1);
    assert!(limit_error(&mut lab).1.contains("tool"));
}

#[test]
fn without_any_limit_nothing_ends_a_silent_turn() {
    let none = TurnOptions { idle_timeout: None, tool_timeout: None, ..TurnOptions::default() };
    let mut lab = running(none);
    lab.pass(1_000_000.0);
    lab.status("EXECUTING_CLIENT_SIDE_TOOL");
    lab.pass(1_000_000.0);
    assert!(lab.ended().is_empty());
    // With one for tools alone, the model may still be silent for ever.
    let tools = TurnOptions { idle_timeout: None, ..TurnOptions::default() };
    let mut lab = running(tools);
    lab.pass(10_000.0);
    assert!(lab.ended().is_empty());
    lab.status("EXECUTING_CLIENT_SIDE_TOOL");
    lab.pass(3600.1);
    assert!(limit_error(&mut lab).1.contains("tool"));
}

#[test]
fn a_turn_can_be_asked_how_it_stands() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() });
    let report = |lab: &Lab| lab.engine.report(lab.now, 1).expect("it is open");
    assert_eq!(report(&lab).phase, TurnPhase::Sent);
    assert_eq!(report(&lab).to_string(), "sent 0 s; no event yet; approval none; queue 0");
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    let call = json!({
        "tool_call_id": "c1", "name": "Bash",
        "arguments": "{\"description\":\"tests\",\"command\":\"npm test\"}",
    });
    lab.delta(json!({
        "message_type": "approval_request_message", "run_id": "r1", "tool_call": call,
    }));
    lab.pass(53.0);
    ask(&mut lab);
    assert_eq!(
        report(&lab).to_string(),
        "running 53 s; last event 0 s ago: Write needs permission; approval Write; queue 0"
    );
    lab.event(
        "update_device_status",
        json!({ "device_status": { "pending_control_requests": [] } }),
    );
    lab.event("update_queue", json!({ "queue": [{ "id": "q", "client_message_id": "x" }] }));
    lab.delta(json!({
        "message_type": "client_tool_start", "run_id": "r1", "tool_call_id": "c1",
        "tool_name": "Bash",
    }));
    lab.pass(41.0);
    assert_eq!(
        report(&lab).to_string(),
        "running 94 s; last event 41 s ago: Bash started, `npm test`; approval none; queue 1"
    );
    lab.command(Command::Abort { token: 1 });
    assert_eq!(report(&lab).phase, TurnPhase::Stopping);
    lab.finished(Some("r1"), "cancelled");
    assert!(lab.engine.report(lab.now, 1).is_none(), "it is over");
}

#[test]
fn what_a_subagent_says_is_no_silence() {
    let limit = TurnOptions { tool_timeout: Some(seconds(60)), ..TurnOptions::default() };
    let mut lab = running(limit);
    lab.status("EXECUTING_CLIENT_SIDE_TOOL");
    for _ in 0..10 {
        lab.pass(30.0);
        let delta =
            json!({ "message_type": "assistant_message", "run_id": "r1", "content": "deep" });
        lab.event("stream_delta", json!({ "subagent_id": "s", "delta": delta }));
    }
    assert!(lab.sent().is_empty(), "five minutes, never silent for one");
    lab.pass(61.0);
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}

#[test]
fn a_server_that_shows_no_sign_of_the_input_is_not_waited_for() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.pass(30.1);
    let error = lab.one_end().1.error();
    // It may run all the same: no request that may be repeated.
    assert_eq!((error.kind(), error.kind().retryable()), (ErrorKind::TurnInterrupted, false));
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
    assert!(error.message().contains("no sign of the input within 30 s"), "{error}");
}
