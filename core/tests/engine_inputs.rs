//! When an input leaves: behind the one before it, after the clean-up of the turn before, and not at all once
//! nobody waits for it (PROTOCOL.md sections 10, 17 and 18).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Correlation, Expect, Reconnect};
use letta_app_client::protocol::Text;
use letta_app_client::{ErrorKind, TurnOptions};
use serde_json::{Value, json};
use support::{End, Lab, runtime};

fn place() -> (String, String) {
    ("a".to_owned(), "c".to_owned())
}

/// An input whose caller waits for `input_accepted`.
fn submit(lab: &mut Lab, token: u64) {
    let id = format!("r{token}");
    let input = json!({ "type": "input", "request_id": id, "runtime": runtime() });
    lab.command(Command::Request {
        token,
        command: "input".to_owned(),
        text: Text::from(input.to_string()),
        runtime: Some(place()),
        settles: true,
        expect: Expect {
            correlation: Correlation::RequestId(id),
            response_type: Some("input_accepted".to_owned()),
            timeout: Some(Duration::from_secs(10)),
            manual: false,
        },
    });
}

/// The answer to a `sync`.
fn synced(sync: &Value) -> Value {
    assert_eq!(sync["type"], "sync");
    json!({
        "type": "sync_response", "request_id": sync["request_id"], "success": true,
        "runtime": runtime(),
    })
}

/// What a turn does from the server's word to its end.
fn run_through(lab: &mut Lab, token: u64) {
    let (run, id) = (format!("run-{token}"), format!("m{token}"));
    lab.accept(token, "started");
    lab.run(&run, &[&id]);
    lab.says(&run, "x");
    lab.status("WAITING_ON_INPUT");
}

/// A turn has run and ended; the settle pause runs.
fn settling(mut lab: Lab) -> Lab {
    lab.turn(1, "m1", TurnOptions::default());
    run_through(&mut lab, 1);
    lab.finished(Some("run-1"), "end_turn");
    lab.sent();
    assert_eq!(lab.ended().len(), 1);
    lab
}

/// What a `sync` is answered with (section 16).
fn snapshot(lab: &mut Lab) {
    lab.event("update_device_status", json!({ "device_status": {} }));
    lab.status("WAITING_ON_INPUT");
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
    lab.event("update_subagent_state", json!({ "subagents": [] }));
}

/// What comes when the server has cleaned up after a turn that began in the queue (section 10).
fn closing(lab: &mut Lab) {
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
    lab.status("WAITING_ON_INPUT");
}

#[test]
fn the_closing_frames_of_a_queued_turn_end_the_pause_and_those_of_no_other() {
    for (turn_id, ends) in
        [("batch-1", true), ("batch-direct-1", false), ("batch-recovered-1", false)]
    {
        let mut lab = Lab::new();
        lab.turn(1, "m1", TurnOptions::default());
        run_through(&mut lab, 1);
        let end = json!({ "turn_id": turn_id, "run_id": "run-1", "stop_reason": "end_turn" });
        lab.event("turn_finished", end);
        lab.event("update_device_status", json!({ "device_status": {} }));
        lab.sent();
        lab.turn(2, "m2", TurnOptions::default());
        closing(&mut lab);
        assert_eq!(lab.sent().len(), usize::from(ends), "{turn_id}");
        lab.pass(0.2);
        assert_eq!(lab.sent().len(), usize::from(!ends), "{turn_id}");
    }
}

#[test]
fn two_syncs_do_not_end_the_pause() {
    for turn_id in ["batch-direct-1", "batch-7"] {
        let mut lab = settling(Lab::new());
        lab.event("turn_finished", json!({ "turn_id": turn_id, "run_id": "run-1" }));
        snapshot(&mut lab);
        snapshot(&mut lab);
        lab.turn(2, "m2", TurnOptions::default());
        assert!(lab.sent_kinds().is_empty(), "0 ms after `turn_finished` of {turn_id}");
    }
}

#[test]
fn the_pause_after_a_reconnect_lasts() {
    let mut lab = Lab::reconnecting(Reconnect::default());
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.says("r1", "x");
    lab.sent();
    lab.come_back(snapshot);
    let list = lab.sent().remove(0);
    assert_eq!(list["type"], "conversation_messages_list");
    let stored = |id: &str, kind: &str, text: &str, otid: &str| json!({ "id": id, "message_type": kind, "content": text, "run_id": "r1", "otid": otid });
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": true, "has_more": false, "messages": [
            stored("2", "assistant_message", "x", "o"), stored("1", "user_message", "hi", "m1"),
        ],
    }));
    lab.turn(2, "m2", TurnOptions::default());
    assert!(lab.sent_kinds().is_empty(), "0 ms after the loss has cancelled a turn");
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn a_request_that_failed_with_its_connection_is_not_sent_on_the_standby() {
    let mut lab = Lab::standing_by(Reconnect::default());
    lab.turn(1, "m1", TurnOptions::default());
    lab.open_standby();
    for sync in lab.sent_on_standby() {
        lab.receive_on_standby(&synced(&sync));
    }
    for fence in lab.sent().iter().filter(|frame| frame["type"] == "sync") {
        lab.receive(&synced(fence));
    }
    run_through(&mut lab, 1);
    lab.finished(Some("run-1"), "end_turn");
    lab.sent();
    lab.ended();
    submit(&mut lab, 5);
    assert!(lab.sent().is_empty(), "it waits for the pause");
    lab.switch();
    let (token, end) = lab.one_end();
    let error = end.error();
    assert_eq!((token, error.kind(), error.close_code()), (5, ErrorKind::Disconnected, Some(1006)));
    assert!(error.message().contains("not sent"), "{error}");
    for _ in 0..20 {
        for frame in lab.sent() {
            lab.receive(&synced(&frame));
        }
        lab.pass(0.3);
    }
}

#[test]
fn a_request_that_timed_out_before_it_left_is_not_sent() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"]);
    // The server says nothing of it for a while.
    submit(&mut lab, 2);
    lab.pass(10.1);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::RequestTimeout);
    assert!(error.message().contains("`input` was not sent within 10 s"), "{error}");
    lab.accept(1, "started");
    assert!(lab.sent_kinds().is_empty(), "its caller was told that it was not sent");
    // One that has left says that there was no answer.
    submit(&mut lab, 3);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.pass(10.1);
    let error = lab.one_end().1.error();
    assert!(error.message().contains("no answer to `input`"), "{error}");
}

#[test]
fn a_request_that_was_cancelled_before_it_left_is_not_sent_and_what_waits_behind_it_is() {
    let mut lab = settling(Lab::new());
    submit(&mut lab, 2);
    let text = Text::from(r#"{"type":"abort_message"}"#);
    lab.command(Command::Send { text, runtime: Some(place()), settles: false });
    assert!(lab.sent().is_empty());
    lab.command(Command::Cancel { token: 2 });
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.pass(1.0);
    assert!(lab.sent_kinds().is_empty(), "nobody waits for it");
}

/// A command that nobody waits for.
fn send(lab: &mut Lab, kind: &str) {
    let text = json!({ "type": kind, "runtime": runtime() });
    lab.command(Command::Send {
        text: Text::from(text.to_string()),
        runtime: Some(place()),
        settles: kind == "input",
    });
}

#[test]
fn what_nobody_waits_for_and_has_not_left_leaves_on_the_next_connection() {
    let mut lab = settling(Lab::reconnecting(Reconnect::default()));
    send(&mut lab, "input");
    send(&mut lab, "change_device_state");
    // It was meant for what ran here.
    send(&mut lab, "abort_message");
    submit(&mut lab, 2);
    assert!(lab.sent().is_empty() && lab.engine.has_unsent());
    lab.lose();
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.message().contains("not sent") && error.retryable(), "{error}");
    // The next one does not last long.
    lab.pass(0.3);
    assert!(lab.engine.poll_connect());
    lab.reopen();
    assert_eq!(lab.sent_kinds(), ["sync"]);
    lab.lose();
    lab.pass(0.6);
    assert!(lab.engine.poll_connect());
    lab.reopen();
    let sync = lab.sent().remove(0);
    lab.receive(&synced(&sync));
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input", "change_device_state"], "in the order given");
    // Where there is no other connection there is nothing left to send.
    let mut lab = settling(Lab::new());
    send(&mut lab, "input");
    lab.lose();
    assert!(!lab.engine.has_unsent());
}

#[test]
fn two_inputs_never_start_at_once_also_without_their_turns() {
    let mut lab = Lab::new();
    submit(&mut lab, 1);
    submit(&mut lab, 2);
    send(&mut lab, "input");
    assert_eq!(lab.sent_kinds(), ["input"], "the second waits for the server's word on the first");
    lab.accept(1, "started");
    // The server is at work by now, and queues what comes.
    assert_eq!(lab.sent_kinds(), ["input", "input"]);
}

#[test]
fn a_turn_waits_for_the_word_on_an_input_before_it() {
    let mut lab = Lab::new();
    submit(&mut lab, 1);
    lab.turn(2, "m2", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"], "the second waits for the server's word on the first");
    lab.accept(1, "started");
    assert_eq!(lab.sent_kinds(), ["input"]);
    // What begins is the turn of the first.
    lab.status("SENDING_API_REQUEST");
    lab.says("r1", "one");
    lab.accept(2, "queued");
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r1"), "end_turn");
    assert!(matches!(&lab.ended()[..], [(1, End::Response(..))]), "the turn goes on");
}

#[test]
fn what_begins_on_a_server_that_acknowledges_nothing_is_the_turn_of_the_first_input() {
    let mut lab = Lab::new();
    send(&mut lab, "input");
    lab.turn(2, "m2", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.status("SENDING_API_REQUEST");
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.says("r1", "one");
    let item = json!({ "id": "q-1", "client_message_id": "m2" });
    lab.event("update_queue", json!({ "queue": [item] }));
    lab.delta(json!({ "message_type": "stop_reason", "run_id": "r1", "stop_reason": "end_turn" }));
    lab.status("WAITING_ON_INPUT");
    assert!(lab.ended().is_empty());
}

/// A sign of the input, from the server.
type Sign<'a> = &'a dyn Fn(&mut Lab);

/// The first input was sent, and the second waits for the word on it.
fn waiting_for_a_word() -> Lab {
    let mut lab = Lab::new();
    submit(&mut lab, 1);
    send(&mut lab, "input");
    assert_eq!(lab.sent().len(), 1);
    lab
}

#[test]
fn the_wait_for_a_word_ends_by_every_sign_of_it_and_by_none() {
    let refused = |lab: &mut Lab| {
        lab.receive(&json!({
            "type": "input_accepted", "request_id": "r1", "runtime": runtime(), "accepted": false,
            "error": "full",
        }));
    };
    let delta = |kind: &str, run: Value, terminal: bool| json!({ "message_type": kind, "run_id": run, "is_terminal": terminal, "message": "no" });
    let said = delta("assistant_message", "r1".into(), false);
    let failed = delta("loop_error", Value::Null, true);
    let queue = json!({ "queue": [{ "id": "q-1", "client_message_id": "x" }] });
    let signs: [(&str, Sign<'_>); 6] = [
        ("queued", &|lab| lab.accept(1, "queued")),
        ("refused", &refused),
        ("busy", &|lab| lab.status("PROCESSING_API_RESPONSE")),
        ("said", &|lab| lab.delta(said.clone())),
        ("failed", &|lab| lab.delta(failed.clone())),
        ("listed", &|lab| lab.event("update_queue", queue.clone())),
    ];
    for (name, sign) in signs {
        let mut lab = waiting_for_a_word();
        sign(&mut lab);
        assert_eq!(lab.sent_kinds(), ["input"], "{name}");
    }
    // A word on another input, an idle status and an empty queue may be of the time before.
    let mut lab = waiting_for_a_word();
    lab.accept(7, "started");
    lab.status("WAITING_ON_INPUT");
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
    lab.pass(29.9);
    assert!(lab.sent().is_empty());
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"], "the server is silent");
    // What may be a refusal is not waited on for long.
    let mut lab = waiting_for_a_word();
    lab.turn(3, "m3", TurnOptions::default());
    lab.delta(delta("loop_error", Value::Null, false));
    lab.pass(5.1);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn inputs_to_a_server_at_work_and_to_other_conversations_do_not_wait() {
    let mut lab = Lab::new();
    lab.status("PROCESSING_API_RESPONSE");
    submit(&mut lab, 1);
    submit(&mut lab, 2);
    assert_eq!(lab.sent().len(), 2);
    let mut lab = Lab::new();
    send(&mut lab, "input");
    lab.command(Command::Send {
        text: Text::from(r#"{"type":"input"}"#),
        runtime: Some(("a".to_owned(), "other".to_owned())),
        settles: true,
    });
    assert_eq!(lab.sent().len(), 2);
}

#[test]
fn an_input_whose_request_id_was_used_before_is_acknowledged() {
    let mut lab = Lab::new();
    let send = |lab: &mut Lab, token: u64, payload: Value| {
        let input = json!({ "type": "input", "request_id": "mine", "payload": payload });
        lab.command(Command::RunTurn {
            token,
            text: Text::from(input.to_string()),
            request_id: "mine".to_owned(),
            runtime: place(),
            client_ids: vec![format!("m{token}")],
            options: TurnOptions::default(),
        });
    };
    let accept = |lab: &mut Lab| {
        lab.receive(&json!({
            "type": "input_accepted", "request_id": "mine", "runtime": runtime(),
            "accepted": true, "disposition": "started",
        }));
    };
    send(&mut lab, 1, json!({}));
    accept(&mut lab);
    lab.status("PROCESSING_API_RESPONSE");
    lab.says("r1", "one");
    // It waits for a turn of its own, so it is there when the one with its id ends.
    send(&mut lab, 2, json!({ "client_tool_allowlist": [] }));
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r1"), "end_turn");
    lab.sent();
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.ended();
    accept(&mut lab);
    lab.status("PROCESSING_API_RESPONSE");
    lab.says("r2", "two");
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r2"), "end_turn");
    lab.pass(31.0);
    let ended = lab.ended();
    assert!(matches!(&ended[..], [(2, End::Turn(_))]), "{ended:?}");
}
