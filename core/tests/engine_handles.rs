//! Several sessions on one conversation of one client: what one of them does not name stays as it is (PROTOCOL.md
//! sections 8 and 14).
#![cfg(feature = "testing")]

#[path = "support/sessions.rs"]
mod sessions;
mod support;

use letta_app_client::engine::Command;
use letta_app_client::protocol::Text;
use serde_json::{Value, json};
use sessions::{Client, names, tools};

#[test]
fn what_a_further_one_does_not_name_stays_as_it_is() {
    let mut client = Client::new();
    let first = client.session(1, &json!({ "mode": "strict", "external_tools": tools(&["x"]) }));
    assert_eq!((&first["mode"], names(&first["external_tools"])), (&json!("strict"), vec!["x"]));
    let second = client.session(2, &json!({}));
    assert_eq!((second.get("mode"), names(&second["external_tools"])), (None, vec!["x"]));
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("strict"));
    client.hold(2, false);
    let again = client.again();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["mode"], "strict");
    assert_eq!(names(&again[0]["external_tools"]), ["x"]);
}

#[test]
fn one_alone_is_started_in_standard_and_has_no_tools() {
    let mut client = Client::new();
    let first = client.open(1, &json!({}));
    assert_eq!((&first["mode"], first.get("external_tools")), (&json!("standard"), None));
    client.answer(1, true);
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("standard"));
    client.hold(1, true);
    client.hold(1, false);
    assert_eq!(client.modes.of(&Client::place()), None);
    // What nobody has is as good as new.
    let strict = client.session(2, &json!({ "mode": "strict", "external_tools": tools(&["x"]) }));
    assert_eq!(strict["mode"], "strict");
    client.hold(2, false);
    let third = client.open(3, &json!({}));
    assert_eq!((&third["mode"], third.get("external_tools")), (&json!("standard"), None));
}

#[test]
fn a_changed_mode_is_that_of_the_next_one() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict" }));
    client.change_mode("acceptEdits");
    assert_eq!(client.open(2, &json!({})).get("mode"), None);
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("acceptEdits"));
    client.answer(2, true);
    client.session(3, &json!({ "mode": "unrestricted" }));
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("unrestricted"));
}

#[test]
fn the_tools_of_all_are_registered_and_go_one_by_one() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x", "both"]) }));
    let second = client.session(2, &json!({ "external_tools": tools(&["both", "y"]) }));
    assert_eq!(names(&second["external_tools"]), ["x", "both", "y"]);
    // A third one without tools comes and goes.
    client.session(3, &json!({}));
    client.hold(3, false);
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    client.hold(2, false);
    assert_eq!(client.registered(), ["x", "both"]);
    let again = client.again();
    assert_eq!(names(&again[0]["external_tools"]), ["x", "both"]);
    client.hold(1, false);
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
}

#[test]
fn two_that_are_opened_at_once_have_their_tools() {
    let mut client = Client::new();
    client.open(1, &json!({ "mode": "strict", "external_tools": tools(&["x"]) }));
    let second = client.open(2, &json!({ "external_tools": tools(&["y"]) }));
    // What comes of the first one nobody knows yet.
    assert_eq!(
        (&second["mode"], names(&second["external_tools"])),
        (&json!("standard"), vec!["x", "y"])
    );
    for token in [1, 2] {
        client.answer(token, true);
        client.hold(token, true);
    }
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "strict" }));
    client.hold(1, false);
    assert_eq!(client.registered(), ["y"]);
}

#[test]
fn one_that_is_given_up_leaves_no_tools() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.open(2, &json!({}));
    client.lab.command(Command::Cancel { token: 2 });
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    client.answer(2, true);
    client.open(3, &json!({ "external_tools": tools(&["y"]) }));
    client.lab.command(Command::Cancel { token: 3 });
    assert_eq!(client.registered(), ["x"]);
    // Whichever of the two the server has done last.
    client.answer(3, true);
    assert_eq!(client.registered(), ["x"]);
    // The answer was there already, but nobody has taken it.
    client.open(4, &json!({ "external_tools": tools(&["y"]) }));
    client.answer(4, true);
    client.lab.command(Command::Cancel { token: 4 });
    assert_eq!(client.registered(), ["x"]);
    let again = client.again();
    assert_eq!((again.len(), names(&again[0]["external_tools"])), (1, vec!["x"]));
}

#[test]
fn one_that_nobody_got_is_not_started_again() {
    let mut client = Client::new();
    client.open(1, &json!({}));
    client.lab.command(Command::Cancel { token: 1 });
    client.answer(1, true);
    client.open(2, &json!({}));
    client.answer(2, true);
    client.lab.command(Command::Cancel { token: 2 });
    // Its time is over.
    client.open(3, &json!({}));
    client.lab.pass(31.0);
    client.answer(3, true);
    client.open(4, &json!({}));
    client.answer(4, false);
    assert_eq!(client.again(), [Value::Null; 0]);
    // Somebody else has it.
    client.session(5, &json!({}));
    client.open(6, &json!({}));
    client.lab.command(Command::Cancel { token: 6 });
    client.answer(6, true);
    assert_eq!(client.again().len(), 1);
}

#[test]
fn a_command_of_the_users_own_replaces_them_all() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    let start = json!({
        "type": "runtime_start", "request_id": "start-9", "agent_id": "a", "conversation_id": "c",
        "mode": "acceptEdits", "external_tools": tools(&["own"]),
    });
    let text = Text::from(start.to_string());
    client.lab.command(Command::Send { text, runtime: None, settles: false });
    assert_eq!(client.lab.sent(), [start]);
    client.answer(9, true);
    let second = client.session(2, &json!({}));
    assert_eq!(names(&second["external_tools"]), ["own"]);
    assert_eq!(second.get("mode"), None);
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("acceptEdits"));
}

#[test]
fn tools_that_are_offered_for_a_while_come_beside_the_others() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    let sent = client.offer(8, "once");
    assert_eq!(names(&sent[0]["updates"][0]["external_tools"]), ["x", "once"]);
    client.updated(&json!("offer-8"), true);
    // A session that is opened meanwhile leaves them.
    let second = client.session(2, &json!({}));
    assert_eq!(names(&second["external_tools"]), ["x", "once"]);
    let (runtime, owner) = (Client::place(), "once".to_owned());
    client.lab.command(Command::OfferTools { runtime, owner, groups: None });
    assert_eq!(client.registered(), ["x"]);
}

#[test]
fn a_mode_that_is_set_while_another_is_opened_stays() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict" }));
    client.open(2, &json!({}));
    client.change_mode("acceptEdits");
    client.answer(2, true);
    client.hold(2, true);
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("acceptEdits"));
    assert_eq!(client.again()[0]["mode"], "acceptEdits");
    // Also where the one that is opened names a mode: the change was sent after it.
    client.open(3, &json!({ "mode": "strict" }));
    client.change_mode("unrestricted");
    client.answer(3, true);
    // The server may have done the start last.
    assert_eq!(client.lab.sent()[0]["payload"], json!({ "mode": "unrestricted" }));
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("unrestricted"));
    assert_eq!(client.again()[0]["mode"], "unrestricted");
}

#[test]
fn tools_that_went_while_another_was_opened_do_not_come_back() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.session(2, &json!({ "external_tools": tools(&["y"]) }));
    let third = client.open(3, &json!({ "external_tools": tools(&["z"]) }));
    assert_eq!(names(&third["external_tools"]), ["x", "y", "z"]);
    client.hold(2, false);
    // The server may be at the start still.
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    client.answer(3, true);
    assert_eq!(client.registered(), ["x", "z"]);
    client.hold(3, true);
    assert_eq!(names(&client.again()[0]["external_tools"]), ["x", "z"]);
}

#[test]
fn tools_of_one_that_is_refused_go_from_what_was_registered_with_them() {
    let mut client = Client::new();
    client.session(1, &json!({ "external_tools": tools(&["x"]) }));
    client.open(2, &json!({ "external_tools": tools(&["y"]) }));
    let third = client.open(3, &json!({ "external_tools": tools(&["z"]) }));
    assert_eq!(names(&third["external_tools"]), ["x", "y", "z"]);
    client.answer(3, true);
    client.hold(3, true);
    client.answer(2, false);
    assert_eq!(client.registered(), ["x", "z"]);
}

#[test]
fn the_last_one_may_end_while_another_is_opened() {
    let mut client = Client::new();
    client.session(1, &json!({ "mode": "strict", "external_tools": tools(&["x"]) }));
    let second = client.open(2, &json!({ "external_tools": tools(&["y"]) }));
    assert_eq!(names(&second["external_tools"]), ["x", "y"]);
    client.hold(1, false);
    client.answer(2, true);
    assert_eq!(client.registered(), ["y"]);
    client.hold(2, true);
    assert_eq!(client.modes.of(&Client::place()).as_deref(), Some("strict"));
    let again = client.again();
    assert_eq!(
        (&again[0]["mode"], names(&again[0]["external_tools"])),
        (&json!("strict"), vec!["y"])
    );
    client.restored(&again);
    // Also between the answer and whoever takes it.
    client.open(3, &json!({ "external_tools": tools(&["z"]) }));
    client.answer(3, true);
    client.hold(2, false);
    client.hold(3, true);
    assert_eq!(client.registered(), ["z"]);
    assert_eq!(names(&client.again()[0]["external_tools"]), ["z"]);
}

#[test]
fn what_comes_back_late_has_the_tools_there_are_by_then() {
    let mut client = Client::new();
    for conversation in 0..16 {
        client.lab.command(Command::Send {
            text: Text::from(
                json!({
                    "type": "runtime_start", "request_id": format!("o-{conversation}"),
                    "agent_id": "a", "conversation_id": format!("other-{conversation}"),
                })
                .to_string(),
            ),
            runtime: None,
            settles: false,
        });
        client.lab.sent();
        let runtime =
            json!({ "agent_id": "a", "conversation_id": format!("other-{conversation}") });
        client.lab.receive(&json!({
            "type": "runtime_start_response", "request_id": format!("o-{conversation}"),
            "success": true, "runtime": runtime,
        }));
    }
    client.session(1, &json!({ "mode": "strict", "external_tools": tools(&["x"]) }));
    client.session(2, &json!({ "external_tools": tools(&["y"]) }));
    let again = client.again();
    assert_eq!(again.len(), 16);
    // It waits for its turn.
    client.hold(2, false);
    assert_eq!(client.lab.sent(), [Value::Null; 0]);
    let third = client.open(3, &json!({ "external_tools": tools(&["z"]) }));
    assert_eq!(names(&third["external_tools"]), ["x", "z"]);
    client.lab.receive(&json!({
        "type": "runtime_start_response", "request_id": again[0]["request_id"], "success": true,
        "runtime": { "agent_id": "a", "conversation_id": "other-0" },
    }));
    let last = client.lab.sent();
    let starts: Vec<_> = last.iter().filter(|it| it["type"] == "runtime_start").collect();
    assert_eq!(starts.len(), 1);
    assert_eq!(names(&starts[0]["external_tools"]), ["x", "z"]);
    assert_eq!(starts[0]["mode"], "strict");
}
