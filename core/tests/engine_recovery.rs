//! What becomes of turns whose connection is lost (PROTOCOL.md sections 10, 16 and 19).
#![cfg(feature = "testing")]
#![expect(clippy::panic, reason = "a test may fail by panicking")]

mod support;

use std::path::Path;
use std::time::Duration;

use letta_app_client::engine::{Command, CompletedBy, Delivery, Reconnect, TurnEvent};
use letta_app_client::protocol::Text;
use letta_app_client::testing::{Payload, Trace, TraceEvent};
use letta_app_client::{
    Error, ErrorKind, InputDelivery, Resend, TurnOptions, TurnPhase, TurnStatus,
};
use serde_json::{Value, json};
use support::{Lab, runtime};

const RULES: Reconnect = Reconnect {
    max_attempts: Some(3),
    base: Duration::from_millis(250),
    cap: Duration::from_secs(15),
};

fn resending() -> TurnOptions {
    TurnOptions { resend: Some(Resend::IfUncommitted), ..TurnOptions::default() }
}

/// Sends an input with one message.
fn ask(lab: &mut Lab, token: u64, id: &str, content: &str, options: TurnOptions) {
    let message = json!({ "role": "user", "content": content, "client_message_id": id });
    lab.turn_with(token, id, json!({ "kind": "create_message", "messages": [message] }), options);
}

/// Loses the connection, opens it again and answers the `sync` that brings the runtime back. What the
/// next `sync` wants to know is told by `state`.
fn reconnect(lab: &mut Lab, state: impl Fn(&mut Lab)) {
    lab.lose();
    assert!(lab.ended().is_empty(), "nothing is known yet");
    lab.pass(RULES.base.as_secs_f64());
    assert!(lab.engine.poll_connect());
    lab.reopen();
    answer_sync(lab, &state);
    answer_sync(lab, &state);
}

/// Answers a `sync`.
fn answer_sync(lab: &mut Lab, state: impl Fn(&mut Lab)) {
    let sync = lab.sent().remove(0);
    assert_eq!(sync["type"], "sync");
    state(lab);
    let id = &sync["request_id"];
    let answer = json!({ "type": "sync_response", "request_id": id, "runtime": runtime() });
    lab.receive(&answer);
}

fn idle(lab: &mut Lab) {
    lab.status("WAITING_ON_INPUT");
}

/// Answers the one request for stored messages, newest first; returns its query.
fn answer_list(lab: &mut Lab, messages: &[Value], has_more: bool) -> Value {
    let sent = lab.sent();
    let [list] = &*sent else { panic!("{sent:?}") };
    assert_eq!(list["type"], "conversation_messages_list");
    assert_eq!(list["conversation_id"], "c");
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": true, "messages": messages, "has_more": has_more,
        "next_before": messages.last().map(|message| &message["id"]),
    }));
    list["query"].clone()
}

/// The server stores nothing, and is asked twice.
fn nothing_stored(lab: &mut Lab) {
    answer_list(lab, &[], false);
    assert!(lab.ended().is_empty() && lab.sent().is_empty(), "it may just be being stored");
    lab.pass(0.3);
    answer_sync(lab, idle);
    answer_list(lab, &[], false);
}

fn user(id: &str, parts: &[&str]) -> Value {
    let parts: Vec<_> = parts.iter().map(|text| json!({ "type": "text", "text": text })).collect();
    json!({
        "id": format!("ui-{id}"), "message_type": "user_message", "role": "user",
        "content": parts, "otid": id,
    })
}

fn assistant(text: &str) -> Value {
    json!({
        "id": "ui-answer", "message_type": "assistant_message",
        "content": [{ "type": "text", "text": text }],
    })
}

/// A turn that has said something.
fn half_said(lab: &mut Lab, options: TurnOptions) {
    ask(lab, 1, "m", "Go", options);
    lab.accept(1, "started");
    lab.run("run", &["m"]);
    lab.says("run", "Hello ");
    lab.sent();
}

#[test]
fn a_recorded_cut_gives_what_is_stored_and_says_that_it_may_be_cut() {
    for (generation, said) in [("single", 7), ("split", 8)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces");
        let trace = Trace::read(root.join(generation).join("disconnect_mid_turn.jsonl")).unwrap();
        let mut lab = Lab::reconnecting(RULES);
        let mut scope = Value::Null;
        let mut again = Vec::new();
        for line in &trace.lines {
            let (sent, frame) = match &line.event {
                TraceEvent::Sent(Payload::Frame(frame)) => (true, frame.get()),
                TraceEvent::Received(Payload::Frame(frame)) => (false, frame.get()),
                _ => continue,
            };
            let frame: Value = serde_json::from_str(frame).unwrap();
            match (line.client.as_deref(), frame["type"].as_str().unwrap()) {
                (Some("A"), "input") => {
                    scope = frame["runtime"].clone();
                    let id = |name: &str| scope[name].as_str().unwrap().to_owned();
                    lab.command(Command::RunTurn {
                        token: 1,
                        text: Text::from(frame.to_string()),
                        request_id: frame["request_id"].as_str().unwrap_or("r").to_owned(),
                        runtime: (id("agent_id"), id("conversation_id")),
                        client_ids: vec!["cm-1".to_owned()],
                        options: resending(),
                    });
                }
                (Some("A"), _) if !sent => lab.receive(&frame),
                (Some("B"), _) if !sent => again.push(frame),
                _ => {}
            }
        }
        lab.sent();
        lab.lose();
        lab.pass(RULES.base.as_secs_f64());
        assert!(lab.engine.poll_connect());
        lab.reopen();
        let frame_of = |kind: &str| again.iter().find(|frame| frame["type"] == kind).unwrap();
        for _ in 0..2 {
            let sync = lab.sent().remove(0);
            assert_eq!((&sync["type"], &sync["runtime"]), (&json!("sync"), &scope));
            lab.receive(frame_of("update_loop_status"));
            let mut answer = frame_of("sync_response").clone();
            answer["request_id"] = sync["request_id"].clone();
            lab.receive(&answer);
        }
        let list = lab.sent().remove(0);
        assert_eq!(list["conversation_id"], scope["conversation_id"]);
        let mut answer = frame_of("conversation_messages_list_response").clone();
        answer["request_id"] = list["request_id"].clone();
        lab.receive(&answer);
        let error = lab.one_end().1.error();
        assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
        let result = error.result().unwrap();
        let stored: String =
            (0..said).flat_map(|n| ["tok".to_owned(), n.to_string(), " ".to_owned()]).collect();
        assert_eq!(result.text, stored, "{generation}");
        assert_eq!(result.delivery, InputDelivery::Recovered);
        assert!(lab.sent().is_empty(), "{generation}: it was stored, so it is not sent again");
    }
}

#[test]
fn an_answer_whose_end_was_seen_is_whole() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, TurnOptions { check: true, ..resending() });
    lab.says("run", "world");
    lab.delta(json!({ "message_type": "stop_reason", "run_id": "run", "stop_reason": "end_turn" }));
    reconnect(&mut lab, idle);
    answer_list(&mut lab, &[assistant("Hello world"), user("m", &["Go"])], false);
    let result = lab.one_end().1.turn();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Completed), "Hello world"));
    assert_eq!(result.stop_reason.as_deref(), Some("end_turn"));
    assert_eq!(result.completed_by.map(CompletedBy::as_str), Some("stored_messages"));
    assert_eq!(result.delivery, InputDelivery::Recovered);
}

#[test]
fn events_that_are_missing_of_a_turn_that_is_over_are_told() {
    let end = json!({ "message_type": "stop_reason", "run_id": "run", "stop_reason": "end_turn" });
    for (said, told) in [("world", 0), ("", 1)] {
        let mut lab = Lab::reconnecting(RULES);
        half_said(&mut lab, TurnOptions { events: true, ..resending() });
        lab.says("run", said);
        lab.delta(end.clone());
        reconnect(&mut lab, idle);
        answer_list(&mut lab, &[assistant("Hello world"), user("m", &["Go"])], false);
        let deliveries = lab.told();
        let resumed = |each: &&Delivery| {
            matches!(each, Delivery::TurnEvent { event: TurnEvent::Resumed, .. })
        };
        assert_eq!(deliveries.iter().filter(resumed).count(), told, "after {said:?}");
        let Some(Delivery::Turn { result, .. }) = deliveries.last() else {
            panic!("it has not ended: {deliveries:?}")
        };
        assert_eq!(result.text, "Hello world");
    }
}

#[test]
fn a_stored_answer_that_is_another_one_proves_nothing() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, resending());
    lab.delta(json!({ "message_type": "stop_reason", "run_id": "run", "stop_reason": "end_turn" }));
    reconnect(&mut lab, idle);
    answer_list(&mut lab, &[assistant("Hell"), user("m", &["Go"])], false);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().unwrap().text, "Hello ", "what was seen");
}

#[test]
fn an_input_that_did_not_arrive_is_sent_again_where_that_is_wanted() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    let first = lab.sent();
    reconnect(&mut lab, idle);
    nothing_stored(&mut lab);
    assert!(lab.ended().is_empty());
    lab.pass(0.2);
    assert_eq!(
        lab.sent(),
        first,
        "the very same frame: a server that has it after all knows its id"
    );
    lab.accept(1, "started");
    lab.run("run", &["m"]);
    lab.says("run", "Hello");
    lab.finished(Some("run"), "end_turn");
    let result = lab.one_end().1.turn();
    assert_eq!((&*result.text, result.delivery), ("Hello", InputDelivery::Resent));
}

#[test]
fn an_input_that_did_not_arrive_is_named_so_where_it_is_not_to_be_sent_again() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", TurnOptions::default());
    lab.sent();
    reconnect(&mut lab, idle);
    nothing_stored(&mut lab);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Undelivered);
    lab.pass(60.0);
    assert!(lab.sent().is_empty());
}

#[test]
fn an_input_that_is_stored_while_it_is_looked_for_is_found() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    lab.sent();
    reconnect(&mut lab, idle);
    answer_list(&mut lab, &[], false);
    lab.pass(0.3);
    answer_sync(&mut lab, idle);
    answer_list(&mut lab, &[user("m", &["Go"])], false);
    let error = lab.one_end().1.error();
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Recovered);
    lab.pass(60.0);
    assert!(lab.sent().is_empty());
}

#[test]
fn an_answer_that_was_seen_is_never_asked_for_again() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, resending());
    reconnect(&mut lab, idle);
    nothing_stored(&mut lab);
    let error = lab.one_end().1.error();
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
    assert_eq!(error.result().unwrap().text, "Hello ");
    assert!(lab.sent().is_empty());
}

#[test]
fn an_input_that_was_merged_into_another_is_found_in_it() {
    let mut lab = Lab::reconnecting(RULES);
    for (token, id, text) in [(1, "m", "one"), (2, "n", "two")] {
        ask(&mut lab, token, id, text, resending());
        lab.accept(token, "queued");
    }
    lab.sent();
    reconnect(&mut lab, idle);
    // Only the first one's id is stored (section 10).
    answer_list(&mut lab, &[assistant("Both."), user("m", &["one", "\n", "two"])], false);
    let ended = lab.ended();
    assert_eq!(ended.len(), 2);
    for (_, end) in ended {
        let error = end.error();
        assert_eq!(error.result().unwrap().delivery, InputDelivery::Recovered);
        assert_eq!(error.result().unwrap().text, "Both.");
    }
    lab.pass(60.0);
    assert!(lab.sent().is_empty(), "never sent twice");
}

#[test]
fn an_input_that_may_have_been_merged_into_a_stranger_is_not_sent_again() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "two", resending());
    lab.accept(1, "queued");
    lab.sent();
    reconnect(&mut lab, idle);
    answer_list(&mut lab, &[user("x", &["one", "\n", "two"])], false);
    let error = lab.one_end().1.error();
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
    lab.pass(60.0);
    assert!(lab.sent().is_empty());
}

#[test]
fn a_turn_that_another_client_keeps_going_is_followed_to_its_end() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, TurnOptions { events: true, ..TurnOptions::default() });
    reconnect(&mut lab, |lab| lab.run("run", &["m"]));
    assert!(lab.sent().is_empty(), "it still runs");
    let report = lab.engine.report(lab.now, 1).unwrap();
    assert_eq!(report.phase, TurnPhase::Running);
    lab.says("run", "world");
    lab.finished(Some("run"), "end_turn");
    assert!(lab.ended().is_empty(), "what was said in between is not known");
    lab.pass(0.1);
    answer_sync(&mut lab, idle);
    answer_list(&mut lab, &[assistant("Hello dear world"), user("m", &["Go"])], false);
    let result = lab.one_end().1.turn();
    assert_eq!((&*result.text, result.delivery), ("Hello dear world", InputDelivery::Recovered));
    assert_eq!(result.status, Some(TurnStatus::Completed));
}

#[test]
fn a_turn_that_goes_on_can_be_stopped() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, TurnOptions::default());
    reconnect(&mut lab, |lab| lab.run("run", &["m"]));
    lab.command(Command::Abort { token: 1 });
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.finished(Some("run"), "cancelled");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Aborted));
}

#[test]
fn while_something_else_runs_it_is_waited_for_its_end() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    lab.sent();
    // It may be a turn of this input: the server does not say what it answers.
    reconnect(&mut lab, |lab| lab.status("PROCESSING_API_RESPONSE"));
    lab.pass(100.0);
    assert!(lab.sent().is_empty() && lab.ended().is_empty(), "a turn may be long");
    lab.status("WAITING_ON_INPUT");
    lab.pass(0.2);
    answer_sync(&mut lab, idle);
    nothing_stored(&mut lab);
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn an_input_that_the_server_still_has_in_its_queue_is_not_sent_beside_it() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    lab.accept(1, "queued");
    lab.sent();
    let item = json!([{ "id": "q-1", "client_message_id": "m" }]);
    reconnect(&mut lab, |lab| {
        idle(lab);
        lab.event("update_queue", json!({ "queue": item, "removed": [] }));
    });
    assert!(lab.sent().is_empty());
    // The server notices that the old connection is gone.
    let removed = json!([{ "client_message_id": "m", "disposition": "cancelled" }]);
    lab.event("update_queue", json!({ "queue": [], "removed": removed }));
    lab.pass(0.2);
    answer_sync(&mut lab, idle);
    nothing_stored(&mut lab);
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn inputs_go_out_again_in_their_order_and_before_later_ones() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "one", resending());
    ask(&mut lab, 2, "n", "two", resending());
    assert_eq!(lab.sent().len(), 1, "the second one waits for a word about the first");
    reconnect(&mut lab, idle);
    ask(&mut lab, 3, "o", "three", resending());
    nothing_stored(&mut lab);
    lab.pass(0.2);
    let mut order = Vec::new();
    for token in 1..=3 {
        let sent = lab.sent();
        let [input] = &*sent else { panic!("{sent:?}") };
        order.push(input["request_id"].clone());
        lab.accept(token, if token == 1 { "started" } else { "queued" });
    }
    assert_eq!(order, ["r1", "r2", "r3"]);
}

#[test]
fn an_input_on_a_later_page_is_found_and_no_more_pages_are_read_than_needed() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    lab.sent();
    reconnect(&mut lab, idle);
    let noise = |from: usize| -> Vec<Value> {
        (from..from + 100).map(|n| json!({ "id": n.to_string(), "message_type": "x" })).collect()
    };
    assert_eq!(answer_list(&mut lab, &noise(0), true), json!({ "limit": 100 }));
    assert_eq!(
        answer_list(&mut lab, &[user("m", &["Go"])], true),
        json!({ "limit": 100, "before": "99" })
    );
    assert_eq!(lab.one_end().1.error().result().unwrap().delivery, InputDelivery::Recovered);

    // A thousand messages are enough.
    ask(&mut lab, 2, "n", "Go", TurnOptions::default());
    lab.pass(1.0);
    lab.sent();
    reconnect(&mut lab, idle);
    for look in 0..2 {
        for page in 0..10 {
            answer_list(&mut lab, &noise(page * 100), true);
        }
        if look == 0 {
            lab.pass(0.3);
            answer_sync(&mut lab, idle);
        }
    }
    assert_eq!(lab.one_end().1.error().result().unwrap().delivery, InputDelivery::Undelivered);
}

#[test]
fn it_does_not_wait_longer_than_it_may() {
    // Nobody answers.
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    lab.sent();
    lab.lose();
    lab.pass(29.9);
    assert_eq!(lab.engine.report(lab.now, 1).unwrap().phase, TurnPhase::Recovering);
    assert!(lab.ended().is_empty());
    lab.pass(0.2);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
    assert_eq!(error.close_code(), Some(1006));

    // The limit for the whole turn counts from its beginning.
    let mut lab = Lab::reconnecting(RULES);
    let timeout = Some(Duration::from_secs(5));
    ask(&mut lab, 1, "m", "Go", TurnOptions { timeout, ..resending() });
    lab.sent();
    lab.pass(4.0);
    lab.lose();
    lab.pass(1.1);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnTimeout);

    // Nor does a server that drops every connection make it endless.
    let mut lab = Lab::reconnecting(Reconnect { max_attempts: None, ..RULES });
    ask(&mut lab, 1, "m", "Go", resending());
    for _ in 0..20 {
        lab.lose();
        lab.pass(2.0);
        if lab.engine.poll_connect() {
            lab.reopen();
        }
    }
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
}

#[test]
fn without_another_connection_it_ends_at_once() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, resending());
    lab.lose();
    lab.pass(RULES.base.as_secs_f64());
    assert!(lab.engine.poll_connect());
    lab.engine.handle_connect_failed(lab.now, &Error::new(ErrorKind::Auth, "refused"));
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert!(error.message().contains("refused"), "{error}");
    assert!(!error.will_reconnect(), "nobody tries any more");

    // Closing the client is such an end too.
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, resending());
    lab.lose();
    let closed = Error::new(ErrorKind::Closed, "the client is closed");
    lab.engine.handle_connection_lost(lab.now, &closed);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
}

#[test]
fn a_caller_who_has_gone_sends_nothing_again() {
    for command in [Command::Cancel { token: 1 }, Command::Detach { token: 1 }] {
        let mut lab = Lab::reconnecting(RULES);
        ask(&mut lab, 1, "m", "Go", resending());
        lab.sent();
        reconnect(&mut lab, idle);
        lab.sent();
        lab.command(command);
        lab.pass(60.0);
        assert!(lab.ended().is_empty() && lab.sent().is_empty());
    }
    // One who stops it gets an answer: nobody knows whether it was stopped.
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, TurnOptions { check: true, ..resending() });
    lab.lose();
    lab.command(Command::Abort { token: 1 });
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().unwrap().text, "Hello ");
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
}

#[test]
fn stored_messages_that_are_not_to_be_had_leave_it_unknown() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", "Go", resending());
    lab.sent();
    reconnect(&mut lab, idle);
    let list = lab.sent().remove(0);
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": false, "messages": [], "error": "Agent not found",
    }));
    let error = lab.one_end().1.error();
    assert_eq!(error.result().unwrap().delivery, InputDelivery::Unknown);
}

#[test]
fn an_input_that_had_not_been_sent_is_sent_on_the_next_connection() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, TurnOptions::default());
    lab.finished(Some("run"), "end_turn");
    lab.one_end();
    ask(&mut lab, 2, "n", "more", resending());
    assert!(lab.sent().is_empty(), "the server cleans up (section 18)");
    reconnect(&mut lab, idle);
    answer_list(&mut lab, &[], false);
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.accept(2, "started");
    lab.run("run", &["n"]);
    lab.finished(Some("run"), "end_turn");
    assert_eq!(lab.one_end().1.turn().delivery, InputDelivery::Sent);
}

#[test]
fn inputs_that_joined_a_turn_have_the_rest_of_its_answer_each() {
    let mut lab = Lab::reconnecting(RULES);
    half_said(&mut lab, TurnOptions::default());
    for (token, id) in [(2, "n"), (3, "o")] {
        ask(&mut lab, token, id, id, TurnOptions::default());
        lab.accept(token, "queued");
    }
    lab.sent();
    reconnect(&mut lab, |lab| {
        lab.run("run", &["m"]);
        let map = json!({ "run": ["m"], "later": ["m", "n", "o"] });
        let state = json!({
            "status": "PROCESSING_API_RESPONSE", "active_run_ids": ["later"],
            "client_message_ids_by_run_id": map,
        });
        lab.event("update_loop_status", json!({ "loop_status": state }));
    });
    lab.finished(Some("later"), "end_turn");
    lab.pass(0.1);
    answer_sync(&mut lab, idle);
    let tool = json!({
        "id": "ui-tool", "message_type": "tool_return_message", "tool_call_id": "call",
        "status": "success", "tool_return": "ok",
    });
    let joined = [user("o", &["o"]), user("n", &["n"]), tool];
    let mut stored = vec![assistant("world")];
    stored.extend(joined);
    stored.extend([assistant("Hello "), user("m", &["Go"])]);
    answer_list(&mut lab, &stored, false);
    let ended = lab.ended();
    let texts: Vec<_> = ended.into_iter().map(|(token, end)| (token, end.turn().text)).collect();
    assert_eq!(
        texts,
        [(1, "Hello world".to_owned()), (2, "world".to_owned()), (3, "world".to_owned())]
    );
}
