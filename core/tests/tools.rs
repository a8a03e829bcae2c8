//! Tools of a session, against the server double (PROTOCOL.md section 14).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, ErrorKind, Policy, Rule, Session, SessionOptions, Tool,
    ToolContext, ToolOutput, TurnOptions, TurnResult,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn connected(options: ScriptOptions) -> (MockServer, Client) {
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

/// A server whose turns make one call each, of `lookup` with these arguments.
async fn calling(calls: Vec<ScriptedCall>) -> (MockServer, Client) {
    let turns = calls.into_iter().map(|call| ScriptedTurn::text(["done"]).call(call)).collect();
    connected(ScriptOptions { turns, ..ScriptOptions::default() }).await
}

fn lookup(input: Value) -> ScriptedCall {
    ScriptedCall::new("lookup", input)
}

fn parameters() -> Value {
    json!({ "type": "object", "properties": { "key": { "type": ["string", "integer"] } } })
}

/// A tool that says whose it is and what it was asked for.
fn tool(whose: &'static str) -> Tool {
    Tool::new("lookup", "Looks up", parameters(), move |input: Value, _| async move {
        Ok::<_, String>(format!("{whose}: {}", input["key"]))
    })
}

fn agent(id: &str) -> SessionOptions {
    SessionOptions::agent(id)
}

/// An agent whose tools are called without asking, also those that are registered by hand.
fn unasked(id: &str) -> SessionOptions {
    agent(id).mode("unrestricted")
}

/// Status and output of the only tool call.
fn outcome(result: &TurnResult) -> (&str, &str) {
    let [call] = &*result.tool_calls else { panic!("{:?}", result.tool_calls) };
    (call.status.as_deref().unwrap(), call.output.as_deref().unwrap())
}

/// The commands of a type that the server got.
fn received(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

#[tokio::test]
async fn a_session_registers_its_tools_and_answers_their_calls() {
    for generation in [Generation::Single, Generation::Split] {
        // In the mode `standard` a permission comes first; nobody is asked.
        let call = ScriptedCall::asking("lookup", json!({ "key": "x" }));
        let turns = vec![ScriptedTurn::text(["done"]).call(call)];
        let options = ScriptOptions { generation, turns, ..ScriptOptions::default() };
        let (server, client) = connected(options).await;
        let session = client.session(agent("a").tool(tool("mine"))).await.unwrap();
        let result = session.run("?").await.unwrap();
        assert_eq!(outcome(&result), ("success", "mine: \"x\""));
        let groups = &received(&server, "runtime_start")[0]["external_tools"];
        let definition =
            json!({ "name": "lookup", "description": "Looks up", "parameters": parameters() });
        assert_eq!(*groups, json!([{ "tools": [definition] }]));
        let answers = received(&server, "external_tool_call_response");
        let content = json!([{ "type": "text", "text": "mine: \"x\"" }]);
        assert_eq!(answers[0]["result"], json!({ "content": content }));
        client.close().await;
    }
}

#[tokio::test]
async fn each_session_answers_for_its_conversation_and_the_raw_reader_for_the_rest() {
    let (_server, client) = calling(vec![lookup(json!({ "key": 1 }))]).await;
    let mut raw = client.tool_calls();
    let one = client.session(agent("a").tool(tool("one"))).await.unwrap();
    let two = client.session(agent("a").tool(tool("two"))).await.unwrap();
    let definition = tool("raw").definition();
    let options = unasked("a").field("external_tools", json!([{ "tools": [definition] }]));
    let by_hand = client.session(options).await.unwrap();
    let answering = async {
        let call = raw.next().await.unwrap();
        assert_eq!(call.json()["runtime"], *by_hand.runtime());
        call.answer_text("raw");
    };
    let all = async { tokio::join!(one.run("?"), two.run("?"), by_hand.run("?"), answering) };
    let (first, second, third, ()) = timeout(SOON, all).await.unwrap();
    assert_eq!(outcome(&first.unwrap()), ("success", "one: 1"));
    assert_eq!(outcome(&second.unwrap()), ("success", "two: 1"));
    assert_eq!(outcome(&third.unwrap()), ("success", "raw"));
}

#[tokio::test]
async fn a_reader_of_one_runtime_takes_its_calls_only() {
    let (_server, client) = calling(vec![lookup(json!({}))]).await;
    let options =
        unasked("a").field("external_tools", json!([{ "tools": [tool("").definition()] }]));
    let (one, two) =
        (client.session(options.clone()).await.unwrap(), client.session(options).await);
    let two = two.unwrap();
    let mut calls = client.tool_calls_of(one.runtime(), ["lookup"]).unwrap();
    let answering = async {
        let call = calls.next().await.unwrap();
        assert_eq!(call.json()["runtime"], *one.runtime());
        call.answer_text("one");
    };
    let (first, second, ()) =
        timeout(SOON, async { tokio::join!(one.run("?"), two.run("?"), answering) }).await.unwrap();
    assert_eq!(outcome(&first.unwrap()), ("success", "one"));
    let second = second.unwrap();
    let (status, output) = outcome(&second);
    assert_eq!(status, "error");
    assert!(output.contains("there is no handler for this tool any more"), "{output}");
    let error = client.tool_calls_of(&json!({ "agent_id": "a" }), ["lookup"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
}

#[derive(serde::Deserialize)]
struct Wanted {
    rows: Vec<u8>,
}

#[tokio::test]
async fn arguments_are_of_a_type_and_a_misfit_is_told_to_the_model() {
    let calls = [json!({ "rows": [1, 2] }), json!({ "rows": [1, "two"] })];
    let (_server, client) = calling(calls.map(lookup).into()).await;
    let sum = |wanted: Wanted, _: ToolContext| async move {
        let sum: u8 = wanted.rows.iter().sum();
        Ok::<_, String>(json!({ "sum": sum }))
    };
    let typed = Tool::typed("lookup", "Adds up", parameters(), sum);
    let session = client.session(agent("a").tool(typed)).await.unwrap();
    assert_eq!(outcome(&session.run("?").await.unwrap()), ("success", r#"{"sum":3}"#));
    let misfit = session.run("?").await.unwrap();
    let (status, output) = outcome(&misfit);
    assert_eq!(status, "error");
    assert!(output.contains("rows[1]") && output.contains("two"), "{output}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_the_schema_call_nothing() {
    let calls = [json!({ "key": 1 }), json!({}), json!({ "key": "x" })];
    let (_server, client) = calling(calls.map(lookup).into()).await;
    let schema = json!({
        "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"],
    });
    let found = Tool::new("lookup", "", schema, |_, _| async { Ok::<_, String>("found") });
    let session = client.session(agent("a").tool(found)).await.unwrap();
    for expected in [
        ("error", "invalid arguments for lookup: key: expected text, got 1"),
        ("error", "lookup tool missing required parameter: key. Received parameters: "),
        ("success", "found"),
    ] {
        assert_eq!(outcome(&session.run("?").await.unwrap()), expected);
    }
}

#[tokio::test]
async fn a_parameter_that_may_be_null_may_be_left_out() {
    let calls = [json!({ "key": null }), json!({}), json!({ "key": "x" })];
    let (_server, client) = calling(calls.map(lookup).into()).await;
    let schema = json!({
        "type": "object", "properties": { "key": { "type": ["string", "null"] } }, "required": ["key"],
    });
    let shown = Tool::new("lookup", "", schema, |input: Value, _| async move {
        Ok::<_, String>(input.to_string())
    });
    assert_eq!(shown.definition()["parameters"]["required"], json!([]));
    let session = client.session(agent("a").tool(shown)).await.unwrap();
    for expected in [r#"{"key":null}"#, r#"{"key":null}"#, r#"{"key":"x"}"#] {
        assert_eq!(outcome(&session.run("?").await.unwrap()), ("success", expected));
    }
}

#[tokio::test]
async fn whatever_a_tool_does_it_is_answered() {
    let (_server, client) = calling(vec![lookup(json!({ "key": "x" }))]).await;
    let fails = Tool::new("lookup", "", parameters(), |_, _| async { Err::<(), _>("no such key") });
    let panics = Tool::new("lookup", "", parameters(), |input: Value, _| async move {
        assert!(input["key"].is_u64(), "no number");
        Ok::<_, String>(())
    });
    let ends = Tool::new("lookup", "", parameters(), |input: Value, _| {
        assert!(input["key"].is_u64(), "no number");
        async { Ok::<_, String>(()) }
    });
    let says = Tool::new("lookup", "", parameters(), |_, _| async {
        Ok::<_, String>(ToolOutput::text("found nothing").error())
    });
    for (tool, expected) in [
        (fails, "no such key"),
        (panics, "the tool panicked: no number"),
        (ends, "the tool panicked: no number"),
        (says, "found nothing"),
    ] {
        let session = client.session(agent("a").tool(tool)).await.unwrap();
        assert_eq!(outcome(&session.run("?").await.unwrap()), ("error", expected));
    }
}

/// A session whose tool hangs, says so, and tells when it is not wanted any more.
async fn hanging(client: &Client) -> (Session, Arc<Notify>, mpsc::UnboundedReceiver<&'static str>) {
    struct Dropped(mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send("dropped").unwrap();
        }
    }
    let (told, heard) = mpsc::unbounded_channel();
    let called = Arc::new(Notify::new());
    let calling = Arc::clone(&called);
    let hangs = Tool::new("lookup", "", parameters(), move |_, context: ToolContext| {
        let (told, dropped) = (told.clone(), Dropped(told.clone()));
        calling.notify_one();
        tokio::spawn(async move {
            context.cancelled().await;
            assert!(context.is_cancelled());
            told.send("cancelled").unwrap();
        });
        async move {
            let _dropped = dropped;
            pending::<Result<(), String>>().await
        }
    });
    (client.session(unasked("a").tool(hangs)).await.unwrap(), called, heard)
}

#[tokio::test]
async fn a_tool_whose_turn_is_aborted_is_dropped() {
    let (_server, client) = calling(vec![lookup(json!({}))]).await;
    let (session, called, mut heard) = hanging(&client).await;
    let mut turn = session.send("?").unwrap();
    timeout(SOON, called.notified()).await.unwrap();
    turn.abort().await.unwrap();
    for expected in ["dropped", "cancelled"] {
        assert_eq!(timeout(SOON, heard.recv()).await.unwrap(), Some(expected));
    }
}

#[tokio::test]
async fn tools_end_with_their_session() {
    let (server, client) = calling(vec![lookup(json!({}))]).await;
    let (session, called, mut heard) = hanging(&client).await;
    let runtime = session.runtime().clone();
    let mut turn = session.clone().send("?").unwrap();
    timeout(SOON, called.notified()).await.unwrap();
    session.close();
    assert_eq!(timeout(SOON, heard.recv()).await.unwrap(), Some("dropped"));
    turn.result().await.unwrap();
    let answers = received(&server, "external_tool_call_response");
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0]["error"].is_string(), "{answers:?}");
    assert_unanswered(&client, &runtime).await;
}

/// The server still has the tool, which nobody runs any more.
async fn assert_unanswered(client: &Client, runtime: &Value) {
    let message = json!({ "role": "user", "content": "?" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    let fields = json!({ "runtime": runtime, "payload": payload });
    let result = client.run_turn(fields, TurnOptions::default()).await.unwrap();
    let (status, output) = outcome(&result);
    assert_eq!(status, "error");
    assert!(output.contains("there is no handler for this tool any more"), "{output}");
}

#[tokio::test]
async fn tools_end_with_the_last_handle() {
    let (_server, client) = calling(vec![lookup(json!({ "key": 1 }))]).await;
    let session = client.session(unasked("a").tool(tool("mine"))).await.unwrap();
    let other = session.clone();
    drop(session);
    assert_eq!(outcome(&other.run("?").await.unwrap()), ("success", "mine: 1"));
    let runtime = other.runtime().clone();
    drop(other);
    assert_unanswered(&client, &runtime).await;
}

#[tokio::test]
async fn a_turn_keeps_the_tools_of_a_session_that_is_gone() {
    let (_server, client) = calling(vec![lookup(json!({ "key": 1 }))]).await;
    let turn = client.session(agent("a").tool(tool("mine"))).await.unwrap().send("?").unwrap();
    assert_eq!(outcome(&turn.await.unwrap()), ("success", "mine: 1"));
}

#[tokio::test]
async fn a_fork_has_the_same_tools_and_a_policy_decides_on_them() {
    let call = ScriptedCall::asking("lookup", json!({ "key": 1 }));
    let answers =
        [("conversation_fork".to_owned(), json!({ "conversation": { "id": "conv-2" } }))].into();
    let turns = vec![ScriptedTurn::text(["done"]).call(call)];
    let (_server, client) =
        connected(ScriptOptions { turns, answers, ..ScriptOptions::default() }).await;
    let session = client.session(agent("a").tool(tool("mine"))).await.unwrap();
    let fork = session.fork().await.unwrap();
    drop(session);
    assert_eq!(outcome(&fork.run("?").await.unwrap()), ("success", "mine: 1"));
    let policy = Policy::first_match([Rule::allow(["Read"])]);
    let strict = client.session(agent("a").tool(tool("mine")).approvals(policy)).await.unwrap();
    assert_eq!(outcome(&strict.run("?").await.unwrap()).0, "error");
    assert_eq!(strict.approvals()[0].question.tool_name(), "lookup");
}

#[tokio::test]
async fn what_was_chosen_for_permissions_counts_for_own_tools_too() {
    let call = ScriptedCall::asking("lookup", json!({ "key": 1 }));
    let (server, client) = calling(vec![call]).await;
    let with = |approvals| TurnOptions { approvals, ..TurnOptions::default() };
    let mine = client.session(agent("a").tool(tool("mine"))).await.unwrap();
    let free = mine.run_with("?", with(None)).await.unwrap();
    assert_eq!(outcome(&free), ("success", "mine: 1"), "nobody has chosen");
    let denied = mine.run_with("?", with(Some(Approvals::Deny))).await.unwrap();
    assert_eq!(outcome(&denied).0, "error");
    let strict = agent("b").tool(tool("mine")).turns(with(Some(Approvals::Deny)));
    let strict = client.session(strict).await.unwrap();
    assert_eq!(outcome(&strict.run("?").await.unwrap()).0, "error");
    assert_eq!(outcome(&strict.run_with("?", with(None)).await.unwrap()).0, "error");
    let ruled = agent("c").tool(tool("mine")).approvals(Rule::deny_all("no"));
    let ruled = client.session(ruled).await.unwrap();
    assert_eq!(outcome(&ruled.run_with("?", with(None)).await.unwrap()).0, "error");
    assert_eq!(ruled.approvals().len(), 1);
    let raised = mine.run_with("?", with(Some(Approvals::Raise))).await.unwrap_err();
    assert_eq!(raised.kind(), ErrorKind::ApprovalRequired);
    assert_eq!(received(&server, "external_tool_call_response").len(), 1);
}

#[tokio::test]
async fn unless_something_was_chosen_the_clients_handler_is_asked_but_not_for_own_tools() {
    let own = ScriptedCall::asking("lookup", json!({ "key": 1 }));
    let turn = ScriptedTurn::text(["done"]).call(own);
    let turns = vec![turn.call(ScriptedCall::asking("Bash", json!({})))];
    let (_server, client) = connected(ScriptOptions { turns, ..ScriptOptions::default() }).await;
    let session = client.session(agent("a").tool(tool("mine"))).await.unwrap();
    let statuses = |result: &TurnResult| {
        let calls = result.tool_calls.iter();
        calls.map(|call| call.status.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&session.run("?").await.unwrap()), ["success", "error"], "nobody is there");
    let mut requests = client.approval_requests(None).unwrap();
    let asked = tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        let tool = request.tool_name();
        request.allow();
        (tool, requests)
    });
    assert_eq!(statuses(&session.run("?").await.unwrap()), ["success", "success"]);
    let (tool, _requests) = asked.await.unwrap();
    assert_eq!(tool, "Bash");
    let denying = TurnOptions { approvals: Some(Approvals::Deny), ..session.turn_options() };
    let denied = session.run_with("?", denying).await.unwrap();
    assert_eq!(statuses(&denied), ["error", "error"], "nobody is asked");
}

#[tokio::test]
async fn tools_that_the_server_would_not_take_are_refused() {
    let (server, client) = connected(ScriptOptions::default()).await;
    let error = client.session(agent("a").tools([tool("one"), tool("two")])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.message().contains("\"lookup\""), "{error}");
    assert!(received(&server, "runtime_start").is_empty());
}

#[test]
fn tools_need_no_executor_of_tokio() {
    let turns = vec![ScriptedTurn::text(["done"]).call(lookup(json!({ "key": 1 })))];
    let options = ScriptOptions { turns, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let result = futures_executor(async {
        let client = Client::new(ConnectOptions::new(server.url())).unwrap();
        client.connect().await.unwrap();
        let session = client.session(agent("a").tool(tool("mine"))).await.unwrap();
        session.run("?").await.unwrap()
    });
    assert_eq!(outcome(&result), ("success", "mine: 1"));
}

/// The smallest executor: it parks its thread.
fn futures_executor<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn tools_outlive_the_runtime_on_which_the_session_was_made() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let call = ScriptedCall::new("here", json!({}));
    let turn = ScriptedTurn { tool_calls: vec![call], ..ScriptedTurn::text(["done"]) };
    let options = ScriptOptions { turns: vec![turn], ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let parameters = json!({ "type": "object", "properties": {} });
    let tool = Tool::new("here", "Is here.", parameters, |_, _| async { Ok::<_, String>("yes") });
    let session = runtime().block_on(async {
        let client = Client::new(ConnectOptions::new(server.url())).unwrap();
        client.connect().await.unwrap();
        client.session(SessionOptions::agent("a").tool(tool)).await.unwrap()
    });
    let result = runtime().block_on(session.run("?")).unwrap();
    assert_eq!(result.tool_calls[0].output.as_deref(), Some("yes"));
}
