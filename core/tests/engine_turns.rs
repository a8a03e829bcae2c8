//! Turns on a virtual clock: whose they are, how they end, and how they are stopped. What real
//! servers do is in `engine_conformance`; here is what no recording shows.

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, CompletedBy};
use letta_app_client::{Approvals, ErrorKind, InputDelivery, TurnOptions, TurnStatus};
use serde_json::json;
use support::{Lab, runtime};

/// A turn that runs and has said something.
fn running(options: TurnOptions) -> Lab {
    let mut lab = Lab::new();
    lab.turn(1, "m1", options);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.accept(1, "started");
    lab.status("SENDING_API_REQUEST");
    lab.run("r1", &["m1"]);
    lab.says("r1", "half ");
    lab
}

#[test]
fn neighbours_do_not_end_a_turn() {
    let mut lab = running(TurnOptions::default());
    lab.finished(Some("r0"), "end_turn");
    lab.finished(None, "error");
    lab.event(
        "stream_delta",
        json!({
            "subagent_id": "s",
            "delta": { "message_type": "stop_reason", "run_id": "r1", "stop_reason": "end_turn" },
        }),
    );
    lab.status("WAITING_ON_INPUT");
    assert!(lab.ended().is_empty());
    lab.says("r1", "done");
    lab.finished(Some("r1"), "end_turn");
    let result = lab.one_end().1.turn();
    assert_eq!((result.text.as_str(), result.status), ("half done", Some(TurnStatus::Completed)));
}

#[test]
fn deltas_that_come_before_the_correlation_count() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r0", &["other"]);
    lab.says("r1", "early ");
    lab.run("r1", &["m1"]);
    lab.says("r1", "late");
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "early late");
}

#[test]
fn a_failed_run_that_was_tried_again_is_withdrawn() {
    let mut lab = running(TurnOptions::default());
    lab.delta(json!({ "message_type": "error_message", "run_id": "r1", "message": "terminated" }));
    lab.delta(
        json!({ "message_type": "stop_reason", "run_id": "r1", "stop_reason": "llm_api_error" }),
    );
    lab.run("r2", &["m1"]);
    lab.says("r2", "whole");
    lab.finished(Some("r2"), "end_turn");
    let result = lab.one_end().1.turn();
    assert_eq!((result.text.as_str(), result.retries), ("whole", 1));
    assert_eq!(result.run_ids, ["r1", "r2"]);
}

#[test]
fn usage_is_summed_and_pieces_of_a_tool_call_are_joined() {
    let mut lab = running(TurnOptions::default());
    for (name, arguments) in [(Some("Bash"), "{\"a\""), (None, ":1}")] {
        lab.delta(json!({
            "message_type": "approval_request_message", "run_id": "r1",
            "tool_call": { "tool_call_id": "c1", "name": name, "arguments": arguments },
        }));
    }
    for run in ["r1", "r2"] {
        lab.run(run, &["m1"]);
        lab.delta(json!({
            "message_type": "usage_statistics", "run_id": run, "prompt_tokens": 10,
            "completion_tokens": 3, "total_tokens": 13, "context_tokens": 7,
        }));
    }
    lab.finished(Some("r2"), "end_turn");
    let result = lab.one_end().1.turn();
    assert_eq!((result.usage.total_tokens, result.usage.context_tokens), (26, Some(7)));
    assert_eq!(result.tool_calls[0].arguments, "{\"a\":1}");
    assert_eq!(result.tool_calls[0].name, "Bash");
}

#[test]
fn there_is_no_total_limit_by_default_but_silence_ends_a_turn() {
    let mut lab = running(TurnOptions::default());
    for _ in 0..20 {
        lab.pass(590.0);
        lab.says("r1", ".");
    }
    assert!(lab.ended().is_empty(), "three hours, never silent for ten minutes");
    lab.pass(599.9);
    assert!(lab.sent().is_empty());
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.pass(2.0);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnIdleTimeout);
    assert!(error.result().is_some_and(|result| result.text.starts_with("half .")));
}

#[test]
fn silence_is_no_trouble_while_a_tool_runs() {
    let mut lab = running(TurnOptions::default());
    lab.status("EXECUTING_CLIENT_SIDE_TOOL");
    lab.pass(3000.0);
    assert!(lab.ended().is_empty());
    lab.status("SENDING_API_REQUEST");
    lab.pass(601.0);
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}

#[test]
fn the_total_limit_stops_the_turn_on_the_server() {
    let limit = TurnOptions { timeout: Some(Duration::from_secs(5)), ..TurnOptions::default() };
    let mut lab = running(limit);
    lab.pass(5.1);
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    assert!(lab.ended().is_empty(), "the grace time runs");
    lab.finished(Some("r1"), "cancelled");
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnTimeout);
    let result = error.result().cloned().unwrap_or_default();
    assert_eq!((result.text.as_str(), result.stop_reason.as_deref()), ("half ", Some("cancelled")));
}

#[test]
fn a_caller_who_leaves_stops_the_turn_and_hears_nothing() {
    let mut lab = running(TurnOptions::default());
    lab.command(Command::Cancel { token: 1 });
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.finished(Some("r1"), "cancelled");
    lab.pass(10.0);
    assert!(lab.ended().is_empty());
}

#[test]
fn an_input_that_waits_in_the_queue_is_removed_not_aborted() {
    let mut lab = running(TurnOptions::default());
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    lab.sent();
    lab.command(Command::Cancel { token: 2 });
    assert!(lab.sent().is_empty(), "its place in the queue is not known yet");
    let item = json!({ "id": "q-7", "client_message_id": "m2" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    let sent = lab.sent();
    assert_eq!(
        (&sent[0]["type"], &sent[0]["item_id"]),
        (&json!("remove_queue_item"), &json!("q-7"))
    );
    let removed = json!([{ "client_message_id": "m2", "disposition": "cancelled" }]);
    lab.event("update_queue", json!({ "queue": [], "removed": removed }));
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().0, 1, "the neighbour goes on to its end");
}

#[test]
fn a_stop_before_the_server_answered_waits_for_its_word() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.sent();
    lab.command(Command::Cancel { token: 1 });
    assert!(lab.sent().is_empty(), "an abort now might hit somebody else's turn");
    lab.accept(1, "started");
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}

#[test]
fn an_input_removed_by_somebody_else_is_an_error_that_says_so() {
    let mut lab = running(TurnOptions::default());
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    let removed = json!([{ "client_message_id": "m2", "disposition": "cancelled" }]);
    lab.event("update_queue", json!({ "queue": [], "removed": removed }));
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnAborted);
    let by = error.result().and_then(|result| result.completed_by);
    assert_eq!(by, Some(CompletedBy::RemovedFromQueue));
}

#[test]
fn an_abort_without_a_turn_finished_ends_all_the_same() {
    let mut lab = running(TurnOptions::default());
    lab.status("WAITING_ON_INPUT");
    lab.delta(json!({ "message_type": "status", "message": "Interrupted", "level": "warning" }));
    assert!(lab.ended().is_empty(), "turn_finished usually follows");
    lab.pass(2.1);
    let result = lab.one_end().1.turn();
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    assert_eq!(result.completed_by, Some(CompletedBy::Interrupted));
}

#[test]
fn an_approval_returns_unless_somebody_answers_it() {
    let request = json!({
        "request_id": "perm-c1",
        "request": { "subtype": "can_use_tool", "tool_name": "Bash", "tool_call_id": "c1" },
    });
    let mut lab = running(TurnOptions::default());
    lab.event("control_request", request.clone());
    let result = lab.one_end().1.turn();
    assert_eq!(result.status, Some(TurnStatus::RequiresApproval));
    assert_eq!(result.stop_reason.as_deref(), Some("requires_approval"));

    let mut lab =
        running(TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() });
    lab.event("control_request", request.clone());
    lab.pass(5000.0);
    assert!(lab.ended().is_empty() && lab.sent().is_empty(), "a person may take their time");

    // After a restart of the server the question stands in the device status only.
    let mut lab = running(TurnOptions::default());
    let status = json!({ "pending_control_requests": [request] });
    lab.event("update_device_status", json!({ "device_status": status }));
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::RequiresApproval));
}

#[test]
fn a_refused_input_is_an_error_with_the_answer() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.receive(&json!({
        "type": "input_accepted", "request_id": "r1", "runtime": runtime(), "accepted": false,
        "error": "the queue is full",
    }));
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("queue is full") && error.response().is_some());

    lab.turn(2, "m2", TurnOptions::default());
    lab.delta(
        json!({ "message_type": "loop_error", "is_terminal": false, "message": "bad payload" }),
    );
    assert!(lab.ended().is_empty(), "it may be about somebody else's command");
    lab.pass(5.1);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.message().contains("bad payload"));

    lab.turn(3, "m3", TurnOptions::default());
    lab.delta(json!({ "message_type": "loop_error", "is_terminal": false, "message": "bad mode" }));
    lab.accept(3, "started");
    lab.run("r3", &["m3"]);
    lab.pass(60.0);
    lab.finished(Some("r3"), "end_turn");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Completed));
}

#[test]
fn what_a_schedule_began_just_before_is_not_ours() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.status("SENDING_API_REQUEST");
    lab.accept(1, "queued");
    lab.event("update_queue", json!({ "queue": [{ "id": "q", "client_message_id": "m1" }] }));
    let active = json!({ "status": "PROCESSING_API_RESPONSE", "active_run_ids": ["cron"] });
    lab.event("update_loop_status", json!({ "loop_status": active }));
    lab.says("cron", "not yours");
    lab.finished(Some("cron"), "end_turn");
    assert!(lab.ended().is_empty());
    lab.delta(json!({ "message_type": "user_message", "otid": "m1" }));
    lab.run("r1", &["m1"]);
    lab.says("r1", "yours");
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "yours");
}

#[test]
fn an_answer_behind_the_first_frames_and_a_coalesced_status_lose_nothing() {
    let processing = json!({ "status": "PROCESSING_API_RESPONSE", "active_run_ids": ["r1"] });
    // With an acknowledgement that comes late.
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.event("update_loop_status", json!({ "loop_status": processing }));
    lab.accept(1, "started");
    lab.says("r1", "all");
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "all");
    // On a server that neither acknowledges nor says when a turn is over.
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.event("update_loop_status", json!({ "loop_status": processing }));
    lab.says("r1", "all");
    lab.delta(json!({ "message_type": "stop_reason", "run_id": "r1", "stop_reason": "end_turn" }));
    lab.status("WAITING_ON_INPUT");
    let result = lab.one_end().1.turn();
    assert_eq!((result.text.as_str(), result.run_ids.len()), ("all", 1));
}

#[test]
fn a_joined_turn_that_fails_before_its_next_run_ends_both() {
    let mut lab = running(TurnOptions::default());
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    lab.delta(json!({ "message_type": "user_message", "otid": "m2" }));
    lab.finished(Some("r1"), "error");
    let ended = lab.ended();
    assert_eq!(ended.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_repeated_message_id_does_not_bind_a_turn_to_the_earlier_one() {
    let mut lab = running(TurnOptions::default());
    lab.finished(Some("r1"), "end_turn");
    lab.ended();
    lab.pass(1.0);
    lab.turn(2, "m1", TurnOptions::default());
    lab.accept(2, "started");
    lab.run("r1", &["m1"]);
    lab.finished(None, "error");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Failed));
}

#[test]
fn approvals_of_the_past_neither_hide_nor_prolong_anything() {
    let ask = |lab: &mut Lab, run: &str| {
        let call = json!({ "tool_call_id": "call_1", "name": "Bash", "arguments": "{}" });
        let body =
            json!({ "message_type": "approval_request_message", "run_id": run, "tool_call": call });
        lab.delta(body);
        let request = json!({ "subtype": "can_use_tool", "tool_call_id": "call_1" });
        lab.event("control_request", json!({ "request_id": "perm-call_1", "request": request }));
    };
    let mut lab = running(TurnOptions::default());
    ask(&mut lab, "r1");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::RequiresApproval));
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r1"), "end_turn");
    // The provider counts its calls from one again.
    lab.turn(2, "m2", TurnOptions::default());
    lab.pass(1.0);
    lab.accept(2, "started");
    lab.run("r2", &["m2"]);
    ask(&mut lab, "r2");
    assert_eq!(lab.one_end().1.turn().run_ids, ["r2"]);
    lab.turn(3, "m3", TurnOptions::default());
    lab.status("WAITING_ON_INPUT");
    lab.accept(3, "started");
    lab.run("r3", &["m3"]);
    lab.pass(601.0);
    assert!(lab.sent_kinds().contains(&"abort_message".to_owned()), "silence is silence again");
}

#[test]
fn a_caller_who_left_early_is_obeyed_as_soon_as_the_server_answers() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.sent();
    lab.command(Command::Cancel { token: 1 });
    lab.pass(10.0);
    lab.accept(1, "started");
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}

#[test]
fn an_input_with_an_id_that_is_waiting_is_refused() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    let again = Command::RunTurn {
        token: 2,
        text: "{}".into(),
        request_id: "r1".into(),
        runtime: ("a".into(), "c".into()),
        client_ids: vec!["m2".into()],
        options: TurnOptions::default(),
    };
    lab.command(again);
    let (token, end) = lab.one_end();
    assert_eq!((token, end.error().kind()), (2, ErrorKind::InvalidCommand));
}

#[test]
fn the_next_input_waits_until_the_server_has_cleaned_up() {
    let mut lab = running(TurnOptions::default());
    lab.finished(Some("r1"), "end_turn");
    lab.ended();
    lab.turn(2, "m2", TurnOptions::default());
    let text = json!({ "type": "abort_message", "runtime": runtime() }).to_string();
    lab.command(Command::Send {
        text: text.as_str().into(),
        runtime: Some(("a".to_owned(), "c".to_owned())),
        settles: false,
    });
    let other = Some(("a".to_owned(), "other".to_owned()));
    lab.command(Command::Send {
        text: r#"{"type":"sync"}"#.into(),
        runtime: other,
        settles: false,
    });
    assert_eq!(lab.sent_kinds(), ["sync"], "another runtime does not wait");
    lab.pass(0.149);
    assert!(lab.sent().is_empty());
    lab.pass(0.002);
    assert_eq!(lab.sent_kinds(), ["input", "abort_message"], "in the order given");
}

#[test]
fn a_turn_that_was_not_sent_is_taken_back() {
    let mut lab = running(TurnOptions::default());
    lab.finished(Some("r1"), "end_turn");
    lab.ended();
    lab.turn(2, "m2", TurnOptions::default());
    lab.command(Command::Cancel { token: 2 });
    lab.turn(3, "m3", TurnOptions::default());
    lab.lose();
    let (token, end) = lab.one_end();
    assert_eq!((token, end.error().kind()), (3, ErrorKind::Disconnected));
    assert!(lab.sent().is_empty());
}

#[test]
fn a_lost_connection_interrupts_with_what_is_known() {
    let mut lab = running(TurnOptions::default());
    lab.lose();
    let error = lab.one_end().1.error();
    assert_eq!((error.kind(), error.close_code()), (ErrorKind::TurnInterrupted, Some(1006)));
    let result = error.result().cloned().unwrap_or_default();
    assert_eq!((result.text.as_str(), result.status), ("half ", Some(TurnStatus::Disconnected)));
}

#[test]
fn a_frame_of_wrong_types_counts_for_nothing_but_itself() {
    let mut lab = running(TurnOptions::default());
    lab.event("update_loop_status", json!({ "loop_status": "idle" }));
    lab.event("turn_finished", json!({ "run_id": 7 }));
    assert_eq!(lab.engine.counters().degraded, 2);
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().0, 1);
}

#[test]
fn a_turn_on_a_lost_runtime_is_marked() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.status("WAITING_ON_INPUT");
    lab.run_at("WAITING_ON_INPUT", "r1", &["m1"]);
    lab.finished(Some("r1"), "end_turn");
    assert!(lab.one_end().1.turn().detached);
}

#[test]
fn an_approval_that_nobody_can_give_is_not_waited_for() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions { approvals: Some(Approvals::Wait), ..TurnOptions::default() });
    lab.accept(1, "started");
    lab.status("WAITING_ON_INPUT");
    lab.run_at("WAITING_ON_INPUT", "r1", &["m1"]);
    let call = json!({ "subtype": "can_use_tool", "tool_name": "Bash", "tool_call_id": "c1" });
    lab.event("control_request", json!({ "request_id": "perm-c1", "request": call }));
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert!(error.hint().is_some_and(|hint| hint.contains("settle_pause")), "{error}");
    // What went wrong once gets more time.
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "started");
    lab.status("SENDING_API_REQUEST");
    lab.run("r2", &["m2"]);
    lab.finished(Some("r2"), "end_turn");
    lab.sent();
    lab.turn(3, "m3", TurnOptions::default());
    lab.pass(0.299);
    assert!(lab.sent().is_empty());
    lab.pass(0.002);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn a_server_that_ends_turns_but_tells_no_correlation() {
    let mut lab = Lab::new();
    let status = |lab: &mut Lab, status: &str, runs: &[&str]| {
        lab.event(
            "update_loop_status",
            json!({ "loop_status": { "status": status, "active_run_ids": runs } }),
        );
    };
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    status(&mut lab, "SENDING_API_REQUEST", &[]);
    status(&mut lab, "PROCESSING_API_RESPONSE", &["r1"]);
    lab.says("r1", "one");
    lab.turn(2, "m2", TurnOptions::default());
    lab.accept(2, "queued");
    lab.event("update_queue", json!({ "queue": [{ "id": "q", "client_message_id": "m2" }] }));
    status(&mut lab, "WAITING_ON_INPUT", &[]);
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().0, 1);
    lab.delta(json!({ "message_type": "user_message", "otid": "m2" }));
    lab.event("update_queue", json!({ "queue": [] }));
    status(&mut lab, "PROCESSING_API_RESPONSE", &["r2"]);
    lab.says("r2", "two");
    lab.finished(Some("r2"), "end_turn");
    let result = lab.one_end().1.turn();
    assert_eq!((result.text.as_str(), result.run_ids.len()), ("two", 1));
}

#[test]
fn an_input_waits_for_the_servers_word_on_the_one_before() {
    let mut lab = Lab::new();
    for token in 1..=3 {
        lab.turn(token, &format!("m{token}"), TurnOptions::default());
    }
    // An idle server that got them together would start them all.
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.accept(1, "started");
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.accept(2, "queued");
    assert_eq!(lab.sent_kinds(), ["input"]);
    // Refused or silent: the next one is not held up for ever.
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.turn(
        2,
        "m2",
        TurnOptions { timeout: Some(Duration::from_secs(40)), ..TurnOptions::default() },
    );
    lab.sent();
    lab.pass(30.1);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnInterrupted);
    assert_eq!(lab.sent_kinds(), ["input"]);
    // A busy server queues what comes, and merges what comes together.
    let mut lab = Lab::new();
    lab.status("PROCESSING_API_RESPONSE");
    lab.turn(1, "m1", TurnOptions::default());
    lab.turn(2, "m2", TurnOptions::default());
    assert_eq!(lab.sent().len(), 2);
    // Other conversations do not wait.
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.command(Command::Send {
        text: "{}".into(),
        runtime: Some(("a".to_owned(), "other".to_owned())),
        settles: true,
    });
    assert_eq!(lab.sent().len(), 2);
}

#[test]
fn a_turn_that_waits_to_be_sent_has_its_limits_too() {
    let mut lab = Lab::new();
    let patient =
        TurnOptions { accept_timeout: Duration::from_secs(1000), ..TurnOptions::default() };
    lab.turn(1, "m1", patient);
    lab.turn(
        2,
        "m2",
        TurnOptions { timeout: Some(Duration::from_secs(5)), ..TurnOptions::default() },
    );
    lab.sent();
    lab.pass(5.1);
    let (token, end) = lab.one_end();
    let error = end.error();
    assert_eq!((token, error.kind()), (2, ErrorKind::TurnTimeout));
    let delivery = error.result().map(|result| result.delivery);
    assert_eq!(delivery, Some(InputDelivery::Undelivered), "it never left");
    assert!(error.message().contains("its input had not been sent"), "{error}");
    lab.accept(1, "started");
    assert!(lab.sent().is_empty(), "it was taken back");
}
