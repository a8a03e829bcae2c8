//! Recordings with two clients, of which one is the standby of the other: each event counts once, and turns go
//! on (PROTOCOL.md sections 6, 7, 10 and 16).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::path::Path;
use std::time::Duration;

use letta_app_client::engine::{Command, Delivery, Reconnect, Resend};
use letta_app_client::protocol::Text;
use letta_app_client::testing::{Payload, Trace, TraceEvent};
use letta_app_client::{InputDelivery, TurnOptions, TurnStatus};
use serde_json::{Value, json};
use support::Lab;

const RULES: Reconnect = Reconnect {
    max_attempts: None,
    base: Duration::from_millis(250),
    cap: Duration::from_secs(15),
};

/// What happened in a recording to one of its clients, `A` or `B`.
#[derive(Debug, Clone)]
enum Step {
    Sent(Value),
    Received(Value),
    Closed,
}

fn recording(name: &str) -> Vec<(char, Step)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces/single");
    let trace = Trace::read(root.join(format!("{name}.jsonl"))).unwrap();
    let value = |frame: &str| serde_json::from_str::<Value>(frame).unwrap();
    let steps = trace.lines.iter().filter_map(|line| {
        let step = match &line.event {
            TraceEvent::Sent(Payload::Frame(frame)) => Step::Sent(value(frame.get())),
            TraceEvent::Received(Payload::Frame(frame)) => Step::Received(value(frame.get())),
            TraceEvent::Close { .. } => Step::Closed,
            _ => return None,
        };
        Some((line.client.as_deref()?.chars().next()?, step))
    });
    steps.collect()
}

/// The texts of the deltas that were told, with their runs and numbers there.
fn deltas(lab: &mut Lab) -> Vec<String> {
    let told = std::iter::from_fn(|| lab.engine.poll_delivery());
    let texts = told.filter_map(|delivery| match delivery {
        Delivery::Message { text, .. } => Some(serde_json::from_str::<Value>(&text).unwrap()),
        _ => None,
    });
    texts.filter(|frame| frame["type"] == "stream_delta").map(|frame| name_of(&frame)).collect()
}

fn name_of(delta: &Value) -> String {
    let delta = &delta["delta"];
    format!("{} {} {}", delta["id"], delta["run_id"], delta["seq_id"])
}

fn turn_of(frame: &Value, options: TurnOptions) -> Command {
    let scope = &frame["runtime"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = frame["payload"]["messages"].as_array().unwrap().iter();
    Command::RunTurn {
        token: 1,
        text: Text::from(frame.to_string()),
        request_id: text(&frame["request_id"]),
        runtime: (text(&scope["agent_id"]), text(&scope["conversation_id"])),
        client_ids: messages.map(|message| text(&message["client_message_id"])).collect(),
        options,
    }
}

/// Plays a recording: `A` is the first connection, `B` the standby. After so many steps, or where the
/// recording says so, `A` is lost; what it would have got later is left out.
fn play(lab: &mut Lab, steps: &[(char, Step)], cut_after: usize, options: &TurnOptions) {
    let (mut cut, mut standby_sync) = (false, Value::Null);
    for (index, (client, step)) in steps.iter().enumerate() {
        match (client, step) {
            ('A', Step::Sent(frame)) if frame["type"] == "input" && !cut => {
                lab.command(turn_of(frame, options.clone()));
            }
            ('A', Step::Sent(frame)) if frame["type"] != "input" => {
                let text = Text::from(frame.to_string());
                lab.command(Command::Send { text, runtime: None, settles: false });
            }
            ('A', Step::Received(frame)) if !cut => lab.receive(frame),
            ('B', Step::Sent(frame)) if frame["type"] == "sync" => {
                lab.open_standby();
                let sent = lab.sent_on_standby();
                assert_eq!(sent.len(), 1);
                assert_eq!(sent[0]["runtime"], frame["runtime"]);
                assert_eq!(sent[0]["recover_approvals"], false);
                standby_sync = sent[0]["request_id"].clone();
            }
            ('B', Step::Received(frame)) => {
                let mut frame = frame.clone();
                if frame["type"] == "sync_response" {
                    frame["request_id"] = standby_sync.clone();
                }
                if cut { lab.receive(&frame) } else { lab.receive_on_standby(&frame) }
            }
            ('A', Step::Closed) if !cut => {
                lab.switch();
                cut = true;
            }
            _ => {}
        }
        if index == cut_after && !cut {
            lab.switch();
            cut = true;
        }
    }
}

#[test]
fn a_recorded_turn_goes_on_after_the_cut() {
    let steps = recording("disconnect_mid_turn_with_observer");
    let mut lab = Lab::standing_by(RULES);
    play(&mut lab, &steps, usize::MAX, &TurnOptions::default());
    let (token, end) = lab.one_end();
    let result = end.turn();
    let said = steps.iter().filter_map(|(client, step)| match step {
        Step::Received(frame) if *client == 'B' => frame["delta"]["content"][0]["text"].as_str(),
        _ => None,
    });
    assert_eq!((token, result.status), (1, Some(TurnStatus::Completed)));
    assert_eq!(result.text, said.collect::<String>());
    assert_eq!((result.delivery, result.run_ids.len()), (InputDelivery::Sent, 1));
    assert_eq!(lab.engine.counters().reconnects, 1);
    assert!(!lab.engine.will_reconnect());
}

#[test]
fn a_recording_may_be_cut_anywhere() {
    let steps = recording("second_client_observes");
    let subscribed = steps.iter().position(|(client, step)| {
        matches!(step, Step::Received(frame) if *client == 'B' && frame["type"] == "sync_response")
    });
    let all: Vec<String> = steps
        .iter()
        .filter_map(|(client, step)| match step {
            Step::Received(frame) if *client == 'A' && frame["type"] == "stream_delta" => {
                Some(name_of(frame))
            }
            _ => None,
        })
        .collect();
    assert!(all.len() > 20);
    for cut_after in (subscribed.unwrap()..steps.len()).step_by(5) {
        let mut lab = Lab::standing_by(RULES);
        play(&mut lab, &steps, cut_after, &TurnOptions::default());
        assert_eq!(deltas(&mut lab), all, "cut after step {cut_after}");
    }
}

/// Answers what is sent after a switch: the server knows the runtime, and stores nothing of the input.
fn answer(lab: &mut Lab, frame: &Value) {
    let kind = frame["type"].as_str().unwrap();
    let mut response = json!({
        "type": format!("{kind}_response"), "request_id": frame["request_id"], "success": true,
    });
    if kind == "conversation_messages_list" {
        response["messages"] = json!([]);
        response["has_more"] = false.into();
    }
    lab.receive(&response);
}

#[test]
fn a_recorded_input_that_was_queued_is_sent_again() {
    let steps = recording("queued_input_lost_on_disconnect");
    let options = TurnOptions { resend: Some(Resend::IfUncommitted), ..TurnOptions::default() };
    let mut lab = Lab::standing_by(RULES);
    // The rest of the recording comes after what is asked for at the switch.
    let closed =
        steps.iter().position(|(client, step)| *client == 'A' && matches!(step, Step::Closed));
    let (before, after) = steps.split_at(closed.unwrap() + 1);
    play(&mut lab, before, usize::MAX, &options);
    assert!(lab.ended().is_empty(), "what left the queue with the connection is no end");
    let mut inputs = Vec::new();
    let mut round = |lab: &mut Lab| {
        while let Some(text) = lab.engine.poll_transmit() {
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == "input" { inputs.push(frame) } else { answer(lab, &frame) }
        }
    };
    round(&mut lab);
    for (_, step) in after {
        if let Step::Received(frame) = step {
            lab.receive(frame);
            round(&mut lab);
        }
    }
    for _ in 0..10 {
        lab.pass(0.5);
        round(&mut lab);
    }
    assert_eq!(inputs.len(), 2);
    let id = inputs[1]["payload"]["messages"][0]["client_message_id"].take();
    assert_ne!(
        id,
        inputs[0]["payload"]["messages"][0]["client_message_id"].take(),
        "it was had before"
    );
    assert_eq!(inputs[0], inputs[1]);
}
