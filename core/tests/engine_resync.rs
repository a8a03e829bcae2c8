//! What becomes of a lost connection: whether it is opened again, when, and what is asked for then.
//! The frames are those of recordings (PROTOCOL.md sections 7, 8, 13, 14 and 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod support;

use std::path::Path;
use std::time::Duration;

use letta_app_client::engine::{Command, Correlation, Delivery, Expect, Reconnect};
use letta_app_client::protocol::Text;
use letta_app_client::testing::{Payload, Trace, TraceEvent};
use letta_app_client::{Error, ErrorKind, TurnOptions};
use serde_json::{Value, json};
use support::Lab;

const RULES: Reconnect = Reconnect {
    max_attempts: None,
    base: Duration::from_millis(250),
    cap: Duration::from_secs(15),
};

/// The frames of a recording of a one-socket server, in order: whether it was sent, and the frame.
fn recording(name: &str, client: Option<&str>) -> Vec<(bool, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces/single");
    let trace = Trace::read(root.join(format!("{name}.jsonl"))).unwrap();
    let lines = trace.lines.iter().filter(|line| line.client.as_deref() == client);
    lines
        .filter_map(|line| match &line.event {
            TraceEvent::Sent(Payload::Frame(frame)) => Some((true, frame)),
            TraceEvent::Received(Payload::Frame(frame)) => Some((false, frame)),
            _ => None,
        })
        .map(|(sent, frame)| (sent, serde_json::from_str(frame.get()).unwrap()))
        .collect()
}

/// The frame of a type, sent or received.
fn frame(frames: &[(bool, Value)], kind: &str) -> Value {
    let found = frames.iter().find(|(_, frame)| frame["type"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}")).1.clone()
}

/// Sends a frame as a request of the user's, or as a command without one.
fn send(lab: &mut Lab, token: u64, frame: &Value) {
    let text = Text::from(frame.to_string());
    let scope = frame["runtime"].as_object().map(|scope| {
        (
            scope["agent_id"].as_str().unwrap().to_owned(),
            scope["conversation_id"].as_str().unwrap().to_owned(),
        )
    });
    let kind = frame["type"].as_str().unwrap().to_owned();
    lab.command(match frame["request_id"].as_str() {
        None => Command::Send { text, runtime: scope, settles: false },
        Some(id) => Command::Request {
            token,
            expect: Expect {
                correlation: Correlation::RequestId(id.to_owned()),
                response_type: Some(format!("{kind}_response")),
                timeout: Some(Duration::from_secs(30)),
                manual: false,
            },
            command: kind,
            text,
            runtime: scope,
            settles: false,
        },
    });
}

/// Plays the first frames of a recording up to one of a type, as they came.
fn play(lab: &mut Lab, frames: &[(bool, Value)], until: &str) -> usize {
    for (index, (sent, frame)) in frames.iter().enumerate() {
        if *sent {
            send(lab, index as u64 + 1, frame);
        } else {
            lab.receive(frame);
        }
        if frame["type"] == until {
            lab.sent();
            lab.told();
            return index + 1;
        }
    }
    panic!("no {until}");
}

/// Loses the connection and lets the time of the first attempt come.
fn lose_and_reopen(lab: &mut Lab) {
    lab.lose();
    assert!(lab.engine.will_reconnect());
    lab.pass(RULES.base.as_secs_f64());
    assert!(lab.engine.poll_connect());
    assert!(!lab.engine.poll_connect(), "said once");
    lab.reopen();
    assert!(!lab.engine.will_reconnect());
}

fn without(mut frame: Value, fields: &[&str]) -> Value {
    frame.as_object_mut().unwrap().retain(|field, _| !fields.contains(&field.as_str()));
    frame
}

#[test]
fn a_started_runtime_is_started_again_for_the_conversation_there_is() {
    let frames = recording("external_tools_update", None);
    let mut lab = Lab::reconnecting(RULES);
    play(&mut lab, &frames, "runtime_external_tools_update_response");
    lose_and_reopen(&mut lab);
    let sent = lab.sent();
    let [again] = &*sent else { panic!("{sent:?}") };

    let start = frame(&frames, "runtime_start");
    let scope = frame(&frames, "runtime_start_response")["runtime"].clone();
    let tools =
        frame(&frames, "runtime_external_tools_update")["updates"][0]["external_tools"].clone();
    let mut expected =
        without(start.clone(), &["request_id", "create_agent", "create_conversation"]);
    expected["agent_id"] = scope["agent_id"].clone();
    expected["conversation_id"] = scope["conversation_id"].clone();
    expected["external_tools"] = tools;
    assert_eq!(without(again.clone(), &["request_id"]), expected);
    assert_eq!((&expected["mode"], &expected["cwd"]), (&json!("standard"), &start["cwd"]));
    assert!(again["request_id"].is_string() && again["request_id"] != start["request_id"]);
}

#[test]
fn an_input_waits_until_its_runtime_is_there_again() {
    let frames = recording("external_tools_update", None);
    let mut lab = Lab::reconnecting(RULES);
    let start = play(&mut lab, &frames, "runtime_start_response");
    lose_and_reopen(&mut lab);
    let again = lab.sent().remove(0);
    let scope = &frames[start - 1].1["runtime"];
    let place = (scope["agent_id"].as_str().unwrap(), scope["conversation_id"].as_str().unwrap());
    let input = json!({ "type": "input", "request_id": "i", "runtime": scope });
    lab.command(Command::RunTurn {
        token: 900,
        text: Text::from(input.to_string()),
        request_id: "i".to_owned(),
        runtime: (place.0.to_owned(), place.1.to_owned()),
        client_ids: vec!["m".to_owned()],
        options: TurnOptions::default(),
    });
    assert!(lab.sent().is_empty(), "it would run without its tools");
    let mut answer = frames[start - 1].1.clone();
    answer["request_id"] = again["request_id"].clone();
    lab.receive(&answer);
    assert_eq!(lab.sent_kinds(), ["input"]);
    let counters = lab.engine.counters();
    assert_eq!((counters.reconnects, counters.restored, counters.restore_failures), (1, 1, 0));
}

#[test]
fn a_runtime_that_was_at_work_settles_first() {
    let mut lab = Lab::reconnecting(RULES);
    let options = TurnOptions { recover_timeout: Duration::ZERO, ..TurnOptions::default() };
    lab.turn(1, "m", options);
    lab.accept(1, "started");
    lab.status("SENDING_API_REQUEST");
    lab.sent();
    lab.lose();
    let (_, end) = lab.ended().remove(0);
    let error = end.error();
    assert_eq!((error.kind(), error.will_reconnect()), (ErrorKind::TurnInterrupted, true));
    lab.pass(RULES.base.as_secs_f64());
    assert!(lab.engine.poll_connect());
    lab.reopen();
    let sync = lab.sent().remove(0);
    lab.turn(2, "n", TurnOptions::default());
    lab.receive(&json!({
        "type": "sync_response", "request_id": sync["request_id"], "success": true,
        "runtime": support::runtime(),
    }));
    assert!(lab.sent().is_empty(), "the cancelled turn is being cleaned up after (section 18)");
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn a_runtime_that_was_only_subscribed_to_is_subscribed_to_again() {
    let frames = recording("approval_pending_second_client", Some("B"));
    let mut lab = Lab::reconnecting(RULES);
    play(&mut lab, &frames, "sync_response");
    lose_and_reopen(&mut lab);
    let mut expected = without(frame(&frames, "sync"), &["request_id"]);
    assert_eq!(expected["recover_approvals"], false);
    // A split server tells of open questions in the device status alone (section 13).
    expected["force_device_status"] = true.into();
    let sent = lab.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(without(sent[0].clone(), &["request_id"]), expected);
}

#[test]
fn a_question_that_is_still_open_is_asked_once_more_and_only_once() {
    let frames = recording("approval_pending_second_client", Some("B"));
    let mut lab = Lab::reconnecting(RULES);
    lab.command(Command::HandleApprovals { token: 77, runtime: None, handled: true });
    for (sent, frame) in &frames {
        if *sent {
            send(&mut lab, 1, frame);
        } else {
            lab.receive(frame);
        }
        if frame["type"] == "control_request" {
            break;
        }
    }
    let asked = |lab: &mut Lab| -> Vec<(u64, Value)> {
        let questions = lab.told().into_iter().filter_map(|delivery| match delivery {
            Delivery::Approval { token: 77, ask, text } => {
                Some((ask, serde_json::from_str(&text).unwrap()))
            }
            _ => None,
        });
        questions.collect()
    };
    let first = asked(&mut lab);
    assert_eq!(first.len(), 1);
    lab.lose();
    let over: Vec<_> = lab
        .told()
        .into_iter()
        .filter(
            |delivery| matches!(delivery, Delivery::ApprovalOver { ask, .. } if *ask == first[0].0),
        )
        .collect();
    assert_eq!(over.len(), 1, "nobody need answer on the old connection");
    lab.pass(RULES.base.as_secs_f64());
    assert!(lab.engine.poll_connect());
    lab.reopen();
    // It comes by itself, once more with the sync, and stands in the device status (sections 7 and 13).
    let mut question = frame(&frames, "control_request");
    for seq in [1, 2] {
        question["event_seq"] = seq.into();
        lab.receive(&question);
    }
    let listed = json!({ "request_id": question["request_id"], "request": question["request"] });
    lab.receive(&json!({
        "type": "update_device_status", "runtime": question["runtime"], "event_seq": 3,
        "device_status": { "pending_control_requests": [listed] },
    }));
    let second = asked(&mut lab);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].1["request_id"], "perm-call_0032");
    assert_ne!(second[0].0, first[0].0);
    lab.sent();
    lab.command(Command::AnswerApproval {
        ask: first[0].0,
        answer: Ok(json!({ "behavior": "allow" }).to_string()),
    });
    assert!(lab.sent().is_empty(), "an answer to the old question reaches nobody");
    lab.command(Command::AnswerApproval {
        ask: second[0].0,
        answer: Ok(json!({ "behavior": "allow" }).to_string()),
    });
    assert_eq!(lab.sent_kinds(), ["input"]);
}

#[test]
fn a_conversation_that_is_gone_is_told_of_and_not_asked_for_for_ever() {
    let frames = recording("runtime_start_variants", None);
    let refusal = frames.iter().map(|(_, frame)| frame).find(|frame| {
        frame["error"].as_str().is_some_and(|error| error.contains("conv-does-not-exist"))
    });
    let refusal = refusal.unwrap_or_else(|| panic!("no refusal"));
    let mut lab = Lab::reconnecting(RULES);
    play(&mut lab, &frames, "runtime_start_response");
    let mut asked = 0;
    for _ in 0..5 {
        lose_and_reopen(&mut lab);
        lab.told();
        for sent in lab.sent() {
            asked += 1;
            let mut answer = refusal.clone();
            answer["request_id"] = sent["request_id"].clone();
            lab.receive(&answer);
            let told = lab.told();
            let [Delivery::RestoreFailed { agent_id, error, .. }] = &*told else {
                panic!("{told:?}")
            };
            assert_eq!(*agent_id, sent["agent_id"]);
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.message().contains("conv-does-not-exist"), "{error}");
        }
        lab.pass(20.0);
    }
    assert_eq!(asked, 3);
    assert_eq!(lab.engine.counters().restore_failures, 3);
}

#[test]
fn an_unanswered_restoration_ends_and_lets_inputs_go() {
    let frames = recording("runtime_start_variants", None);
    let mut lab = Lab::reconnecting(RULES);
    play(&mut lab, &frames, "runtime_start_response");
    lose_and_reopen(&mut lab);
    lab.sent();
    let scope = frame(&frames, "runtime_start_response")["runtime"].clone();
    let input = json!({ "type": "input", "runtime": scope });
    lab.command(Command::Send {
        text: Text::from(input.to_string()),
        runtime: Some((
            scope["agent_id"].as_str().unwrap().to_owned(),
            scope["conversation_id"].as_str().unwrap().to_owned(),
        )),
        settles: true,
    });
    lab.pass(29.0);
    assert!(lab.sent().is_empty());
    lab.told();
    lab.pass(2.0);
    assert_eq!(lab.sent_kinds(), ["input"]);
    let told = lab.told();
    let [Delivery::RestoreFailed { error, .. }] = &*told else { panic!("{told:?}") };
    assert_eq!(error.kind(), ErrorKind::RequestTimeout);
}

#[test]
fn later_changes_of_mode_and_directory_are_kept() {
    let frames = recording("runtime_start_variants", None);
    let mut lab = Lab::reconnecting(RULES);
    play(&mut lab, &frames, "runtime_start_response");
    let scope = frame(&frames, "runtime_start_response")["runtime"].clone();
    for payload in [json!({ "mode": "acceptEdits" }), json!({ "cwd": "/elsewhere" })] {
        let change = json!({ "type": "change_device_state", "runtime": scope, "payload": payload });
        send(&mut lab, 0, &change);
    }
    lab.sent();
    lose_and_reopen(&mut lab);
    let again = lab.sent().remove(0);
    assert_eq!((&again["mode"], &again["cwd"]), (&json!("acceptEdits"), &json!("/elsewhere")));
}

#[test]
fn what_a_second_start_leaves_out_is_kept() {
    let frames = recording("runtime_start_variants", None);
    let response = frame(&frames, "runtime_start_response");
    let scope = response["runtime"].clone();
    // What comes back after a first start and a second one.
    let again = |second: Value| {
        let mut lab = Lab::reconnecting(RULES);
        let first = json!({ "mode": "acceptEdits", "cwd": "/here", "skill_sources": ["agent"] });
        for (token, mut start) in [(1, first), (2, second)] {
            let id = json!(format!("r-{token}"));
            start["type"] = json!("runtime_start");
            start["request_id"] = id.clone();
            start["agent_id"] = scope["agent_id"].clone();
            start["conversation_id"] = scope["conversation_id"].clone();
            send(&mut lab, token, &start);
            let mut answer = response.clone();
            answer["request_id"] = id;
            lab.receive(&answer);
        }
        lab.sent();
        lose_and_reopen(&mut lab);
        lab.sent().remove(0)
    };
    let plain = again(json!({ "mode": "strict" }));
    assert_eq!((&plain["mode"], &plain["cwd"]), (&json!("strict"), &json!("/here")));
    assert!(plain.get("skill_sources").is_none());
    // The one by which tools are replaced on servers that have no command for that.
    let tools = json!([{ "tools": [] }]);
    let other_tools = again(json!({
        "external_tools": tools, "recover_approvals": false, "preserve_skill_sources": true,
    }));
    assert_eq!(other_tools["mode"], "acceptEdits");
    assert_eq!(other_tools["skill_sources"], json!(["agent"]));
    assert_eq!(other_tools["external_tools"], tools);
    for said_of_that_time in ["recover_approvals", "preserve_skill_sources"] {
        assert!(other_tools.get(said_of_that_time).is_none());
    }
}

#[test]
fn taking_tools_back_by_a_start_does_not_bring_a_runtime_back_that_was_let_go_of() {
    let frames = recording("runtime_start_variants", None);
    let mut answer = frame(&frames, "runtime_start_response");
    let ids = ["agent_id", "conversation_id"];
    let [agent, conversation] =
        ids.map(|field| answer["runtime"][field].as_str().unwrap().to_owned());
    let mut lab = Lab::reconnecting(RULES);
    let place = (agent.clone(), conversation.clone());
    lab.command(Command::HoldRuntime {
        runtime: place.clone(),
        opening: String::new(),
        held: true,
    });
    let mut started = |lab: &mut Lab, token: u64, more: Value| {
        let id = json!(format!("r-{token}"));
        let mut start = json!({
            "type": "runtime_start", "request_id": id, "agent_id": agent,
            "conversation_id": conversation,
        });
        start.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        send(lab, token, &start);
        answer["request_id"] = id;
        lab.receive(&answer);
    };
    started(&mut lab, 1, json!({ "mode": "standard" }));
    lab.command(Command::HoldRuntime { runtime: place, opening: String::new(), held: false });
    let back = json!({ "external_tools": [], "preserve_skill_sources": true });
    started(&mut lab, 2, back);
    lab.sent();
    lose_and_reopen(&mut lab);
    let again = lab.sent();
    assert!(again.iter().all(|frame| frame["type"] != "runtime_start"), "{again:?}");
}

#[test]
fn what_else_a_connection_has_comes_back_too() {
    let mut lab = Lab::reconnecting(RULES);
    // An input subscribes as well (section 7), and tools may be registered without a start.
    lab.turn(1, "m", TurnOptions::default());
    let tools = json!([{ "tools": [{ "name": "t", "description": "d", "parameters": {} }] }]);
    let other = json!({ "agent_id": "b", "conversation_id": "d" });
    let update = json!({
        "type": "runtime_external_tools_update", "request_id": "u",
        "updates": [{ "runtimes": [other], "external_tools": tools }],
    });
    send(&mut lab, 2, &update);
    lab.receive(&json!({
        "type": "runtime_external_tools_update_response", "request_id": "u", "success": true,
    }));
    // Unanswered: the server may not have taken it.
    let start = json!({ "type": "runtime_start", "request_id": "s", "agent_id": "lost" });
    send(&mut lab, 3, &start);
    // One of the three that watch the same file is done with it.
    for path in ["/a", "/b", "/b", "/b"] {
        send(&mut lab, 4, &json!({ "type": "watch_file", "path": path }));
    }
    for path in ["/a", "/a", "/b"] {
        send(&mut lab, 5, &json!({ "type": "unwatch_file", "path": path }));
    }
    lab.sent();
    lose_and_reopen(&mut lab);
    let sent: Vec<_> =
        lab.sent().into_iter().map(|frame| without(frame, &["request_id"])).collect();
    let sync = |scope: &Value| json!({ "type": "sync", "runtime": scope, "recover_approvals": false, "force_device_status": true });
    let expected = [
        sync(&support::runtime()),
        sync(&other),
        without(update, &["request_id"]),
        json!({ "type": "watch_file", "path": "/b" }),
    ];
    assert_eq!(sent, expected);
}

#[test]
fn many_runtimes_come_back_a_few_at_a_time() {
    let mut lab = Lab::reconnecting(RULES);
    for n in 0..100 {
        let scope = json!({ "agent_id": "a", "conversation_id": n.to_string() });
        send(&mut lab, 1, &json!({ "type": "sync", "runtime": scope }));
    }
    lab.sent();
    lose_and_reopen(&mut lab);
    let (mut asked, mut most) = (0, 0);
    loop {
        let sent = lab.sent();
        if sent.is_empty() {
            break;
        }
        asked += sent.len();
        most = most.max(sent.len());
        for frame in sent {
            let (id, scope) = (&frame["request_id"], &frame["runtime"]);
            lab.receive(&json!({
                "type": "sync_response", "request_id": id, "success": true, "runtime": scope,
            }));
        }
    }
    assert_eq!((asked, lab.engine.counters().restored), (100, 100));
    assert!(most <= 16, "{most} at once");
}

#[test]
fn refused_credentials_end_it_and_so_does_a_stranger() {
    for kind in [ErrorKind::Auth, ErrorKind::ProtocolMismatch] {
        let mut lab = Lab::reconnecting(RULES);
        lab.lose();
        lab.pass(1.0);
        assert!(lab.engine.poll_connect());
        lab.engine.handle_connect_failed(lab.now, &Error::new(kind, "no"));
        assert!(!lab.engine.will_reconnect());
        assert_eq!(lab.engine.next_timeout(), None);
    }
}

#[test]
fn attempts_go_on_until_the_limit_and_not_after_a_close() {
    let rules = Reconnect { max_attempts: Some(3), ..RULES };
    let mut lab = Lab::reconnecting(rules);
    lab.lose();
    let mut attempts = 0;
    while let Some(at) = lab.engine.next_timeout() {
        assert!(at <= lab.now + rules.cap);
        lab.pass(at.saturating_sub(lab.now).as_secs_f64() + 0.001);
        assert!(lab.engine.poll_connect());
        attempts += 1;
        let failed = Error::new(ErrorKind::ConnectionFailed, "refused");
        lab.engine.handle_connect_failed(lab.now, &failed);
    }
    assert_eq!(attempts, 3);
    assert!(!lab.engine.will_reconnect());

    let mut lab = Lab::reconnecting(rules);
    lab.lose();
    lab.engine.handle_connection_lost(lab.now, &Error::new(ErrorKind::Closed, "closed"));
    assert!(!lab.engine.will_reconnect());
}

#[test]
fn a_first_connection_is_not_tried_again_and_none_is_without_being_asked() {
    let mut lab = Lab::reconnecting(RULES);
    lab.engine = letta_app_client::engine::Engine::new(
        std::sync::Arc::new(letta_app_client::engine::Ids::with_prefix("t".to_owned())),
        Duration::ZERO,
    )
    .reconnecting(RULES, 7);
    let failed = Error::new(ErrorKind::ConnectionFailed, "refused");
    lab.engine.handle_connect_failed(lab.now, &failed);
    assert!(!lab.engine.will_reconnect());

    let mut lab = Lab::new();
    send(&mut lab, 1, &json!({ "type": "sync", "runtime": support::runtime() }));
    lab.sent();
    lab.lose();
    assert!(!lab.engine.will_reconnect());
    lab.reopen();
    assert!(lab.sent().is_empty(), "the user does it");
}
