//! Whose turn is it: each way in which a conversation's turns can be taken for one another, shown by a
//! recording of a real server (PROTOCOL.md sections 9.5, 10, 13 and 18).
#![cfg(feature = "testing")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod recordings;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::engine::{Channel, Command, CompletedBy, Delivery, Engine, Ids};
use letta_app_client::protocol::Text;
use letta_app_client::testing::{Payload, Trace, TraceEvent, TraceLine};
use letta_app_client::{Error, ErrorKind, TurnOptions, TurnResult, TurnStatus};
use recordings::{Outcome, recordings, replay};
use serde_json::{Value, json};

/// How the inputs of a recording ended, by the id of their first message.
fn outcomes(name: &str) -> Vec<(String, Outcome)> {
    let (_, trace, wanted) = recordings().into_iter().find(|(file, ..)| file == name).unwrap();
    let reported = replay(&trace.lines, &wanted).into_iter();
    let id = |ids: Option<Vec<String>>| ids.unwrap().remove(0);
    reported.map(|(input, outcome)| (id(input.client_message_ids), outcome.unwrap())).collect()
}

fn result<'a>(outcomes: &'a [(String, Outcome)], id: &str) -> &'a TurnResult {
    let (_, outcome) = outcomes.iter().find(|(other, _)| other == id).unwrap();
    outcome.as_ref().unwrap()
}

fn error<'a>(outcomes: &'a [(String, Outcome)], id: &str) -> &'a Error {
    let (_, outcome) = outcomes.iter().find(|(other, _)| other == id).unwrap();
    outcome.as_ref().unwrap_err()
}

/// Plays one client's frames of a recording; at a line (counted from 1) the test joins in.
fn play(name: &str, client: Option<&str>, at: usize, join: impl Fn(&mut Engine)) -> Vec<Delivery> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces");
    let trace = Trace::read(folder.join(name)).unwrap();
    let mut engine = Engine::new(Arc::new(Ids::with_prefix("t".to_owned())), Duration::ZERO);
    engine.handle_connected(Duration::ZERO, false);
    for line in
        trace.lines.iter().filter(|line| client.is_none() || line.client.as_deref() == client)
    {
        if line.number == at {
            join(&mut engine);
        }
        if let TraceLine { event: TraceEvent::Received(Payload::Frame(frame)), .. } = line {
            let text = Text::from(frame.get());
            engine.handle_frame(Duration::from_millis(line.t_ms), Channel::Control, &text);
        }
    }
    let end = Error::new(ErrorKind::Disconnected, "the recording ends");
    engine.handle_connection_lost(Duration::from_secs(20), &end);
    std::iter::from_fn(|| engine.poll_delivery()).collect()
}

/// An input of ours in a conversation, which the recorded server knew nothing of.
fn send_ours(engine: &mut Engine, agent: &str, conversation: &str) {
    engine.handle_command(
        Duration::from_millis(1),
        Command::RunTurn {
            token: 1,
            text: Text::from(json!({ "type": "input" }).to_string()),
            request_id: "ours".to_owned(),
            runtime: (agent.to_owned(), conversation.to_owned()),
            client_ids: vec!["ours".to_owned()],
            options: TurnOptions::default(),
        },
    );
}

/// The agent of a recorded conversation.
fn agent(name: &str, conversation: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let named = lines.find(|line| line["frame"]["runtime"]["conversation_id"] == conversation);
    named.unwrap()["frame"]["runtime"]["agent_id"].as_str().unwrap().to_owned()
}

/// The end of our turn, which was interrupted by the end of the recording with nothing of its own.
fn assert_untouched(deliveries: &[Delivery]) {
    let ends: Vec<_> = deliveries
        .iter()
        .filter_map(|delivery| match delivery {
            Delivery::Failed { token: 1, error } => Some(error),
            Delivery::Turn { token: 1, result } => panic!("settled by another: {result:?}"),
            _ => None,
        })
        .collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].kind(), ErrorKind::TurnInterrupted);
    let known = ends[0].result().unwrap();
    assert_eq!((known.text.as_str(), known.run_ids.len(), known.usage.total_tokens), ("", 0, 0));
}

#[test]
fn a_queued_input_is_answered_by_its_own_turn() {
    for file in ["single/queued_turn.jsonl", "split/queued_turn.jsonl"] {
        let outcomes = outcomes(file);
        let (first, second) = (result(&outcomes, "cm-1"), result(&outcomes, "cm-2"));
        assert_ne!(first.run_ids, second.run_ids, "{file}");
        assert_eq!(second.text, "tok0 tok1 ", "{file}");
        assert!(first.text.len() > second.text.len(), "{file}");
    }
}

#[test]
fn merged_inputs_end_together_and_say_so() {
    for file in ["single/queued_two_coalesced.jsonl", "split/queued_two_coalesced.jsonl"] {
        let outcomes = outcomes(file);
        let (one, other) = (result(&outcomes, "cm-2"), result(&outcomes, "cm-3"));
        assert_eq!(
            (one.text.as_str(), other.text.as_str()),
            ("tok0 tok1 tok2 ", "tok0 tok1 tok2 ")
        );
        assert_eq!(one.run_ids, other.run_ids, "{file}");
        assert_eq!(
            (&one.merged_with[..], &other.merged_with[..]),
            (&["cm-3".to_owned()][..], &["cm-2".to_owned()][..])
        );
        assert!(result(&outcomes, "cm-1").merged_with.is_empty(), "{file}");
    }
}

#[test]
fn an_input_joins_a_turn_whose_tools_run() {
    for file in ["single/queued_during_tool_merged.jsonl", "split/queued_during_tool_merged.jsonl"]
    {
        let outcomes = outcomes(file);
        let (first, joined) = (result(&outcomes, "cm-1"), result(&outcomes, "cm-2"));
        assert_eq!((first.tool_calls.len(), joined.tool_calls.len()), (1, 0), "{file}");
        assert_eq!(first.run_ids.last(), joined.run_ids.last(), "{file}");
        assert_eq!(joined.text, first.text, "{file}");
    }
}

#[test]
fn an_input_taken_out_of_the_queue_is_told_so() {
    for file in ["single/remove_queue_item.jsonl", "split/remove_queue_item.jsonl"] {
        let outcomes = outcomes(file);
        let removed = error(&outcomes, "cm-2");
        assert_eq!(removed.kind(), ErrorKind::TurnAborted, "{file}");
        let by = removed.result().unwrap().completed_by;
        assert_eq!(by, Some(CompletedBy::RemovedFromQueue), "{file}");
        assert_eq!(result(&outcomes, "cm-1").status, Some(TurnStatus::Completed), "{file}");
    }
}

#[test]
fn inputs_of_another_client_stay_apart() {
    let outcomes = outcomes("single/queue_two_clients.jsonl");
    let (ours, theirs) = (result(&outcomes, "cm-a2"), result(&outcomes, "cm-b1"));
    assert_ne!(ours.run_ids, theirs.run_ids);
    assert_eq!(ours.merged_with, ["cm-a3"]);
    assert!(theirs.merged_with.is_empty());
}

#[test]
fn a_scheduled_turn_settles_nothing_of_ours() {
    let name = "single/cron.jsonl";
    let agent = agent(name, "local-conv-61");
    let deliveries = play(name, None, 24, |engine| send_ours(engine, &agent, "local-conv-61"));
    assert_untouched(&deliveries);
}

#[test]
fn a_notification_turn_settles_nothing_of_ours() {
    let name = "single/background_task_notification.jsonl";
    let agent = agent(name, "local-conv-8");
    let deliveries = play(name, None, 38, |engine| send_ours(engine, &agent, "local-conv-8"));
    assert_untouched(&deliveries);
}

#[test]
fn a_subagent_with_the_same_run_ids_is_not_heard() {
    for file in ["single/subagent.jsonl", "split/subagent.jsonl"] {
        let outcomes = outcomes(file);
        let result = result(&outcomes, "cm-1");
        assert_eq!((result.text.as_str(), result.tool_calls.len()), ("tok0 tok1 ", 1), "{file}");
    }
}

#[test]
fn a_recovered_question_is_asked_without_its_frame_and_its_turn_is_nobodys() {
    let name = "single/approval_recovered_after_server_restart.jsonl";
    let agent = agent(name, "local-conv-2");
    let deliveries = play(name, Some("B"), 48, |engine| {
        let runtime = Some((agent.clone(), "local-conv-2".to_owned()));
        let handler = Command::HandleApprovals { token: 9, runtime, handled: true };
        engine.handle_command(Duration::ZERO, handler);
        send_ours(engine, &agent, "local-conv-2");
    });
    let asked: Vec<Value> = deliveries
        .iter()
        .filter_map(|delivery| match delivery {
            Delivery::Approval { token: 9, text, .. } => serde_json::from_str(text).ok(),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 1, "listed twice, asked once");
    assert_eq!(asked[0]["type"], "control_request");
    assert_eq!(asked[0]["request"]["tool_name"], "AskUserQuestion");
    assert_eq!(asked[0]["runtime"]["conversation_id"], "local-conv-2");
    assert_untouched(&deliveries);
}

#[test]
fn a_turn_on_a_lost_runtime_says_so_and_ends() {
    for file in
        ["single/race_after_finish_approval.jsonl", "split/race_after_finish_approval.jsonl"]
    {
        let outcomes = outcomes(file);
        let interrupted = error(&outcomes, "cm-2");
        assert_eq!(interrupted.kind(), ErrorKind::TurnInterrupted, "{file}");
    }
    let outcomes = outcomes("single/race_after_finish_abort.jsonl");
    let detached = result(&outcomes, "cm-2");
    assert!(detached.detached);
    assert_eq!(detached.status, Some(TurnStatus::Completed));
}
