//! Which runtimes are started again after a reconnect: those that somebody holds, and of the others the ones
//! that were named last (PROTOCOL.md section 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::time::Duration;

use letta_app_client::engine::{Command, Reconnect};
use letta_app_client::protocol::Text;
use serde_json::json;
use support::Lab;

const RULES: Reconnect =
    Reconnect { max_attempts: None, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

/// Starts a runtime, as a session does.
fn start(lab: &mut Lab, conversation: &str) {
    ask(lab, conversation);
    answer(lab, conversation);
}

fn ask(lab: &mut Lab, conversation: &str) {
    let id = format!("start-{conversation}");
    let start = json!({
        "type": "runtime_start", "request_id": id, "agent_id": "a", "conversation_id": conversation,
    });
    let text = Text::from(start.to_string());
    lab.command(Command::Send { text, runtime: None, settles: false });
}

fn answer(lab: &mut Lab, conversation: &str) {
    let id = format!("start-{conversation}");
    let runtime = json!({ "agent_id": "a", "conversation_id": conversation });
    lab.receive(&json!({
        "type": "runtime_start_response", "request_id": id, "success": true, "runtime": runtime,
    }));
}

fn hold(lab: &mut Lab, conversation: &str, held: bool) {
    let runtime = ("a".to_owned(), conversation.to_owned());
    lab.command(Command::HoldRuntime { runtime, opening: String::new(), held });
}

/// Names a runtime in a command.
fn name(lab: &mut Lab, conversation: &str) {
    let runtime = json!({ "agent_id": "a", "conversation_id": conversation });
    let text = Text::from(json!({ "type": "abort_message", "runtime": runtime }).to_string());
    let runtime = Some(("a".to_owned(), conversation.to_owned()));
    lab.command(Command::Send { text, runtime, settles: false });
}

/// Loses the connection and opens it again.
fn open_again(lab: &mut Lab) {
    lab.sent();
    lab.lose();
    lab.pass(0.002);
    assert!(lab.engine.poll_connect());
    lab.reopen();
}

/// Does so, and says which conversations are started again.
fn started_again(lab: &mut Lab) -> Vec<String> {
    open_again(lab);
    let mut all = Vec::new();
    loop {
        let sent = lab.sent();
        if sent.is_empty() {
            return all;
        }
        for start in sent {
            assert_eq!(start["type"], "runtime_start");
            let conversation = &start["conversation_id"];
            all.push(conversation.as_str().unwrap().to_owned());
            lab.receive(&json!({
                "type": "runtime_start_response", "request_id": start["request_id"],
                "success": true, "runtime": { "agent_id": "a", "conversation_id": conversation },
            }));
        }
    }
}

#[test]
fn one_that_nobody_holds_any_more_is_not_started_again() {
    let mut lab = Lab::reconnecting(RULES);
    for conversation in ["held", "twice", "closed", "by hand"] {
        start(&mut lab, conversation);
    }
    for conversation in ["held", "twice", "twice", "closed"] {
        hold(&mut lab, conversation, true);
    }
    hold(&mut lab, "twice", false);
    hold(&mut lab, "closed", false);
    assert_eq!(started_again(&mut lab), ["held", "twice", "by hand"]);
    hold(&mut lab, "twice", false);
    assert_eq!(started_again(&mut lab), ["held", "by hand"]);
    // Letting go of what one does not hold is nothing.
    hold(&mut lab, "by hand", false);
    assert_eq!(started_again(&mut lab), ["held", "by hand"]);
}

#[test]
fn it_comes_back_when_it_is_named_or_held_again() {
    let mut lab = Lab::reconnecting(RULES);
    for conversation in ["one", "two", "three"] {
        start(&mut lab, conversation);
        hold(&mut lab, conversation, true);
        hold(&mut lab, conversation, false);
    }
    assert!(started_again(&mut lab).is_empty());
    name(&mut lab, "two");
    hold(&mut lab, "three", true);
    assert_eq!(started_again(&mut lab), ["two", "three"]);
}

#[test]
fn its_tools_do_not_come_back_with_it() {
    let mut lab = Lab::reconnecting(RULES);
    let start = json!({
        "type": "runtime_start", "request_id": "start-one", "agent_id": "a", "conversation_id": "one",
        "mode": "standard", "external_tools": [{ "tools": [] }],
    });
    let text = Text::from(start.to_string());
    lab.command(Command::Send { text, runtime: None, settles: false });
    answer(&mut lab, "one");
    for (held, tools) in [(true, true), (false, false)] {
        hold(&mut lab, "one", held);
        name(&mut lab, "one");
        open_again(&mut lab);
        let sent = lab.sent().remove(0);
        assert_eq!(
            (sent["mode"].as_str(), sent["external_tools"].is_array()),
            (Some("standard"), tools)
        );
    }
}

#[test]
fn taking_the_tools_of_one_that_was_let_go_back_does_not_start_it_again() {
    let mut lab = Lab::reconnecting(RULES);
    start(&mut lab, "one");
    hold(&mut lab, "one", true);
    hold(&mut lab, "one", false);
    let runtime = json!({ "agent_id": "a", "conversation_id": "one" });
    let update = json!({
        "type": "runtime_external_tools_update", "request_id": "u",
        "updates": [{ "runtimes": [runtime], "external_tools": [] }],
    });
    let text = Text::from(update.to_string());
    lab.command(Command::Send { text, runtime: None, settles: false });
    lab.receive(&json!({
        "type": "runtime_external_tools_update_response", "request_id": "u", "success": true,
    }));
    assert!(started_again(&mut lab).is_empty());
}

#[test]
fn the_standby_is_subscribed_to_it_again() {
    let mut lab = Lab::standing_by(RULES);
    start(&mut lab, "one");
    hold(&mut lab, "one", true);
    hold(&mut lab, "one", false);
    lab.open_standby();
    assert!(lab.sent_on_standby().is_empty());
    name(&mut lab, "one");
    assert_eq!(lab.sent_on_standby()[0]["runtime"]["conversation_id"], "one");
}

#[test]
fn of_many_the_one_that_was_named_least_recently_goes() {
    let mut lab = Lab::reconnecting(RULES);
    start(&mut lab, "held");
    hold(&mut lab, "held", true);
    for n in 0..1000 {
        start(&mut lab, &n.to_string());
    }
    assert_eq!(started_again(&mut lab).len(), 1001);
    name(&mut lab, "0");
    for n in 1000..1010 {
        start(&mut lab, &n.to_string());
    }
    let again = started_again(&mut lab);
    assert_eq!(again.len(), 1001);
    assert_eq!(again[..3], ["held", "0", "11"]);
}

#[test]
fn starts_that_are_never_answered_do_not_pile_up_and_late_answers_count() {
    for (answered, brought_back) in [("1999", "sync"), ("2000", "runtime_start")] {
        let mut lab = Lab::reconnecting(RULES);
        for n in 0..3000 {
            ask(&mut lab, &n.to_string());
        }
        answer(&mut lab, answered);
        open_again(&mut lab);
        let [sent] = &lab.sent()[..] else { panic!("it is one runtime") };
        assert_eq!(sent["type"], brought_back);
    }
}

#[test]
fn the_standby_is_subscribed_to_what_is_started_later() {
    let mut lab = Lab::standing_by(RULES);
    lab.open_standby();
    start(&mut lab, "one");
    assert_eq!(lab.sent_on_standby()[0]["runtime"]["conversation_id"], "one");
    start(&mut lab, "one");
    name(&mut lab, "one");
    assert!(lab.sent_on_standby().is_empty(), "it is already");
}
