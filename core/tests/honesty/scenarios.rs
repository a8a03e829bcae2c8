//! What both servers are told.

use letta_app_client::testing::{ScriptedCall, ScriptedTurn};
use serde_json::{Value, json};

use crate::words::{
    answer, asked, bash, calling, calls, command, done, input, lookup, slow, tokens, tool_answer,
};

pub enum Step {
    /// Sends a frame; `$runtime`, `$agent`, `$conversation`, `$cwd` stand for those of the scenario, `$request` and
    /// `$tool` for the latest permission or tool call that was asked for.
    Send(Value),
    /// Sends a text.
    Raw(&'static str),
    /// Waits for a frame of a type, for `delta:MESSAGE_TYPE`, or for a status of the loop.
    Wait(&'static str),
    /// Waits for silence.
    Settle,
}

use Step::{Raw, Send, Settle, Wait};

pub struct Scenario {
    pub name: &'static str,
    pub mode: &'static str,
    pub tools: Value,
    pub steps: Vec<Step>,
    pub turns: Vec<ScriptedTurn>,
}

pub fn scenario(name: &'static str, turns: Vec<ScriptedTurn>, steps: Vec<Step>) -> Scenario {
    Scenario { name, mode: "standard", tools: Value::Null, steps, turns }
}

pub fn all() -> Vec<Scenario> {
    let mut all = turns();
    all.extend(queues());
    all.extend(tools());
    all.extend(refusals());
    all.extend(families());
    all.extend(crate::rules::all());
    all
}

fn turns() -> Vec<Scenario> {
    let two_messages = json!({
        "type": "input", "request_id": "in", "runtime": "$runtime",
        "payload": { "kind": "create_message", "messages": [
            { "role": "user", "content": "first", "client_message_id": "a" },
            { "role": "user", "content": "second N=2", "client_message_id": "b" },
        ] },
    });
    vec![
        scenario("simple", vec![tokens(3)], vec![input("a", "hi N=3"), done()]),
        scenario("long", vec![tokens(40)], vec![input("a", "hi N=40"), done()]),
        scenario(
            "reasoning",
            vec![ScriptedTurn {
                reasoning: (0..3).map(|number| format!("think{number} ")).collect(),
                usage: (10, 5),
                ..tokens(2)
            }],
            vec![input("a", "hi REASON=3 N=2"), done()],
        ),
        scenario(
            "two_turns",
            vec![tokens(1), tokens(2)],
            vec![input("a", "N=1"), done(), Settle, input("b", "N=2"), done()],
        ),
        scenario("two_messages", vec![tokens(2)], vec![Send(two_messages), done()]),
        scenario(
            "without_ids",
            vec![tokens(2)],
            vec![
                Send(json!({
                    "type": "input", "runtime": "$runtime", "payload": {
                        "kind": "create_message", "messages": [{ "role": "user", "content": "N=2" }],
                    },
                })),
                done(),
            ],
        ),
        scenario(
            "content_parts",
            vec![tokens(2)],
            vec![
                Send(json!({
                    "type": "input", "request_id": "in", "runtime": "$runtime", "payload": {
                        "kind": "create_message", "messages": [{
                            "role": "user", "client_message_id": "a",
                            "content": [{ "type": "text", "text": "N=2" }],
                        }],
                    },
                })),
                done(),
            ],
        ),
        scenario(
            "length",
            vec![ScriptedTurn { stop_reason: Some("max_tokens_exceeded".to_owned()), ..tokens(2) }],
            vec![input("a", "N=2 LENGTH"), done()],
        ),
        scenario(
            "provider_retries",
            vec![ScriptedTurn { retries: 1, ..tokens(2) }],
            vec![input("a", "N=2 ERR=500x1"), done()],
        ),
        scenario(
            "stream_cut",
            vec![ScriptedTurn { cuts: vec![2], ..tokens(4) }],
            vec![input("a", "N=4 CUT=2 CUTONCE"), done()],
        ),
        scenario(
            "slow_stream",
            vec![ScriptedTurn { delay_ms: 500, ..tokens(2) }],
            vec![input("a", "N=2 SLEEP=500"), done()],
        ),
        scenario(
            "same_id_after_the_turn",
            vec![tokens(1)],
            vec![input("a", "N=1"), done(), Settle, input("a", "N=1"), done()],
        ),
    ]
}

fn queues() -> Vec<Scenario> {
    let removal = json!({
        "type": "remove_queue_item", "request_id": "remove", "runtime": "$runtime", "item_id": "q-1",
    });
    let abort = json!({ "type": "abort_message", "request_id": "abort", "runtime": "$runtime" });
    vec![
        scenario(
            "queued",
            vec![slow(8), tokens(2)],
            vec![
                input("a", "N=8 SLEEP=60"),
                Wait("delta:assistant_message"),
                input("b", "N=2"),
                done(),
                done(),
            ],
        ),
        scenario(
            "queued_together",
            vec![slow(8), tokens(2)],
            vec![
                input("a", "N=8 SLEEP=60"),
                Wait("delta:assistant_message"),
                input("b", "first"),
                Wait("update_queue"),
                input("c", "N=2"),
                done(),
                done(),
            ],
        ),
        scenario(
            "removed_from_queue",
            vec![slow(10)],
            vec![
                input("a", "N=10 SLEEP=60"),
                Wait("delta:assistant_message"),
                input("b", "N=2"),
                Wait("update_queue"),
                Send(removal.clone()),
                done(),
            ],
        ),
        scenario(
            "same_id_during_the_turn",
            vec![slow(8)],
            vec![
                input("a", "N=8 SLEEP=60"),
                Wait("delta:assistant_message"),
                input("a", "N=8 SLEEP=60"),
                done(),
            ],
        ),
        scenario(
            "aborted_before_the_model_said_anything",
            vec![ScriptedTurn { hang: true, ..tokens(0) }, tokens(1)],
            vec![
                input("a", "HANG"),
                asked(),
                Settle,
                Send(abort.clone()),
                Wait("abort_message_response"),
                Settle,
                Send(abort.clone()),
                Settle,
                input("b", "N=1"),
                Wait("update_queue"),
                Settle,
                Send(removal.clone()),
                Wait("remove_queue_item_response"),
                Settle,
                input("c", "N=1"),
                Wait("update_queue"),
            ],
        ),
        scenario(
            "aborted_before_a_late_answer",
            vec![ScriptedTurn { delay_ms: 3000, ..tokens(2) }, tokens(1)],
            vec![
                input("a", "N=2 SLEEP=3000"),
                asked(),
                Settle,
                Send(abort.clone()),
                Wait("abort_message_response"),
                input("b", "N=1"),
                Wait("update_queue"),
                done(),
                done(),
            ],
        ),
        scenario("abort_idle", vec![], vec![Send(abort), Wait("abort_message_response")]),
    ]
}

fn permission(name: &'static str, decision: Value, turn: ScriptedTurn) -> Scenario {
    let text = format!("{} N=1", calls("Bash", &bash("touch made.txt && echo made")));
    let steps = vec![input("a", &text), Wait("control_request"), answer(decision), done()];
    scenario(name, vec![turn], steps)
}

fn asking(result: &str) -> ScriptedCall {
    let mut call = ScriptedCall::asking("Bash", bash("touch made.txt && echo made"));
    result.clone_into(&mut call.result);
    call
}

fn external(name: &'static str, steps: Vec<Step>) -> Scenario {
    let call = ScriptedCall::new("lookup", json!({ "q": "x" }));
    let text = format!("{} N=1", calls("lookup", &json!({ "q": "x" })));
    let mut all = vec![input("a", &text), Wait("external_tool_call_request")];
    all.extend(steps);
    all.push(done());
    let turns = vec![calling(vec![call], 1)];
    Scenario { mode: "unrestricted", tools: lookup(), ..scenario(name, turns, all) }
}

/// A call without a parameter that is required: it never comes.
fn lacking(name: &'static str, input_of_it: Value) -> Scenario {
    let text = format!("{} N=1", calls("lookup", &input_of_it));
    let turn = calling(vec![ScriptedCall::new("lookup", input_of_it)], 1);
    let mut tools = lookup();
    tools[0]["tools"][0]["parameters"]["required"] = json!(["q", "r"]);
    Scenario { tools, ..scenario(name, vec![turn], vec![input("a", &text), done()]) }
}

fn tools() -> Vec<Scenario> {
    let allow = json!({ "behavior": "allow" });
    let text = |part: &str| json!([{ "type": "text", "text": part }]);
    vec![
        permission("allowed", allow.clone(), calling(vec![asking("made\n")], 1)),
        permission(
            "denied",
            json!({ "behavior": "deny", "message": "not that" }),
            calling(vec![asking("made\n")], 1),
        ),
        permission(
            "allowed_with_other_arguments",
            json!({ "behavior": "allow", "updated_input": bash("echo other") }),
            calling(vec![asking("other\n")], 1),
        ),
        scenario(
            "denied_by_an_error",
            vec![calling(vec![asking("made\n")], 1)],
            vec![
                input("a", &format!("{} N=1", calls("Bash", &bash("touch made.txt && echo made")))),
                Wait("control_request"),
                Send(json!({
                    "type": "input", "request_id": "answer", "runtime": "$runtime",
                    "payload": {
                        "kind": "approval_response", "request_id": "$request", "error": "broken",
                    },
                })),
                done(),
            ],
        ),
        scenario(
            "two_permissions",
            vec![calling(vec![asking("made\n"), asking("made\n")], 2)],
            vec![
                input(
                    "a",
                    &format!(
                        "{0} {0} PAR N=2",
                        calls("Bash", &bash("touch made.txt && echo made"))
                    ),
                ),
                Wait("control_request"),
                answer(allow.clone()),
                Wait("control_request"),
                answer(json!({ "behavior": "deny", "message": "not that" })),
                done(),
            ],
        ),
        scenario(
            "abort_at_a_permission",
            vec![calling(vec![asking("made\n")], 1)],
            vec![
                input("a", &format!("{} N=1", calls("Bash", &bash("touch made.txt && echo made")))),
                Wait("control_request"),
                Send(json!({
                    "type": "abort_message", "request_id": "abort", "runtime": "$runtime",
                })),
                done(),
            ],
        ),
        scenario(
            "sync_at_a_permission",
            vec![calling(vec![asking("made\n")], 1)],
            vec![
                input("a", &format!("{} N=1", calls("Bash", &bash("touch made.txt && echo made")))),
                Wait("control_request"),
                Settle,
                Send(json!({ "type": "sync", "request_id": "s", "runtime": "$runtime",
                    "recover_approvals": false })),
                Wait("sync_response"),
                answer(allow.clone()),
                done(),
            ],
        ),
        Scenario {
            mode: "unrestricted",
            ..scenario(
                "unasked",
                vec![calling(
                    vec![ScriptedCall {
                        result: "hi\n".to_owned(),
                        ..ScriptedCall::new("Bash", bash("echo hi"))
                    }],
                    1,
                )],
                vec![input("a", &format!("{} N=1", calls("Bash", &bash("echo hi")))), done()],
            )
        },
        external("tool", vec![tool_answer(json!({ "result": { "content": text("found") } }))]),
        external(
            "tool_is_error",
            vec![tool_answer(json!({ "result": { "content": text("none"), "is_error": true } }))],
        ),
        external("tool_fails", vec![tool_answer(json!({ "error": "no database" }))]),
        lacking("tool_lacks_a_parameter", json!({ "q": "x", "other": 1 })),
        lacking("tool_has_null_for_parameters", json!({ "r": null, "q": null })),
        external(
            "tool_answers_nonsense_first",
            vec![
                tool_answer(json!({})),
                tool_answer(json!({ "result": { "content": "text" } })),
                tool_answer(json!({ "result": { "content": text("found") } })),
            ],
        ),
        Scenario {
            tools: lookup(),
            ..scenario(
                "tool_with_a_permission",
                vec![calling(vec![ScriptedCall::asking("lookup", json!({ "q": "x" }))], 1)],
                vec![
                    input("a", &format!("{} N=1", calls("lookup", &json!({ "q": "x" })))),
                    Wait("control_request"),
                    answer(allow.clone()),
                    Wait("external_tool_call_request"),
                    tool_answer(json!({ "result": { "content": text("found") } })),
                    done(),
                ],
            )
        },
    ]
}

fn refused_input(name: &'static str, answer: &'static str, payload: Value) -> Scenario {
    let frame = json!({
        "type": "input", "request_id": "in", "runtime": "$runtime", "payload": payload,
    });
    scenario(name, vec![tokens(2)], vec![Send(frame), Wait(answer)])
}

fn refusals() -> Vec<Scenario> {
    vec![
        refused_input("input_of_an_unknown_kind", "delta:loop_error", json!({ "kind": "nothing" })),
        refused_input(
            "input_without_messages",
            "delta:loop_error",
            json!({ "kind": "create_message" }),
        ),
        refused_input(
            "input_with_an_approval",
            "delta:loop_error",
            json!({ "kind": "create_message", "messages": [{ "type": "approval", "approvals": [] }] }),
        ),
        refused_input(
            "answer_without_a_decision",
            "delta:loop_error",
            json!({ "kind": "approval_response", "request_id": "perm-x" }),
        ),
        refused_input(
            "denial_without_a_message",
            "delta:loop_error",
            json!({ "kind": "approval_response", "request_id": "perm-x", "decision": { "behavior": "deny" } }),
        ),
        refused_input(
            "answer_to_nothing",
            "input_accepted",
            json!({ "kind": "approval_response", "request_id": "perm-x", "decision": { "behavior": "allow" } }),
        ),
        scenario(
            "nonsense_is_met_with_silence",
            vec![],
            vec![
                Raw("{ not json"),
                Raw("[]"),
                Send(json!({ "type": "no_such_command", "request_id": "x" })),
                Send(json!({ "type": "sync", "request_id": 5, "runtime": "$runtime" })),
                Send(json!({ "type": "input", "runtime": { "agent_id": "" }, "payload": {} })),
                Send(
                    json!({ "type": "runtime_start", "request_id": "x", "agent_id": "$agent", "mode": "wild" }),
                ),
            ],
        ),
        scenario(
            "unknown_mode",
            vec![],
            vec![
                Send(json!({
                    "type": "change_device_state", "runtime": "$runtime", "payload": { "mode": "wild" },
                })),
                Wait("delta:loop_error"),
            ],
        ),
        scenario(
            "two_ways_to_an_agent",
            vec![],
            vec![
                Send(json!({
                    "type": "runtime_start", "request_id": "x", "agent_id": "$agent",
                    "create_agent": { "body": {} },
                })),
                Wait("runtime_start_response"),
                Send(json!({ "type": "runtime_start", "request_id": "y" })),
                Wait("runtime_start_response"),
            ],
        ),
        scenario(
            "unknown_queue_item",
            vec![],
            vec![
                Send(json!({
                    "type": "remove_queue_item", "request_id": "r", "runtime": "$runtime", "item_id": "q-9",
                })),
                Wait("remove_queue_item_response"),
            ],
        ),
    ]
}

fn families() -> Vec<Scenario> {
    let missing = json!({ "agent_id": "agent-missing" });
    vec![
        scenario(
            "agents_that_are_missing",
            vec![],
            vec![
                command("agent_retrieve", missing.clone()),
                Wait("agent_retrieve_response"),
                command("agent_delete", missing),
                Wait("agent_delete_response"),
                command(
                    "agent_update",
                    json!({ "agent_id": "agent-missing", "body": { "name": "x" } }),
                ),
            ],
        ),
        scenario(
            "conversation_renamed",
            vec![],
            vec![
                command(
                    "conversation_update",
                    json!({
                        "conversation_id": "$conversation", "body": { "summary": "renamed" },
                    }),
                ),
                Wait("conversation_update_response"),
                command("conversation_retrieve", json!({ "conversation_id": "$conversation" })),
                Wait("conversation_retrieve_response"),
            ],
        ),
        scenario(
            "conversation_that_is_missing",
            vec![],
            vec![
                command("conversation_retrieve", json!({ "conversation_id": "conv-missing" })),
                Wait("conversation_retrieve_response"),
            ],
        ),
        scenario(
            "stored_messages",
            vec![tokens(3)],
            vec![
                input("a", "hi N=3"),
                done(),
                Settle,
                command(
                    "conversation_messages_list",
                    json!({ "conversation_id": "$conversation" }),
                ),
            ],
        ),
        scenario(
            "about_the_server",
            vec![],
            vec![command("app_server_info", json!({})), Wait("app_server_info_response")],
        ),
        scenario(
            "sync",
            vec![],
            vec![
                Send(json!({
                    "type": "sync", "request_id": "s", "runtime": "$runtime",
                    "recover_approvals": false, "force_device_status": true,
                })),
                Wait("sync_response"),
            ],
        ),
        scenario(
            "mode_changed",
            vec![],
            vec![
                Send(json!({
                    "type": "change_device_state", "runtime": "$runtime", "payload": { "mode": "acceptEdits" },
                })),
                Wait("update_device_status"),
            ],
        ),
        scenario(
            "tools_updated",
            vec![],
            vec![command(
                "runtime_external_tools_update",
                json!({
                    "updates": [{ "runtimes": ["$runtime"], "external_tools": lookup() }],
                }),
            )],
        ),
        scenario(
            "files",
            vec![],
            vec![
                command(
                    "write_file",
                    json!({ "path": "$cwd/src/b.txt", "content": "one\ntwo\nthree\n" }),
                ),
                Wait("write_file_response"),
                command("read_file", json!({ "path": "$cwd/src/b.txt" })),
                Wait("read_file_response"),
                command("read_file", json!({ "path": "$cwd/src/b.txt", "encoding": "base64" })),
                Wait("read_file_response"),
                command(
                    "edit_file",
                    json!({
                        "file_path": "$cwd/src/b.txt", "old_string": "two", "new_string": "2",
                    }),
                ),
                Wait("edit_file_response"),
                command("get_tree", json!({ "path": "$cwd", "depth": 2 })),
                Wait("get_tree_response"),
                command("list_in_directory", json!({ "path": "$cwd", "include_files": true })),
                Wait("list_in_directory_response"),
            ],
        ),
        scenario(
            "files_that_are_missing",
            vec![],
            vec![
                command("read_file", json!({ "path": "$cwd/none.txt" })),
                Wait("read_file_response"),
                command(
                    "edit_file",
                    json!({
                        "file_path": "$cwd/none.txt", "old_string": "a", "new_string": "b",
                    }),
                ),
            ],
        ),
    ]
}
