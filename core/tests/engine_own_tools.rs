//! Inputs that say something of the tools of their turn: the server reads that of the first of those that
//! become one turn, so they wait until they will be a turn of their own (PROTOCOL.md section 10).

mod support;

use std::time::{Duration, Instant};

use letta_app_client::engine::Command;
use letta_app_client::protocol::Text;
use letta_app_client::{ErrorKind, InputDelivery, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::{Lab, runtime};

fn scoped() -> Value {
    json!({ "external_tool_scope_ids": ["s"] })
}

/// A turn of ours that runs.
fn running(payload: Value) -> Lab {
    let mut lab = Lab::new();
    lab.turn_with(1, "m1", payload, TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab
}

/// A frame of the runtime that is no input.
fn send(lab: &mut Lab, kind: &str) {
    lab.command(Command::Send {
        text: Text::from(json!({ "type": kind, "runtime": runtime() }).to_string()),
        runtime: Some(("a".to_owned(), "c".to_owned())),
        settles: false,
    });
}

/// The ids of the inputs that went out.
fn inputs(lab: &mut Lab) -> Vec<String> {
    let sent = lab.sent().into_iter().filter(|frame| frame["type"] == "input");
    sent.map(|frame| frame["id"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn one_waits_for_the_end_of_the_running_turn_and_inputs_wait_behind_it() {
    let mut lab = running(json!({}));
    lab.turn_with(2, "m2", scoped(), TurnOptions::default());
    lab.turn(3, "m3", TurnOptions::default());
    lab.says("r1", "on it");
    assert!(inputs(&mut lab).is_empty());
    lab.finished(Some("r1"), "end_turn");
    lab.status("WAITING_ON_INPUT");
    lab.pass(5.0);
    assert_eq!(inputs(&mut lab), ["m2"]);
    lab.accept(2, "started");
    lab.run("r2", &["m2"]);
    // This one says nothing of tools, and may join.
    assert_eq!(inputs(&mut lab), ["m3"]);
}

#[test]
fn commands_pass_what_waits_for_a_turn_of_its_own() {
    let mut lab = running(json!({}));
    lab.turn_with(2, "m2", scoped(), TurnOptions::default());
    lab.turn(3, "m3", TurnOptions::default());
    send(&mut lab, "abort_message");
    send(&mut lab, "sync");
    assert_eq!(lab.sent_kinds(), ["abort_message", "sync"]);
}

#[test]
fn the_same_tools_do_not_wait() {
    let mut lab = running(scoped());
    lab.turn_with(2, "m2", scoped(), TurnOptions::default());
    assert_eq!(inputs(&mut lab), ["m2"]);
}

#[test]
fn every_way_to_choose_tools_counts() {
    for payload in [
        json!({ "client_tool_allowlist": [] }),
        json!({ "client_toolset": { "name": "x" } }),
        json!({ "exclude_interactive_tools": true }),
        json!({ "external_tool_scope_ids": ["other"] }),
    ] {
        let mut lab = running(scoped());
        lab.turn_with(2, "m2", payload, TurnOptions::default());
        assert!(inputs(&mut lab).is_empty());
    }
    let mut lab = running(scoped());
    lab.turn_with(2, "m2", json!({ "image_failure_mode": "drop" }), TurnOptions::default());
    assert_eq!(inputs(&mut lab), ["m2"]);
}

#[test]
fn one_waits_for_what_others_do_in_the_conversation() {
    let mut lab = Lab::new();
    lab.status("PROCESSING_API_RESPONSE");
    lab.turn_with(1, "m1", scoped(), TurnOptions::default());
    assert!(inputs(&mut lab).is_empty());
    let item = json!({ "id": "q-1", "client_message_id": "theirs", "kind": "message" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    lab.status("WAITING_ON_INPUT");
    assert!(inputs(&mut lab).is_empty(), "their next one comes");
    lab.event("update_queue", json!({ "queue": [], "removed": [] }));
    lab.pass(5.0);
    assert_eq!(inputs(&mut lab), ["m1"]);
}

#[test]
fn its_limit_passes_while_it_waits() {
    let mut lab = running(json!({}));
    let limit = TurnOptions { timeout: Some(Duration::from_secs(5)), ..TurnOptions::default() };
    lab.turn_with(2, "m2", scoped(), limit);
    lab.pass(5.1);
    let (token, end) = lab.one_end();
    let error = end.error();
    assert_eq!((token, error.kind()), (2, ErrorKind::TurnTimeout));
    let result = error.result().cloned().unwrap_or_default();
    assert_eq!(result.delivery, InputDelivery::Undelivered);
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    lab.finished(Some("r1"), "end_turn");
    lab.pass(5.0);
    assert!(inputs(&mut lab).is_empty(), "it was taken back");
}

/// How long a piece of a running turn and a queue snapshot take while others wait for turns of their own. The
/// shortest of many times, as others may be at work on the machine.
fn time_of_frames(waiting: u64) -> Duration {
    let mut lab = running(json!({}));
    for token in 2..waiting + 2 {
        let payload = json!({ "client_tool_allowlist": [format!("T{token}")] });
        lab.turn_with(token, &format!("m{token}"), payload, TurnOptions::default());
    }
    let times = (0..50).map(|_| {
        let begin = Instant::now();
        lab.says("r1", "x");
        lab.event("update_queue", json!({ "queue": [], "removed": [] }));
        begin.elapsed()
    });
    times.min().unwrap_or_default()
}

#[test]
fn those_that_wait_cost_each_frame_a_look_and_not_one_at_all_others() {
    let (few, many) = (time_of_frames(250), time_of_frames(2_000));
    // Eight times as many: with a look at all others it was more than fifty times as long.
    assert!(many < few * 30, "{few:?} for 250, {many:?} for 2,000");
}
