//! The mode of a conversation behind the last of its sessions, and where the server has done what it was sent in another
//! order: nobody gets a mode that nobody there has asked for (PROTOCOL.md sections 8 and 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

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

fn send(client: &mut Client, command: &Value) {
    let text = Text::from(command.to_string());
    client.lab.command(Command::Send { text, runtime: None, settles: false });
    client.lab.sent();
}

/// The user's own start.
fn start(client: &mut Client, more: &Value) {
    let mut start = json!({
        "type": "runtime_start", "request_id": "own", "agent_id": "a", "conversation_id": "c",
    });
    start.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    send(client, &start);
    client.lab.receive(&json!({
        "type": "runtime_start_response", "request_id": "own", "success": true,
        "runtime": { "agent_id": "a", "conversation_id": "c" },
    }));
}

/// A request of the user's that names the conversation and changes nothing.
fn look(client: &mut Client) {
    let runtime = json!({ "agent_id": "a", "conversation_id": "c" });
    let look = json!({
        "type": "sync", "request_id": "look", "runtime": runtime, "recover_approvals": false,
    });
    send(client, &look);
}

#[test]
fn a_look_behind_the_last_session_does_not_bring_its_mode_back() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "unrestricted" }));
    client.hold(1, false);
    look(&mut client);
    assert_eq!(client.session(2, &json!({}))["mode"], "standard");
    assert_eq!(mode_of(&client).as_deref(), Some("standard"));
}

#[test]
fn a_mode_that_the_user_sets_behind_the_last_session_stays() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "unrestricted" }));
    client.hold(1, false);
    client.change_mode("strict");
    client.session(2, &json!({}));
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
    client.hold(2, false);
    start(&mut client, &json!({ "mode": "acceptEdits" }));
    client.session(3, &json!({}));
    assert_eq!(mode_of(&client).as_deref(), Some("acceptEdits"));
    client.hold(3, false);
    // The server keeps the mode of the sessions for a start that says none.
    start(&mut client, &json!({}));
    assert_eq!(client.session(4, &json!({}))["mode"], "standard");
}

#[test]
fn a_mode_that_the_user_sets_before_any_start_is_the_conversations() {
    let mut client = Client::new();
    client.change_mode("strict");
    assert_eq!(client.session(1, &json!({}))["mode"], "strict");
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn a_start_before_the_first_session_is_known_without_reconnect_too() {
    let mut client = Client::over(Lab::new());
    start(&mut client, &json!({ "mode": "strict", "external_tools": tools(&["own"]) }));
    let session = client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    assert_eq!(session.get("mode"), None);
    assert_eq!(names(&session["external_tools"]), ["own", "x"]);
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn an_offer_that_is_answered_behind_the_last_session_holds_nothing() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "unrestricted" }));
    let (runtime, owner) = (Client::place(), "once".to_owned());
    client.offer(8, &owner);
    client.lab.command(Command::Cancel { token: 8 });
    client.lab.command(Command::OfferTools { runtime, owner, groups: None });
    client.hold(1, false);
    client.lab.sent();
    client.updated(&json!("offer-8"), true);
    assert_eq!(client.again(), [Value::Null; 0]);
    assert_eq!(client.session(2, &json!({}))["mode"], "standard");
}

#[test]
fn the_mode_is_sent_again_where_a_start_was_overtaken() {
    let mut client = Client::new();
    client.open(1, &json!({ "mode": "unrestricted" }));
    client.lab.command(Command::Cancel { token: 1 });
    assert_eq!(client.session(2, &json!({}))["mode"], "standard");
    // The server may have done it last, or do it still.
    for answered in [false, true] {
        if answered {
            client.answer(1, true);
        }
        let sent = client.lab.sent();
        assert_eq!((sent.len(), &sent[0]["type"]), (1, &json!("change_device_state")));
        assert_eq!(sent[0]["payload"], json!({ "mode": "standard" }));
    }
    assert_eq!(mode_of(&client).as_deref(), Some("standard"));
}

#[test]
fn the_mode_is_sent_again_where_it_was_changed_while_the_conversation_came_back() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "unrestricted" }));
    let again = client.again();
    client.change_mode("strict");
    client.restored(&again);
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "strict" }));
}

#[test]
fn where_one_that_was_opened_before_names_a_mode_that_counts_once_it_is_there() {
    for (refused, first) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let mut client = Client::new();
        client.open(1, &json!({ "mode": "unrestricted" }));
        // Whether anything comes of it nobody knows yet.
        assert_eq!(client.open(2, &json!({}))["mode"], "standard");
        for token in [first, 3 - first] {
            client.answer(token, token == 2 || !refused);
        }
        client.hold(2, true);
        let expected = if refused { "standard" } else { "unrestricted" };
        assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": expected }));
        assert_eq!(mode_of(&client).as_deref(), Some(expected));
        assert_eq!(client.again()[0]["mode"], expected);
    }
}

#[test]
fn one_that_says_no_mode_undoes_none_that_was_asked_for() {
    let mut client = Client::new();
    client.open(1, &json!({}));
    client.open(2, &json!({ "mode": "acceptEdits" }));
    client.open(3, &json!({}));
    client.answer(3, false);
    client.answer(1, true);
    client.hold(1, true);
    assert_eq!(client.lab.sent(), [Value::Null; 0], "one of them is on its way");
    client.answer(2, true);
    client.hold(2, true);
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "acceptEdits" }));
    assert_eq!(mode_of(&client).as_deref(), Some("acceptEdits"));
}

#[test]
fn one_that_is_given_up_leaves_the_others_their_mode() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict" }));
    client.open(2, &json!({ "mode": "unrestricted" }));
    client.lab.command(Command::Cancel { token: 2 });
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    client.answer(2, true);
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "strict" }));
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn one_that_was_there_and_that_nobody_has_got_leaves_the_others_their_mode() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict" }));
    client.open(2, &json!({ "mode": "unrestricted" }));
    client.answer(2, true);
    client.lab.command(Command::Cancel { token: 2 });
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "strict" }));
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn a_restore_that_is_answered_when_nobody_waits_for_it_does_not_change_the_mode() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "unrestricted", "external_tools": tools(&["x"]) }));
    let again = client.again();
    client.lab.pass(31.0);
    client.lab.sent();
    client.session(2, &json!({ "mode": "strict", "external_tools": tools(&["y"]) }));
    client.lab.sent();
    client.restored(&again);
    let sent = client.lab.sent();
    assert_eq!(sent[0]["payload"], json!({ "mode": "strict" }));
    assert_eq!(names(&sent[1]["updates"][0]["external_tools"]), ["x", "y"]);
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn a_mode_that_was_held_back_counts_where_the_later_start_comes_to_nothing() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "standard" }));
    client.lab.turn(50, "i1", TurnOptions::default());
    client.lab.accept(50, "started");
    client.lab.run("r", &["m-i1"]);
    client.lab.finished(Some("r"), "completed");
    client.lab.status("WAITING_ON_INPUT");
    // The pause after a turn holds them back.
    client.lab.turn(51, "i2", TurnOptions::default());
    client.lab.sent();
    client.change_mode("strict");
    client.open(2, &json!({ "mode": "unrestricted" }));
    client.answer(2, false);
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "strict" }));
    assert_eq!(mode_of(&client).as_deref(), Some("strict"));
}

#[test]
fn a_start_that_is_too_large_leaves_nothing_behind() {
    let mut client = Client::over(Lab::limited(RULES, 600));
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    let many: Vec<_> = (0..40).map(|number| format!("tool-{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(client.open_all(2, &json!({ "external_tools": tools(&many) })), [Value::Null; 0]);
    let told = std::iter::from_fn(|| client.lab.engine.poll_delivery());
    let failed = told.filter(|it| matches!(it, Delivery::Failed { token: 2, .. })).count();
    assert_eq!(failed, 1);
    client.lab.command(Command::Cancel { token: 2 });
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    // Nobody waits for it: the last session takes all with it.
    client.hold(1, false);
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    assert_eq!(client.again(), [Value::Null; 0]);
}
