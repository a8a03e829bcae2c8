//! What stories of lost connections have found (`sim_engine`): a standby that takes over before it has seen
//! everything, and connections that are dead although nobody has noticed (PROTOCOL.md sections 2, 14 and 16).
#![cfg(feature = "testing")]

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Reconnect};
use letta_app_client::protocol::Text;
use letta_app_client::{
    ErrorKind, InputDelivery, Resend, StandbyState, TurnOptions, TurnPhase, TurnStatus,
};
use serde_json::{Value, json};
use support::{Lab, runtime};

const RULES: Reconnect =
    Reconnect { max_attempts: None, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

const IDLE: &str = "WAITING_ON_INPUT";

/// Sends an input with one message.
fn ask(lab: &mut Lab, token: u64, id: &str, options: TurnOptions) {
    let message = json!({ "role": "user", "content": id, "client_message_id": id });
    let input = json!({
        "type": "input", "request_id": format!("r{token}"), "runtime": runtime(),
        "payload": { "kind": "create_message", "messages": [message] },
    });
    lab.command(Command::RunTurn {
        token,
        text: Text::from(input.to_string()),
        request_id: format!("r{token}"),
        runtime: ("a".to_owned(), "c".to_owned()),
        client_ids: vec![id.to_owned()],
        options,
    });
}

fn resending() -> TurnOptions {
    TurnOptions { resend: Some(Resend::IfUncommitted), ..TurnOptions::default() }
}

/// An event as the standby gets it.
fn on_standby(lab: &mut Lab, seq: u64, kind: &str, mut fields: Value) {
    fields["type"] = kind.into();
    fields["runtime"] = runtime();
    fields["event_seq"] = seq.into();
    lab.receive_on_standby(&fields);
}

fn word(text: &str) -> Value {
    json!({ "delta": { "message_type": "assistant_message", "run_id": "run", "content": text } })
}

fn end_of(run: &str) -> Value {
    json!({ "turn_id": "batch-direct-1", "stop_reason": "end_turn", "run_id": run })
}

/// Answers every `sync` and registration that went out, and tells how the runtime stands before.
fn answer(lab: &mut Lab, status: &str) -> Vec<Value> {
    let sent = lab.sent();
    for frame in &sent {
        let kind = frame["type"].as_str().unwrap_or_default();
        if matches!(kind, "sync" | "runtime_start" | "runtime_external_tools_update") {
            lab.status(status);
            lab.receive(&json!({
                "type": format!("{kind}_response"), "request_id": frame["request_id"],
                "success": true, "runtime": runtime(),
            }));
        }
    }
    sent
}

/// The connection is lost, opened again, and the runtime is back.
fn come_back(lab: &mut Lab) {
    lab.reconnect();
    answer(lab, IDLE);
}

/// Answers the one request for stored messages with an input and what was said to it.
fn answer_list(lab: &mut Lab, stored: &[(&str, &str)]) {
    let sent = lab.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0]["type"], "conversation_messages_list");
    let mut messages = Vec::new();
    for (n, (id, answer)) in stored.iter().enumerate() {
        let (asked, said) = (format!("ui-{n}"), format!("ui-{n}-answer"));
        messages.insert(
            0,
            json!({
                "id": asked, "message_type": "user_message", "content": id, "otid": id,
            }),
        );
        messages.insert(
            0,
            json!({
                "id": said, "message_type": "assistant_message", "content": answer,
            }),
        );
    }
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": sent[0]["request_id"],
        "success": true, "messages": messages, "has_more": false, "next_before": null,
    }));
}

/// A turn whose first word is still on its way on the first connection, while the standby is subscribed.
fn word_on_its_way(lab: &mut Lab) {
    ask(lab, 1, "m", resending());
    lab.accept(1, "started");
    lab.run("run", &["m"]);
    lab.open_standby();
    let sync = lab.sent_on_standby().remove(0);
    lab.receive_on_standby(&json!({
        "type": "sync_response", "request_id": sync["request_id"], "success": true,
    }));
    lab.sent();
    assert_eq!(lab.engine.counters().standby, StandbyState::Opening);
}

#[test]
fn a_turn_whose_first_words_nobody_has_is_not_complete_because_its_end_was_seen() {
    let mut lab = Lab::standing_by(RULES);
    word_on_its_way(&mut lab);
    on_standby(&mut lab, 1, "stream_delta", word("world"));
    on_standby(&mut lab, 2, "turn_finished", end_of("run"));
    lab.switch();
    assert!(lab.ended().is_empty(), "a word is missing");
    answer(&mut lab, IDLE);
    answer(&mut lab, IDLE);
    answer_list(&mut lab, &[("m", "Hello world")]);
    let (_, end) = lab.one_end();
    let result = end.turn();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Completed), "Hello world"));
    assert_eq!(result.delivery, InputDelivery::Recovered);
}

#[test]
fn it_is_followed_where_it_still_runs_also_on_servers_that_do_not_say_what_a_run_answers() {
    let mut lab = Lab::standing_by(RULES);
    word_on_its_way(&mut lab);
    on_standby(&mut lab, 1, "stream_delta", word("wor"));
    lab.switch();
    for _ in 0..2 {
        for frame in lab.sent() {
            // The runs of the server go on, so the turn is known by its run.
            let state = json!({ "status": "PROCESSING_API_RESPONSE", "active_run_ids": ["run"] });
            lab.event("update_loop_status", json!({ "loop_status": state }));
            lab.receive(&json!({
                "type": "sync_response", "request_id": frame["request_id"], "success": true,
            }));
        }
    }
    let phase = lab.engine.report(lab.now, 1).map(|report| report.phase);
    assert_eq!(phase, Some(TurnPhase::Running));
    lab.says("run", "ld");
    lab.finished(Some("run"), "end_turn");
    lab.pass(0.5);
    answer(&mut lab, IDLE);
    answer_list(&mut lab, &[("m", "Hello world")]);
    let (_, end) = lab.one_end();
    assert_eq!(end.turn().text, "Hello world");
}

#[test]
fn the_last_turn_that_ended_answers_the_last_input_where_the_server_says_nothing() {
    let mut lab = Lab::standing_by(RULES);
    ask(&mut lab, 1, "m", resending());
    lab.open_standby();
    for sync in lab.sent_on_standby() {
        lab.receive_on_standby(&json!({
            "type": "sync_response", "request_id": sync["request_id"], "success": true,
        }));
    }
    answer(&mut lab, IDLE);
    // Nothing has told what became of the input.
    lab.switch();
    answer(&mut lab, "PROCESSING_API_RESPONSE");
    answer(&mut lab, "PROCESSING_API_RESPONSE");
    lab.finished(Some("run-7"), "end_turn");
    lab.status(IDLE);
    lab.pass(0.5);
    answer(&mut lab, IDLE);
    answer_list(&mut lab, &[("older", "no"), ("m", "yes")]);
    let (_, end) = lab.one_end();
    let result = end.turn();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Completed), "yes"));
}

/// A turn that has said something, was cut, goes on because somebody else watches it, and says the end of it.
fn cut_and_resumed(lab: &mut Lab, options: TurnOptions) {
    ask(lab, 1, "m", options);
    lab.accept(1, "started");
    lab.run("run", &["m"]);
    lab.says("run", "Hello ");
    lab.sent();
    come_back(lab);
    let sync = lab.sent().remove(0);
    lab.run("run", &["m"]);
    lab.receive(&json!({
        "type": "sync_response", "request_id": sync["request_id"], "success": true,
    }));
    let phase = lab.engine.report(lab.now, 1).map(|report| report.phase);
    assert_eq!(phase, Some(TurnPhase::Running));
    lab.says("run", "world");
}

#[test]
fn a_partial_result_has_no_gap() {
    let mut lab = Lab::reconnecting(RULES);
    let limit = Some(Duration::from_secs(9));
    cut_and_resumed(&mut lab, TurnOptions { timeout: limit, ..resending() });
    lab.pass(20.0);
    let (_, end) = lab.one_end();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::TurnTimeout);
    let result = error.result().map(|result| (result.text.as_str(), result.messages.len()));
    assert_eq!(result, Some(("Hello ", 1)), "`my ` was said in between");

    let mut lab = Lab::reconnecting(RULES);
    cut_and_resumed(&mut lab, resending());
    lab.command(Command::Abort { token: 1 });
    lab.finished(Some("run"), "cancelled");
    let (_, end) = lab.one_end();
    let result = end.turn();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Aborted), "Hello "));

    // Cut once more, and never found.
    let mut lab = Lab::reconnecting(RULES);
    cut_and_resumed(&mut lab, resending());
    lab.lose();
    lab.pass(70.0);
    let (_, end) = lab.one_end();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert_eq!(error.result().map(|result| result.text.as_str()), Some("Hello "));
}

#[test]
fn a_cut_turn_that_the_server_cancels_is_interrupted_as_nobody_here_has_asked_for_that() {
    // Whether it is heard to go on first, or only to end.
    for resumed in [true, false] {
        let mut lab = Lab::reconnecting(RULES);
        if resumed {
            cut_and_resumed(&mut lab, resending());
            lab.finished(Some("run"), "cancelled");
        } else {
            ask(&mut lab, 1, "m", resending());
            lab.accept(1, "started");
            lab.run("run", &["m"]);
            lab.says("run", "Hello ");
            lab.sent();
            lab.reconnect();
            let sync = lab.sent().remove(0);
            lab.run("run", &["m"]);
            lab.finished(Some("run"), "cancelled");
            lab.receive(&json!({
                "type": "sync_response", "request_id": sync["request_id"], "success": true,
            }));
        }
        lab.status(IDLE);
        lab.pass(0.5);
        answer(&mut lab, IDLE);
        answer_list(&mut lab, &[("m", "Hello my world")]);
        let (_, end) = lab.one_end();
        let error = end.error();
        assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
        assert!(error.message().contains("the server has cancelled it"), "{}", error.message());
        let result = error.result().cloned().unwrap_or_default();
        assert_eq!(
            (&*result.text, result.status),
            ("Hello my world", Some(TurnStatus::Disconnected))
        );
        assert_eq!(result.stop_reason.as_deref(), Some("cancelled"));
        assert_eq!(result.delivery, InputDelivery::Recovered);
    }
}

#[test]
fn an_input_behind_a_tool_is_another_turns_where_the_server_says_so() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "m", resending());
    lab.accept(1, "started");
    lab.run("run", &["m"]);
    lab.sent();
    come_back(&mut lab);
    // Somebody else watches, so it goes on; it says nothing after the tool, and the next turn begins.
    let sync = lab.sent().remove(0);
    lab.run("run-2", &["m"]);
    lab.receive(&json!({
        "type": "sync_response", "request_id": sync["request_id"], "success": true,
    }));
    lab.finished(Some("run-2"), "end_turn");
    lab.run("run-3", &["other"]);
    lab.says("run-3", "not mine");
    lab.finished(Some("run-3"), "end_turn");
    lab.status(IDLE);
    lab.pass(0.5);
    answer(&mut lab, IDLE);
    let list = lab.sent().remove(0);
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": true, "has_more": false, "next_before": null, "messages": [
            { "id": "5", "message_type": "assistant_message", "content": "not mine" },
            { "id": "4", "message_type": "user_message", "content": "other", "otid": "other" },
            { "id": "3", "message_type": "tool_return_message", "tool_call_id": "call",
              "status": "success", "tool_return": "7" },
            { "id": "2", "message_type": "approval_request_message",
              "tool_call": { "tool_call_id": "call", "name": "t", "arguments": "{}" } },
            { "id": "1", "message_type": "user_message", "content": "m", "otid": "m" },
        ],
    }));
    let (_, end) = lab.one_end();
    let result = end.turn();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Completed), ""));
    assert_eq!(result.tool_calls[0].output.as_deref(), Some("7"));
}

#[test]
fn what_waits_is_sent_when_the_tools_have_moved_over() {
    let mut lab = Lab::standing_by(RULES);
    let tools = json!([{ "tools": [{ "name": "t", "description": "", "parameters": {} }] }]);
    let start = json!({
        "type": "runtime_start", "request_id": "s", "agent_id": "a", "conversation_id": "c",
        "external_tools": tools,
    });
    let text = Text::from(start.to_string());
    lab.command(Command::Send { text, runtime: None, settles: false });
    lab.receive(&json!({
        "type": "runtime_start_response", "request_id": "s", "success": true, "runtime": runtime(),
    }));
    lab.open_standby();
    for sync in lab.sent_on_standby() {
        lab.receive_on_standby(&json!({
            "type": "sync_response", "request_id": sync["request_id"], "success": true,
        }));
    }
    ask(&mut lab, 1, "m1", resending());
    // It waits for the server's word on the first one, which only the standby has.
    ask(&mut lab, 2, "m2", resending());
    assert_eq!(lab.sent_kinds(), ["runtime_start", "input"]);
    let queue = json!([{ "id": "q-1", "client_message_id": "m1", "kind": "message" }]);
    on_standby(&mut lab, 1, "update_queue", json!({ "queue": queue, "removed": [] }));
    lab.switch();
    let sent = answer(&mut lab, IDLE);
    let inputs = sent.iter().filter(|frame| frame["type"] == "input");
    assert_eq!(inputs.count(), 0, "{sent:?}");
    // The first one was not stored, the second not sent: both are sent now.
    answer(&mut lab, IDLE);
    answer_list(&mut lab, &[]);
    lab.pass(0.5);
    answer(&mut lab, IDLE);
    answer_list(&mut lab, &[]);
    let sent = lab.sent();
    assert_eq!(sent.iter().map(|frame| &frame["request_id"]).collect::<Vec<_>>(), ["r1"]);
    lab.accept(1, "started");
    assert_eq!(lab.sent()[0]["request_id"], "r2");
}

#[test]
fn an_input_on_a_connection_that_may_be_dead_waits_for_the_keep_alive() {
    // 60 s where nothing comes any more, 30 s where the server speaks of other things, and where a lost
    // connection is not opened again.
    for (mut lab, heard_after, limit) in [
        (Lab::reconnecting(RULES), None, 60),
        (Lab::reconnecting(RULES), Some(1.0), 60),
        (Lab::reconnecting(RULES), Some(20.0), 30),
        (Lab::new(), None, 30),
    ] {
        ask(&mut lab, 1, "m", TurnOptions::default());
        if let Some(seconds) = heard_after {
            lab.pass(seconds);
            lab.receive(&json!({ "type": "crons_updated" }));
        }
        lab.pass(f64::from(limit) - heard_after.unwrap_or_default() - 0.5);
        assert!(lab.ended().is_empty(), "{limit}");
        lab.pass(1.0);
        let (_, end) = lab.one_end();
        let error = end.error();
        assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
        let message = error.message().to_owned();
        assert!(message.contains(&format!("within {limit} s")), "{message}");
    }
}

#[test]
fn a_lost_input_is_looked_for_twice_as_long_where_the_next_connection_seems_to_be_dead_too() {
    for (dead, limit) in [(true, 60), (false, 30)] {
        let mut lab = Lab::reconnecting(RULES);
        ask(&mut lab, 1, "m", resending());
        lab.sent();
        come_back(&mut lab);
        lab.pass(20.0);
        if !dead {
            lab.receive(&json!({ "type": "crons_updated" }));
        }
        lab.pass(f64::from(limit) - 20.5);
        assert!(lab.ended().is_empty(), "{limit}");
        lab.pass(1.0);
        let (_, end) = lab.one_end();
        let error = end.error();
        assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
        assert!(error.message().contains("not enough time"), "{}", error.message());
    }
}

#[test]
fn an_input_merged_into_anothers_is_found_where_the_server_said_so() {
    let mut lab = Lab::reconnecting(RULES);
    ask(&mut lab, 1, "n", resending());
    lab.accept(1, "queued");
    lab.run("run", &["m", "n"]);
    lab.says("run", "Hello ");
    lab.sent();
    come_back(&mut lab);
    answer(&mut lab, IDLE);
    let list = lab.sent().remove(0);
    let merged = json!([
        { "type": "text", "text": "m" }, { "type": "text", "text": "\n" },
        { "type": "text", "text": "n" },
    ]);
    lab.receive(&json!({
        "type": "conversation_messages_list_response", "request_id": list["request_id"],
        "success": true, "has_more": false, "next_before": null,
        "messages": [
            { "id": "2", "message_type": "assistant_message", "content": "Hello world" },
            { "id": "1", "message_type": "user_message", "content": merged, "otid": "m" },
        ],
    }));
    let (_, end) = lab.one_end();
    let error = end.error();
    let result = error.result().map(|result| (result.delivery, result.text.as_str()));
    assert_eq!(result, Some((InputDelivery::Recovered, "Hello world")), "{error}");
}

#[test]
fn a_server_that_came_up_again_uses_the_names_of_runs_anew() {
    let mut lab = Lab::standing_by(RULES);
    ask(&mut lab, 1, "m", resending());
    lab.accept(1, "started");
    lab.status("SENDING_API_REQUEST");
    lab.says("run", "one");
    lab.finished(Some("run"), "end_turn");
    assert_eq!(lab.one_end().1.turn().text, "one");
    lab.sent();
    lab.open_standby();
    // Nothing has come on it yet, and it is a new server's.
    lab.switch();
    answer(&mut lab, IDLE);
    lab.pass(1.0);
    lab.sent();
    ask(&mut lab, 2, "n", resending());
    lab.accept(2, "started");
    lab.status("SENDING_API_REQUEST");
    lab.says("run", "two");
    lab.finished(Some("run"), "end_turn");
    let (token, end) = lab.one_end();
    assert_eq!((token, end.turn().text.as_str()), (2, "two"));
}
