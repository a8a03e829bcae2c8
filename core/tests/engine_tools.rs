//! External tools on a virtual clock: how many run, for how long, and when they need not any more
//! (PROTOCOL.md section 14).
#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

mod support;

use letta_app_client::TurnOptions;
use letta_app_client::engine::{Command, Delivery};
use serde_json::{Value, json};
use support::{Lab, runtime};

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.command(Command::HandleTools { handled: true });
    lab
}

fn call(lab: &mut Lab, id: u32, runtime: Option<Value>) {
    let mut frame = json!({
        "type": "external_tool_call_request", "request_id": format!("t{id}"),
        "tool_call_id": format!("c{id}"), "tool_name": "lookup", "input": {},
    });
    if let Some(runtime) = runtime {
        frame["runtime"] = runtime;
    }
    lab.receive(&frame);
}

/// The calls that were handed out, and those that were taken back, since the last look.
fn heard(lab: &mut Lab) -> (Vec<String>, Vec<(String, String)>) {
    let (mut called, mut over) = (Vec::new(), Vec::new());
    while let Some(delivery) = lab.engine.poll_delivery() {
        match delivery {
            Delivery::ToolCall { text } => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                called.push(frame["request_id"].as_str().expect("an id").to_owned());
            }
            Delivery::ToolOver { request_id, reason } => over.push((request_id, reason)),
            _ => {}
        }
    }
    (called, over)
}

fn answer(lab: &mut Lab, id: &str) {
    let answer = Ok(r#"{"content":[{"type":"text","text":"found"}]}"#.to_owned());
    lab.command(Command::AnswerTool { request_id: id.to_owned(), answer });
}

#[test]
fn calls_run_in_parallel_up_to_the_limit() {
    let mut lab = lab();
    for id in 1..=20 {
        call(&mut lab, id, Some(runtime()));
    }
    assert_eq!(heard(&mut lab).0.len(), 16);
    answer(&mut lab, "t3");
    assert_eq!(heard(&mut lab).0, ["t17"]);
    answer(&mut lab, "t3");
    assert_eq!(lab.sent().len(), 1, "an answer counts once");
    // One that waits is over before its place is free.
    lab.delta(
        json!({ "message_type": "client_tool_end", "tool_call_id": "c18", "status": "error" }),
    );
    answer(&mut lab, "t1");
    let (called, over) = heard(&mut lab);
    assert_eq!((called, over), (vec!["t19".to_owned()], vec![]), "it was not handed out");
}

#[test]
fn what_is_no_result_is_told() {
    let mut lab = lab();
    lab.engine = lab.engine.max_message_bytes(500);
    let mut told = |id: u32, answer: Result<&str, &str>| {
        call(&mut lab, id, Some(runtime()));
        let request_id = format!("t{id}");
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        lab.command(Command::AnswerTool { request_id: request_id.clone(), answer });
        let sent = lab.sent();
        let mut refused = Vec::new();
        while let Some(delivery) = lab.engine.poll_delivery() {
            if let Delivery::ToolRefused { request_id: refused_id, tool_name, reason } = delivery {
                assert_eq!((refused_id.as_str(), tool_name.as_str()), (&*request_id, "lookup"));
                assert_eq!(sent[0]["error"], *reason, "the model is told the same");
                refused.push(reason);
            }
        }
        refused
    };
    let refused = told(1, Ok(r#"{"content":"text"}"#));
    assert!(refused.len() == 1 && refused[0].contains("content"), "{refused:?}");
    let large = format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, "x".repeat(500));
    let refused = told(2, Ok(&large));
    assert!(refused.len() == 1 && refused[0].contains("too large"), "{refused:?}");
    // Whoever says that it has failed knows.
    assert!(told(3, Err("no luck")).is_empty());
    assert!(told(4, Ok(r#"{"content":[{"type":"text","text":"found"}]}"#)).is_empty());
}

#[test]
fn a_tool_that_does_not_answer_is_answered_for_before_the_server_gives_up() {
    let mut lab = lab();
    call(&mut lab, 1, None);
    lab.pass(289.0);
    assert!(lab.sent().is_empty());
    lab.pass(2.0);
    let sent = lab.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0]["type"], &sent[0]["request_id"]),
        (&json!("external_tool_call_response"), &json!("t1"))
    );
    assert!(sent[0]["error"].as_str().is_some_and(|error| error.contains("290 s")), "{sent:?}");
    let over = heard(&mut lab).1;
    assert!(over[0].1.contains("290 s"), "{over:?}");
    answer(&mut lab, "t1");
    assert!(lab.sent().is_empty());
}

#[test]
fn an_aborted_turn_ends_its_tools_and_no_others() {
    let mut lab = lab();
    lab.turn(1, "m1", TurnOptions::default());
    lab.accept(1, "started");
    lab.run("r1", &["m1"]);
    call(&mut lab, 1, Some(runtime()));
    call(&mut lab, 2, Some(json!({ "agent_id": "a", "conversation_id": "other" })));
    call(&mut lab, 3, None);
    heard(&mut lab);
    lab.command(Command::Abort { token: 1 });
    lab.delta(json!({ "message_type": "status", "message": "Interrupted", "level": "warning" }));
    assert_eq!(heard(&mut lab).1, [("t1".to_owned(), "the turn was aborted".to_owned())]);
    // The server goes on only once it has an answer.
    let sent = lab.sent().pop().expect("an answer");
    assert_eq!(
        (&sent["request_id"], &sent["error"]),
        (&json!("t1"), &json!("the turn was aborted"))
    );
    // Where the server does not say whose call it is, the call's own end tells.
    let returned =
        json!({ "tool_call_id": "c3", "status": "error", "tool_return": "Interrupted by user" });
    lab.delta(json!({
        "message_type": "tool_return_message", "id": "synthetic-tool-return-1", "tool_returns": [returned],
    }));
    assert_eq!(heard(&mut lab).1.len(), 1);
    answer(&mut lab, "t2");
    assert_eq!(
        lab.sent_kinds(),
        ["external_tool_call_response"],
        "t2 runs in another conversation"
    );
}

#[test]
fn a_preview_of_the_output_does_not_end_a_call() {
    let mut lab = lab();
    call(&mut lab, 1, Some(runtime()));
    heard(&mut lab);
    let part = json!({ "tool_call_id": "c1", "status": "success", "tool_return": "so far" });
    lab.delta(json!({
        "message_type": "tool_return_message", "id": "synthetic-tool-return-stream-c1",
        "tool_returns": [part],
    }));
    assert!(heard(&mut lab).1.is_empty());
}

#[test]
fn a_lost_connection_ends_every_call() {
    let mut lab = lab();
    call(&mut lab, 1, None);
    call(&mut lab, 2, Some(runtime()));
    heard(&mut lab);
    lab.lose();
    let over = heard(&mut lab).1;
    assert_eq!(over.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["t1", "t2"]);
    answer(&mut lab, "t1");
    assert!(lab.sent().is_empty());
}

#[test]
fn an_answer_above_the_limit_becomes_an_error_that_says_so() {
    let mut lab = lab();
    lab.engine = lab.engine.max_message_bytes(500);
    call(&mut lab, 1, Some(runtime()));
    call(&mut lab, 2, Some(runtime()));
    let large = "x".repeat(500);
    let result = json!({ "content": [{ "type": "text", "text": large }] }).to_string();
    for (id, answer) in [("t1", Ok(result)), ("t2", Err(large))] {
        lab.command(Command::AnswerTool { request_id: id.to_owned(), answer });
        let sent = lab.sent().remove(0);
        let error = sent["error"].as_str().expect("an error");
        assert!(error.contains("too large") && error.contains("500 allowed"), "{error}");
    }
}
