//! Scenarios of what a server allows, remembers and refuses.

use letta_app_client::testing::{ScriptedCall, ScriptedTurn};
use serde_json::json;

use crate::scenarios::Scenario;
use crate::scenarios::Step::{Send, Settle, Wait};
use crate::scenarios::scenario;
use crate::words::{answer, calling, calls, command, done, input, lookup, tokens, tool_answer};

pub fn all() -> Vec<Scenario> {
    let mut all = modes();
    all.extend(turns());
    all.extend(stored());
    all.extend(files());
    all
}

/// A tool of the client is asked about first.
fn external(name: &'static str, mode: &'static str) -> Scenario {
    let call = ScriptedCall::new("lookup", json!({ "q": "x" }));
    let content = json!([{ "type": "text", "text": "found" }]);
    let steps = vec![
        input("a", &format!("{} N=1", calls("lookup", &json!({ "q": "x" })))),
        Wait("control_request"),
        answer(json!({ "behavior": "allow" })),
        Wait("external_tool_call_request"),
        tool_answer(json!({ "result": { "content": content } })),
        done(),
    ];
    Scenario { mode, tools: lookup(), ..scenario(name, vec![calling(vec![call], 1)], steps) }
}

fn modes() -> Vec<Scenario> {
    let read = json!({ "file_path": "$cwd/none.txt" });
    let bash = json!({ "command": "echo hi", "description": "greets" });
    let quiet =
        ScriptedCall { result: "hi\n".to_owned(), ..ScriptedCall::asking("Bash", bash.clone()) };
    vec![
        external("tool_in_standard", "standard"),
        external("tool_in_accept_edits", "acceptEdits"),
        external("tool_in_strict", "strict"),
        Scenario {
            mode: "strict",
            ..scenario(
                "read_in_strict",
                vec![calling(vec![ScriptedCall::new("Read", read.clone())], 1)],
                vec![
                    input("a", &format!("{} N=1", calls("Read", &read))),
                    Wait("control_request"),
                    answer(json!({ "behavior": "deny", "message": "not that" })),
                    done(),
                ],
            )
        },
        Scenario {
            mode: "unrestricted",
            ..scenario(
                "nothing_is_asked_in_unrestricted",
                vec![calling(vec![quiet], 1)],
                vec![input("a", &format!("{} N=1", calls("Bash", &bash))), done()],
            )
        },
    ]
}

fn turns() -> Vec<Scenario> {
    let abort = json!({ "type": "abort_message", "request_id": "abort", "runtime": "$runtime" });
    let bash = json!({ "command": "echo hi", "description": "greets" });
    let only_read = json!({
        "type": "input", "request_id": "in", "runtime": "$runtime",
        "payload": {
            "kind": "create_message", "client_tool_allowlist": ["Read"], "messages": [{
                "role": "user", "content": format!("{} N=1", calls("Bash", &bash)),
                "client_message_id": "a",
            }],
        },
    });
    let nowhere = json!({
        "type": "change_device_state", "runtime": "$runtime", "payload": { "cwd": "/nope/dir" },
    });
    vec![
        scenario(
            "aborted_input_sent_again",
            vec![ScriptedTurn { delay_ms: 500, ..tokens(20) }, tokens(2), tokens(3)],
            vec![
                input("a", "N=20 SLEEP=500"),
                Wait("delta:assistant_message"),
                Send(abort),
                done(),
                Settle,
                input("a", "N=3"),
                Settle,
                input("b", "N=2"),
                done(),
                Settle,
                input("a", "N=3"),
                done(),
            ],
        ),
        Scenario {
            mode: "unrestricted",
            ..scenario(
                "tool_that_is_not_allowed",
                vec![calling(vec![ScriptedCall::new("Bash", bash)], 1)],
                vec![Send(only_read), done()],
            )
        },
        scenario("directory_that_is_missing", vec![], vec![Send(nowhere), Settle]),
    ]
}

fn stored() -> Vec<Scenario> {
    let list = |query| {
        command(
            "conversation_messages_list",
            json!({ "conversation_id": "$conversation", "query": query }),
        )
    };
    let answered = || Wait("conversation_messages_list_response");
    vec![
        scenario(
            "stored_messages_by_page",
            vec![tokens(2)],
            vec![
                input("a", "N=2"),
                done(),
                Settle,
                list(json!({ "order": "asc" })),
                answered(),
                list(json!({ "order": "asc", "limit": 1 })),
                answered(),
                list(json!({ "before": "nope", "limit": 1 })),
                answered(),
                list(json!({ "limit": 0 })),
            ],
        ),
        scenario(
            "conversations_that_are_refused",
            vec![],
            vec![
                command("conversation_create", json!({ "body": {} })),
                Wait("conversation_create_response"),
                command("conversation_messages_list", json!({ "conversation_id": "conv-nope" })),
                answered(),
                command(
                    "conversation_fork",
                    json!({
                        "conversation_id": "$conversation", "body": { "message_id": "nope" },
                    }),
                ),
            ],
        ),
    ]
}

fn files() -> Vec<Scenario> {
    let edit = |fields: [(&str, serde_json::Value); 2]| {
        let mut all = json!({ "file_path": "$cwd/a.txt", "old_string": "one", "new_string": "1" });
        for (field, value) in fields {
            all[field] = value;
        }
        command("edit_file", all)
    };
    vec![scenario(
        "files_that_are_in_the_way",
        vec![],
        vec![
            command("write_file", json!({ "path": "$cwd/a.txt", "content": "one\r\none\n" })),
            Wait("write_file_response"),
            command("write_file", json!({ "path": "$cwd/d/e/b.txt", "content": "x" })),
            Wait("write_file_response"),
            command("read_file", json!({ "path": "$cwd/d" })),
            Wait("read_file_response"),
            command("write_file", json!({ "path": "$cwd/a.txt/x", "content": "x" })),
            Wait("write_file_response"),
            command("write_file", json!({ "path": "$cwd/d", "content": "x" })),
            Wait("write_file_response"),
            edit([("expected_replacements", json!(2)), ("new_string", json!("1"))]),
            Wait("edit_file_response"),
            edit([("old_string", json!("")), ("new_string", json!("1"))]),
            Wait("edit_file_response"),
            command(
                "list_in_directory",
                json!({
                    "path": "$cwd", "include_files": true, "limit": 1, "offset": 1,
                }),
            ),
            Wait("list_in_directory_response"),
            command("get_tree", json!({ "path": "$cwd/none", "depth": 1 })),
            Wait("get_tree_response"),
            command("get_tree", json!({ "path": "$cwd", "depth": 3 })),
            Wait("get_tree_response"),
            command("get_tree", json!({ "path": "$cwd", "depth": 0 })),
        ],
    )]
}
