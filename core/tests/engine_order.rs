//! The order of a split server's frames, whose two sockets carry one counter (PROTOCOL.md sections 2.1 and 6).

mod support;

use std::time::Duration;

use letta_app_client::TurnOptions;
use letta_app_client::engine::{Channel, Delivery};
use letta_app_client::protocol::Text;
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
