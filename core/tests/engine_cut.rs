//! What ends the search for a turn whose connection was lost, and what its caller can still do (PROTOCOL.md
//! sections 10 and 16).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Reconnect};
use letta_app_client::{ErrorKind, InputDelivery, Resend, TurnOptions, TurnResult, TurnStatus};
use serde_json::{Value, json};
use support::{End, Lab, runtime};

fn resending() -> TurnOptions {
    TurnOptions { resend: Some(Resend::IfUncommitted), ..TurnOptions::default() }
}

fn message(id: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": "Go", "client_message_id": id }] })
}

fn user(id: &str) -> Value {
    json!({ "id": format!("ui-{id}"), "message_type": "user_message", "content": "Go", "otid": id })
}

fn assistant(text: &str) -> Value {
    json!({ "id": "ui-answer", "message_type": "assistant_message", "content": text, "run_id": "r1" })
}

/// A turn that runs.
fn running(options: TurnOptions) -> Lab {
    let mut lab = Lab::reconnecting(Reconnect::default());
    lab.turn_with(1, "m1", message("m1"), options);
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.says("r1", "x");
    lab.sent();
    lab
}

/// Answers what the engine asks for, for so long: the state is told by `state`, and so much is stored, newest
/// first. Gives the inputs that were sent.
fn serve(lab: &mut Lab, seconds: f64, state: impl Fn(&mut Lab), stored: &[Value]) -> Vec<Value> {
    let mut inputs = Vec::new();
    let until = lab.now + Duration::from_secs_f64(seconds);
    loop {
        for frame in lab.sent() {
            let id = frame["request_id"].clone();
            match frame["type"].as_str() {
                Some("sync") => {
                    state(lab);
                    lab.receive(&json!({
                        "type": "sync_response", "request_id": id, "success": true,
                        "runtime": runtime(),
                    }));
                }
                Some("conversation_messages_list") => lab.receive(&json!({
                    "type": "conversation_messages_list_response", "request_id": id,
                    "success": true, "has_more": false, "messages": stored,
                })),
                _ => inputs.push(frame),
            }
        }
        if lab.now >= until {
            return inputs;
        }
        lab.pass(0.1);
    }
}

fn idle(lab: &mut Lab) {
    lab.status("WAITING_ON_INPUT");
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
}

fn of_another(lab: &mut Lab) {
    lab.run("r2", &["other"]);
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
}

/// Loses the connection, and opens it again.
fn reopen(lab: &mut Lab) {
    lab.lose();
    lab.pass(0.3);
    assert!(lab.engine.poll_connect());
    lab.reopen();
}

#[test]
fn a_turn_that_went_on_and_has_ended_does_not_wait_for_the_next_one() {
    let limited = TurnOptions { timeout: Some(Duration::from_secs(10)), ..TurnOptions::default() };
    for options in [TurnOptions::default(), limited] {
        let mut lab = running(options);
        lab.come_back(|lab| lab.run("r1", &["m1"]));
        lab.says("r1", "y");
        lab.status("WAITING_ON_INPUT");
        lab.finished(Some("r1"), "end_turn");
        // Another's turn begins at once, and takes long.
        of_another(&mut lab);
        lab.pass(25.0);
        assert!(lab.ended().is_empty(), "it has not come to a limit, as it has ended");
        serve(&mut lab, 1.0, of_another, &[assistant("xzy"), user("m1")]);
        let result = lab.one_end().1.turn();
        assert_eq!((result.status, &*result.text), (Some(TurnStatus::Completed), "xzy"));
    }
}

#[test]
fn one_that_has_ended_is_told_of_while_one_behind_it_waits() {
    let mut lab = running(TurnOptions::default());
    lab.turn_with(2, "m2", message("m2"), TurnOptions::default());
    lab.accept(2, "queued");
    let item = json!({ "id": "q2", "client_message_id": "m2" });
    let queued = |lab: &mut Lab, run: &str, id: &str| {
        lab.run(run, &[id]);
        lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    };
    queued(&mut lab, "r1", "m1");
    reopen(&mut lab);
    serve(&mut lab, 1.0, |lab| queued(lab, "r1", "m1"), &[]);
    lab.finished(Some("r1"), "end_turn");
    queued(&mut lab, "r3", "other");
    serve(&mut lab, 2.0, |lab| queued(lab, "r3", "other"), &[assistant("xy"), user("m1")]);
    let (token, end) = lab.one_end();
    assert_eq!((token, &*end.turn().text), (1, "xy"));
    lab.run("r2", &["m2"]);
    lab.event(
        "update_queue",
        json!({ "queue": [], "removed": [
        { "client_message_id": "m2", "disposition": "consumed" }
    ] }),
    );
    lab.finished(Some("r2"), "end_turn");
    lab.status("WAITING_ON_INPUT");
    let stored = [assistant("two"), user("m2"), assistant("xy"), user("m1")];
    serve(&mut lab, 2.0, idle, &stored);
    let (token, end) = lab.one_end();
    assert_eq!((token, &*end.turn().text), (2, "two"));
}

#[test]
fn a_turn_that_does_not_go_on_does_not_wait_for_those_of_others() {
    let mut lab = running(TurnOptions::default());
    reopen(&mut lab);
    let stored = [assistant("xy"), user("m1")];
    serve(&mut lab, 20.0, of_another, &stored);
    assert!(lab.ended().is_empty(), "it may have joined what runs");
    for _ in 0..4 {
        // They keep the runtime at work, and it is heard of.
        lab.says("r2", ".");
        serve(&mut lab, 5.0, of_another, &stored);
    }
    let error = lab.one_end().1.error();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::TurnInterrupted, false));
    assert_eq!(error.result().unwrap().text, "xy");
}

#[test]
fn turns_of_others_that_follow_each_other_are_waited_for_together() {
    let mut lab = running(TurnOptions::default());
    reopen(&mut lab);
    let stored = [assistant("xy"), user("m1")];
    for _ in 0..4 {
        serve(&mut lab, 8.0, of_another, &stored);
        // For a moment nothing runs, and before that is known the next one does.
        lab.status("WAITING_ON_INPUT");
        lab.says("r2", ".");
    }
    serve(&mut lab, 8.0, of_another, &stored);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
}

#[test]
fn an_input_that_has_not_arrived_is_sent_again_behind_the_turns_of_others() {
    let mut lab = Lab::reconnecting(Reconnect::default());
    lab.turn_with(1, "m1", message("m1"), resending());
    lab.sent();
    reopen(&mut lab);
    assert_eq!(serve(&mut lab, 20.0, of_another, &[]).len(), 0);
    assert_eq!(serve(&mut lab, 15.0, of_another, &[]).len(), 1);
    assert!(lab.ended().is_empty());
}

#[test]
fn what_has_not_arrived_can_be_asked_for_again() {
    let mut lab = Lab::reconnecting(Reconnect::default());
    lab.turn(1, "m1", TurnOptions::default());
    reopen(&mut lab);
    serve(&mut lab, 2.0, idle, &[]);
    let error = lab.one_end().1.error();
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Undelivered);
    assert!(error.retryable() && !error.kind().retryable());
    assert!(error.to_json().contains(r#""retryable":true"#));
}

#[test]
fn a_connection_that_was_of_use_is_opened_again_soon() {
    let rules = Reconnect { base: Duration::from_millis(100), ..Reconnect::default() };
    let mut lab = Lab::reconnecting(rules);
    let lose = |lab: &mut Lab, useful: bool| {
        if useful {
            lab.request(9, "q", "x_response", 9.0);
            lab.receive(&json!({ "type": "x_response", "request_id": "q", "success": true }));
        }
        lab.lose();
        let at = lab.engine.next_timeout().unwrap();
        let wait = at.saturating_sub(lab.now);
        lab.pass(wait.as_secs_f64());
        assert!(lab.engine.poll_connect());
        lab.reopen();
        wait
    };
    let longest = (0..8).map(|_| lose(&mut lab, false)).max().unwrap();
    assert!(longest > Duration::from_secs(1), "it is cut again and again: {longest:?}");
    for _ in 0..8 {
        assert!(lose(&mut lab, true) <= rules.base);
    }
}

/// An input that waits for the settle pause.
fn held_back() -> Lab {
    let mut lab = running(TurnOptions::default());
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.ended().len(), 1);
    lab.turn_with(2, "m2", message("m2"), TurnOptions { check: true, ..resending() });
    assert!(lab.sent().is_empty());
    lab
}

#[test]
fn an_input_that_has_never_left_says_so_when_its_time_is_over() {
    let mut lab = held_back();
    lab.lose();
    lab.pass(40.0);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.message().starts_with("the input was not sent: "), "{error}");
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Undelivered);
    assert!(error.retryable());
}

/// What becomes of an input that waits for the settle pause when the connection is lost.
fn unsent(act: impl Fn(&mut Lab), before: bool) -> (Vec<Value>, Vec<(u64, End)>) {
    let mut lab = held_back();
    if before {
        act(&mut lab);
        lab.lose();
    } else {
        lab.lose();
        act(&mut lab);
    }
    lab.pass(0.3);
    assert!(lab.engine.poll_connect());
    lab.reopen();
    let sent = serve(&mut lab, 2.0, idle, &[]);
    (sent, lab.ended())
}

#[test]
fn a_turn_that_is_let_go_before_its_input_has_left_is_sent_on_the_next_connection() {
    let detach = |lab: &mut Lab| lab.command(Command::Detach { token: 2 });
    for before in [true, false] {
        let (sent, ended) = unsent(detach, before);
        assert_eq!(sent.len(), 1, "let go before the loss: {before}");
        assert!(ended.is_empty(), "nobody waits for it");
    }
}

#[test]
fn a_turn_that_is_aborted_before_its_input_has_left_says_so() {
    let abort = |lab: &mut Lab| lab.command(Command::Abort { token: 2 });
    for before in [true, false] {
        let (sent, mut ended) = unsent(abort, before);
        assert!(sent.is_empty());
        let result = ended.remove(0).1.turn();
        let told = (result.status, result.delivery);
        assert_eq!(told, (Some(TurnStatus::Aborted), InputDelivery::Undelivered), "{before}");
    }
}

#[test]
fn an_input_that_left_the_queue_with_its_connection_is_sent_with_another_id() {
    let mut lab = running(TurnOptions::default());
    lab.turn_with(2, "m2", message("m2"), resending());
    lab.accept(2, "queued");
    lab.sent();
    reopen(&mut lab);
    let sent = serve(&mut lab, 2.0, idle, &[assistant("x"), user("m1")]);
    assert_eq!(lab.one_end().0, 1, "the first was cancelled");
    let [input] = &*sent else { panic!("{sent:?}") };
    let id = input["payload"]["messages"][0]["client_message_id"].as_str().unwrap();
    assert_ne!(id, "m2", "the server would take it for the one that it had");
    assert_eq!(input["payload"]["messages"][0]["content"], "Go");
    lab.accept(2, "started");
    lab.run("r2", &[id]);
    lab.says("r2", "two");
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r2"), "end_turn");
    let result = lab.one_end().1.turn();
    assert_eq!((&*result.text, result.delivery), ("two", InputDelivery::Resent));
    assert_eq!(result.client_message_ids, ["m2", id]);
}

#[test]
fn an_input_that_may_still_be_on_its_way_keeps_its_id() {
    let mut lab = Lab::reconnecting(Reconnect::default());
    lab.turn_with(1, "m1", message("m1"), resending());
    lab.sent();
    reopen(&mut lab);
    let sent = serve(&mut lab, 2.0, idle, &[]);
    assert_eq!(sent[0]["payload"], message("m1"), "the server runs it once if both come");
}

#[test]
fn what_turns_up_of_an_input_under_its_first_id_is_its_own() {
    let mut lab = running(TurnOptions::default());
    lab.turn_with(2, "m2", message("m2"), resending());
    lab.accept(2, "queued");
    reopen(&mut lab);
    serve(&mut lab, 2.0, idle, &[assistant("x"), user("m1")]);
    lab.ended();
    lab.run("r2", &["m2"]);
    lab.says("r2", "two");
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r2"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "two");
}

/// A turn with a tool that failed, and one whose end was not seen, as the server stores them.
fn with_tools(resumed: bool) -> TurnResult {
    let mut lab = running(TurnOptions::default());
    let returned = |call: &str, status: &str| {
        json!({
            "id": format!("{call}-return"), "message_type": "tool_return_message", "run_id": "r1",
            "tool_call_id": call, "tool_return": "out", "status": status,
        })
    };
    let called = |call: &str| {
        json!({
            "id": call, "message_type": "approval_request_message", "run_id": "r1",
            "tool_call": { "tool_call_id": call, "name": "Bash", "arguments": "{}" },
        })
    };
    if resumed {
        lab.come_back(|lab| lab.run("r1", &["m1"]));
    }
    lab.delta(called("c1"));
    lab.delta(returned("c1", "error"));
    if resumed {
        lab.finished(Some("r1"), "end_turn");
        lab.status("WAITING_ON_INPUT");
    } else {
        reopen(&mut lab);
    }
    let stored = [
        assistant(" done"),
        returned("c2", "success"),
        called("c2"),
        returned("c1", "success"),
        called("c1"),
        assistant("x"),
        user("m1"),
    ];
    serve(&mut lab, 2.0, idle, &stored);
    match lab.one_end().1 {
        End::Turn(result) => *result,
        other => other.error().result().cloned().unwrap_or_default(),
    }
}

#[test]
fn a_tool_that_was_seen_to_fail_has_failed_whatever_is_stored() {
    for resumed in [false, true] {
        let result = with_tools(resumed);
        let calls: Vec<_> =
            result.tool_calls.iter().map(|call| (&*call.id, call.status.as_deref())).collect();
        let known = [("c1", Some("error")), ("c2", None)];
        assert_eq!(calls, known, "the server stores that every tool has succeeded");
        assert_eq!(result.tool_calls[1].output.as_deref(), Some("out"));
    }
}
