//! Frames that nobody waits for and that never left: a connection was lost with them in its socket, or they were given
//! when it was gone already (PROTOCOL.md section 16).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Outgoing, Reconnect};
use letta_app_client::protocol::Text;
use serde_json::{Value, json};
use support::{Lab, runtime};

const BASE: Duration = Duration::from_millis(1);
const RULES: Reconnect = Reconnect { max_attempts: Some(1), base: BASE, cap: BASE };

/// A command of the runtime that nobody waits for; `id` names it.
fn command(kind: &str, id: &str) -> Command {
    let text = json!({ "type": kind, "request_id": id, "runtime": runtime() });
    Command::Send {
        text: Text::from(text.to_string()),
        runtime: Some(("a".to_owned(), "c".to_owned())),
        settles: kind == "input",
    }
}

/// The same without a runtime.
fn of_no_runtime() -> Command {
    let text = Text::from(json!({ "type": "terminal_input", "request_id": "t" }).to_string());
    Command::Send { text, runtime: None, settles: false }
}

fn approval() -> Command {
    let payload = json!({
        "kind": "approval_response", "request_id": "p", "decision": { "behavior": "allow" },
    });
    let text = json!({ "type": "input", "runtime": runtime(), "payload": payload });
    let runtime = Some(("a".to_owned(), "c".to_owned()));
    Command::Send { text: Text::from(text.to_string()), runtime, settles: false }
}

/// What is on its way out.
fn outgoing(lab: &mut Lab) -> Vec<Outgoing> {
    std::iter::from_fn(|| lab.engine.poll_outgoing()).collect()
}

/// The connection is lost, and these were still in its socket.
fn lose_with(lab: &mut Lab, frames: Vec<Outgoing>) {
    for frame in frames {
        lab.engine.handle_unsent(frame);
    }
    lab.lose();
}

/// A connection is there again, and so is the runtime. Returns the ids of what is sent then.
fn ids_after_return(lab: &mut Lab) -> Vec<Value> {
    lab.pass(1.0);
    assert!(lab.engine.poll_connect());
    lab.reopen();
    answer_sync(lab)
}

fn answer_sync(lab: &mut Lab) -> Vec<Value> {
    let (syncs, mut sent): (Vec<_>, Vec<_>) =
        lab.sent().into_iter().partition(|frame| frame["type"] == "sync");
    for sync in syncs {
        lab.receive(&json!({
            "type": "sync_response", "request_id": sync["request_id"], "success": true,
            "runtime": runtime(),
        }));
    }
    lab.pass(1.0);
    sent.extend(lab.sent());
    sent.into_iter().map(|frame| frame["request_id"].clone()).collect()
}

#[test]
fn what_a_lost_socket_has_not_written_leaves_on_the_next_connection_in_its_order() {
    let mut lab = Lab::reconnecting(RULES);
    lab.command(command("input", "1"));
    lab.command(command("change_device_state", "2"));
    // Held behind the word on the first.
    lab.command(command("input", "3"));
    let frames = outgoing(&mut lab);
    assert_eq!(frames.len(), 2);
    lose_with(&mut lab, frames);
    assert_eq!(lab.engine.counters().unsent, 0);
    assert_eq!(ids_after_return(&mut lab), ["1", "2"]);
    lab.receive(&json!({
        "type": "input_accepted", "request_id": "1", "runtime": runtime(), "accepted": true,
        "disposition": "started",
    }));
    lab.run("r1", &["m1"]);
    assert_eq!(lab.sent()[0]["request_id"], "3");
    assert_eq!(lab.engine.counters().unsent, 0);
}

#[test]
fn what_was_written_is_not_sent_again() {
    let mut lab = Lab::reconnecting(RULES);
    lab.command(command("input", "1"));
    assert_eq!(outgoing(&mut lab).len(), 1);
    lab.lose();
    assert!(ids_after_return(&mut lab).is_empty());
    assert_eq!(lab.engine.counters().unsent, 0, "it may have arrived");
}

#[test]
fn what_means_nothing_on_another_connection_is_counted() {
    let mut lab = Lab::reconnecting(RULES);
    for command in [of_no_runtime(), approval(), command("abort_message", "a")] {
        lab.command(command);
    }
    let frames = outgoing(&mut lab);
    assert_eq!(frames.len(), 3);
    lose_with(&mut lab, frames);
    assert_eq!(lab.engine.counters().unsent, 3);
    assert!(ids_after_return(&mut lab).is_empty());
}

#[test]
fn an_abort_that_was_held_is_counted() {
    let mut lab = Lab::reconnecting(RULES);
    lab.turn(1, "m1", letta_app_client::TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.finished(Some("r1"), "end_turn");
    // In the pause after it.
    lab.command(command("input", "1"));
    lab.command(command("abort_message", "2"));
    lab.lose();
    assert_eq!(lab.engine.counters().unsent, 1);
}

#[test]
fn what_is_given_after_the_loss_leaves_on_the_next_connection_or_is_counted() {
    let mut lab = Lab::reconnecting(RULES);
    lab.lose();
    let late = |lab: &mut Lab| {
        for command in [command("input", "1"), of_no_runtime()] {
            lab.engine.handle_late(command);
        }
    };
    late(&mut lab);
    assert_eq!(lab.engine.counters().unsent, 1);
    assert_eq!(ids_after_return(&mut lab), ["1"]);
    // Nobody opens this one again.
    let mut lab = Lab::new();
    lab.lose();
    late(&mut lab);
    assert_eq!(lab.engine.counters().unsent, 2);
}

/// Answers all that is sent, until nothing more is. Returns it.
fn answer_all(lab: &mut Lab) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let sent = lab.sent();
        if sent.is_empty() {
            return all;
        }
        for frame in &sent {
            if let Some((id, kind)) = frame["request_id"].as_str().zip(frame["type"].as_str()) {
                lab.receive(&json!({
                    "type": format!("{kind}_response"), "request_id": id, "success": true,
                    "runtime": runtime(),
                }));
            }
        }
        all.extend(sent);
    }
}

#[test]
fn what_is_changed_after_the_loss_is_remembered_for_the_loss_after_that() {
    let mut lab = Lab::reconnecting(RULES);
    let of = |frame: Value, has_runtime: bool| Command::Send {
        text: Text::from(frame.to_string()),
        runtime: has_runtime.then(|| ("a".to_owned(), "c".to_owned())),
        settles: false,
    };
    lab.command(of(
        json!({ "type": "runtime_start", "request_id": "s", "agent_id": "a", "conversation_id": "c" }),
        false,
    ));
    lab.command(of(json!({ "type": "watch_file", "path": "/a" }), false));
    answer_all(&mut lab);
    lab.lose();
    let payload = json!({ "mode": "plan" });
    let mode = json!({ "type": "change_device_state", "runtime": runtime(), "payload": payload });
    lab.engine.handle_late(of(mode, true));
    lab.engine.handle_late(of(json!({ "type": "unwatch_file", "path": "/a" }), false));
    for _ in 0..2 {
        lab.pass(1.0);
        assert!(lab.engine.poll_connect());
        lab.reopen();
        let sent = answer_all(&mut lab);
        let start = sent.iter().find(|frame| frame["type"] == "runtime_start");
        assert_eq!(start.map(|start| &start["mode"]), Some(&json!("plan")), "{sent:?}");
        assert!(sent.iter().all(|frame| frame["type"] != "watch_file"), "{sent:?}");
        lab.lose();
    }
    // The mode has left once, and what is remembered is not lost.
    assert_eq!(lab.engine.counters().unsent, 0);
}

#[test]
fn whoever_waits_is_told_and_nothing_is_sent_for_them() {
    let mut lab = Lab::reconnecting(RULES);
    lab.request(1, "q", "list_models_response", 10.0);
    let frames = outgoing(&mut lab);
    assert!(frames.iter().all(|frame| !frame.is_unawaited()));
    lose_with(&mut lab, frames);
    assert_eq!(lab.ended().len(), 1);
    assert!(ids_after_return(&mut lab).is_empty());
    assert_eq!(lab.engine.counters().unsent, 0);
}

#[test]
fn a_standby_that_takes_over_sends_it() {
    let mut lab = Lab::standing_by(RULES);
    lab.turn(1, "m1", letta_app_client::TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.open_standby();
    for sync in lab.sent_on_standby() {
        lab.receive_on_standby(&json!({
            "type": "sync_response", "request_id": sync["request_id"], "success": true,
        }));
    }
    answer_sync(&mut lab);
    // Behind the turn that runs.
    lab.command(command("input", "1"));
    let frames = outgoing(&mut lab);
    assert_eq!(frames.len(), 1);
    for frame in frames {
        lab.engine.handle_unsent(frame);
    }
    lab.switch();
    assert!(answer_sync(&mut lab).contains(&json!("1")));
    assert_eq!(lab.engine.counters().unsent, 0);
}

#[test]
fn what_the_last_frames_have_released_leaves_on_the_next_connection() {
    let mut lab = Lab::reconnecting(RULES);
    lab.engine.handle_connected(Duration::ZERO, true);
    lab.command(command("input", "1"));
    lab.command(command("input", "2"));
    lab.sent();
    lab.event("update_queue", json!({ "queue": [] }));
    // Behind a gap, until the connection is lost.
    lab.receive(&json!({
        "type": "update_loop_status", "runtime": runtime(), "event_seq": 5,
        "loop_status": { "status": "PROCESSING_API_RESPONSE", "active_run_ids": ["r1"] },
    }));
    assert!(lab.sent().is_empty());
    lab.lose();
    lab.pass(1.0);
    assert!(lab.engine.poll_connect());
    lab.reopen();
    let mut inputs = Vec::new();
    for _ in 0..3 {
        for frame in lab.sent() {
            let id = &frame["request_id"];
            match frame["type"].as_str() {
                Some("sync") => lab.receive(&json!({
                    "type": "sync_response", "request_id": id, "success": true, "runtime": runtime(),
                })),
                Some("input") => inputs.push(id.clone()),
                _ => {}
            }
        }
        lab.pass(20.0);
    }
    assert_eq!((inputs, lab.engine.counters().unsent), (vec![json!("2")], 0));
}
