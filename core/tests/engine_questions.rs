//! Questions that an input of ours waits behind: nobody's are decided as that input says, another client's are
//! left to it (PROTOCOL.md sections 9.5, 10 and 13).

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Delivery, Reconnect, Token};
use letta_app_client::{Approvals, ErrorKind, InputDelivery, TurnEvent, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::{End, Lab, runtime};

fn options(approvals: Approvals) -> TurnOptions {
    TurnOptions { approvals: Some(approvals), ..TurnOptions::default() }
}

fn request(tool: &str) -> Value {
    json!({
        "request_id": "perm-c",
        "request": { "subtype": "can_use_tool", "tool_name": tool, "input": {}, "tool_call_id": "c" },
    })
}

/// A turn that runs, answers the messages with these ids, and waits for a permission.
fn asking(lab: &mut Lab, answers: &[&str]) {
    lab.run("r0", &["before"]);
    let state = |status: &str| {
        let mut map = json!({ "r0": ["before"] });
        if !answers.is_empty() {
            map["r1"] = json!(answers);
        }
        json!({ "loop_status": {
            "status": status, "active_run_ids": ["r1"], "client_message_ids_by_run_id": map,
        } })
    };
    lab.event("update_loop_status", state("PROCESSING_API_RESPONSE"));
    lab.event("update_loop_status", state("WAITING_ON_APPROVAL"));
    lab.event("control_request", request("Bash"));
}

/// A server that has come up again offers a question of before, as recorded in
/// `single/approval_recovered_after_server_restart`.
fn offered_anew(lab: &mut Lab) {
    let open = json!({ "pending_control_requests": [request("AskUserQuestion")] });
    lab.event("update_device_status", json!({ "device_status": open }));
    lab.status("WAITING_ON_APPROVAL");
    lab.event("update_device_status", json!({ "device_status": open }));
}

/// A conversation that was started here.
fn joined() -> Lab {
    let mut lab = Lab::new();
    lab.receive(&json!({
        "type": "runtime_start_response", "request_id": "s", "success": true, "runtime": runtime(),
    }));
    lab
}

fn queued(lab: &mut Lab, token: Token, options: TurnOptions) {
    lab.turn(token, "m", options);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.accept(token, "queued");
    let item = json!({ "id": "q-1", "client_message_id": "m", "kind": "message" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
}

fn reconnecting() -> Lab {
    let base = Duration::from_millis(250);
    Lab::reconnecting(Reconnect { max_attempts: None, base, cap: base })
}

/// The decision that was sent.
fn decided(lab: &mut Lab) -> Option<Value> {
    let sent = lab.sent();
    let payload = sent.first()?["payload"].clone();
    assert_eq!(payload["request_id"], "perm-c");
    Some(payload["decision"]["behavior"].clone())
}

/// Who is asked.
fn asked(lab: &mut Lab) -> Vec<Token> {
    let told = std::iter::from_fn(|| lab.engine.poll_delivery());
    let asked = told.filter_map(|delivery| match delivery {
        Delivery::Approval { token, .. } => Some(token),
        _ => None,
    });
    asked.collect()
}

#[test]
fn nobodys_question_is_decided_as_the_input_behind_it_says() {
    for begin in [|lab: &mut Lab| asking(lab, &[]), offered_anew as fn(&mut Lab)] {
        let mut lab = joined();
        begin(&mut lab);
        assert!(lab.sent().is_empty(), "nothing of ours waits");
        queued(&mut lab, 1, options(Approvals::AskOrDeny));
        assert_eq!(decided(&mut lab), Some("deny".into()));
        lab.event("update_device_status", json!({ "device_status": {} }));
        lab.run("r2", &["m"]);
        lab.finished(Some("r2"), "end_turn");
        assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Completed));

        let mut lab = joined();
        begin(&mut lab);
        queued(&mut lab, 1, options(Approvals::Ask));
        assert_eq!(asked(&mut lab), [1]);
        lab.pass(100_000.0);
        assert!(lab.ended().is_empty(), "a person may take long");

        let mut lab = joined();
        begin(&mut lab);
        queued(&mut lab, 1, options(Approvals::Pause));
        assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::RequiresApproval));
    }
}

#[test]
fn a_tool_that_the_input_allows_runs_there_as_well() {
    let mut lab = Lab::new();
    asking(&mut lab, &[]);
    let allow = vec!["Bash".to_owned()];
    queued(&mut lab, 1, TurnOptions { allow, ..options(Approvals::Deny) });
    assert_eq!(decided(&mut lab), Some("allow".into()));
}

#[test]
fn an_input_that_waits_for_a_turn_of_its_own_decides_too() {
    let scoped = || json!({ "external_tool_scope_ids": ["s"] });
    let mut lab = Lab::new();
    asking(&mut lab, &[]);
    lab.turn_with(1, "m", scoped(), options(Approvals::Deny));
    assert_eq!(decided(&mut lab), Some("deny".into()));

    for approvals in [Approvals::Pause, Approvals::Raise] {
        let mut lab = Lab::new();
        asking(&mut lab, &[]);
        lab.turn_with(1, "m", scoped(), options(approvals));
        let delivery = match lab.one_end().1 {
            End::Turn(result) => Some(result.delivery),
            End::Failed(error) => error.result().map(|result| result.delivery),
            end @ End::Response(..) => panic!("{end:?}"),
        };
        assert_eq!(delivery, Some(InputDelivery::Undelivered));
        lab.status("WAITING_ON_INPUT");
        lab.pass(5.0);
        assert!(lab.sent().is_empty(), "nobody is waiting for it any more");
    }
}

#[test]
fn an_input_that_is_to_stop_decides_nothing() {
    let mut lab = Lab::new();
    lab.run("r0", &["before"]);
    queued(&mut lab, 1, options(Approvals::Deny));
    lab.command(Command::Abort { token: 1 });
    assert_eq!(lab.sent_kinds(), ["remove_queue_item"]);
    asking(&mut lab, &[]);
    assert!(lab.sent().is_empty());
}

#[test]
fn another_clients_question_is_left_to_it_but_not_waited_for_without_end() {
    let idle = Some(Duration::from_secs(60));
    for approvals in [Approvals::Deny, Approvals::Ask, Approvals::Pause, Approvals::Raise] {
        let mut lab = Lab::new();
        asking(&mut lab, &["theirs"]);
        queued(&mut lab, 1, TurnOptions { idle_timeout: idle, ..options(approvals) });
        assert!(lab.sent().is_empty() && asked(&mut lab).is_empty());
        lab.pass(59.0);
        assert!(lab.sent().is_empty() && lab.ended().is_empty());
        lab.pass(2.0);
        assert_eq!(lab.sent_kinds(), ["remove_queue_item"]);
        lab.pass(2.1);
        let error = lab.one_end().1.error();
        assert_eq!(error.kind(), ErrorKind::TurnIdleTimeout);
        assert_eq!(error.hint(), Some("`perm-c` of Bash is waiting for permission"));
    }
    let mut lab = Lab::new();
    asking(&mut lab, &["theirs"]);
    queued(&mut lab, 1, TurnOptions { idle_timeout: idle, ..options(Approvals::Wait) });
    lab.pass(100_000.0);
    assert!(lab.sent().is_empty() && lab.ended().is_empty(), "others decide");
}

#[test]
fn while_a_handler_of_the_client_decides_nothing_is_silent() {
    let mut lab = joined();
    lab.command(Command::HandleApprovals { token: 9, runtime: None, handled: true });
    asking(&mut lab, &["theirs"]);
    queued(&mut lab, 1, options(Approvals::Deny));
    assert_eq!(asked(&mut lab), [9]);
    lab.pass(100_000.0);
    assert!(lab.ended().is_empty());
}

#[test]
fn a_turn_that_goes_on_with_a_question_ends_where_it_is_not_to_wait() {
    for approvals in [Approvals::Pause, Approvals::Raise] {
        let mut lab = reconnecting();
        lab.turn(1, "m1", options(approvals));
        lab.accept(1, "started");
        lab.run("r1", &["m1"]);
        lab.sent();
        // Another client has kept it going.
        lab.come_back(|lab| {
            lab.run_at("WAITING_ON_APPROVAL", "r1", &["m1"]);
            lab.event("control_request", request("Bash"));
        });
        match lab.one_end().1 {
            End::Turn(result) => {
                assert_eq!(approvals, Approvals::Pause);
                assert_eq!(result.status, Some(TurnStatus::RequiresApproval));
            }
            End::Failed(error) => {
                assert_eq!(approvals, Approvals::Raise);
                assert_eq!(error.kind(), ErrorKind::ApprovalRequired);
            }
            end @ End::Response(..) => panic!("{end:?}"),
        }
    }
}

#[test]
fn a_turn_whose_server_has_come_up_again_does_not_wait_for_its_question() {
    let mut lab = reconnecting();
    lab.turn(1, "m1", options(Approvals::Ask));
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.run_at("WAITING_ON_APPROVAL", "r1", &["m1"]);
    lab.event("control_request", request("AskUserQuestion"));
    assert_eq!(asked(&mut lab), [1]);
    lab.sent();
    lab.come_back(offered_anew);
    let list = lab.sent().remove(0);
    assert_eq!(list["type"], "conversation_messages_list");
    let call = json!({
        "id": "2", "message_type": "approval_request_message",
        "tool_call": { "tool_call_id": "c", "name": "AskUserQuestion", "arguments": "{}" },
    });
    let said = json!({ "id": "1", "message_type": "user_message", "content": "?", "otid": "m1" });
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": true, "messages": [call, said], "has_more": false,
    }));
    let End::Failed(error) = lab.one_end().1 else { panic!("its turn is gone") };
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    let delivery = error.result().map(|result| result.delivery);
    assert_eq!(delivery, Some(InputDelivery::Recovered));
    // The next input decides.
    lab.pass(1.0);
    queued(&mut lab, 2, options(Approvals::Ask));
    assert_eq!(asked(&mut lab), [2]);
}

/// A turn of ours whose call has ended with its question.
fn ended_with_question(approvals: Approvals) -> Lab {
    let mut lab = joined();
    lab.turn(1, "m1", options(approvals));
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    lab.run_at("WAITING_ON_APPROVAL", "r1", &["m1"]);
    lab.event("control_request", request("Bash"));
    lab.one_end();
    lab.sent();
    lab
}

/// The same, after that question was answered: it asks again.
fn asking_again(approvals: Approvals) -> Lab {
    let mut lab = ended_with_question(approvals);
    let mut again = request("Bash");
    again["request_id"] = "perm-d".into();
    lab.event(
        "update_device_status",
        json!({ "device_status": { "pending_control_requests": [] } }),
    );
    lab.event("control_request", again);
    lab
}

#[test]
fn a_question_that_a_call_ended_with_is_its_callers() {
    for approvals in [Approvals::Pause, Approvals::Raise] {
        let mut lab = ended_with_question(approvals);
        queued(&mut lab, 2, options(Approvals::Deny));
        assert!(lab.sent().is_empty() && lab.ended().is_empty());
    }
}

#[test]
fn what_the_turn_of_such_a_call_asks_later_is_decided_as_the_input_behind_it_says() {
    for approvals in [Approvals::Pause, Approvals::Raise] {
        let mut lab = asking_again(approvals);
        assert!(lab.sent().is_empty());
        queued(&mut lab, 2, options(Approvals::Deny));
        let sent = lab.sent();
        let answer = &sent[0]["payload"];
        assert_eq!(
            (&answer["request_id"], &answer["decision"]["behavior"]),
            (&"perm-d".into(), &"deny".into())
        );
        lab.finished(Some("r1"), "end_turn");
        assert!(
            lab.ended().is_empty(),
            "what answers the first input is over, and the second waits for its turn"
        );
        lab.run("r2", &["m"]);
        lab.finished(Some("r2"), "end_turn");
        let (token, end) = lab.one_end();
        assert_eq!((token, end.turn().status), (2, Some(TurnStatus::Completed)));

        let mut lab = asking_again(approvals);
        lab.command(Command::HandleApprovals { token: 9, runtime: None, handled: true });
        assert_eq!(asked(&mut lab), [9]);
    }
}

#[test]
fn a_queued_input_whose_call_has_ended_with_another_turns_question_asks_later_as_nobodys() {
    let mut lab = joined();
    asking(&mut lab, &[]);
    queued(&mut lab, 1, options(Approvals::Raise));
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::ApprovalRequired);
    lab.event(
        "update_device_status",
        json!({ "device_status": { "pending_control_requests": [] } }),
    );
    // It is in the server's queue all the same, and has its turn.
    lab.run("r2", &["m"]);
    lab.run_at("WAITING_ON_APPROVAL", "r2", &["m"]);
    lab.event("control_request", request("Bash"));
    lab.sent();
    lab.turn(2, "m2", options(Approvals::Deny));
    lab.accept(2, "queued");
    let item = json!({ "id": "q-2", "client_message_id": "m2", "kind": "message" });
    lab.event("update_queue", json!({ "queue": [item], "removed": [] }));
    let sent = lab.sent();
    let last = sent.last().unwrap();
    assert_eq!(last["payload"]["decision"]["behavior"], "deny");
}

/// What was told of questions, to whom.
fn told(lab: &mut Lab) -> Vec<(Token, &'static str, String)> {
    let told = std::iter::from_fn(|| lab.engine.poll_delivery());
    let of_questions = told.filter_map(|delivery| match delivery {
        Delivery::TurnEvent { token, event, .. } => match event {
            TurnEvent::ApprovalRequested { request_id, .. } => {
                Some((token, "requested", request_id))
            }
            TurnEvent::ApprovalDecided { request_id, .. } => Some((token, "decided", request_id)),
            TurnEvent::ApprovalRefused { request_id, .. } => Some((token, "refused", request_id)),
            _ => None,
        },
        _ => None,
    });
    of_questions.collect()
}

/// Nobody's question, and a followed input of ours behind it.
fn followed_behind(approvals: Approvals) -> Lab {
    let mut lab = joined();
    asking(&mut lab, &[]);
    queued(&mut lab, 1, TurnOptions { events: true, ..options(approvals) });
    lab
}

#[test]
fn an_input_that_is_to_decide_by_hand_is_told_what_it_waits_behind() {
    let mut lab = followed_behind(Approvals::Wait);
    lab.command(Command::HandleApprovals { token: 9, runtime: None, handled: false });
    assert_eq!(told(&mut lab), [(1, "requested", "perm-c".to_owned())], "once");
    lab.event(
        "update_device_status",
        json!({ "device_status": { "pending_control_requests": [] } }),
    );
    assert_eq!(told(&mut lab), [(1, "decided", "perm-c".to_owned())]);
}

#[test]
fn an_input_that_was_told_what_it_waits_behind_hears_that_an_answer_did_not_count() {
    let mut lab = followed_behind(Approvals::Deny);
    assert_eq!(told(&mut lab), [(1, "requested", "perm-c".to_owned())]);
    let answer = lab.sent().remove(0);
    lab.receive(&json!({
        "type": "input_accepted", "request_id": answer["request_id"], "runtime": runtime(),
        "accepted": false, "error": "Approval request is no longer pending",
    }));
    assert_eq!(told(&mut lab), [(1, "refused", "perm-c".to_owned())]);
}
