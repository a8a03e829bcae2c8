//! Policies for permissions, against the server double (PROTOCOL.md section 13).
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::future::pending;
use std::time::{Duration, SystemTime};

use letta_app_client::policy::{Question, Rule};
use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Approvals, Client, ConnectOptions, Decision, ErrorKind, Policy, Session, SessionOptions,
    TurnOptions, TurnResult, TurnStatus, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

fn calls() -> ScriptedTurn {
    let mut turn = ScriptedTurn::text(["done"]);
    turn.tool_calls = vec![
        ScriptedCall::asking("Read", json!({ "path": "a" })),
        ScriptedCall::asking("Bash", json!({ "command": "ls" })),
        ScriptedCall::asking("Bash", json!({ "command": "ls; rm" })),
        ScriptedCall::asking("Write", json!({ "path": "b" })),
    ];
    turn
}

async fn opened(
    generation: Generation,
    turn: ScriptedTurn,
    options: SessionOptions,
) -> (MockServer, Session) {
    let options_of_server = ScriptOptions { generation, turns: vec![turn], ..Default::default() };
    let server = MockServer::scripted(options_of_server).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    let session = client.session(options).await.unwrap();
    (server, session)
}

fn outcomes(result: &TurnResult) -> Vec<&str> {
    result.tool_calls.iter().map(|call| call.status.as_deref().unwrap()).collect()
}

/// What was answered to permission requests.
fn answers(server: &MockServer) -> Vec<Value> {
    let frames = server.received().into_iter();
    let payloads =
        frames.map(|text| serde_json::from_str::<Value>(&text).unwrap()["payload"].take());
    payloads.filter(|payload| payload["kind"] == "approval_response").collect()
}

#[tokio::test]
async fn rules_decide_in_order_and_a_record_is_kept() {
    for generation in [Generation::Single, Generation::Split] {
        let policy = Policy::first_match([
            Rule::allow(["Read"]),
            Rule::allow(["Bash"]).when("command", |command| command == "ls").named("list"),
            Rule::deny(["Bash"], "only ls"),
        ]);
        let options = SessionOptions::agent("a").approvals(policy);
        let before = SystemTime::now();
        let (server, session) = opened(generation, calls(), options).await;
        let result = session.run("?").await.unwrap();
        assert_eq!(outcomes(&result), ["success", "success", "error", "error"]);
        let decisions: Vec<_> =
            answers(&server).into_iter().map(|mut answer| answer["decision"].take()).collect();
        let allow = json!({ "behavior": "allow" });
        assert_eq!(decisions[..2], [allow.clone(), allow]);
        assert_eq!(decisions[2], json!({ "behavior": "deny", "message": "only ls" }));
        let unknown = decisions[3]["message"].as_str().unwrap();
        assert!(unknown.contains("no rule") && unknown.contains("Write"), "{unknown}");
        let kept = session.approvals();
        let by: Vec<_> = kept.iter().map(|entry| entry.by.as_str()).collect();
        assert_eq!(by, ["allow(Read)", "list", "deny(Bash)", "no rule"]);
        assert_eq!(kept[1].question.input(), &json!({ "command": "ls" }));
        assert!(kept[1].decision.as_ref().unwrap().is_allow() && kept[1].error.is_none());
        assert!(kept.iter().all(|entry| entry.time >= before));
        session.client().close().await;
    }
}

#[tokio::test]
async fn a_function_decides_and_what_it_fails_with_denies() {
    let ask = Rule::ask(|question: Question| async move {
        match question.tool_name() {
            "Read" => Ok(Decision::allow().updated_input(json!({ "path": "z" }))),
            "Write" => panic!("no idea"),
            _ => Err(format!("not {}", question.input()["command"])),
        }
    });
    let options = SessionOptions::agent("a").approvals(ask);
    let (server, session) = opened(Generation::Single, calls(), options).await;
    let result = session.run("?").await.unwrap();
    assert_eq!(outcomes(&result), ["success", "error", "error", "error"]);
    let answers = answers(&server);
    assert_eq!(answers[0]["decision"]["updated_input"], json!({ "path": "z" }));
    assert_eq!(answers[1]["error"], r#"the approval handler failed: not "ls""#);
    assert_eq!(answers[3]["error"], "the approval handler failed: no idea");
    let kept = session.approvals();
    assert_eq!(kept[3].error.as_deref(), Some("no idea"));
    assert!(kept[3].decision.is_none());
    assert_eq!(kept[0].by, "ask");
}

#[tokio::test]
async fn a_decision_that_cannot_be_sent_is_none_in_the_record() {
    let ask = Rule::ask(|question: Question| async move {
        let input = match question.tool_name() {
            "Read" => json!(5),
            "Write" => json!({ "path": "z".repeat(4096) }),
            _ => json!({ "command": "true" }),
        };
        Decision::allow().updated_input(input)
    });
    let turns = vec![calls()];
    let options = ScriptOptions { turns, ..ScriptOptions::default() };
    let server = MockServer::scripted(options).unwrap();
    let mut options = ConnectOptions::new(server.url());
    options.max_message_bytes = 4096;
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let session = client.session(SessionOptions::agent("a").approvals(ask)).await.unwrap();
    let result = session.run("?").await.unwrap();
    assert_eq!(outcomes(&result), ["error", "success", "success", "error"]);
    let kept = session.approvals();
    let made: Vec<_> = kept.iter().map(|entry| entry.decision.is_some()).collect();
    assert_eq!(made, [false, true, true, false]);
    let told: Vec<_> = answers(&server).into_iter().map(|answer| answer["error"].clone()).collect();
    for (index, words) in [(0, "updated_input"), (3, "too large")] {
        let error = kept[index].error.as_deref().unwrap();
        assert!(error.contains(words), "{error}");
        assert_eq!(told[index], error, "the agent is told the same");
    }
}

#[tokio::test]
async fn a_condition_that_panics_denies_and_the_policy_goes_on() {
    let policy = Policy::first_match([
        Rule::allow(["Bash"]).when("command", |command| {
            assert!(command == "ls; rm", "no idea");
            true
        }),
        Rule::allow_all(),
    ]);
    let options = SessionOptions::agent("a").approvals(policy);
    let (server, session) = opened(Generation::Single, calls(), options).await;
    let result = session.run("?").await.unwrap();
    assert_eq!(outcomes(&result), ["success", "error", "success", "success"]);
    assert_eq!(answers(&server)[1]["error"], "the approval handler failed: no idea");
    assert_eq!(session.approvals()[1].error.as_deref(), Some("no idea"));
}

#[tokio::test]
async fn a_function_is_dropped_when_its_turn_is_stopped() {
    struct Dropped(mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send("dropped").unwrap();
        }
    }
    let (told, mut heard) = mpsc::unbounded_channel();
    let ask = Rule::ask(move |_| {
        told.send("asked").unwrap();
        let dropped = Dropped(told.clone());
        async move {
            let _dropped = dropped;
            pending::<Decision>().await
        }
    });
    let options = SessionOptions::agent("a").approvals(ask);
    let (_server, session) = opened(Generation::Single, calls(), options).await;
    let turn = session.send("?").unwrap();
    assert_eq!(timeout(SOON, heard.recv()).await.unwrap(), Some("asked"));
    session.close();
    let result = timeout(SOON, turn).await.unwrap().unwrap();
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    assert_eq!(timeout(SOON, heard.recv()).await.unwrap(), Some("dropped"));
    // On this one thread, nothing comes between the drop and the record.
    let kept = session.approvals();
    assert!(kept[0].decision.is_none() && kept[0].error.is_some(), "{kept:?}");
}

#[tokio::test]
async fn one_turn_can_be_led_otherwise() {
    let options = SessionOptions::agent("a").approvals(Rule::allow_all());
    let (_server, session) = opened(Generation::Single, calls(), options).await;
    let deny = TurnOptions { approvals: Some(Approvals::Deny), ..session.turn_options() };
    let result = session.run_with("?", deny).await.unwrap();
    assert_eq!(outcomes(&result), ["error"; 4]);
    assert!(session.approvals().is_empty());
    let longer = TurnOptions { timeout: Some(SOON), ..session.turn_options() };
    assert_eq!(outcomes(&session.run_with("?", longer).await.unwrap()), ["success"; 4]);
}

#[tokio::test]
async fn without_a_policy_the_follower_is_asked() {
    let asking = TurnOptions { approvals: Some(Approvals::Ask), ..TurnOptions::default() };
    let options = SessionOptions::agent("a").turns(asking);
    let (_server, session) = opened(Generation::Single, calls(), options).await;
    let error = session.run("?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption, "nobody follows it");
    let mut turn = session.send("?").unwrap();
    let mut asked = 0;
    while let Some(update) = timeout(SOON, turn.next()).await.unwrap() {
        if let TurnUpdate::Approval(request) = update {
            asked += 1;
            request.allow();
        }
    }
    let result = turn.await.unwrap();
    assert_eq!((asked, outcomes(&result)), (4, vec!["success"; 4]));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn asking() -> ScriptedTurn {
    let call = ScriptedCall::asking("Bash", json!({ "command": "ls" }));
    ScriptedTurn { tool_calls: vec![call], ..ScriptedTurn::text(["done"]) }
}

/// A session is often shared by tests, each of which has a runtime of its own.
#[test]
fn a_policy_outlives_the_runtime_on_which_the_session_was_made() {
    for (rule, by) in
        [(Rule::allow_all(), "allow_all"), (Rule::ask(|_| async { Decision::allow() }), "ask")]
    {
        let options = SessionOptions::agent("a").approvals(rule);
        let (_server, session) = runtime().block_on(opened(Generation::Single, asking(), options));
        let run = async { timeout(SOON, session.run("?")).await.unwrap().unwrap() };
        assert_eq!(outcomes(&runtime().block_on(run)), ["success"]);
        let kept = session.approvals();
        assert_eq!((kept.len(), kept[0].by.as_str()), (1, by));
        assert!(kept[0].decision.is_some());
    }
}

#[test]
fn rules_decide_where_nobody_drives_the_runtime_of_the_session() {
    let idle = runtime();
    let options = SessionOptions::agent("a").approvals(Rule::allow_all());
    let (_server, session) = idle.block_on(opened(Generation::Single, asking(), options));
    let run = async { timeout(SOON, session.run("?")).await.unwrap().unwrap() };
    assert_eq!(outcomes(&runtime().block_on(run)), ["success"]);
}

#[test]
fn a_runtime_that_ends_while_a_function_decides_denies_and_is_in_the_record() {
    let (began, seen) = std::sync::mpsc::channel();
    let ask = Rule::ask(move |_| {
        began.send(()).unwrap();
        pending::<Decision>()
    });
    let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = SessionOptions::agent("a").approvals(ask);
    let (_server, session) = first.block_on(opened(Generation::Single, asking(), options));
    let turn = session.send("?").unwrap();
    seen.recv_timeout(SOON).unwrap();
    first.shutdown_timeout(SOON);
    let result = runtime().block_on(async { timeout(SOON, turn).await.unwrap().unwrap() });
    assert_eq!(outcomes(&result), ["error"]);
    let kept = session.approvals();
    let error = kept[0].error.as_deref().unwrap();
    assert!(error.contains("runtime") && kept[0].decision.is_none(), "{error}");
}
