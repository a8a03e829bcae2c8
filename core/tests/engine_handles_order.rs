//! Sessions of one client on one conversation, when what was sent before is answered late, is refused, waits or is lost:
//! the server ends up with the tools of those that are there, and with a mode that somebody has asked for (PROTOCOL.md
//! sections 8, 14 and 16).
#![cfg(feature = "testing")]

#[path = "support/sessions.rs"]
mod sessions;
mod support;

use letta_app_client::TurnOptions;
use letta_app_client::engine::{Command, Delivery};
use letta_app_client::protocol::Text;
use serde_json::{Value, json};
use sessions::{Client, RULES, names, tools};
use support::Lab;

fn mode_of(client: &Client) -> Option<String> {
    client.modes.of(&Client::place())
}

/// The user's own command, which replaces the tools.
fn replace(client: &mut Client, id: &str, names: &[&str]) {
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let updates = json!([{ "runtimes": [runtime], "external_tools": tools(names) }]);
    let update =
        json!({ "type": "runtime_external_tools_update", "request_id": id, "updates": updates });
    let text = Text::from(update.to_string());
    client.lab.command(Command::Send { text, runtime: None, settles: false });
    assert_eq!(client.lab.sent_kinds(), ["runtime_external_tools_update"]);
}

fn change_mode(client: &mut Client, payload: &Value) {
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let change = json!({ "type": "change_device_state", "runtime": runtime, "payload": payload });
    let (text, runtime) = (Text::from(change.to_string()), Some(Client::place()));
    client.lab.command(Command::Send { text, runtime, settles: false });
}

/// A client whose standby follows its runtimes, and knows that the server is not an old one.
fn standing_by(client: &mut Client) {
    client.lab.run("r1", &["m"]);
    client.lab.status("WAITING_ON_INPUT");
    client.lab.open_standby();
    loop {
        let sent = client.lab.sent_on_standby();
        for frame in &sent {
            let id = &frame["request_id"];
            let answer = json!({ "type": "sync_response", "request_id": id, "success": true });
            client.lab.receive_on_standby(&answer);
        }
        if sent.is_empty() {
            break;
        }
    }
    client.lab.sent();
}

#[test]
fn a_mode_that_has_not_left_does_not_undo_the_one_of_a_later_start() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "standard" }));
    client.lab.turn(50, "i1", TurnOptions::default());
    client.lab.accept(50, "started");
    client.lab.run("r", &["m-i1"]);
    client.lab.finished(Some("r"), "completed");
    client.lab.status("WAITING_ON_INPUT");
    client.lab.sent();
    // The pause after a turn holds them back.
    client.lab.turn(51, "i2", TurnOptions::default());
    change_mode(&mut client, &json!({ "mode": "unrestricted" }));
    change_mode(&mut client, &json!({ "mode": "unrestricted", "cwd": "/w" }));
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    client.session(2, &json!({ "mode": "strict" }));
    client.lab.pass(0.2);
    let sent = client.lab.sent();
    let kinds: Vec<_> = sent.iter().map(|frame| &frame["type"]).collect();
    assert_eq!(kinds, ["input", "change_device_state"]);
    assert_eq!(sent[1]["payload"], json!({ "cwd": "/w" }));
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn an_answer_that_was_overtaken_is_no_word_on_the_tools() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.session(2, &json!({ "external_tools": tools(&["y"]) }));
    replace(&mut client, "u", &["own"]);
    client.hold(2, false);
    // It was sent behind the other one.
    assert_eq!(client.registered(), ["x"]);
    client.updated(&json!("u"), true);
    assert_eq!(client.registered(), ["own"]);
}

#[test]
fn what_came_behind_a_command_that_replaces_stays() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    replace(&mut client, "u", &["own"]);
    client.open(2, &json!({ "external_tools": tools(&["y"]) }));
    client.updated(&json!("u"), true);
    client.answer(2, true);
    client.hold(2, true);
    assert_eq!(client.registered(), ["own", "y"]);
    // Of two of them the later one counts, in whatever order they are answered.
    replace(&mut client, "v", &["first"]);
    replace(&mut client, "w", &["second"]);
    client.updated(&json!("w"), true);
    client.updated(&json!("v"), true);
    assert_eq!(client.registered(), ["second"]);
    let third = client.session(3, &json!({ "external_tools": tools(&["z"]) }));
    assert_eq!(names(&third["external_tools"]), ["second", "z"]);
}

#[test]
fn what_changes_while_it_is_brought_back_is_registered_behind_that() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.session(2, &json!({ "external_tools": tools(&["y"]) }));
    let again = client.again();
    assert_eq!(names(&again[0]["external_tools"]), ["x", "y"]);
    client.hold(2, false);
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    client.restored(&again);
    assert_eq!(client.registered(), ["x"]);
}

#[test]
fn a_question_that_waits_is_no_registration() {
    let mut client = Client::over(Lab::standing_by(RULES));
    for number in 0..8 {
        let conversation = format!("other-{number}");
        let start = json!({
            "type": "runtime_start", "request_id": conversation, "agent_id": "a",
            "conversation_id": conversation, "external_tools": tools(&["t"]),
        });
        let text = Text::from(start.to_string());
        client.lab.command(Command::Send { text, runtime: None, settles: false });
        client.lab.receive(&json!({
            "type": "runtime_start_response", "request_id": conversation, "success": true,
            "runtime": { "agent_id": "a", "conversation_id": conversation },
        }));
    }
    client.lab.sent();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.session(2, &json!({ "external_tools": tools(&["y"]) }));
    standing_by(&mut client);
    client.lab.switch();
    // Its tools are the next that is sent, and its questions come behind that.
    let sent = client.lab.sent();
    client.updated(&sent[0]["request_id"], true);
    let tools = client.lab.sent().remove(0);
    assert_eq!(names(&tools["updates"][0]["external_tools"]), ["x", "y"]);
    client.hold(2, false);
    client.updated(&tools["request_id"], true);
    let sent = client.lab.sent();
    let sent = sent.iter().find(|frame| frame["type"] == "runtime_external_tools_update").unwrap();
    assert_eq!(names(&sent["updates"][0]["external_tools"]), ["x"]);
}

#[test]
fn what_a_session_holds_is_not_forgotten_when_it_cannot_be_brought_back() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict", "external_tools": tools(&["x"]) }));
    for _ in 0..3 {
        let again = client.again();
        client.lab.receive(&json!({
            "type": "runtime_start_response", "request_id": again[0]["request_id"], "success": false,
            "error": "the backend is away", "runtime": null,
        }));
    }
    assert_eq!(client.again(), [Value::Null; 0]);
    let second = client.open(2, &json!({ "external_tools": tools(&["y"]) }));
    assert_eq!(
        (&second["mode"], names(&second["external_tools"])),
        (&json!("strict"), vec!["x", "y"])
    );
    client.answer(2, true);
    client.hold(2, true);
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
    let again = client.again();
    assert_eq!(
        (&again[0]["mode"], names(&again[0]["external_tools"])),
        (&json!("strict"), vec!["x", "y"])
    );
}

#[test]
fn a_session_says_the_mode_of_a_runtime_that_may_not_be_there() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict" }));
    let second = client.session(2, &json!({}));
    assert_eq!(second.get("mode"), None);
    let again = client.again();
    client.lab.receive(&json!({
        "type": "runtime_start_response", "request_id": again[0]["request_id"], "success": false,
        "error": "the backend is away", "runtime": null,
    }));
    assert_eq!(client.session(3, &json!({}))["mode"], "strict");
    assert_eq!(client.session(4, &json!({})).get("mode"), None);
}

#[test]
fn a_mode_that_may_have_been_lost_is_sent_on_the_standby() {
    for is_start in [true, false] {
        let mut client = Client::over(Lab::standing_by(RULES));
        let mode = if is_start { "strict" } else { "unrestricted" };
        client.session(1, &json!({ "mode": mode }));
        standing_by(&mut client);
        if is_start {
            // Whether the server has got it nobody knows.
            client.open(2, &json!({ "mode": "unrestricted" }));
        } else {
            change_mode(&mut client, &json!({ "mode": "strict" }));
            client.lab.sent();
        }
        client.lab.switch();
        let sent = client.lab.sent();
        assert_eq!(sent[0]["type"], "change_device_state");
        assert_eq!(sent[0]["payload"], json!({ "mode": "strict" }));
        assert_eq!(mode_of(&client).as_deref(), Some("strict"));
    }
    let mut client = Client::over(Lab::standing_by(RULES));
    client.session(1, &json!({ "mode": "strict" }));
    standing_by(&mut client);
    client.lab.switch();
    assert_eq!(client.lab.sent_kinds(), ["sync"]);
}

#[test]
fn nobody_has_the_mode_of_a_start_that_came_to_nothing() {
    for cancelled in [true, false] {
        let mut client = Client::new();
        client.open(1, &json!({ "mode": "unrestricted" }));
        assert_eq!(client.open(2, &json!({}))["mode"], "standard");
        if cancelled {
            client.lab.command(Command::Cancel { token: 1 });
        }
        client.answer(1, cancelled);
        client.answer(2, true);
        client.hold(2, true);
        // The server may have done the first one last.
        let sent = client.lab.sent();
        assert!(!sent.is_empty());
        assert!(sent.iter().all(|it| it["payload"] == json!({ "mode": "standard" })), "{sent:?}");
        assert_eq!(mode_of(&client).as_deref(), Some("standard"));
        assert_eq!(client.again()[0]["mode"], "standard");
    }
}

#[test]
fn a_registration_that_is_refused_is_told_and_is_made_again_with_the_next() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.session(2, &json!({ "external_tools": tools(&["y"]) }));
    client.hold(2, false);
    while client.lab.engine.poll_delivery().is_some() {}
    let sent = client.lab.sent();
    client.lab.receive(&json!({
        "type": "runtime_external_tools_update_response", "request_id": sent[0]["request_id"],
        "success": false, "error": "not now",
    }));
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    let told =
        std::iter::from_fn(|| client.lab.engine.poll_delivery()).find_map(|told| match told {
            Delivery::RestoreFailed { error, .. } => Some(error.message().to_owned()),
            _ => None,
        });
    let expected =
        "`runtime_external_tools_update` was refused for the tools that there are now: not now";
    assert_eq!(told.as_deref(), Some(expected));
    let third = client.session(3, &json!({}));
    assert_eq!(names(&third["external_tools"]), ["x"]);
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
}

#[test]
fn while_it_is_brought_back_the_latest_mode_counts() {
    for refused in [true, false] {
        let mut client = Client::new();
        client.session(1, &json!({ "mode": "acceptEdits" }));
        let again = client.again();
        client.open(2, &json!({ "mode": "strict" }));
        assert_eq!(client.open(3, &json!({}))["mode"], "acceptEdits");
        client.restored(&again);
        client.answer(2, !refused);
        client.answer(3, true);
        client.hold(3, true);
        let expected = if refused { "acceptEdits" } else { "strict" };
        assert_eq!(client.lab.sent().last().unwrap()["payload"], json!({ "mode": expected }));
        assert_eq!(mode_of(&client).as_deref(), Some(expected));
    }
}
