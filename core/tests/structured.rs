//! Turns that come to a value of a type, against the server double (PROTOCOL.md section 14).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, ErrorKind, Policy, Rule, SessionOptions, Tool, TurnOptions,
    TurnResult, TurnStatus,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
/// Prompt and completion tokens that a run of the double takes by default.
const PER_RUN: u64 = 12;

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct Finding {
    file: String,
    line: u32,
}

fn found(line: u32) -> Finding {
    Finding { file: "a.rs".to_owned(), line }
}

fn good(line: u32) -> Value {
    json!({ "file": "a.rs", "line": line })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": { "file": { "type": "string" }, "line": { "type": "integer" } },
        "required": ["file", "line"],
    })
}

fn number() -> Value {
    json!({ "type": "integer" })
}

async fn connected(options: ScriptOptions) -> (Arc<MockServer>, Client) {
    let server = Arc::new(MockServer::scripted(options).unwrap());
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

async fn scripted<const N: usize>(turns: [ScriptedTurn; N]) -> (Arc<MockServer>, Client) {
    connected(ScriptOptions { turns: turns.into(), ..ScriptOptions::default() }).await
}

fn says(text: &str) -> ScriptedTurn {
    ScriptedTurn::text([text])
}

fn submit(arguments: Value) -> ScriptedCall {
    ScriptedCall::new("submit_result", arguments)
}

/// A turn that hands in these results.
fn submits<const N: usize>(results: [Value; N]) -> ScriptedTurn {
    results.into_iter().fold(says("Done."), |turn, result| turn.call(submit(result)))
}

fn hangs() -> ScriptedTurn {
    ScriptedTurn { hang: true, ..says("on and on") }
}

fn agent() -> SessionOptions {
    SessionOptions::agent("a").conversation("c")
}

/// The commands of a type that the server got.
fn received(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

/// The prompts that the server got; answers to permissions are inputs too.
fn prompts(server: &MockServer) -> Vec<Value> {
    let is_prompt = |input: &Value| input["payload"]["kind"] == "create_message";
    received(server, "input").into_iter().filter(is_prompt).collect()
}

async fn waits_for(server: &Arc<MockServer>, kind: &'static str, times: usize) -> bool {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || server.wait_received(kind, times, SOON)).await.unwrap()
}

/// The names of the tools that were registered, update by update. What was sent without waiting has arrived when
/// the answer to a later request has.
async fn updates(server: &MockServer, client: &Client) -> Vec<Vec<String>> {
    client.info().await.unwrap();
    let updates = received(server, "runtime_external_tools_update").into_iter();
    let names = updates.map(|command| {
        let groups = command["updates"][0]["external_tools"].as_array().unwrap().iter();
        let tools = groups.flat_map(|group| group["tools"].as_array().unwrap());
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    });
    names.collect()
}

/// What was answered to the calls: whether it was refused, and why.
fn answers(server: &MockServer) -> Vec<(bool, String)> {
    let answers = received(server, "external_tool_call_response").into_iter();
    let results = answers.map(|answer| answer["result"].clone());
    let pair = |result: Value| {
        let text = result["content"][0]["text"].as_str().unwrap();
        (result["is_error"] == true, text.to_owned())
    };
    results.map(pair).collect()
}

fn outputs(result: &TurnResult) -> Vec<&str> {
    result.tool_calls.iter().map(|call| call.output.as_deref().unwrap()).collect()
}

fn statuses(result: &TurnResult) -> Vec<&str> {
    result.tool_calls.iter().map(|call| call.status.as_deref().unwrap()).collect()
}

#[tokio::test]
async fn the_agent_hands_in_a_value_of_a_type() {
    let (server, client) = scripted([submits([good(3)])]).await;
    let session = client.session(agent()).await.unwrap();
    // In a task of its own, which a future has to be fit for.
    let asking = session.clone();
    let run = async move { asking.run_as::<Finding>("Find it", &schema()).await };
    let worst = tokio::spawn(run).await.unwrap().unwrap();
    assert_eq!(worst.output, found(3));
    assert_eq!((worst.result.text.as_str(), worst.result.usage), ("Done.", session.usage()));
    // There as long as it is wanted, in the turn that wants it.
    let updated = updates(&server, &client).await;
    assert_eq!(updated, [vec!["submit_result".to_owned()], Vec::new()]);
    let update = &received(&server, "runtime_external_tools_update")[0]["updates"][0];
    let group = &update["external_tools"][0];
    assert_eq!(update["runtimes"], json!([session.runtime()]));
    assert_eq!(group["tools"][0]["parameters"], schema());
    let payload = &prompts(&server)[0]["payload"];
    assert_eq!(payload["external_tool_scope_ids"], json!([group["scope_id"]]));
    let content = &payload["messages"][0]["content"];
    assert_eq!(content[0], json!({ "type": "text", "text": "Find it" }));
    assert!(content[1]["text"].as_str().unwrap().contains("submit_result"), "{content}");
    assert_eq!(answers(&server), [(false, "The result was accepted.".to_owned())]);
    assert_eq!(server.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_object_is_a_field_of_one() {
    let results = json!({ "result": [good(1), good(2)] });
    let (server, client) = scripted([submits([results])]).await;
    let session = client.session(agent()).await.unwrap();
    let list = json!({ "type": "array", "items": schema() });
    let all = session.run_as::<Vec<Finding>>("?", &list).await.unwrap();
    assert_eq!(all.output, [found(1), found(2)]);
    let update = &received(&server, "runtime_external_tools_update")[0]["updates"][0];
    let parameters = &update["external_tools"][0]["tools"][0]["parameters"];
    assert_eq!(parameters["properties"], json!({ "result": list }));
}

#[tokio::test]
async fn a_result_that_does_not_fit_goes_back_to_the_agent() {
    let wrong = json!({ "file": "a.rs", "line": "x" });
    let (server, client) = scripted([submits([wrong, good(3)])]).await;
    let session = client.session(agent()).await.unwrap();
    assert_eq!(session.run_as::<Finding>("?", &schema()).await.unwrap().output, found(3));
    let answers = answers(&server);
    let told = "- line: expected an integer, got \"x\"";
    assert!(answers[0].0 && answers[0].1.contains(told), "{answers:?}");
    assert!(!answers[1].0, "{answers:?}");
    assert_eq!(prompts(&server).len(), 1);
}

#[tokio::test]
async fn a_value_of_any_type_has_to_fit_the_schema() {
    let wrong = json!({ "file": ["a.rs"], "line": "1", "more": true });
    let (server, client) = scripted([submits([wrong, good(3)])]).await;
    let session = client.session(agent()).await.unwrap();
    assert_eq!(session.run_as::<Value>("?", &schema()).await.unwrap().output, good(3));
    let answers = answers(&server);
    let told = "- file: expected text, got [\"a.rs\"]\n- line: expected an integer, got \"1\"";
    assert!(answers[0].0 && answers[0].1.contains(told), "{answers:?}");
    assert!(!answers[1].0, "{answers:?}");
}

#[tokio::test]
async fn the_last_valid_result_counts() {
    let (_server, client) =
        scripted([submits([good(3), good(4), json!({ "file": "b.rs" })])]).await;
    let session = client.session(agent()).await.unwrap();
    assert_eq!(session.run_as::<Finding>("?", &schema()).await.unwrap().output, found(4));
}

#[tokio::test]
async fn who_hands_nothing_in_is_asked_once_more() {
    let (server, client) = scripted([says("In a.rs."), submits([good(3)])]).await;
    let session = client.session(agent()).await.unwrap();
    let worst = session.run_as::<Finding>("?", &schema()).await.unwrap();
    assert_eq!((worst.output, worst.result.text.as_str()), (found(3), "Done."));
    // One run of the first turn, two of the second: one that calls, one that answers.
    assert_eq!(worst.result.usage.total_tokens, 3 * PER_RUN);
    assert_eq!(session.usage().total_tokens, 3 * PER_RUN);
    let repair = &prompts(&server)[1]["payload"];
    let said = repair["messages"][0]["content"].as_str().unwrap();
    assert!(said.contains("not submitted a result") && said.contains("submit_result"), "{said}");
    assert_eq!(repair["external_tool_scope_ids"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn and_then_it_is_an_error() {
    let wrong = says("Still no.").call(submit(json!({ "file": 3, "line": 3 })));
    let (server, client) = scripted([says("No."), wrong]).await;
    let session = client.session(agent()).await.unwrap();
    let error = session.run_as::<Finding>("?", &schema()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StructuredOutput);
    assert_eq!(error.problems(), ["file: expected text, got 3"]);
    let result = error.result().unwrap();
    assert_eq!((result.status, &*result.text), (Some(TurnStatus::Completed), "Still no."));
    assert_eq!(result.usage.total_tokens, 3 * PER_RUN);
    assert_eq!(prompts(&server).len(), 2);
    let updated = updates(&server, &client).await;
    assert_eq!(updated, [vec!["submit_result".to_owned()], Vec::new()]);
}

#[tokio::test]
async fn nobody_is_asked_for_a_permission() {
    let call = |name, arguments| ScriptedCall::asking(name, arguments);
    let bash = call("Bash", json!({}));
    let turn = says("Done.").call(bash).call(call("submit_result", good(3)));
    let (_server, client) = scripted([turn]).await;
    let session = client.session(agent()).await.unwrap();
    let worst = session.run_as::<Finding>("?", &schema()).await.unwrap();
    assert_eq!(statuses(&worst.result), ["error", "success"]);
    let policy = Policy::first_match([Rule::allow(["Read"])]);
    let session = client.session(agent().approvals(policy)).await.unwrap();
    let worst = session.run_as::<Finding>("?", &schema()).await.unwrap();
    assert_eq!(statuses(&worst.result), ["error", "success"]);
    let asked = session.approvals();
    assert_eq!(asked.iter().map(|one| one.question.tool_name()).collect::<Vec<_>>(), ["Bash"]);
}

#[tokio::test]
async fn the_tools_of_the_session_stay() {
    let turn = || says("Done.").call(ScriptedCall::new("lookup", json!({}))).call(submit(good(3)));
    let (server, client) = scripted([turn(), turn()]).await;
    let object = json!({ "type": "object" });
    let other = json!({ "name": "other", "description": "", "parameters": object });
    let lookup = Tool::new("lookup", "Looks up", object, |_, _| async { Ok::<_, String>("found") });
    let options = agent().field("external_tools", json!([{ "tools": [other] }])).tool(lookup);
    let session = client.session(options).await.unwrap();
    let first = session.run_as::<Finding>("?", &schema()).await.unwrap();
    assert_eq!(outputs(&first.result), ["found", "The result was accepted."]);
    // Nobody here has a tool of that name any more: it is the server's.
    assert_eq!(outputs(&session.run("?").await.unwrap()), ["found", "ok"]);
    let updated = updates(&server, &client).await;
    assert_eq!(updated, [vec!["other", "lookup", "submit_result"], vec!["other", "lookup"]]);
}

#[tokio::test]
async fn what_the_server_refuses_by_itself_is_told() {
    let wrong = says("Done.").call(submit(json!({ "line": 3 })));
    let (server, client) = scripted([wrong.clone(), wrong]).await;
    let session = client.session(agent()).await.unwrap();
    let error = session.run_as::<Finding>("?", &schema()).await.unwrap_err();
    let refusal = "submit_result tool missing required parameter: file. Received parameters: line";
    assert_eq!(error.problems(), [refusal]);
    assert_eq!(error.message(), format!("the result was refused: {refusal}"));
    let said = &prompts(&server)[1]["payload"]["messages"][0]["content"];
    let expected = format!(
        "The result you submitted was refused: {refusal}\nCall the tool `submit_result` with it now."
    );
    assert_eq!(*said, expected);
    assert_eq!(answers(&server), []);
}

#[tokio::test]
async fn what_may_be_null_may_be_null_or_left_out() {
    let results = [json!({ "file": "a.rs", "line": null }), json!({ "file": "a.rs" })];
    let (_server, client) = scripted(results.map(|result| submits([result]))).await;
    let session = client.session(agent()).await.unwrap();
    let mut schema = schema();
    schema["properties"]["line"] = json!({ "type": ["integer", "null"] });
    for _ in 0..2 {
        let output = session.run_as::<Value>("?", &schema).await.unwrap().output;
        assert_eq!(output, json!({ "file": "a.rs", "line": null }));
    }
}

#[tokio::test]
async fn several_in_one_conversation_do_not_mix() {
    let results = [good(3), json!({ "result": 7 }), json!({ "result": 8 })];
    let (server, client) = scripted(results.map(|result| submits([result]))).await;
    let session = client.session(agent()).await.unwrap();
    // The same conversation, by another session.
    let other = client.session(agent()).await.unwrap();
    let all = async {
        let (schema, number) = (schema(), number());
        let third = async { session.run_as::<u32>("3", &number).await };
        tokio::join!(
            session.run_as::<Finding>("1", &schema),
            other.run_as::<u32>("2", &number),
            third
        )
    };
    let (first, second, third) = timeout(SOON, all).await.unwrap();
    assert_eq!(first.unwrap().output, found(3));
    assert_eq!((second.unwrap().output, third.unwrap().output), (7, 8));
    let updated = updates(&server, &client).await;
    let lengths: Vec<_> = updated.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1, 0, 1, 0, 1, 0], "one after the other: {updated:?}");
}

#[tokio::test]
async fn conversations_do_not_wait_for_each_other() {
    let (server, client) = scripted([hangs(), submits([good(3)])]).await;
    let session = client.session(agent()).await.unwrap();
    let other = client.session(SessionOptions::agent("a").conversation("d")).await.unwrap();
    let schema = schema();
    let hanging = session.run_as::<Finding>("1", &schema);
    let next = async {
        assert!(waits_for(&server, "input", 1).await);
        other.run_as::<Finding>("2", &schema).await
    };
    tokio::select! {
        ended = hanging => unreachable!("{ended:?}"),
        worst = timeout(SOON, next) => assert_eq!(worst.unwrap().unwrap().output, found(3)),
    }
}

#[tokio::test]
async fn dropping_it_stops_the_turn_and_takes_the_tool_back() {
    let (server, client) = scripted([hangs(), submits([json!({ "result": 7 })])]).await;
    let session = client.session(agent()).await.unwrap();
    let (schema, number) = (schema(), number());
    let mut second = Box::pin(session.run_as::<u32>("2", &number));
    {
        let first = session.run_as::<Finding>("1", &schema);
        tokio::select! {
            ended = first => unreachable!("{ended:?}"),
            sent = waits_for(&server, "input", 1) => assert!(sent),
        }
    }
    let second = timeout(SOON, &mut second).await.unwrap();
    assert_eq!(second.unwrap().output, 7);
    assert_eq!(received(&server, "abort_message").len(), 1);
    let updated = updates(&server, &client).await;
    let lengths: Vec<_> = updated.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1, 0, 1, 0]);
}

#[tokio::test]
async fn what_an_earlier_turn_hands_in_is_not_taken() {
    let (server, client) = scripted([hangs()]).await;
    let session = client.session(agent()).await.unwrap();
    let schema = schema();
    let late = async {
        assert!(waits_for(&server, "input", 1).await);
        let call = json!({
            "type": "external_tool_call_request", "request_id": "late", "scope_id": "an earlier one",
            "runtime": session.runtime(), "tool_call_id": "call-1", "tool_name": "submit_result",
            "input": good(3),
        });
        server.push(&call.to_string());
        assert!(waits_for(&server, "external_tool_call_response", 1).await);
        session.close();
    };
    let both = async { tokio::join!(session.run_as::<Finding>("?", &schema), late) };
    let (ended, ()) = timeout(SOON, both).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::TurnAborted);
    let refused = (true, "nobody is waiting for the result any more".to_owned());
    assert_eq!(answers(&server), [refused]);
}

#[tokio::test]
async fn dropping_one_that_waits_sends_nothing() {
    let (server, client) = scripted([hangs(), submits([json!({ "result": 7 })])]).await;
    let session = client.session(agent()).await.unwrap();
    let number = number();
    let mut first = Box::pin(session.run_as::<u32>("1", &number));
    tokio::select! {
        ended = &mut first => unreachable!("{ended:?}"),
        sent = waits_for(&server, "input", 1) => assert!(sent),
    }
    {
        let second = session.run_as::<u32>("2", &number);
        tokio::select! {
            biased;
            ended = second => unreachable!("{ended:?}"),
            answer = client.info() => drop(answer.unwrap()),
        }
    }
    session.close();
    assert_eq!(timeout(SOON, first).await.unwrap().unwrap_err().kind(), ErrorKind::TurnAborted);
    assert_eq!(session.run_as::<u32>("3", &number).await.unwrap().output, 7);
    let inputs = prompts(&server);
    let asked = |input: &Value| input["payload"]["messages"][0]["content"][0]["text"].clone();
    assert_eq!(inputs.iter().map(asked).collect::<Vec<_>>(), ["1", "3"]);
}

#[tokio::test]
async fn closing_the_session_ends_those_that_wait_as_well() {
    let (server, client) = scripted([hangs()]).await;
    let session = client.session(agent()).await.unwrap();
    let number = number();
    let closing = async {
        assert!(waits_for(&server, "input", 1).await);
        session.close();
    };
    let both = async {
        tokio::join!(
            session.run_as::<u32>("1", &number),
            session.run_as::<u32>("2", &number),
            closing
        )
    };
    let (first, second, ()) = timeout(SOON, both).await.unwrap();
    let error = first.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnAborted);
    assert_eq!(error.result().unwrap().status, Some(TurnStatus::Aborted));
    assert_eq!(second.unwrap_err().kind(), ErrorKind::TurnAborted);
    assert_eq!(prompts(&server).len(), 1);
    assert_eq!(updates(&server, &client).await, [vec!["submit_result".to_owned()], Vec::new()]);
}

#[tokio::test]
async fn a_turn_that_does_not_complete_gives_its_own_error() {
    let failing = ScriptedTurn { error: Some("no credits".to_owned()), ..says("half") };
    let (server, client) = scripted([failing.clone(), says("No."), failing, hangs()]).await;
    let session = client.session(agent()).await.unwrap();
    let error = session.run_as::<Finding>("?", &schema()).await.unwrap_err();
    assert_eq!((error.kind(), prompts(&server).len()), (ErrorKind::TurnFailed, 1));
    assert!(error.message().contains("no credits"), "{error}");
    // The same of the repair, with what both turns have used.
    let error = session.run_as::<Finding>("?", &schema()).await.unwrap_err();
    assert_eq!((error.kind(), prompts(&server).len()), (ErrorKind::TurnFailed, 3));
    assert_eq!(error.result().unwrap().usage.total_tokens, 2 * PER_RUN);
    let soon = Some(Duration::from_millis(200));
    let options = TurnOptions { timeout: soon, ..session.turn_options() };
    let error = session.run_as_with::<Finding>("?", &schema(), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnTimeout);
    let updated = updates(&server, &client).await;
    let lengths: Vec<_> = updated.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1, 0, 1, 0, 1, 0]);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let (server, client) = scripted([]).await;
    let session = client.session(agent()).await.unwrap();
    let error = session.run_as::<u32>("?", &json!("integer")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    let options = TurnOptions { approvals: Some(Approvals::Ask), ..TurnOptions::default() };
    let error = session.run_as_with::<u32>("?", &number(), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    for (prompt, words) in [
        (json!(5), "`payload.messages[0].content`: expected string or array, got number 5"),
        (json!(["a"]), "`payload.messages[0].content[0]`: expected"),
    ] {
        let error = session.run_as::<u32>(prompt, &number()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCommand);
        assert!(error.message().contains(words), "{error}");
    }
    let own = Tool::new("submit_result", "", schema(), |_, _| async { Ok::<_, String>("own") });
    let session = client.session(agent().tool(own)).await.unwrap();
    let error = session.run_as::<u32>("?", &number()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(prompts(&server).is_empty());
    assert!(updates(&server, &client).await.is_empty());
}

#[tokio::test]
async fn a_server_that_is_too_old_to_change_tools_starts_the_conversation_again() {
    let turns = vec![ScriptedTurn::text([""]).call(submit(json!({ "result": 7 })))];
    let generation = Generation::Split;
    let (server, client) =
        connected(ScriptOptions { turns, generation, ..ScriptOptions::default() }).await;
    let session = client.session(agent()).await.unwrap();
    assert_eq!(session.run_as::<u32>("?", &number()).await.unwrap().output, 7);
    client.conversation_list(json!({})).await.unwrap();
    let starts = received(&server, "runtime_start");
    let tools: Vec<_> = starts.iter().map(|start| &start["external_tools"]).collect();
    assert_eq!(tools[1][0]["tools"][0]["name"], "submit_result");
    assert_eq!((starts.len(), tools[2]), (3, &json!([])));
    assert!(starts[1..].iter().all(|start| start["conversation_id"] == session.conversation_id()));
}
