//! Permission questions on a virtual clock: who is asked, in which order, and what becomes of answers
//! (PROTOCOL.md section 13).
#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

mod support;

use letta_app_client::engine::{Command, Delivery, Token, TurnEvent, check_decision};
use letta_app_client::{Approvals, ErrorKind, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::{End, Lab, runtime};

/// What came for handlers and followers since the last look.
#[derive(Debug, Default)]
struct Heard {
    asked: Vec<(Token, u64, String)>,
    over: Vec<(Token, u64, Option<String>)>,
    events: Vec<(Token, TurnEvent)>,
    ended: Vec<(Token, Result<Option<TurnStatus>, ErrorKind>)>,
}

fn heard(lab: &mut Lab) -> Heard {
    let mut heard = Heard::default();
    while let Some(delivery) = lab.engine.poll_delivery() {
        match delivery {
            Delivery::Approval { token, ask, text } => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(frame["type"], "control_request");
                assert_eq!(frame["runtime"], runtime());
                let id = frame["request_id"].as_str().expect("an id").to_owned();
                heard.asked.push((token, ask, id));
            }
            Delivery::ApprovalOver { token, ask, refused } => {
                heard.over.push((token, ask, refused));
            }
            Delivery::TurnEvent { token, event, .. } => heard.events.push((token, event)),
            Delivery::Turn { token, result } => heard.ended.push((token, Ok(result.status))),
            Delivery::Failed { token, error } => heard.ended.push((token, Err(error.kind()))),
            _ => {}
        }
    }
    heard
}

fn options(approvals: Approvals) -> TurnOptions {
    TurnOptions { approvals: Some(approvals), events: true, ..TurnOptions::default() }
}

/// A turn that runs and has called two tools.
fn running(approvals: Approvals) -> Lab {
    let mut lab = Lab::new();
    lab.turn(1, "m1", options(approvals));
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    calls(&mut lab, &["c1", "c2"]);
    lab.sent();
    heard(&mut lab);
    lab
}

fn calls(lab: &mut Lab, ids: &[&str]) {
    for id in ids {
        let call = json!({ "tool_call_id": id, "name": "Write", "arguments": "{}" });
        lab.delta(json!({
            "message_type": "approval_request_message", "run_id": "r1", "tool_call": call,
        }));
    }
}

fn question(id: &str, call: &str) -> Value {
    let request = json!({
        "subtype": "can_use_tool", "tool_name": "Write", "input": {}, "tool_call_id": call,
    });
    json!({ "request_id": id, "request": request })
}

fn ask(lab: &mut Lab, id: &str, call: &str) {
    lab.event("control_request", question(id, call));
}

fn listed(lab: &mut Lab, open: &[Value]) {
    lab.event(
        "update_device_status",
        json!({ "device_status": { "pending_control_requests": open } }),
    );
}

fn answer(lab: &mut Lab, ask: u64, decision: &Value) {
    lab.command(Command::AnswerApproval { ask, answer: Ok(decision.to_string()) });
}

fn allow() -> Value {
    json!({ "behavior": "allow" })
}

fn handler(lab: &mut Lab, token: Token, own: bool) {
    let runtime = own.then(|| ("a".to_owned(), "c".to_owned()));
    lab.command(Command::HandleApprovals { token, runtime, handled: true });
}

fn gone(lab: &mut Lab, token: Token) {
    lab.command(Command::HandleApprovals { token, runtime: None, handled: false });
}

/// A handler goes that has not taken what it was asked.
fn leaves(lab: &mut Lab, token: Token, ask: u64) {
    gone(lab, token);
    lab.command(Command::ReturnApproval { ask });
}

/// What one answer said, and the id it went out with.
fn answered(lab: &mut Lab) -> (Value, String) {
    let sent = lab.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((&sent[0]["type"], &sent[0]["runtime"]), (&json!("input"), &runtime()));
    let id = sent[0]["request_id"].as_str().expect("an id").to_owned();
    (sent[0]["payload"].clone(), id)
}

fn confirm(lab: &mut Lab, id: &str, accepted: bool) {
    lab.receive(&json!({
        "type": "input_accepted", "request_id": id, "runtime": runtime(), "accepted": accepted,
        "error": if accepted { Value::Null } else { json!("Approval request is no longer pending") },
    }));
}

#[test]
fn each_question_is_asked_once_wherever_it_comes_from() {
    let mut lab = running(Approvals::Ask);
    ask(&mut lab, "p1", "c1");
    ask(&mut lab, "p1", "c1");
    listed(&mut lab, &[question("p1", "c1")]);
    assert_eq!(heard(&mut lab).asked, [(1, 1, "p1".to_owned())]);
    // A recovered question is listed only.
    listed(&mut lab, &[question("p1", "c1"), question("p2", "c2")]);
    assert!(heard(&mut lab).asked.is_empty(), "the first one is not answered");
    answer(&mut lab, 1, &allow());
    assert_eq!(heard(&mut lab).asked, [(1, 2, "p2".to_owned())]);
    let (payload, _) = answered(&mut lab);
    assert_eq!(
        payload,
        json!({ "kind": "approval_response", "request_id": "p1", "decision": allow() })
    );
}

#[test]
fn an_answer_is_told_with_its_decision() {
    let mut lab = running(Approvals::Ask);
    ask(&mut lab, "p1", "c1");
    answer(&mut lab, 1, &json!({ "behavior": "deny", "message": "no" }));
    let (payload, id) = answered(&mut lab);
    assert_eq!(payload["decision"]["message"], "no");
    confirm(&mut lab, &id, true);
    listed(&mut lab, &[]);
    let heard = heard(&mut lab);
    let decided = heard.events.iter().any(|(token, event)| {
        let TurnEvent::ApprovalDecided { request_id, decision } = event else { return false };
        (*token, request_id.as_str(), decision.as_deref()) == (1, "p1", Some("deny"))
    });
    assert!(decided, "{heard:?}");
    assert!(heard.over.is_empty(), "whoever answered needs no more word: {heard:?}");
}

#[test]
fn an_error_or_an_answer_of_a_wrong_form_denies() {
    let mut lab = running(Approvals::Ask);
    ask(&mut lab, "p1", "c1");
    lab.command(Command::AnswerApproval { ask: 1, answer: Err("it broke".to_owned()) });
    assert_eq!(answered(&mut lab).0["error"], "it broke");
    assert_eq!(check_decision(&allow().to_string()), Ok(()));
    for (number, wrong) in [
        (2, r#"{"behavior":"allow","updated_input":7}"#),
        (3, r#"{"behavior":"deny"}"#),
        (4, "true"),
        (5, r#"{"behavior":"allow"},"request_id":"other""#),
        // The tool would run with its own arguments.
        (6, r#"{"behavior":"allow","updatedInput":{}}"#),
        (7, r#"{"behavior":"allow","updated_inputs":{}}"#),
        (8, r#"{"behavior":"allow","input":{}}"#),
    ] {
        assert!(check_decision(wrong).is_err(), "{wrong}");
        ask(&mut lab, &format!("p{number}"), "c1");
        lab.command(Command::AnswerApproval { ask: number, answer: Ok(wrong.to_owned()) });
        let payload = answered(&mut lab).0;
        assert_eq!(payload["request_id"], format!("p{number}"), "{wrong}");
        let error = payload["error"].as_str().expect("an error");
        assert!(error.contains("invalid"), "{wrong}: {error}");
        let over = heard(&mut lab).over;
        assert!(matches!(&over[..], [(1, ask, Some(_))] if *ask == number), "{wrong}: {over:?}");
    }
}

#[test]
fn an_answer_above_the_limit_denies_and_says_so() {
    let mut lab = running(Approvals::Ask);
    lab.engine = lab.engine.max_message_bytes(500);
    let large = "x".repeat(500);
    let allow = json!({ "behavior": "allow", "updated_input": { "a": large } }).to_string();
    for (ask_number, reply) in [(1, Ok(allow)), (2, Err(large))] {
        ask(&mut lab, &format!("p{ask_number}"), "c1");
        lab.command(Command::AnswerApproval { ask: ask_number, answer: reply });
        let error = answered(&mut lab).0["error"].as_str().expect("an error").to_owned();
        assert!(error.contains("too large") && error.contains("500 allowed"), "{error}");
    }
}

#[test]
fn a_refused_answer_is_reported_and_the_turn_goes_on() {
    let mut lab = running(Approvals::Ask);
    ask(&mut lab, "p1", "c1");
    answer(&mut lab, 1, &allow());
    let id = answered(&mut lab).1;
    heard(&mut lab);
    confirm(&mut lab, &id, false);
    let told = heard(&mut lab);
    assert!(
        matches!(&told.over[..], [(1, 1, Some(reason))] if reason.contains("no longer pending")),
        "{told:?}"
    );
    assert!(
        matches!(&told.events[..], [(1, TurnEvent::ApprovalRefused { request_id, .. })] if request_id == "p1"),
        "{told:?}"
    );
    lab.finished(Some("r1"), "end_turn");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Completed));
}

#[test]
fn an_answer_that_comes_too_late_reaches_nobody() {
    let mut lab = running(Approvals::Ask);
    ask(&mut lab, "p1", "c1");
    // Somebody else decides.
    listed(&mut lab, &[]);
    let told = heard(&mut lab);
    assert_eq!(told.over, [(1, 1, None)]);
    answer(&mut lab, 1, &allow());
    assert!(lab.sent().is_empty());
    // The same id is asked again, in a later run: it is another question.
    ask(&mut lab, "p1", "c1");
    assert_eq!(heard(&mut lab).asked, [(1, 2, "p1".to_owned())]);
    answer(&mut lab, 1, &allow());
    assert!(lab.sent().is_empty(), "the number is the first question's");
    answer(&mut lab, 2, &allow());
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn a_turn_that_is_stopped_takes_its_question_with_it() {
    let mut lab = running(Approvals::Ask);
    handler(&mut lab, 9, true);
    ask(&mut lab, "p1", "c1");
    lab.command(Command::Abort { token: 1 });
    // The server may take its time with that: what is allowed behind it does not leave.
    let told = heard(&mut lab);
    assert_eq!((told.asked, told.over), (vec![(1, 1, "p1".to_owned())], vec![(1, 1, None)]));
    answer(&mut lab, 1, &allow());
    assert_eq!(lab.sent_kinds(), ["abort_message"]);
    ask(&mut lab, "p2", "c2");
    lab.status("WAITING_ON_INPUT");
    let told = heard(&mut lab);
    assert_eq!((told.asked, told.over), (vec![], vec![]), "nobody else is asked meanwhile");
    lab.finished(Some("r1"), "cancelled");
    assert_eq!(lab.one_end().1.turn().status, Some(TurnStatus::Aborted));
}

#[test]
fn a_turn_that_denies_needs_no_handler() {
    let mut lab = running(Approvals::Deny);
    handler(&mut lab, 9, false);
    ask(&mut lab, "p1", "c1");
    let payload = answered(&mut lab).0;
    assert_eq!(payload["decision"]["behavior"], "deny");
    assert!(heard(&mut lab).asked.is_empty());
}

#[test]
fn a_turn_that_asks_or_denies_denies_where_the_client_has_no_handler() {
    let mut lab = running(Approvals::AskOrDeny);
    ask(&mut lab, "p1", "c1");
    assert_eq!(answered(&mut lab).0["decision"]["behavior"], "deny");
    // The one of the moment counts.
    handler(&mut lab, 9, false);
    ask(&mut lab, "p2", "c2");
    assert_eq!(heard(&mut lab).asked, [(9, 1, "p2".to_owned())]);
    assert!(lab.sent().is_empty());
    leaves(&mut lab, 9, 1);
    assert_eq!(answered(&mut lab).0["decision"]["behavior"], "deny");
    assert!(heard(&mut lab).ended.is_empty());
}

#[test]
fn a_tool_that_the_turn_allows_is_asked_of_nobody() {
    for approvals in
        [Approvals::Deny, Approvals::AskOrDeny, Approvals::Ask, Approvals::Pause, Approvals::Raise]
    {
        let mut lab = Lab::new();
        let allow = vec!["Write".to_owned()];
        lab.turn(1, "m1", TurnOptions { allow, ..options(approvals) });
        lab.accept(1, "started");
        lab.run("r1", &["m1"]);
        calls(&mut lab, &["c1"]);
        lab.sent();
        ask(&mut lab, "q1", "c1");
        let (payload, _) = answered(&mut lab);
        assert_eq!(payload["decision"], json!({ "behavior": "allow" }), "{approvals:?}");
        let heard = heard(&mut lab);
        assert_eq!((heard.asked, heard.ended), (vec![], vec![]), "{approvals:?}");
    }
}

#[test]
fn without_a_handler_a_call_pauses_raises_or_waits() {
    let ends = |approvals| {
        let mut lab = running(approvals);
        ask(&mut lab, "p1", "c1");
        lab.ended()
    };
    let (_, End::Turn(paused)) = ends(Approvals::Pause).remove(0) else { panic!("no result") };
    assert_eq!(paused.status, Some(TurnStatus::RequiresApproval));
    let raised = ends(Approvals::Raise).remove(0).1.error();
    assert_eq!(raised.kind(), ErrorKind::ApprovalRequired);
    let result = raised.result().expect("a partial result");
    assert!(result.terminal_message.as_deref().is_some_and(|frame| frame.contains("\"p1\"")));
    assert!(ends(Approvals::Wait).is_empty());
}

#[test]
fn a_handler_of_the_client_answers_for_turns_that_have_none() {
    for approvals in [Approvals::Pause, Approvals::AskOrDeny, Approvals::Raise, Approvals::Wait] {
        let mut lab = running(approvals);
        handler(&mut lab, 7, false);
        handler(&mut lab, 8, true);
        handler(&mut lab, 9, false);
        ask(&mut lab, "p1", "c1");
        let told = heard(&mut lab);
        assert_eq!(told.asked, [(8, 1, "p1".to_owned())], "the one of the runtime comes first");
        assert!(told.ended.is_empty(), "{told:?}");
        // It goes without having taken it, and the latest of the others is asked.
        leaves(&mut lab, 8, 1);
        let told = heard(&mut lab);
        assert_eq!((told.over, told.asked), (vec![(8, 1, None)], vec![(9, 2, "p1".to_owned())]));
    }
}

/// The program answers by an input of its own, `i`, without a handler.
fn answer_as_program(lab: &mut Lab, decision: &Value) {
    let payload = json!({ "kind": "approval_response", "request_id": "p1", "decision": decision });
    let input =
        json!({ "type": "input", "request_id": "i", "runtime": runtime(), "payload": payload });
    let to = Some(("a".to_owned(), "c".to_owned()));
    lab.command(Command::Send { text: input.to_string().into(), runtime: to, settles: false });
}

#[test]
fn what_the_program_answers_is_asked_of_nobody_else_also_when_it_comes_too_late() {
    let mut lab = running(Approvals::Wait);
    handler(&mut lab, 8, false);
    ask(&mut lab, "p1", "c1");
    assert_eq!(heard(&mut lab).asked.len(), 1);
    answer_as_program(&mut lab, &allow());
    assert_eq!(heard(&mut lab).over, [(8, 1, None)]);
    handler(&mut lab, 9, false);
    assert!(heard(&mut lab).asked.is_empty());
    confirm(&mut lab, "i", false);
    let told = heard(&mut lab);
    assert!(told.asked.is_empty(), "it is not pending any more: {told:?}");
    let [(1, TurnEvent::ApprovalRefused { request_id, reason })] = &*told.events else {
        panic!("{told:?}");
    };
    assert_eq!((&**request_id, reason.contains("no longer pending")), ("p1", true));
}

/// The server says nothing of an answer that it does not understand, and waits on (`*/invalid_frames`, u-12 and u-13).
#[test]
fn what_the_program_answers_and_no_server_understands_is_no_answer() {
    for decision in [json!({ "behavior": "deny" }), json!({ "behavior": "perhaps" }), json!(null)] {
        let mut lab = running(Approvals::Wait);
        handler(&mut lab, 8, false);
        ask(&mut lab, "p1", "c1");
        heard(&mut lab);
        answer_as_program(&mut lab, &decision);
        let told = heard(&mut lab);
        assert!(told.over.is_empty(), "the handler still has to answer: {told:?}");
        lab.sent();
        answer(&mut lab, 1, &allow());
        assert_eq!(answered(&mut lab).0["decision"], allow());
    }
}

#[test]
fn what_the_program_answers_by_an_input_of_its_own_is_its_decision() {
    let decided = |decision: Value, accepted: bool| {
        let mut lab = running(Approvals::Wait);
        ask(&mut lab, "p1", "c1");
        answer_as_program(&mut lab, &decision);
        if accepted {
            confirm(&mut lab, "i", true);
        }
        heard(&mut lab);
        listed(&mut lab, &[]);
        let events = heard(&mut lab).events;
        let decision = events.into_iter().find_map(|(_, event)| match event {
            TurnEvent::ApprovalDecided { decision, .. } => Some(decision),
            _ => None,
        });
        decision.expect("it was decided")
    };
    let deny = json!({ "behavior": "deny", "message": "no" });
    assert_eq!(decided(allow(), false).as_deref(), Some("allow"));
    assert_eq!(decided(deny, true).as_deref(), Some("deny"));
}

#[test]
fn a_handler_that_comes_later_is_asked_what_is_open() {
    let mut lab = running(Approvals::Wait);
    ask(&mut lab, "p1", "c1");
    assert!(heard(&mut lab).asked.is_empty());
    handler(&mut lab, 9, false);
    assert_eq!(heard(&mut lab).asked, [(9, 1, "p1".to_owned())]);
}

#[test]
fn questions_of_runtimes_of_others_are_left_alone() {
    let mut lab = Lab::new();
    handler(&mut lab, 9, false);
    // A new connection is told of every question on the server (section 7).
    ask(&mut lab, "p1", "c1");
    assert!(heard(&mut lab).asked.is_empty());
    // A handler of just that runtime means it.
    handler(&mut lab, 8, true);
    assert_eq!(heard(&mut lab).asked, [(8, 1, "p1".to_owned())]);
}

#[test]
fn a_runtime_that_was_started_here_is_the_clients() {
    let mut lab = Lab::new();
    handler(&mut lab, 9, false);
    lab.receive(&json!({
        "type": "runtime_start_response", "request_id": "s", "success": true, "runtime": runtime(),
    }));
    // Nobody here asked for a turn: a schedule may have.
    ask(&mut lab, "p1", "c1");
    assert_eq!(heard(&mut lab).asked, [(9, 1, "p1".to_owned())]);
}

#[test]
fn a_call_does_not_wait_for_a_handler_that_has_gone() {
    for (approvals, outcome) in [
        (Approvals::Pause, Ok(Some(TurnStatus::RequiresApproval))),
        (Approvals::Raise, Err(ErrorKind::ApprovalRequired)),
    ] {
        let mut lab = running(approvals);
        handler(&mut lab, 9, false);
        ask(&mut lab, "p1", "c1");
        assert_eq!(heard(&mut lab).asked.len(), 1);
        leaves(&mut lab, 9, 1);
        assert_eq!(heard(&mut lab).ended, [(1, outcome)]);
    }
}

#[test]
fn a_handler_that_has_gone_may_answer_what_it_was_asked_and_is_asked_nothing_more() {
    let mut lab = running(Approvals::AskOrDeny);
    handler(&mut lab, 8, false);
    handler(&mut lab, 9, false);
    ask(&mut lab, "p1", "c1");
    assert_eq!(heard(&mut lab).asked, [(9, 1, "p1".to_owned())]);
    gone(&mut lab, 9);
    ask(&mut lab, "p2", "c2");
    let told = heard(&mut lab);
    assert_eq!((told.over, told.asked), (vec![], vec![]), "one after the other");
    answer(&mut lab, 1, &allow());
    assert_eq!(answered(&mut lab).0["decision"], allow());
    assert_eq!(heard(&mut lab).asked, [(8, 2, "p2".to_owned())]);
}

#[test]
fn a_question_that_a_handler_returns_is_asked_of_others_before_its_going_is_heard_of() {
    let mut lab = running(Approvals::AskOrDeny);
    handler(&mut lab, 8, false);
    handler(&mut lab, 9, false);
    ask(&mut lab, "p1", "c1");
    heard(&mut lab);
    lab.command(Command::ReturnApproval { ask: 1 });
    let told = heard(&mut lab);
    assert_eq!((told.over, told.asked), (vec![(9, 1, None)], vec![(8, 2, "p1".to_owned())]));
    // Too late for both.
    gone(&mut lab, 9);
    lab.command(Command::ReturnApproval { ask: 1 });
    answer(&mut lab, 1, &allow());
    assert!(lab.sent().is_empty());
}

#[test]
fn a_question_that_the_handler_of_a_turn_returns_is_denied() {
    let mut lab = running(Approvals::Ask);
    handler(&mut lab, 9, false);
    ask(&mut lab, "p1", "c1");
    heard(&mut lab);
    lab.command(Command::ReturnApproval { ask: 1 });
    assert!(answered(&mut lab).0["error"].is_string());
    assert_eq!(heard(&mut lab).asked, []);
}

#[test]
fn a_detached_turn_leaves_its_question_to_others() {
    let mut lab = running(Approvals::Ask);
    handler(&mut lab, 9, false);
    ask(&mut lab, "p1", "c1");
    heard(&mut lab);
    lab.command(Command::Detach { token: 1 });
    assert_eq!(heard(&mut lab).asked, [(9, 2, "p1".to_owned())]);
}

#[test]
fn a_lost_connection_ends_the_asking() {
    let mut lab = running(Approvals::Ask);
    ask(&mut lab, "p1", "c1");
    heard(&mut lab);
    lab.lose();
    let told = heard(&mut lab);
    assert_eq!(told.over, [(1, 1, None)]);
    assert_eq!(told.ended, [(1, Err(ErrorKind::TurnInterrupted))]);
    answer(&mut lab, 1, &allow());
    assert!(lab.sent().is_empty());
}

#[test]
fn a_lost_connection_tells_handlers_of_the_client_too() {
    let mut lab = running(Approvals::Wait);
    handler(&mut lab, 9, false);
    ask(&mut lab, "p1", "c1");
    heard(&mut lab);
    lab.lose();
    assert_eq!(heard(&mut lab).over, [(9, 1, None)]);
}

/// The server takes the first answer of two, and the second would be one to nobody, or to somebody else's question.
#[test]
fn what_the_program_has_answered_is_not_answered_once_more_for_an_input_behind_it() {
    let answers = |by_program: bool| {
        let mut lab = running(Approvals::Wait);
        ask(&mut lab, "p1", "c1");
        if by_program {
            answer_as_program(&mut lab, &allow());
        }
        lab.command(Command::Detach { token: 1 });
        lab.turn(2, "m2", options(Approvals::AskOrDeny));
        lab.accept(2, "queued");
        ask(&mut lab, "p1", "c1");
        listed(&mut lab, &[question("p1", "c1")]);
        let sent = lab.sent().into_iter();
        let decisions = sent.filter_map(|frame| frame["payload"].get("decision").cloned());
        decisions.map(|decision| decision["behavior"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(answers(false), ["deny"], "nobody else may ever answer");
    assert_eq!(answers(true), ["allow"]);
}
