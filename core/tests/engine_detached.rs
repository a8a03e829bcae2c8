//! Turns that nobody waits for any more go on: what they ask for is decided, they keep their place, and their inputs
//! are sent (PROTOCOL.md sections 13, 17.2 and 18).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Delivery, Reconnect, Token};
use letta_app_client::{Approvals, Error, ErrorKind, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::Lab;

fn options(approvals: Approvals) -> TurnOptions {
    TurnOptions { approvals: Some(approvals), ..TurnOptions::default() }
}

/// A turn that was detached as soon as it ran, and calls a tool that wants a permission.
fn asking(options: TurnOptions) -> Lab {
    let mut lab = Lab::new();
    lab.turn(1, "m1", options);
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.command(Command::Detach { token: 1 });
    assert_eq!(lab.sent_kinds(), ["input"]);
    let call = json!({ "tool_call_id": "c", "name": "Bash", "arguments": "{}" });
    lab.delta(json!({
        "message_type": "approval_request_message", "run_id": "r1", "tool_call": call,
    }));
    lab.run_at("WAITING_ON_APPROVAL", "r1", &["m1"]);
    let request = json!({ "subtype": "can_use_tool", "tool_name": "Bash", "tool_call_id": "c" });
    lab.event("control_request", json!({ "request_id": "perm-c", "request": request }));
    lab
}

fn behavior(sent: &[Value]) -> &Value {
    &sent[0]["payload"]["decision"]["behavior"]
}

fn asked(lab: &mut Lab) -> Vec<Token> {
    let told = std::iter::from_fn(|| lab.engine.poll_delivery());
    let asked = told.filter_map(|delivery| match delivery {
        Delivery::Approval { token, .. } => Some(token),
        Delivery::Turn { token, .. } | Delivery::Failed { token, .. } => {
            assert_ne!(token, 1, "nobody waits for it");
            None
        }
        _ => None,
    });
    asked.collect()
}

#[test]
fn its_questions_are_decided() {
    for denying in [Approvals::Deny, Approvals::AskOrDeny] {
        let mut lab = asking(options(denying));
        assert_eq!(behavior(&lab.sent()), "deny");
    }
    let allow = vec!["Bash".to_owned()];
    let mut lab = asking(TurnOptions { allow, ..options(Approvals::Deny) });
    assert_eq!(behavior(&lab.sent()), "allow");
    lab.finished(Some("r1"), "end_turn");
    assert!(lab.ended().is_empty());
}

#[test]
fn what_its_own_handler_would_decide_is_decided_as_the_next_input_says() {
    let mut lab = asking(options(Approvals::Ask));
    assert!(lab.sent().is_empty() && asked(&mut lab).is_empty());
    lab.turn(2, "m2", options(Approvals::Ask));
    lab.accept(2, "queued");
    let item = json!({ "id": "q-1", "client_message_id": "m2", "kind": "message" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    assert_eq!(asked(&mut lab), [2]);
}

#[test]
fn the_next_input_waits_for_the_servers_word_on_it() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.command(Command::Detach { token: 1 });
    lab.turn(2, "m2", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"], "two would start at once");
    lab.accept(1, "started");
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn it_has_no_limits_and_tells_nothing() {
    let limit = Some(Duration::from_secs(5));
    let mut lab = Lab::new();
    lab.turn(
        1,
        "m1",
        TurnOptions { timeout: limit, idle_timeout: limit, ..TurnOptions::default() },
    );
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.sent();
    lab.command(Command::Detach { token: 1 });
    lab.pass(100_000.0);
    lab.says("r1", "late");
    lab.finished(Some("r1"), "error");
    assert!(lab.sent().is_empty() && lab.ended().is_empty());
    assert!(lab.engine.report(lab.now, 1).is_none());
}

#[test]
fn an_input_that_had_not_left_is_sent_on_the_next_connection() {
    let base = Duration::from_millis(250);
    let mut lab = Lab::reconnecting(Reconnect { max_attempts: None, base, cap: base });
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.finished(Some("r1"), "end_turn");
    lab.ended();
    // In the pause after it.
    lab.turn(2, "m2", TurnOptions::default());
    lab.command(Command::Detach { token: 2 });
    assert!(lab.engine.has_unsent());
    lab.sent();
    lab.come_back(|lab| lab.status("WAITING_ON_INPUT"));
    let list = lab.sent().remove(0);
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": true, "messages": [], "has_more": false,
    }));
    lab.pass(1.0);
    let sent = lab.sent();
    assert_eq!((&sent[0]["type"], &sent[0]["id"]), (&"input".into(), &"m2".into()));
    lab.accept(2, "started");
    lab.run("r2", &["m2"]);
    lab.finished(Some("r2"), "end_turn");
    assert!(lab.ended().is_empty(), "nobody waits for it");
}

#[test]
fn what_never_leaves_is_counted() {
    let after_a_turn = |rules| {
        let mut lab = Lab::reconnecting(rules);
        lab.turn(1, "m1", TurnOptions::default());
        lab.accept(1, "started");
        lab.run("r1", &["m1"]);
        lab.finished(Some("r1"), "end_turn");
        lab.status("WAITING_ON_INPUT");
        lab.turn(2, "m2", TurnOptions::default());
        lab.command(Command::Detach { token: 2 });
        let text = r#"{"type":"input"}"#.into();
        let runtime = Some(("a".to_owned(), "c".to_owned()));
        lab.command(Command::Send { text, runtime, settles: true });
        assert!(lab.engine.has_unawaited());
        lab.sent();
        lab
    };
    let base = Duration::from_millis(250);
    let once = Reconnect { max_attempts: Some(1), base, cap: base };
    let mut lab = after_a_turn(once);
    lab.engine.handle_connection_lost(lab.now, &Error::new(ErrorKind::Closed, "closed"));
    assert_eq!(lab.engine.counters().unsent, 2, "closed");
    let mut lab = after_a_turn(once);
    lab.lose();
    assert_eq!(lab.engine.counters().unsent, 0, "they leave on the next connection");
    lab.engine.handle_connect_failed(lab.now, &Error::new(ErrorKind::ConnectionFailed, "no"));
    assert_eq!(lab.engine.counters().unsent, 2, "given up");
    // A close that ends the pause has them leave, one after the word on the other.
    let mut lab = after_a_turn(once);
    lab.engine.end_pauses(lab.now);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.accept(2, "started");
    lab.run("r2", &["m2"]);
    assert_eq!(lab.sent_kinds(), ["input"]);
    assert!(!lab.engine.has_unawaited());
}

/// A turn on a lost runtime, as recorded in `single/race_after_finish_abort`, of a server that does not say what its
/// runs answer.
fn astray() -> Lab {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.status("WAITING_ON_INPUT");
    lab.says("r1", "one ");
    lab.sent();
    lab
}

#[test]
fn no_input_is_sent_beside_a_turn_that_the_server_has_lost_sight_of() {
    let mut lab = astray();
    lab.turn(2, "m2", TurnOptions::default());
    lab.pass(5.0);
    assert!(lab.sent().is_empty(), "the server would start it beside the other");
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "one ");
    lab.pass(5.0);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn a_turn_that_no_abort_reaches_is_not_told_as_aborted() {
    let mut lab = astray();
    lab.command(Command::Abort { token: 1 });
    let sent = lab.sent();
    assert_eq!(sent[0]["type"], "abort_message");
    lab.receive(&json!({
        "type": "abort_message_response", "request_id": sent[0]["request_id"],
        "runtime": support::runtime(), "aborted": false, "success": true,
    }));
    lab.pass(2.1);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    let result = error.result().cloned().unwrap_or_default();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Disconnected), "one "));
    // It still runs there.
    lab.turn(2, "m2", TurnOptions::default());
    lab.says("r1", "two");
    lab.pass(5.0);
    assert!(lab.sent().is_empty() && lab.ended().is_empty());
    lab.finished(Some("r1"), "end_turn");
    lab.pass(5.0);
    assert_eq!(lab.sent_kinds(), ["input"]);
    assert!(lab.ended().is_empty());
}

#[test]
fn a_permission_that_is_wanted_while_nothing_runs_cannot_be_given() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", options(Approvals::Ask));
    lab.accept(1, "started");
    // The server has left out the statuses before this one.
    lab.run_at("WAITING_ON_INPUT", "r1", &["m1"]);
    let call = json!({ "tool_call_id": "c", "name": "Bash", "arguments": "{}" });
    lab.delta(json!({
        "message_type": "approval_request_message", "run_id": "r1", "tool_call": call,
    }));
    let request = json!({ "subtype": "can_use_tool", "tool_name": "Bash", "tool_call_id": "c" });
    lab.event("control_request", json!({ "request_id": "perm-c", "request": request }));
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
}
