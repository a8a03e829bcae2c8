//! Requests and tool calls: correlation, time limits, and answers nobody may get.

mod support;

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::ErrorKind;
use letta_app_client::engine::{Command, Correlation, Delivery, Engine, Expect, Ids, TurnOptions};
use letta_app_client::protocol::Text;
use serde_json::json;
use support::{End, Lab};

#[test]
fn an_answer_needs_the_id_and_the_type() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_models_response", 30.0);
    // The server chooses ids of its own for its questions, which may look like ours.
    for kind in ["control_request", "external_tool_call_request", "sync_response"] {
        lab.receive(&json!({ "type": kind, "request_id": "x", "request": {} }));
    }
    lab.receive(&json!({ "type": "list_models_response", "request_id": "y" }));
    assert!(lab.ended().is_empty());
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x", "success": true }));
    let (token, end) = lab.one_end();
    assert!(matches!((token, end), (1, End::Response(_, false))));
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x" }));
    assert!(lab.ended().is_empty(), "a second answer is nobody's");
}

#[test]
fn a_silent_server_costs_the_time_limit() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_models_response", 30.0);
    lab.pass(29.9);
    assert!(lab.ended().is_empty());
    lab.pass(0.2);
    let (_, end) = lab.one_end();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::RequestTimeout);
    assert!(error.message().contains("list_models"), "{error}");
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x" }));
    assert!(lab.ended().is_empty());
}

#[test]
fn a_refusal_is_told_apart() {
    let mut lab = Lab::new();
    lab.request(1, "x", "read_file_response", 30.0);
    lab.receive(&json!({
        "type": "read_file_response", "request_id": "x", "success": false, "error": "no",
    }));
    assert!(matches!(lab.one_end(), (1, End::Response(_, true))));
}

#[test]
fn an_id_that_is_waiting_cannot_be_used_again() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_models_response", 30.0);
    lab.request(2, "x", "list_models_response", 30.0);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::InvalidCommand);
    assert_eq!(lab.sent().len(), 1, "the second was not sent");
}

#[test]
fn a_cancelled_request_gets_nothing() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_models_response", 30.0);
    lab.command(Command::Cancel { token: 1 });
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x" }));
    lab.pass(60.0);
    assert!(lab.ended().is_empty());
}

#[test]
fn list_memory_is_one_answer_of_several_frames() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_memory_response", 30.0);
    for (entries, done) in
        [(r#"[{"n":1.0},{"n":2}]"#, false), ("[]", false), (r#"[{"n":3}]"#, true)]
    {
        lab.receive_text(&format!(
            r#"{{"type":"list_memory_response","request_id":"x","entries":{entries},"done":{done},"total":3,"success":true}}"#
        ));
    }
    let (_, End::Response(answer, false)) = lab.one_end() else { panic!("an answer") };
    assert_eq!(answer["entries"], json!([{ "n": 1.0 }, { "n": 2 }, { "n": 3 }]));
}

#[test]
fn terminals_are_matched_by_their_own_id() {
    let mut lab = Lab::new();
    for (token, id) in [(1, "t1"), (2, "t2")] {
        lab.command(Command::Request {
            token,
            command: "terminal_spawn".to_owned(),
            text: Text::from("{}"),
            runtime: None,
            settles: false,
            expect: Expect {
                correlation: Correlation::Terminal(id.to_owned()),
                response_type: Some("terminal_spawned".to_owned()),
                timeout: Some(Duration::from_secs(30)),
                manual: false,
            },
        });
    }
    // One of the same name, from before.
    lab.receive(&json!({ "type": "terminal_exited", "terminal_id": "t2", "exitCode": 0 }));
    assert!(lab.ended().is_empty());
    lab.receive(
        &json!({ "type": "terminal_exited", "terminal_id": "t2", "exitCode": -1, "error": "no" }),
    );
    assert!(matches!(lab.one_end(), (2, End::Response(_, true))));
    lab.receive(&json!({ "type": "terminal_spawned", "terminal_id": "t1", "pid": 4 }));
    assert!(matches!(lab.one_end(), (1, End::Response(_, false))));
}

#[test]
fn a_lost_connection_ends_every_wait() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_models_response", 30.0);
    lab.request(2, "y", "list_models_response", 30.0);
    lab.lose();
    let ended = lab.ended();
    assert_eq!(ended.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 2]);
    for (_, end) in ended {
        let error = end.error();
        assert_eq!((error.kind(), error.close_code()), (ErrorKind::Disconnected, Some(1006)));
    }
    assert_eq!(lab.engine.next_timeout(), None);
}

#[test]
fn a_malformed_frame_costs_itself_only() {
    let mut lab = Lab::new();
    lab.request(1, "x", "list_models_response", 30.0);
    for text in ["{not json", "42", "[1]", "", "{\"type\":"] {
        lab.receive_text(text);
    }
    assert_eq!(lab.engine.counters().malformed, 5);
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x" }));
    assert!(matches!(lab.one_end(), (1, End::Response(_, false))));
}

#[test]
fn tool_calls_are_answered_once_and_with_something_valid() {
    let mut lab = Lab::new();
    let call = json!({
        "type": "external_tool_call_request", "request_id": "e1", "tool_call_id": "c",
        "tool_name": "t", "input": {},
    });
    lab.receive(&call);
    let calls = |lab: &mut Lab| {
        let next = || lab.engine.poll_delivery();
        std::iter::from_fn(next).filter(|d| matches!(d, Delivery::ToolCall { .. })).count()
    };
    assert_eq!(calls(&mut lab), 0, "nobody runs tools here: somebody may answer it raw");
    lab.command(Command::HandleTools { handled: true });
    lab.receive(&call);
    lab.receive(&call);
    assert_eq!(calls(&mut lab), 1);
    let answer = |lab: &mut Lab, answer: Result<&str, &str>| {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        lab.command(Command::AnswerTool { request_id: "e1".to_owned(), answer });
        lab.sent()
    };
    let bad = answer(&mut lab, Ok(r#"{"content":"text"}"#));
    let error = bad[0]["error"].as_str().unwrap_or_default();
    assert!(error.contains("invalid result") && error.contains("content"), "{error}");
    assert!(answer(&mut lab, Ok(r#"{"content":[]}"#)).is_empty(), "it was answered");
    lab.receive(&call);
    let good = answer(&mut lab, Ok(r#"{"content":[{"type":"text","text":"42"}]}"#));
    assert_eq!(good[0]["result"]["content"][0]["text"], "42");
    lab.receive(&call);
    assert_eq!(answer(&mut lab, Err("broken"))[0]["error"], "broken");
}

#[test]
fn a_command_nobody_answered_may_have_a_hint_of_its_own() {
    let mut lab = Lab::new();
    lab.command(Command::Request {
        token: 1,
        command: "channels_list".to_owned(),
        text: "{}".into(),
        runtime: None,
        settles: false,
        expect: Expect {
            correlation: Correlation::RequestId("c".to_owned()),
            response_type: Some("channels_list_response".to_owned()),
            timeout: Some(std::time::Duration::from_secs(30)),
            manual: false,
        },
    });
    lab.pass(30.1);
    let error = lab.one_end().1.error();
    assert!(error.hint().is_some_and(|hint| hint.contains("channel gateway")), "{error}");
}

#[test]
fn more_than_the_limit_wait_for_nothing_and_send_nothing() {
    let mut lab = Lab::new();
    lab.engine =
        Engine::new(Arc::new(Ids::with_prefix("t".to_owned())), Duration::ZERO).max_pending(2);
    lab.request(1, "x", "list_models_response", 30.0);
    lab.request(2, "y", "list_models_response", 30.0);
    assert_eq!(lab.sent().len(), 2);
    lab.request(3, "z", "list_models_response", 30.0);
    let (token, end) = lab.one_end();
    let error = end.error();
    assert_eq!((token, error.kind()), (3, ErrorKind::TooManyRequests));
    assert!(error.message().starts_with("max_pending_requests: 2 requests"), "{error}");
    assert!(lab.sent().is_empty());
    // As soon as one is done there is room again.
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x", "success": true }));
    assert!(matches!(lab.one_end(), (1, End::Response(_, false))));
    lab.request(3, "z", "list_models_response", 30.0);
    assert_eq!(lab.sent().len(), 1);
    lab.command(Command::Cancel { token: 2 });
    lab.command(Command::Cancel { token: 3 });
    lab.request(4, "w", "list_models_response", 30.0);
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn frames_that_nobody_hears_are_left_out_until_somebody_may_listen() {
    let mut lab = Lab::new();
    let told = |lab: &mut Lab| {
        let items: Vec<_> = std::iter::from_fn(|| lab.engine.poll_delivery()).collect();
        let kind = |item: &Delivery| match item {
            Delivery::Message { kind, .. } => kind.unwrap_or_default().to_owned(),
            Delivery::Response { .. } => "the answer".to_owned(),
            other => format!("{other:?}"),
        };
        items.iter().map(kind).collect::<Vec<_>>()
    };
    lab.request(1, "x", "list_models_response", 30.0);
    lab.event("update_loop_status", json!({}));
    assert_eq!(told(&mut lab), ["update_loop_status"], "at first somebody listens");
    lab.engine.hear(false);
    lab.event("update_loop_status", json!({}));
    assert!(told(&mut lab).is_empty());
    lab.receive(&json!({ "type": "list_models_response", "request_id": "x", "success": true }));
    lab.event("update_queue", json!({}));
    assert_eq!(told(&mut lab), ["the answer", "update_queue"], "it is often about the answer");
    lab.engine.hear(false);
    lab.event("update_queue", json!({}));
    assert!(told(&mut lab).is_empty());
}

#[test]
fn limits_of_what_is_answered_do_not_pile_up_and_those_of_what_waits_stay() {
    let mut lab = Lab::new();
    let limit = Some(Duration::from_secs(50));
    lab.turn(1, "m", TurnOptions { timeout: limit, idle_timeout: None, ..TurnOptions::default() });
    lab.accept(1, "started");
    lab.request(2, "x", "list_models_response", 40.0);
    for token in 10..2010 {
        lab.request(token, "y", "list_models_response", 20.0);
        lab.receive(&json!({ "type": "list_models_response", "request_id": "y" }));
        assert!(matches!(lab.one_end(), (ended, End::Response(..)) if ended == token));
        lab.pass(0.001);
    }
    let next = lab.engine.next_timeout().expect("two calls wait");
    assert!(next > Duration::from_millis(21_500), "{next:?}: of a request that is long answered");
    lab.pass(40.0 - 2.0);
    assert_eq!(lab.one_end().1.error().kind(), ErrorKind::RequestTimeout);
    lab.pass(10.0);
    lab.pass(60.0);
    assert_eq!(lab.one_end().0, 1);
}

#[test]
fn the_room_of_a_burst_is_given_back() {
    let mut lab = Lab::new();
    let burst = |lab: &mut Lab| {
        for token in 0..4200 {
            lab.request(token, &token.to_string(), "list_models_response", 20.0);
        }
        for token in 0..4200 {
            let id = token.to_string();
            lab.receive(&json!({ "type": "list_models_response", "request_id": id }));
        }
        assert_eq!((lab.sent().len(), lab.ended().len()), (4200, 4200));
    };
    burst(&mut lab);
    let kept = allocation_counter::measure(|| lab.engine = Lab::new().engine).bytes_current;
    assert!(kept > -64 * 1024, "{kept} bytes were kept");
}
