//! The order of a split server's frames, whose two sockets carry one counter (PROTOCOL.md sections 2.1 and 6).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Channel, Command, Delivery};
use letta_app_client::protocol::Text;
use letta_app_client::{Approvals, Error, ErrorKind, InputDelivery, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::{Lab, runtime};

/// A client of a split server.
fn split() -> Lab {
    let mut lab = Lab::new();
    lab.engine.handle_connected(Duration::ZERO, true);
    lab
}

fn take(lab: &mut Lab, seq: u64, mut frame: Value) {
    frame["runtime"] = runtime();
    frame["event_seq"] = seq.into();
    lab.engine.handle_frame(lab.now, Channel::Stream, &Text::from(frame.to_string()));
}

fn delta(lab: &mut Lab, seq: u64, body: &Value) {
    take(lab, seq, json!({ "type": "stream_delta", "delta": body }));
}

/// Says its own number.
fn says(lab: &mut Lab, seq: u64) {
    let content = format!("{seq} ");
    delta(
        lab,
        seq,
        &json!({ "message_type": "assistant_message", "run_id": "r", "content": content }),
    );
}

fn status(lab: &mut Lab, seq: u64, status: &str) {
    let state = json!({ "status": status, "active_run_ids": ["r"] });
    take(lab, seq, json!({ "type": "update_loop_status", "loop_status": state }));
}

#[test]
fn each_gap_has_a_time_of_its_own() {
    let mut lab = split();
    lab.turn(1, "m", TurnOptions::default());
    status(&mut lab, 1, "SENDING_API_REQUEST");
    // Every other frame comes 60 ms behind the next one, so that one always waits.
    for seq in (3..23).step_by(2) {
        says(&mut lab, seq);
        lab.pass(0.06);
        says(&mut lab, seq - 1);
    }
    delta(
        &mut lab,
        24,
        &json!({ "message_type": "stop_reason", "run_id": "r", "stop_reason": "end_turn" }),
    );
    lab.pass(0.3);
    status(&mut lab, 25, "WAITING_ON_INPUT");
    let text = lab.one_end().1.turn().text;
    let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, (2..=21).collect::<Vec<_>>());
}

#[test]
fn a_gap_behind_one_that_is_passed_over_for_want_of_room_is_passed_over_in_time() {
    let mut lab = split();
    // 1 and 600 are missing, and nothing comes behind these.
    for seq in (2..600).chain(601..1028) {
        says(&mut lab, seq);
    }
    let count = |lab: &mut Lab| {
        let all = std::iter::from_fn(|| lab.engine.poll_delivery());
        all.filter(|one| matches!(one, Delivery::Message { .. })).count()
    };
    assert_eq!(count(&mut lab), 598, "there was no room for more");
    lab.pass(0.2);
    assert_eq!(count(&mut lab), 0);
    lab.pass(0.1);
    assert_eq!(count(&mut lab), 427);
}

/// A turn that has said two things, and a stream socket that is lost and opened again.
fn lost_and_back() -> Lab {
    let mut lab = split();
    lab.turn(1, "m", TurnOptions::default());
    status(&mut lab, 1, "SENDING_API_REQUEST");
    for seq in 2..4 {
        says(&mut lab, seq);
    }
    assert_eq!(lab.sent_kinds(), ["input"]);
    let error = Error::new(ErrorKind::Disconnected, "the stream was cut");
    lab.engine.handle_stream_lost(lab.now, &error);
    lab.pass(0.1);
    lab.engine.handle_stream_reopened(lab.now);
    assert_eq!(lab.sent_kinds(), ["sync"]);
    lab
}

/// The server answers what the client asks to find a turn again, with these stored words.
fn find_again(lab: &mut Lab, said: &str) {
    let sync = lab.sent().remove(0);
    assert_eq!(sync["type"], "sync");
    lab.receive(&json!({
        "type": "sync_response", "request_id": sync["request_id"], "runtime": runtime(), "success": true,
    }));
    let list = lab.sent().remove(0);
    assert_eq!(list["type"], "conversation_messages_list");
    let answer =
        json!({ "id": "2", "message_type": "assistant_message", "content": said, "run_id": "r" });
    let input = json!({ "id": "1", "message_type": "user_message", "content": "?", "otid": "m" });
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"], "success": true,
        "messages": [answer, input], "has_more": false,
    }));
}

#[test]
fn an_end_that_was_lost_with_the_stream_socket_is_found_in_the_stored_messages() {
    let mut lab = lost_and_back();
    // What answers the question how it stands has higher numbers than what was lost.
    status(&mut lab, 9, "WAITING_ON_INPUT");
    lab.pass(0.3);
    find_again(&mut lab, "2 3 4 5 6 7 ");
    // How it ended is not stored.
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    let result = error.result().unwrap();
    assert_eq!((&*result.text, result.delivery), ("2 3 4 5 6 7 ", InputDelivery::Recovered));
}

#[test]
fn what_was_lost_with_the_stream_socket_is_read_when_the_turn_is_over() {
    let mut lab = lost_and_back();
    status(&mut lab, 6, "SENDING_API_REQUEST");
    lab.pass(0.3);
    assert!(lab.sent().is_empty() && lab.ended().is_empty());
    says(&mut lab, 8);
    delta(
        &mut lab,
        9,
        &json!({ "message_type": "stop_reason", "run_id": "r", "stop_reason": "end_turn" }),
    );
    status(&mut lab, 10, "WAITING_ON_INPUT");
    lab.pass(0.3);
    find_again(&mut lab, "2 3 4 5 8 ");
    let result = lab.one_end().1.turn();
    assert_eq!(result.status, Some(TurnStatus::Completed));
    assert_eq!((&*result.text, result.delivery), ("2 3 4 5 8 ", InputDelivery::Recovered));
}

#[test]
fn a_stream_socket_that_took_nothing_with_it_changes_nothing() {
    let mut lab = lost_and_back();
    status(&mut lab, 4, "SENDING_API_REQUEST");
    says(&mut lab, 5);
    delta(
        &mut lab,
        6,
        &json!({ "message_type": "stop_reason", "run_id": "r", "stop_reason": "end_turn" }),
    );
    status(&mut lab, 7, "WAITING_ON_INPUT");
    lab.pass(0.3);
    assert!(lab.sent().is_empty());
    let result = lab.one_end().1.turn();
    assert_eq!((&*result.text, result.delivery), ("2 3 5 ", InputDelivery::Sent));
}

#[test]
fn a_turn_that_is_stopped_ends_as_stopped_although_events_are_missing() {
    let mut lab = lost_and_back();
    status(&mut lab, 6, "SENDING_API_REQUEST");
    lab.pass(0.3);
    lab.command(Command::Abort { token: 1 });
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    // The status comes before the mark of the abort (section 15).
    status(&mut lab, 7, "WAITING_ON_INPUT");
    let mark = json!({ "message_type": "status", "message": "Interrupted", "level": "warning" });
    delta(&mut lab, 8, &mark);
    lab.pass(3.0);
    let result = lab.one_end().1.turn();
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    assert!(lab.sent().is_empty());
}

#[test]
fn a_turn_that_nobody_waits_for_keeps_its_place_when_events_are_missing() {
    let mut lab = split();
    let options = TurnOptions { approvals: Some(Approvals::Deny), ..TurnOptions::default() };
    lab.turn(1, "m", options);
    status(&mut lab, 1, "SENDING_API_REQUEST");
    lab.command(Command::Detach { token: 1 });
    let error = Error::new(ErrorKind::Disconnected, "the stream was cut");
    lab.engine.handle_stream_lost(lab.now, &error);
    status(&mut lab, 4, "SENDING_API_REQUEST");
    lab.pass(0.3);
    lab.sent();
    let request =
        json!({ "subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_call_id": "c" });
    take(
        &mut lab,
        5,
        json!({ "type": "control_request", "request_id": "perm-c", "request": request }),
    );
    assert_eq!(lab.sent()[0]["payload"]["decision"]["behavior"], "deny");
}

#[test]
fn a_gap_is_noticed_also_where_there_is_no_room_to_wait_for_it() {
    let mut lab = lost_and_back();
    for seq in 6..1033 {
        says(&mut lab, seq);
    }
    let end = json!({ "message_type": "stop_reason", "run_id": "r", "stop_reason": "end_turn" });
    delta(&mut lab, 1033, &end);
    status(&mut lab, 1034, "WAITING_ON_INPUT");
    lab.pass(0.3);
    let all = (2..1033).map(|seq| format!("{seq} ")).collect::<Vec<_>>().concat();
    find_again(&mut lab, &all);
    let result = lab.one_end().1.turn();
    assert_eq!((&result.text, result.delivery), (&all, InputDelivery::Recovered));
}
