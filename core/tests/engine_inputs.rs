//! When an input leaves: behind the one before it, after the clean-up of the turn before, and not at all once
//! nobody waits for it (PROTOCOL.md sections 10, 17 and 18).

mod support;

use letta_app_client::TurnOptions;
use letta_app_client::engine::Command;
use letta_app_client::protocol::Text;
use serde_json::{Value, json};
use support::{End, Lab, runtime};

fn place() -> (String, String) {
    ("a".to_owned(), "c".to_owned())
}

#[test]
fn an_input_whose_request_id_was_used_before_is_acknowledged() {
    let mut lab = Lab::new();
    let send = |lab: &mut Lab, token: u64, payload: Value| {
        let input = json!({ "type": "input", "request_id": "mine", "payload": payload });
        lab.command(Command::RunTurn {
            token,
            text: Text::from(input.to_string()),
            request_id: "mine".to_owned(),
            runtime: place(),
            client_ids: vec![format!("m{token}")],
            options: TurnOptions::default(),
        });
    };
    let accept = |lab: &mut Lab| {
        lab.receive(&json!({
            "type": "input_accepted", "request_id": "mine", "runtime": runtime(),
            "accepted": true, "disposition": "started",
        }));
    };
    send(&mut lab, 1, json!({}));
    accept(&mut lab);
    lab.status("PROCESSING_API_RESPONSE");
    lab.says("r1", "one");
    // It waits for a turn of its own, so it is there when the one with its id ends.
    send(&mut lab, 2, json!({ "client_tool_allowlist": [] }));
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r1"), "end_turn");
    lab.sent();
    lab.pass(0.2);
    assert_eq!(lab.sent_kinds(), ["input"]);
    lab.ended();
    accept(&mut lab);
    lab.status("PROCESSING_API_RESPONSE");
    lab.says("r2", "two");
    lab.status("WAITING_ON_INPUT");
    lab.finished(Some("r2"), "end_turn");
    lab.pass(31.0);
    let ended = lab.ended();
    assert!(matches!(&ended[..], [(2, End::Turn(_))]), "{ended:?}");
}
