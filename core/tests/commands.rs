//! Commands are checked the way the servers did it when the traces were recorded.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use letta_app_client::protocol::generated::{COMMANDS, DELTAS, EVENTS, RESPONSES, TYPES};
use letta_app_client::protocol::spec::RequestId;
use letta_app_client::protocol::validate::{Violation, spec, validate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Recorded commands that the server ignored, answered with a non-terminal `loop_error` or refused
/// for their form: trace, line, field (protocol reference, sections 5.1, 8 and 14). Every other
/// recorded command is well-formed, although not every one has an answer.
const REFUSED: &[(&str, usize, &str)] = &[
    ("single/change_device_state", 22, "payload.mode"),
    ("single/external_tool_malformed_then_good", 32, "result"),
    ("single/external_tools_update", 93, "updates[0].runtimes[1]"),
    ("single/invalid_frames", 20, "type"),
    ("single/invalid_frames", 22, "path"),
    ("single/invalid_frames", 24, "request_id"),
    ("single/invalid_frames", 26, "request_id"),
    ("single/invalid_frames", 28, "depth"),
    ("single/invalid_frames", 33, "payload"),
    ("single/invalid_frames", 36, "payload.kind"),
    ("single/invalid_frames", 39, "payload.messages"),
    ("single/invalid_frames", 42, "runtime"),
    ("single/invalid_frames", 63, "payload.messages[0].type"),
    ("single/invalid_frames", 67, "payload.decision"),
    ("single/invalid_frames", 70, "payload.decision.message"),
    ("single/invalid_frames", 73, "runtime"),
    ("single/runtime_start_variants", 40, "agent_id"),
    ("single/runtime_start_variants", 42, "agent_id"),
    ("single/runtime_start_variants", 48, "conversation_id"),
    ("single/runtime_start_variants", 53, "mode"),
    ("single/runtime_start_variants", 60, "agent_id"),
    ("split/change_device_state", 22, "payload.mode"),
    ("split/external_tool_malformed_then_good", 33, "result"),
    ("split/external_tools_update", 81, "updates[0].runtimes[1]"),
    ("split/invalid_frames", 22, "type"),
    ("split/invalid_frames", 24, "path"),
    ("split/invalid_frames", 26, "request_id"),
    ("split/invalid_frames", 28, "request_id"),
    ("split/invalid_frames", 30, "depth"),
    ("split/invalid_frames", 35, "payload"),
    ("split/invalid_frames", 38, "payload.kind"),
    ("split/invalid_frames", 41, "payload.messages"),
    ("split/invalid_frames", 44, "runtime"),
    ("split/invalid_frames", 63, "payload.messages[0].type"),
    ("split/invalid_frames", 66, "payload.decision"),
    ("split/invalid_frames", 69, "payload.decision.message"),
    ("split/invalid_frames", 72, "runtime"),
    // The runtime of the start before it, which this generation left unanswered, is missing.
    ("split/mode_strict", 5, "runtime"),
    ("split/runtime_start_variants", 38, "agent_id"),
    ("split/runtime_start_variants", 40, "agent_id"),
    ("split/runtime_start_variants", 46, "conversation_id"),
    ("split/runtime_start_variants", 51, "mode"),
    ("split/runtime_start_variants", 57, "agent_id"),
];

/// Trace and line of a frame.
type Place = (String, usize);

/// The recorded frames of one direction.
fn recorded(direction: &str) -> Vec<(Place, Map<String, Value>)> {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/traces");
    let mut frames = Vec::new();
    for generation in ["single", "split"] {
        for entry in std::fs::read_dir(traces.join(generation)).expect("traces are there") {
            let path = entry.expect("the folder is readable").path();
            let text = std::fs::read_to_string(&path).expect("the trace is readable");
            let scenario = path.file_stem().expect("a trace has a name").to_string_lossy();
            for (index, line) in text.lines().enumerate() {
                let mut record: Map<String, Value> = serde_json::from_str(line).expect("JSON");
                if record.get("dir").is_some_and(|dir| dir == direction)
                    && let Some(Value::Object(frame)) = record.remove("frame")
                {
                    frames.push(((format!("{generation}/{scenario}"), index + 1), frame));
                }
            }
        }
    }
    frames
}

fn check(command: &Value) -> Result<(), String> {
    let command = command.as_object().expect("a command is an object");
    validate(command).map_err(|violation| violation.to_string())
}

fn refused(command: &Value) -> String {
    check(command).expect_err("the command is not valid")
}

fn input(payload: &Value) -> Value {
    let runtime = json!({"agent_id": "agent-1", "conversation_id": "default"});
    json!({"type": "input", "runtime": runtime, "payload": payload})
}

#[test]
fn recorded_commands_are_judged_as_the_servers_did() {
    let sent = recorded("send");
    assert!(sent.len() > 700, "only {} recorded commands found", sent.len());
    let judged: BTreeMap<Place, String> = sent
        .iter()
        .filter_map(|(place, frame)| Some((place.clone(), validate(frame).err()?.path)))
        .collect();
    let expected: BTreeMap<Place, String> = REFUSED
        .iter()
        .map(|&(trace, line, path)| ((trace.to_owned(), line), path.to_owned()))
        .collect();
    assert_eq!(judged, expected);
}

#[test]
fn recorded_answers_and_deltas_are_in_the_tables() {
    for (place, frame) in recorded("recv") {
        let kind = frame["type"].as_str().expect("frames have a type");
        let known = RESPONSES.binary_search(&kind).is_ok() || EVENTS.binary_search(&kind).is_ok();
        assert!(known, "{place:?}: {kind}");
        if kind == "stream_delta" {
            let delta = frame["delta"]["message_type"].as_str().expect("deltas have a type");
            assert!(DELTAS.binary_search(&delta).is_ok(), "{place:?}: {delta}");
        }
    }
}

#[test]
fn the_tables_are_sorted_and_agree_with_each_other() {
    assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
    assert!(TYPES.is_sorted_by(|a, b| a.name < b.name));
    for words in [RESPONSES, EVENTS, DELTAS] {
        assert!(words.is_sorted_by(|a, b| a < b));
    }
    for command in COMMANDS {
        let found = spec(command.name).expect("every command is found by its name");
        assert_eq!(found.response, command.response);
        if let Some(response) = command.response {
            assert!(RESPONSES.binary_search(&response).is_ok(), "{response}");
        }
    }
}

#[test]
fn the_definition_of_a_command_is_at_hand() {
    let start = spec("runtime_start").expect("it is a command");
    assert_eq!(start.response, Some("runtime_start_response"));
    assert_eq!(start.request_id, RequestId::Required);
    assert_eq!(spec("sync").map(|sync| sync.request_id), Some(RequestId::Optional));
    assert_eq!(spec("terminal_kill").map(|kill| kill.request_id), Some(RequestId::None));
    assert!(spec("runtime_start_response").is_none());
}

#[test]
fn a_command_needs_a_type_and_may_have_one_from_the_future() {
    assert_eq!(refused(&json!({})), "field `type`: expected string, got nothing");
    assert_eq!(refused(&json!({"type": 1})), "field `type`: expected string, got number 1");
    assert_eq!(check(&json!({"type": "command_of_tomorrow", "request_id": 7})), Ok(()));
}

#[test]
fn optional_is_not_nullable_and_nullable_is_not_optional() {
    let start = |field: &str, value: Value| {
        let mut start = json!({"type": "runtime_start", "request_id": "1", "agent_id": "a"});
        start[field] = value;
        start
    };
    assert_eq!(check(&start("cwd", Value::Null)), Ok(()));
    assert_eq!(check(&start("field_of_tomorrow", Value::Null)), Ok(()));
    let expected = "field `cwd`: expected string or null, got number 5";
    assert_eq!(refused(&start("cwd", json!(5))), expected);
    let expected = "field `conversation_id`: expected string, got null";
    assert_eq!(refused(&start("conversation_id", Value::Null)), expected);
    let expected = "field `mode`: expected \"standard\", \"acceptEdits\", \"unrestricted\" or \
                    \"strict\", got string \"bogus\"";
    assert_eq!(refused(&start("mode", json!("bogus"))), expected);
    let tools = json!([{"tools": [{"name": "t", "description": "d", "parameters": []}]}]);
    let expected = "field `external_tools[0].tools[0].parameters`: expected object, got array of 0";
    assert_eq!(refused(&start("external_tools", tools)), expected);
}

#[test]
fn a_runtime_has_two_ids_that_are_not_empty() {
    let sync = |runtime: Value| json!({"type": "sync", "runtime": runtime});
    assert_eq!(check(&sync(json!({"agent_id": "a", "conversation_id": "c"}))), Ok(()));
    let expected = "field `runtime.conversation_id`: expected non-empty string, got string \"\"";
    assert_eq!(refused(&sync(json!({"agent_id": "a", "conversation_id": ""}))), expected);
    let expected = "field `runtime.agent_id`: expected non-empty string, got nothing";
    assert_eq!(refused(&sync(json!({"conversation_id": "c"}))), expected);
    let expected = "field `runtime`: expected RuntimeScope object, got string \"agent\"";
    assert_eq!(refused(&sync(json!("agent"))), expected);
}

#[test]
fn the_ids_of_a_start_are_not_empty() {
    let start = |fields: Value| {
        let mut command = json!({"type": "runtime_start", "request_id": "1", "agent_id": "a"});
        command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        command
    };
    for field in ["agent_id", "conversation_id"] {
        let expected = format!("field `{field}`: expected non-empty string, got string \"\"");
        assert_eq!(refused(&start(json!({ field: "" }))), expected);
    }
    assert_eq!(check(&start(json!({"conversation_id": "default"}))), Ok(()));
}

#[test]
fn a_start_names_one_agent_and_at_most_one_conversation() {
    let start = |mut fields: Value| {
        fields["type"] = json!("runtime_start");
        fields["request_id"] = json!("1");
        fields
    };
    assert_eq!(check(&start(json!({"create_agent": {"body": {}}}))), Ok(()));
    let expected = "field `agent_id`: expected exactly one of `agent_id` and `create_agent`, \
                    got neither";
    assert_eq!(refused(&start(json!({}))), expected);
    let both = json!({"agent_id": "a", "create_agent": {"body": {}}});
    let expected = "field `agent_id`: expected only one of `agent_id` and `create_agent`, got both";
    assert_eq!(refused(&start(both)), expected);
    let both = json!({"agent_id": "a", "conversation_id": "c", "create_conversation": {}});
    let expected = "field `conversation_id`: expected only one of `conversation_id` and \
                    `create_conversation`, got both";
    assert_eq!(refused(&start(both)), expected);
}

#[test]
fn a_tool_answers_with_a_result_or_an_error() {
    let answer = |mut fields: Value| {
        fields["type"] = json!("external_tool_call_response");
        fields["request_id"] = json!("external-tool-1");
        fields
    };
    assert_eq!(check(&answer(json!({"error": "no"}))), Ok(()));
    assert_eq!(check(&answer(json!({"result": {"content": []}}))), Ok(()));
    let both = refused(&answer(json!({"error": "no", "result": {"content": []}})));
    assert!(both.starts_with("field `result`: expected only one of"), "{both}");
    let neither = refused(&answer(json!({})));
    assert!(neither.starts_with("field `result`: expected exactly one of"), "{neither}");
    let expected = "field `result.content[0]`: expected ExternalToolCallResultContent object, \
                    got string \"text\"";
    assert_eq!(refused(&answer(json!({"result": {"content": ["text"]}}))), expected);
}

#[test]
fn an_approval_is_decided_once_and_a_denial_says_why() {
    let answer = |fields: &str| {
        let text = format!(r#"{{"kind": "approval_response", "request_id": "p" {fields}}}"#);
        input(&serde_json::from_str(&text).expect("JSON"))
    };
    assert_eq!(check(&answer(r#", "decision": {"behavior": "allow"}"#)), Ok(()));
    assert_eq!(check(&answer(r#", "error": "no""#)), Ok(()));
    let both = refused(&answer(r#", "error": "no", "decision": {"behavior": "allow"}"#));
    assert!(both.starts_with("field `payload.decision`: expected only one of"), "{both}");
    let expected = "field `payload.decision.message`: expected string, got nothing";
    assert_eq!(refused(&answer(r#", "decision": {"behavior": "deny"}"#)), expected);
    let expected = "field `payload.decision.behavior`: expected \"allow\" or \"deny\", got nothing";
    assert_eq!(refused(&answer(r#", "decision": {}"#)), expected);
}

#[test]
fn messages_of_an_input_are_checked_one_by_one() {
    let create = |messages: Value| input(&json!({"kind": "create_message", "messages": messages}));
    let parts = json!([{"type": "text", "text": "hi"}, {"type": "part_of_tomorrow"}]);
    let good = json!([{"role": "user", "content": parts}, {"role": "system", "content": "x"}]);
    assert_eq!(check(&create(good)), Ok(()));
    assert_eq!(check(&create(json!([]))), Ok(()));
    let cases = [
        (
            json!({"content": "x"}),
            "role`: expected \"user\", \"system\" or \"assistant\", got nothing",
        ),
        (json!({"role": "user"}), "content`: expected string or array, got nothing"),
        (
            json!({"role": "user", "content": [{}]}),
            "content[0].type`: expected string, got nothing",
        ),
        (
            json!({"role": "user", "content": "x", "client_message_id": null}),
            "client_message_id`: expected string, got null",
        ),
        (
            json!({"type": "approval", "approvals": []}),
            "type`: expected a message, not an approval, got string \"approval\"",
        ),
    ];
    for (message, expected) in cases {
        let first = json!({"role": "user", "content": "x"});
        let found = refused(&create(json!([first, message])));
        assert_eq!(found, format!("field `payload.messages[1].{expected}"));
    }
}

#[test]
fn parts_of_a_message_are_checked_by_their_type() {
    let create = |part: &Value| {
        let parts = json!([{ "type": "text", "text": "hi" }, part]);
        let messages = json!([{ "role": "user", "content": parts }]);
        input(&json!({ "kind": "create_message", "messages": messages }))
    };
    let image = |source: Value| json!({ "type": "image", "source": source });
    for good in [
        json!({ "type": "text", "text": "", "more": 1 }),
        image(json!({ "type": "base64", "media_type": "image/png", "data": "", "detail": "low" })),
        image(json!({ "type": "url", "url": "https://example.invalid/a.png" })),
        image(json!({ "type": "source_of_tomorrow" })),
        json!({ "type": "part_of_tomorrow", "text": 5 }),
    ] {
        assert_eq!(check(&create(&good)), Ok(()), "{good}");
    }
    for (part, expected) in [
        (json!({ "type": "text", "text": 5 }), "text`: expected string, got number 5"),
        (json!({ "type": "text" }), "text`: expected string, got nothing"),
        (json!({ "type": 5 }), "type`: expected string, got number 5"),
        (
            json!({ "type": "image" }),
            "source`: expected Base64Source object, UrlSource object or ImageSource object, got nothing",
        ),
        (image(json!({})), "source.type`: expected string, got nothing"),
        (
            image(json!({ "type": "base64", "data": "aGVsbG8=" })),
            "source.media_type`: expected string, got nothing",
        ),
        (
            image(json!({ "type": "base64", "media_type": "image/png", "data": 5 })),
            "source.data`: expected string, got number (not shown)",
        ),
        (image(json!({ "type": "url" })), "source.url`: expected string, got nothing"),
    ] {
        let found = refused(&create(&part));
        assert_eq!(found, format!("field `payload.messages[0].content[1].{expected}"));
    }
    let expected = "field `payload.messages[0].content[1]`: expected TextPart object, \
                    ImagePart object or MessagePart object, got string \"hi\"";
    assert_eq!(refused(&create(&json!("hi"))), expected);
}

#[test]
fn the_kind_of_a_payload_decides_what_is_missing() {
    let expected = "field `payload.kind`: expected \"create_message\", \"approval_response\" or \
                    \"teleport_continue\", got nothing";
    assert_eq!(refused(&input(&json!({}))), expected);
    let expected = "field `payload.messages`: expected array, got nothing";
    assert_eq!(refused(&input(&json!({"kind": "create_message"}))), expected);
    let expected = "field `payload.request_id`: expected string, got nothing";
    assert_eq!(refused(&input(&json!({"kind": "approval_response"}))), expected);
}

#[test]
fn a_runtime_is_updated_once_per_command() {
    let update = |updates: Value| json!({"type": "runtime_external_tools_update", "request_id": "1", "updates": updates});
    let group = |ids: &[&str]| {
        let runtime = |id: &&str| json!({"agent_id": "a", "conversation_id": id});
        json!({"runtimes": ids.iter().map(runtime).collect::<Vec<_>>(), "external_tools": []})
    };
    assert_eq!(check(&update(json!([group(&["1", "2"]), group(&["3"])]))), Ok(()));
    let expected = "field `updates[1].runtimes[1]`: expected each runtime once, \
                    got a runtime named before";
    assert_eq!(refused(&update(json!([group(&["1"]), group(&["2", "1"])]))), expected);
    let expected = "field `updates[1].runtimes`: expected at least one runtime, got none";
    assert_eq!(refused(&update(json!([group(&["1"]), group(&[])]))), expected);
}

#[test]
fn tools_are_checked_as_the_server_checks_them() {
    let start = |tool: Value| {
        let groups = json!([{ "tools": [tool, tool] }]);
        json!({"type": "runtime_start", "request_id": "1", "agent_id": "a", "external_tools": groups})
    };
    // What a model makes of it is another matter: the server registers it.
    let strange = json!({"name": "a b", "description": "", "parameters": {"type": "array"}});
    assert_eq!(check(&start(strange)), Ok(()));
    for (tool, expected) in [
        (json!({"description": "", "parameters": {}}), "name`: expected string, got nothing"),
        (json!({"name": "a", "parameters": {}}), "description`: expected string, got nothing"),
        (
            json!({"name": "a", "description": "", "parameters": []}),
            "parameters`: expected object, got array of 0",
        ),
        (
            json!({"name": "a", "description": "", "parameters": {}, "label": 1}),
            "label`: expected string, got number 1",
        ),
    ] {
        let found = refused(&start(tool));
        assert_eq!(found, format!("field `external_tools[0].tools[0].{expected}"));
    }
}

#[test]
fn tuples_have_their_length() {
    let ops = |parents: Value| {
        let entry = json!({"agent": "a", "seq": 0, "len": 1, "parents": [parents]});
        json!({"type": "file_ops", "path": "p", "cg_entries": [entry], "ops": [], "source": "s"})
    };
    assert_eq!(check(&ops(json!(["a", 1]))), Ok(()));
    let expected = "field `cg_entries[0].parents[0]`: expected array of 2, got array of 1";
    assert_eq!(refused(&ops(json!(["a"]))), expected);
    let expected = "field `cg_entries[0].parents[0][1]`: expected number, got string \"1\"";
    assert_eq!(refused(&ops(json!(["a", "1"]))), expected);
}

#[test]
fn long_values_are_cut_and_secrets_are_not_shown() {
    let long = "é".repeat(60);
    let tree = json!({"type": "get_tree", "request_id": "1", "path": "p", "depth": long});
    let expected = format!("field `depth`: expected number, got string \"{}…\"", "é".repeat(40));
    assert_eq!(refused(&tree), expected);
    let keys = json!({"type": "terminal_input", "terminal_id": "t", "data": 123_456});
    assert_eq!(refused(&keys), "field `data`: expected string, got number (not shown)");
    let apply = json!({"type": "secret_apply", "request_id": "1", "agent_id": "a",
                       "set": {"PIN": 1234}, "unset": []});
    let expected = "field `set[\"PIN\"]`: expected string, got number (not shown)";
    assert_eq!(refused(&apply), expected);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("create_message")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![any::<String>(), Just("kind".to_owned()), Just("type".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Puts a value in the place of the nth node below `root`.
fn replace(root: &mut Value, countdown: &mut usize, with: &Value) {
    if *countdown == 0 {
        root.clone_from(with);
    }
    *countdown = countdown.wrapping_sub(1);
    match root {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, countdown, with)),
        Value::Object(entries) => {
            entries.values_mut().for_each(|value| replace(value, countdown, with));
        }
        _ => {}
    }
}

/// The sender's value is cut to 40 characters, each of which may be written as an escape.
fn is_brief(violation: &Violation) -> bool {
    violation.got.chars().count() < 500 && !violation.got.is_empty()
}

proptest! {
    #[test]
    fn arbitrary_fields_never_panic(
        number in 0..COMMANDS.len(),
        extra in any_json(),
        values in prop::collection::vec(any_json(), 20),
    ) {
        let command = &COMMANDS[number];
        let mut frame = extra.as_object().cloned().unwrap_or_default();
        for (field, value) in command.fields.iter().zip(values) {
            frame.insert(field.name.to_owned(), value);
        }
        frame.insert("type".to_owned(), json!(command.name));
        prop_assert!(validate(&frame).err().as_ref().is_none_or(is_brief));
        frame.insert("type".to_owned(), extra);
        prop_assert!(validate(&frame).err().as_ref().is_none_or(is_brief));
    }

    #[test]
    fn damaged_commands_never_panic(place in 0_usize..60, with in any_json(), which in 0_usize..4) {
        let runtime = json!({"agent_id": "a", "conversation_id": "c"});
        let mut frame = [
            input(&json!({"kind": "create_message", "messages": [{"role": "user", "content": [{"type": "text"}]}]})),
            input(&json!({"kind": "approval_response", "request_id": "p", "decision": {"behavior": "deny", "message": "m"}})),
            json!({"type": "runtime_external_tools_update", "request_id": "1",
                   "updates": [{"runtimes": [runtime], "external_tools": [{"tools": []}]}]}),
            json!({"type": "runtime_start", "request_id": "1", "agent_id": "a", "cwd": null}),
        ][which].clone();
        replace(&mut frame, &mut { place }, &with);
        if let Value::Object(frame) = frame {
            prop_assert!(validate(&frame).err().as_ref().is_none_or(is_brief));
        }
    }
}
