//! Every command, response, event and delta of the catalog in its typed form, against the recordings of
//! real servers: what is read is written as it was, and nothing unknown is lost.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use letta_app_client::protocol::generated::{COMMANDS, DELTAS, MESSAGES};
use letta_app_client::protocol::spec::RequestId;
use letta_app_client::protocol::typed::Command;
use letta_app_client::protocol::types::{
    ClientCommand, ListModelsCommand, LoopStatus, LoopStatusUpdateMessage, ReadFileCommand,
    ServerMessage, StreamDelta,
};
use letta_app_client::protocol::validate::validate;
use serde_json::{Map, Value, json};

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces");
    let files = ["single", "split"].iter().flat_map(|generation| {
        std::fs::read_dir(folder.join(generation)).unwrap().map(|entry| entry.unwrap().path())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// Every frame of every recording in one direction.
fn frames(direction: &str) -> Vec<(PathBuf, Map<String, Value>)> {
    let mut frames = Vec::new();
    for path in traces() {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let (true, Value::Object(frame)) = (line["dir"] == direction, line["frame"].clone())
            {
                frames.push((path.clone(), frame));
            }
        }
    }
    frames
}

/// A few messages of each type and generation.
fn samples() -> Vec<(PathBuf, Map<String, Value>)> {
    let mut counts: BTreeMap<(PathBuf, String), usize> = BTreeMap::new();
    let mut few = |(path, frame): &(PathBuf, Map<String, Value>)| {
        let folder = path.parent().unwrap().to_owned();
        let count = counts.entry((folder, kind(frame).to_owned())).or_default();
        *count += 1;
        *count <= 5
    };
    frames("recv").into_iter().filter(|item| few(item)).collect()
}

fn kind(frame: &Map<String, Value>) -> &str {
    frame.get("type").and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn every_recorded_message_is_read_and_written_as_it_was() {
    let (mut seen, mut deltas) = (BTreeSet::new(), BTreeSet::new());
    let mut unread: BTreeMap<String, usize> = BTreeMap::new();
    for (path, frame) in frames("recv") {
        let message = ServerMessage::from(frame.clone());
        if matches!(message, ServerMessage::Unknown(_)) {
            *unread.entry(format!("{} in {}", kind(&frame), path.display())).or_default() += 1;
        }
        if let ServerMessage::StreamDelta(delta) = &message {
            if matches!(delta.delta, StreamDelta::Unknown(_)) {
                let tag = frame["delta"]["message_type"].clone();
                *unread.entry(format!("delta {tag} in {}", path.display())).or_default() += 1;
            }
            deltas.insert(frame["delta"]["message_type"].as_str().unwrap().to_owned());
        }
        seen.insert(kind(&frame).to_owned());
        assert_eq!(
            serde_json::to_value(&message).unwrap(),
            Value::Object(frame),
            "{}",
            path.display()
        );
    }
    assert!(unread.is_empty(), "{unread:#?}");
    assert!(seen.iter().all(|kind| MESSAGES.contains(&kind.as_str())), "{seen:?}");
    assert!(deltas.iter().all(|kind| DELTAS.contains(&kind.as_str())), "{deltas:?}");
    assert!(
        seen.len() > 60 && deltas.len() > 12,
        "{} messages, {} deltas",
        seen.len(),
        deltas.len()
    );
}

#[test]
fn processes_in_the_background_are_of_a_type() {
    let mut kinds = BTreeSet::new();
    for (_, frame) in frames("recv") {
        let ServerMessage::DeviceStatusUpdate(status) = ServerMessage::from(frame) else {
            continue;
        };
        for process in status.device_status.background_processes {
            assert_eq!(
                (process.status.as_str(), process.started_at_ms.is_some()),
                ("running", true)
            );
            kinds.insert(process.kind);
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["agent_task", "bash"]);
}

#[test]
fn what_is_unknown_survives() {
    for (path, mut frame) in samples() {
        // A new field, at the top and inside an object.
        frame.insert("a_new_field".to_owned(), json!({ "deep": [1, null] }));
        for value in frame.values_mut() {
            if let Value::Object(inner) = value {
                inner.insert("another".to_owned(), json!("kept"));
            }
        }
        let written = serde_json::to_value(ServerMessage::from(frame.clone())).unwrap();
        assert_eq!(written, Value::Object(frame.clone()), "{}", path.display());
        // A new type.
        frame.insert("type".to_owned(), json!("something_new"));
        let message = ServerMessage::from(frame.clone());
        assert!(matches!(message, ServerMessage::Unknown(_)));
        assert_eq!(serde_json::to_value(message).unwrap(), Value::Object(frame));
    }
}

#[test]
fn a_field_of_another_type_makes_a_message_unknown_and_loses_nothing() {
    let mut spoilt = BTreeSet::new();
    for (_, frame) in samples() {
        for key in frame.keys().filter(|key| *key != "type") {
            if !spoilt.insert((kind(&frame).to_owned(), key.clone())) {
                continue;
            }
            let mut frame = frame.clone();
            frame.insert(key.clone(), json!([{ "of": "another type" }]));
            let written = serde_json::to_value(ServerMessage::from(frame.clone())).unwrap();
            assert_eq!(written, Value::Object(frame), "{key}");
        }
    }
    assert!(spoilt.len() > 300, "{}", spoilt.len());
    let bad =
        json!({ "type": "list_models_response", "request_id": 7, "success": true, "models": [] });
    let Value::Object(bad) = bad else { panic!("no object") };
    assert!(matches!(ServerMessage::from(bad), ServerMessage::Unknown(_)));
}

#[test]
fn every_recorded_command_passes_the_checks_and_is_written_as_it_was() {
    let mut seen = BTreeSet::new();
    for (path, frame) in frames("send") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // These send bad frames on purpose.
        let on_purpose = [
            "invalid_frames",
            "malformed",
            "external_tools_update",
            "change_device_state",
            "runtime_start_variants",
            "mode_strict",
            "wrong_runtime",
            "settings",
        ];
        if on_purpose.iter().any(|part| name.contains(part)) {
            continue;
        }
        let checked = validate(&frame);
        assert!(checked.is_ok(), "{name}: {checked:?} {frame:?}");
        let command = ClientCommand::from(frame.clone());
        assert!(!matches!(command, ClientCommand::Unknown(_)), "{name}: {frame:?}");
        assert_eq!(serde_json::to_value(command).unwrap(), Value::Object(frame.clone()), "{name}");
        seen.insert(kind(&frame).to_owned());
    }
    assert!(seen.len() > 55, "{}", seen.len());
}

#[test]
fn a_missing_or_wrong_field_of_any_command_is_named() {
    let mut fields = 0;
    for spec in COMMANDS {
        let base = || Map::from_iter([("type".to_owned(), json!(spec.name))]);
        for field in spec.fields.iter().filter(|field| field.required) {
            let violation = validate(&base()).unwrap_err().to_string();
            assert!(violation.contains("field `"), "{}: {violation}", spec.name);
            fields += 1;
            let mut wrong = base();
            wrong.insert(field.name.to_owned(), json!([[["of another type"]]]));
            let violation = validate(&wrong).expect_err(spec.name).to_string();
            assert!(violation.contains('`'), "{}: {violation}", spec.name);
        }
        if spec.request_id == RequestId::Required && spec.fields.iter().all(|field| !field.required)
        {
            let mut wrong = base();
            wrong.insert("request_id".to_owned(), json!(7));
            let violation = validate(&wrong).unwrap_err().to_string();
            assert!(violation.contains("request_id"), "{}: {violation}", spec.name);
        }
    }
    assert_eq!(COMMANDS.len(), 96);
    assert!(fields > 100, "{fields}");
}

#[test]
fn optional_and_nullable_are_told_apart() {
    let mut command = ListModelsCommand::new();
    assert_eq!(Value::Object(command.fields()), json!({}));
    command.force = Some(true);
    assert_eq!(Value::Object(command.fields()), json!({ "force": true }));
    let read = ReadFileCommand::new("/a");
    assert_eq!(Value::Object(read.fields()), json!({ "path": "/a" }));
    assert_eq!(ReadFileCommand::TYPE, "read_file");

    let frame = |state: Value| {
        json!({
            "type": "update_loop_status", "loop_status": state, "event_seq": 18_446_744_073_709_551_615_u64,
            "runtime": { "agent_id": "a", "conversation_id": "c" }, "emitted_at": "", "idempotency_key": "",
        })
    };
    let text =
        frame(json!({ "status": "DREAMING", "active_run_ids": [], "executing_tool_call_ids": [] }))
            .to_string();
    let read: LoopStatusUpdateMessage = serde_json::from_str(&text).unwrap();
    assert_eq!(read.loop_status.status, LoopStatus::Unknown("DREAMING".to_owned()));
    assert_eq!(read.event_seq.as_u64(), Some(u64::MAX), "all digits");
    assert_eq!(serde_json::to_value(&read).unwrap().to_string(), {
        let value: Value = serde_json::from_str(&text).unwrap();
        value.to_string()
    });
}
