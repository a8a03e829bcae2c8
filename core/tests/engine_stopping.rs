//! How long a caller waits for a turn that is to stop, and for an input that the server does not have (PROTOCOL.md
//! sections 10, 15 and 17.2 step 12).

mod support;

use std::time::Duration;

use letta_app_client::engine::Command;
use letta_app_client::{Error, ErrorKind, InputDelivery, TurnOptions, TurnStatus};
use serde_json::json;
use support::Lab;

/// A turn of which the server says nothing, and which is told to stop.
fn stopped(lab: &mut Lab) {
    lab.turn(1, "m1", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.command(Command::Abort { token: 1 });
    assert!(lab.sent().is_empty(), "an abort would hit a neighbour");
    lab.pass(2.1);
    let result = lab.one_end().1.turn();
    assert_eq!(result.status, Some(TurnStatus::Disconnected), "it is not known to have stopped");
    assert_eq!(result.delivery, InputDelivery::Unknown);
}

#[test]
fn an_abort_takes_no_longer_than_its_grace() {
    let mut lab = Lab::new();
    stopped(&mut lab);
    assert!(lab.engine.has_unsent(), "a close waits a moment for it");
    // The server has been busy.
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    assert_eq!(lab.sent_kinds(), ["abort_message"], "it is stopped all the same");
    lab.finished(Some("r1"), "cancelled");
    assert!(lab.ended().is_empty(), "its caller has an answer");
    assert!(!lab.engine.has_unsent());
}

#[test]
fn what_is_stopped_late_is_known_by_the_word_about_its_input_alone() {
    let mut lab = Lab::new();
    stopped(&mut lab);
    lab.accept(1, "started");
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
}

#[test]
fn one_that_turns_out_to_be_queued_is_taken_out() {
    let mut lab = Lab::new();
    stopped(&mut lab);
    lab.accept(1, "queued");
    let item = json!({ "id": "q1", "client_message_id": "m1" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    assert_eq!(lab.sent_kinds(), ["remove_queue_item"]);
}

#[test]
fn one_that_is_refused_late_is_forgotten() {
    let mut lab = Lab::new();
    stopped(&mut lab);
    lab.receive(&json!({
        "type": "input_accepted", "request_id": "r1", "runtime": support::runtime(),
        "accepted": false, "error": "no",
    }));
    assert!(!lab.engine.has_unsent());
    assert!(lab.ended().is_empty());
}

#[test]
fn a_limit_that_passes_before_the_server_has_spoken_takes_no_longer_than_the_grace() {
    let mut lab = Lab::new();
    let limit = Some(Duration::from_secs(5));
    lab.turn(1, "m1", TurnOptions { timeout: limit, ..TurnOptions::default() });
    lab.accept(1, "queued");
    lab.pass(7.1);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::TurnTimeout);
}

/// The error of an input behind somebody else's turn, at a limit of five seconds.
fn late(goes_on: impl Fn(&mut Lab)) -> Error {
    let mut lab = Lab::new();
    lab.run("other", &["elsewhere"]);
    let limit = Some(Duration::from_secs(5));
    lab.turn(1, "m1", TurnOptions { timeout: limit, ..TurnOptions::default() });
    goes_on(&mut lab);
    lab.one_end().1.error()
}

fn is_queued(lab: &mut Lab) {
    lab.accept(1, "queued");
    let item = json!({ "id": "q1", "client_message_id": "m1" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    lab.pass(5.1);
}

#[test]
fn a_limit_says_where_an_input_was_that_had_not_begun() {
    let late_in_the_queue = late(|lab| {
        is_queued(lab);
        let removed = json!([{ "client_message_id": "m1", "disposition": "cancelled" }]);
        lab.event("update_queue", json!({ "queue": [], "removed": removed }));
    });
    let message = "the turn did not end within 5 s: it had not begun, its input was still in the server's queue";
    assert_eq!(late_in_the_queue.message(), message);
    assert!(late_in_the_queue.hint().is_some_and(|hint| hint.contains("the time in the queue")));
    let unanswered = late(|lab| lab.pass(7.1));
    assert!(unanswered.message().ends_with("the server had not said what becomes of its input"));
    // The removal came too late, and it was aborted.
    let begun = late(|lab| {
        is_queued(lab);
        lab.run("r1", &["m1"]);
        lab.finished(Some("r1"), "cancelled");
    });
    assert_eq!((begun.message(), begun.hint()), ("the turn did not end within 5 s", None));
}

#[test]
fn an_input_that_is_queued_and_in_no_queue_is_not_waited_for_without_end() {
    let mut lab = Lab::new();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "queued");
    lab.run("r", &["other"]);
    lab.pass(60.0);
    assert!(lab.ended().is_empty(), "the server is at work");
    lab.status("WAITING_ON_INPUT");
    lab.pass(31.0);
    let error = lab.one_end().1.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert!(error.message().contains("does not have it in its queue"), "{error}");
}

#[test]
fn an_input_waits_until_the_turn_before_it_has_been_stopped() {
    let mut lab = Lab::new();
    lab.run("other", &["elsewhere"]);
    lab.turn(1, "m1", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"], "the server is at work, and will queue it");
    lab.command(Command::Abort { token: 1 });
    lab.turn(2, "m2", TurnOptions::default());
    assert!(lab.sent().is_empty(), "an abort for the first may come when the second runs");
    lab.finished(Some("other"), "end_turn");
    lab.run("r1", &["m1"]);
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    lab.finished(Some("r1"), "cancelled");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Aborted));
    lab.pass(0.5);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn an_input_behind_a_turn_that_cannot_be_stopped_waits_no_longer_than_its_grace() {
    let mut lab = Lab::new();
    lab.run("other", &["elsewhere"]);
    lab.turn(1, "m1", TurnOptions::default());
    lab.command(Command::Abort { token: 1 });
    lab.turn(2, "m2", TurnOptions::default());
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.pass(2.1);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn an_input_waits_until_the_turn_before_it_is_out_of_the_queue() {
    let mut lab = Lab::new();
    lab.run("other", &["elsewhere"]);
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "queued");
    let item = json!({ "id": "q1", "client_message_id": "m1" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    lab.sent();
    lab.command(Command::Abort { token: 1 });
    assert_eq!(lab.sent_kinds(), ["remove_queue_item"]);
    lab.turn(2, "m2", TurnOptions::default());
    assert!(lab.sent().is_empty(), "it may be too late, and then the turn is aborted");
    lab.event(
        "update_queue",
        json!({
            "queue": [], "removed": [{ "id": "q1", "client_message_id": "m1", "reason": "removed" }],
        }),
    );
    lab.pass(2.1);
    assert_eq!(lab.sent_kinds(), ["input"]);
}
