//! The crate against the published App Server with a scripted model (`tests/live/README.md`): `make test-live`.
//!
//! They are ignored where there is no server, and fail where they are run without one.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

#[cfg(feature = "testing")]
mod proxy;

use std::collections::HashSet;
use std::env;
use std::time::Duration;

use letta_app_client::{
    Client, ConnectOptions, ErrorKind, InputDelivery, MapOptions, MessageFilter, Policy, Rule,
    Session, SessionOptions, StandbyState, State, Tool, TurnEvent, TurnResult, TurnStatus,
    TurnUpdate, map,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

fn variable(name: &str) -> String {
    env::var(name).expect("tests/live/with-server.mjs sets LETTA_URL and LETTA_MODEL")
}

async fn connected() -> Client {
    let client = Client::new(ConnectOptions::new(variable("LETTA_URL"))).unwrap();
    client.connect().await.unwrap();
    client
}

/// A conversation with an agent of its own.
fn agent() -> SessionOptions {
    let body = json!({ "name": "live", "model": variable("LETTA_MODEL") });
    SessionOptions::new_agent(&body).unpinned().timeout(LONG)
}

async fn session(options: SessionOptions) -> Session {
    connected().await.session(options).await.unwrap()
}

/// The word that makes the model call a tool.
fn call(tool: &str, arguments: &Value) -> String {
    let encoded: Vec<_> =
        arguments.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("TOOL={tool}|{}", encoded.concat())
}

/// A command that wants a permission in the mode `standard`.
fn writing(text: &str) -> String {
    let command = format!("echo {text} > live-rust.txt && cat live-rust.txt");
    call("Bash", &json!({ "command": command, "description": "Writes" }))
}

/// Name and outcome of each call.
fn outcomes(result: &TurnResult) -> Vec<(&str, &str)> {
    let calls = result.tool_calls.iter();
    calls.map(|call| (call.name.as_str(), call.status.as_deref().unwrap_or_default())).collect()
}

/// What a call gave.
fn output(result: &TurnResult, index: usize) -> &str {
    result.tool_calls[index].output.as_deref().unwrap_or_default()
}

fn lookup() -> Tool {
    let parameters = json!({ "type": "object", "properties": { "q": { "type": "string" } } });
    Tool::new("lookup", "Looks up", parameters, |input: Value, _| async move {
        match input["q"].as_str() {
            Some("nothing") | None => Err("no such row".to_owned()),
            Some(wanted) => Ok(format!("found {wanted}")),
        }
    })
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Finding {
    file: String,
    line: u32,
}

fn finding() -> Value {
    json!({
        "type": "object",
        "properties": { "file": { "type": "string" }, "line": { "type": "number" } },
        "required": ["file", "line"],
    })
}

fn submit(result: &Value) -> String {
    call("submit_result", result)
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn asking_and_following() {
    let session = session(agent()).await;
    let result = session.run("REASON=2 N=3").await.unwrap();
    assert_eq!(result.status, Some(TurnStatus::Completed));
    assert_eq!(
        (result.text.as_str(), result.stop_reason.as_deref()),
        ("tok0 tok1 tok2 ", Some("end_turn"))
    );
    let mut turn = session.send("N=4").unwrap();
    let (mut text, mut last) = (String::new(), None);
    while let Some(update) = timeout(LONG, turn.next()).await.unwrap() {
        match update {
            TurnUpdate::Event(TurnEvent::AssistantDelta { text: piece, .. }) => text += &piece,
            TurnUpdate::Finished(result) => last = Some(result.text),
            _ => {}
        }
    }
    assert_eq!(
        (text.as_str(), last.as_deref()),
        ("tok0 tok1 tok2 tok3 ", Some("tok0 tok1 tok2 tok3 "))
    );
    assert!(session.usage().prompt_tokens >= 20, "{:?}", session.usage());
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn an_error_of_the_model_is_one_of_run() {
    let session = session(agent()).await;
    let error = session.run("ERR=400").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert_eq!(error.result().unwrap().status, Some(TurnStatus::Failed));
    assert_eq!(session.run("N=1").await.unwrap().text, "tok0 ");
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn the_server_calls_a_tool() {
    let session = session(agent().tool(lookup())).await;
    let wanted = ["x", "nothing"].map(|q| call("lookup", &json!({ "q": q }))).join(" ");
    let result = session.run(format!("{wanted} N=1")).await.unwrap();
    assert_eq!(outcomes(&result), [("lookup", "success"), ("lookup", "error")]);
    assert!(output(&result, 0).contains("found x"), "{result:?}");
    assert!(output(&result, 1).contains("no such row"), "{result:?}");
    assert_eq!(result.text, "tok0 ");
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn a_policy_decides() {
    let policy = Policy::first_match([
        Rule::allow(["Bash"]).when("command", |command| {
            command.as_str().is_some_and(|command| command.starts_with("echo allowed >"))
        }),
        Rule::deny(["Bash"], "not on my disk"),
    ]);
    let session = session(agent().approvals(policy)).await;
    let result = session.run(format!("{} {} N=1", writing("allowed"), writing("denied"))).await;
    let result = result.unwrap();
    assert_eq!(outcomes(&result), [("Bash", "success"), ("Bash", "error")]);
    assert!(output(&result, 0).contains("allowed"), "{result:?}");
    assert!(output(&result, 1).contains("not on my disk"), "{result:?}");
    let decided: Vec<_> = session.approvals().into_iter().map(|entry| entry.by).collect();
    assert_eq!(decided, ["allow(Bash, command)", "deny(Bash)"]);
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn what_wants_a_permission_is_denied_where_nobody_is() {
    let result = session(agent()).await.run(format!("{} N=1", writing("denied"))).await.unwrap();
    assert_eq!(outcomes(&result), [("Bash", "error")]);
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn a_result_is_handed_in_beside_the_tools_of_the_session() {
    let session = session(agent().tool(lookup())).await;
    let good = json!({ "file": "a.rs", "line": 7 });
    let wrong = json!({ "file": "a.rs", "line": -7 });
    let look = call("lookup", &json!({ "q": "x" }));
    let prompt = format!("{} {} {look} N=2", submit(&wrong), submit(&good));
    let worst = session.run_as::<Finding>(prompt, &finding()).await.unwrap();
    assert_eq!(worst.output, Finding { file: "a.rs".to_owned(), line: 7 });
    let result = worst.result;
    let expected =
        [("submit_result", "error"), ("submit_result", "success"), ("lookup", "success")];
    assert_eq!(outcomes(&result), expected);
    assert!(output(&result, 0).contains("- line: "), "{result:?}");
    assert_eq!(result.text, "tok0 tok1 ");
    // It is gone again, and the other one is not.
    let after = session.run(format!("{} {look} N=1", submit(&good))).await.unwrap();
    assert_eq!(outcomes(&after), [("submit_result", "error"), ("lookup", "success")]);
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn what_may_be_null_is_null_or_left_out() {
    let parameters = json!({
        "type": "object",
        "properties": { "q": { "type": "string" }, "day": { "type": ["integer", "null"] } },
        "required": ["q", "day"],
    });
    let tool = Tool::new("lookup", "Looks up", parameters, |input: Value, _| async move {
        Ok::<_, String>(format!("found {} of {}", input["q"], input["day"]))
    });
    let session = session(agent().tool(tool)).await;
    let wanted = [json!({ "q": "x", "day": null }), json!({ "q": "x" }), json!({ "day": 1 })];
    let calls = wanted.map(|input| call("lookup", &input)).join(" ");
    let result = session.run(format!("{calls} N=1")).await.unwrap();
    let expected = [("lookup", "success"), ("lookup", "success"), ("lookup", "error")];
    assert_eq!(outcomes(&result), expected);
    assert!(output(&result, 0).contains("found \"x\" of null"), "{result:?}");
    assert!(output(&result, 1).contains("found \"x\" of null"), "{result:?}");
    assert!(output(&result, 2).contains("missing required parameter: q"), "{result:?}");
    let mut nullable = finding();
    nullable["properties"]["line"]["type"] = json!(["number", "null"]);
    for given in [json!({ "file": "a.rs", "line": null }), json!({ "file": "a.rs" })] {
        let prompt = format!("{} N=1", submit(&given));
        let found = session.run_as::<Value>(prompt, &nullable).await.unwrap();
        assert_eq!(found.output, json!({ "file": "a.rs", "line": null }));
    }
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn a_result_is_asked_for_once_more_and_then_given_up() {
    let session = session(agent()).await;
    let error = session.run_as::<Finding>("N=2", &finding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StructuredOutput);
    assert!(error.problems().is_empty(), "{error}");
    let result = error.result().unwrap();
    assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Completed), "tok0 tok1 "));
    // The model counts 10 for each time it is asked.
    assert_eq!(result.usage.prompt_tokens, 20);
    assert_eq!(session.usage().prompt_tokens, 20);
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn a_result_that_is_not_waited_for_any_more_cannot_be_handed_in() {
    let session = session(agent().tool(lookup())).await;
    let mut deltas = session.client().messages(MessageFilter::all().types(["stream_delta"]));
    let schema = finding();
    {
        let asking = session.run_as::<Finding>("N=2000 SLEEP=20", &schema);
        tokio::select! {
            ended = asking => unreachable!("{ended:?}"),
            begun = timeout(LONG, deltas.next()) => assert!(begun.unwrap().is_some()),
        }
    }
    let good = submit(&json!({ "file": "a.rs", "line": 7 }));
    let look = call("lookup", &json!({ "q": "x" }));
    let after = timeout(LONG, session.run(format!("{good} {look} N=1"))).await.unwrap().unwrap();
    assert_eq!(outcomes(&after), [("submit_result", "error"), ("lookup", "success")]);
    assert_eq!(after.text, "tok0 ");
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn many_prompts_at_once() {
    let client = connected().await;
    let agents = [client.session(agent()).await.unwrap(), client.session(agent()).await.unwrap()];
    let options = MapOptions::agents(agents.iter().map(Session::agent_id)).limit(2);
    let batch = timeout(LONG, map(&client, ["N=1", "N=2", "N=3"], options)).await.unwrap().unwrap();
    let results: Vec<_> = batch.items.into_iter().map(|item| item.result.unwrap()).collect();
    let texts = results.iter().map(|result| result.text.as_str());
    assert_eq!(texts.collect::<Vec<_>>(), ["tok0 ", "tok0 tok1 ", "tok0 tok1 tok2 "]);
    assert_eq!(batch.usage.completion_tokens, 6);
    let conversations: HashSet<_> = results.iter().map(|result| &result.conversation_id).collect();
    assert_eq!(conversations.len(), 3);
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn closing_a_session_stops_its_turn() {
    let session = session(agent()).await;
    let mut turn = session.send("N=2000 SLEEP=20").unwrap();
    assert_eq!(timeout(LONG, turn.next_text()).await.unwrap().as_deref(), Some("tok0 "));
    session.close();
    let result = timeout(LONG, turn).await.unwrap().unwrap();
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    assert!(!session.abort().await.unwrap(), "nothing runs any more");
    assert_eq!(session.run("N=1").await.unwrap().text, "tok0 ");
}

#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn closing_a_client_ends_what_waits() {
    let session = session(agent()).await;
    let mut turn = session.send("N=2000 SLEEP=20").unwrap();
    assert_eq!(timeout(LONG, turn.next_text()).await.unwrap().as_deref(), Some("tok0 "));
    timeout(Duration::from_secs(2), session.client().close()).await.unwrap();
    assert_eq!(session.client().state(), State::Closed);
    let error = turn.result().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnInterrupted);
    assert!(error.result().unwrap().text.starts_with("tok0 "), "{error}");
    assert_eq!(session.run("N=1").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[cfg(feature = "testing")]
#[tokio::test]
#[ignore = "needs a real server: make test-live"]
async fn a_turn_outlives_its_connections_with_a_standby() {
    let proxy = proxy::Proxy::to(&variable("LETTA_URL")).await;
    let client = Client::new(ConnectOptions::new(proxy.url.clone()).standby(true)).unwrap();
    client.connect().await.unwrap();
    let session = client.session(agent().tool(lookup())).await.unwrap();
    let ready = async || {
        let waiting = async {
            while client.counters().standby != StandbyState::Ready {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, waiting).await.unwrap();
    };
    let mut turn = session.send("N=120 SLEEP=25").unwrap();
    let (mut pieces, mut said) = (0, String::new());
    while let Some(text) = timeout(LONG, turn.next_text()).await.unwrap() {
        assert_eq!(text, format!("tok{pieces} "));
        pieces += 1;
        said += &text;
        if [10, 40, 70].contains(&pieces) {
            ready().await;
            proxy.cut_oldest();
        }
    }
    let result = turn.await.unwrap();
    assert_eq!((pieces, result.status), (120, Some(TurnStatus::Completed)));
    assert_eq!((result.text, result.delivery), (said, InputDelivery::Sent));
    assert_eq!(client.counters().reconnects, 3);

    // Its tools have moved along.
    let look = call("lookup", &json!({ "q": "x" }));
    let result = timeout(LONG, session.run(format!("{look} N=1"))).await.unwrap().unwrap();
    assert_eq!((output(&result, 0), result.text.as_str()), ("found x", "tok0 "));
}
