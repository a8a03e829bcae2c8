//! A conversation the way programs use it, against the server double.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FusedStream;
use futures_util::{StreamExt, TryStreamExt};
use letta_app_client::testing::{
    Generation, MockServer, ScriptOptions, ScriptedCall, ScriptedTurn,
};
use letta_app_client::{
    Client, ConnectOptions, ErrorKind, MessageFilter, Messages, Prompt, ServerOptions,
    SessionOptions, TurnEvent, TurnOptions, TurnStatus, TurnUpdate,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// What the double says that a run has used.
const PER_RUN: u64 = 12;

async fn connected(options: ScriptOptions) -> (MockServer, Client) {
    let server = MockServer::scripted(options).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

fn turns(turns: &[ScriptedTurn]) -> ScriptOptions {
    ScriptOptions { turns: turns.to_vec(), ..ScriptOptions::default() }
}

/// The commands of a type that the server got.
fn received(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

#[tokio::test]
async fn asking_is_two_lines() {
    for generation in [Generation::Single, Generation::Split] {
        let script = turns(&[ScriptedTurn::text(["4", "2"])]);
        let (server, client) = connected(ScriptOptions { generation, ..script }).await;
        let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
        let result = session.run("?").await.unwrap();
        assert_eq!((result.text.as_str(), session.agent_id()), ("42", "agent-1"));
        let again = session.run(json!([{ "type": "text", "text": "?" }])).await.unwrap();
        assert_eq!(session.usage().total_tokens, 2 * again.usage.total_tokens);
        // The server's own default would run every tool unasked.
        assert_eq!(received(&server, "runtime_start")[0]["mode"], "standard");
        client.close().await;
    }
}

#[tokio::test]
async fn what_wants_a_permission_is_denied_unless_somebody_is_there() {
    let mut script = ScriptedTurn::text(["done"]);
    script.tool_calls = vec![ScriptedCall::asking("Write", json!({}))];
    let (_server, client) = connected(turns(&[script])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let result = session.run("?").await.unwrap();
    assert_eq!(result.tool_calls[0].status.as_deref(), Some("error"));
}

#[tokio::test]
async fn a_turn_that_the_agent_did_not_end_is_an_error_of_run_and_an_outcome_of_send() {
    let mut script = ScriptedTurn::text(["half"]);
    script.error = Some("no credits".to_owned());
    let (_server, client) = connected(turns(&[script])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let error = session.run("?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert!(error.message().contains("no credits"), "{error}");
    assert_eq!(error.result().unwrap().text, "half");
    let result = session.send("?").unwrap().result().await.unwrap();
    assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Failed), "half"));
}

#[tokio::test]
async fn a_turn_is_stopped_through_its_session() {
    let mut script = ScriptedTurn::text(["half"]);
    script.hang = true;
    let (_server, client) = connected(turns(&[script])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let mut turn = session.send("?").unwrap();
    assert_eq!(timeout(SOON, turn.next_text()).await.unwrap().as_deref(), Some("half"));
    assert!(session.abort().await.unwrap());
    assert_eq!(turn.result().await.unwrap().status, Some(TurnStatus::Aborted));
    assert!(!session.abort().await.unwrap(), "nothing runs any more");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told() {
    let directories = Some(vec!["/here".to_owned(), "/there".to_owned()]);
    let (_server, client) = connected(ScriptOptions { directories, ..turns(&[]) }).await;
    let options = SessionOptions::agent("a");
    let mut session = client.session(options.clone().cwd("/here")).await.unwrap();
    assert_eq!((session.cwd(), session.cwd_ignored()), (Some("/here"), false));
    session.set_mode("acceptEdits").unwrap();
    session.set_cwd("/there").await.unwrap();
    assert_eq!((session.cwd(), session.cwd_ignored()), (Some("/there"), false));
    // The server looks for a directory by its name.
    session.set_cwd("/nowhere/../here/").await.unwrap();
    assert_eq!(session.cwd(), Some("/here"));
    let other = client.session(options.clone().cwd("/there/./x/..")).await.unwrap();
    assert_eq!((other.cwd(), other.cwd_ignored()), (Some("/there"), false));
    let error = session.set_cwd("/nowhere").await.unwrap_err();
    assert!(error.message().contains("/nowhere") && error.message().contains("/here"), "{error}");
    let lost = client.session(options.cwd("/nowhere")).await.unwrap();
    assert!(lost.cwd_ignored());
    assert_eq!(lost.cwd(), Some("/home/user/project"));
}

#[tokio::test]
async fn a_conversation_is_changed_and_forked() {
    let answers = [
        ("conversation_fork", json!({ "conversation": { "id": "conv-2" } })),
        (
            "update_model",
            json!({ "runtime": {}, "applied_to": "agent", "model_id": "m", "model_handle": "x/m" }),
        ),
    ];
    let answers = answers.map(|(kind, fields)| (kind.to_owned(), fields)).into();
    let (server, client) = connected(ScriptOptions { answers, ..turns(&[]) }).await;
    let options = SessionOptions::agent("a").conversation("conv-1").mode("acceptEdits");
    let mut session = client.session(options).await.unwrap();
    session.update_model("x/m").await.unwrap();
    session.set_mode("standard").unwrap();
    let fork = session.fork().await.unwrap();
    assert_eq!((fork.agent_id(), fork.conversation_id()), ("a", "conv-2"));
    let starts = received(&server, "runtime_start");
    assert_eq!(
        (&starts[0]["mode"], &starts[1]["mode"]),
        (&json!("acceptEdits"), &json!("standard"))
    );
    assert_eq!(received(&server, "update_model")[0]["payload"]["model_handle"], "x/m");
    assert_eq!(
        received(&server, "change_device_state")[0]["payload"],
        json!({ "mode": "standard" })
    );
}

#[tokio::test]
async fn the_fork_of_a_default_conversation_says_whose_it_is() {
    let answer = json!({ "conversation": { "id": "conv-2" } });
    let answers = [("conversation_fork".to_owned(), answer)].into();
    let (server, client) = connected(ScriptOptions { answers, ..turns(&[]) }).await;
    for (conversation, body) in [("default", json!({ "agent_id": "a" })), ("conv-1", Value::Null)] {
        let options = SessionOptions::agent("a").conversation(conversation);
        client.session(options).await.unwrap().fork().await.unwrap();
        assert_eq!(received(&server, "conversation_fork").last().unwrap()["body"], body);
    }
}

/// The double, as the server does, starts a copy in its own directory where nobody says one.
#[tokio::test]
async fn a_fork_stays_in_the_directory_that_its_session_has_not_asked_for() {
    let answer = json!({ "conversation": { "id": "conv-2" } });
    let answers = [("conversation_fork".to_owned(), answer)].into();
    let (server, client) = connected(ScriptOptions { answers, ..turns(&[]) }).await;
    let options = SessionOptions::agent("a").conversation("conv-1");
    client.session(options.clone().cwd("/there")).await.unwrap();
    let joined = client.session(options).await.unwrap();
    let fork = joined.fork().await.unwrap();
    assert_eq!((joined.cwd(), fork.cwd(), fork.cwd_ignored()), (None, Some("/there"), false));
    assert_eq!(received(&server, "runtime_start").last().unwrap()["cwd"], "/there");
}

#[tokio::test]
async fn a_closed_session_stops_its_turns_and_leaves_others() {
    let mut script = ScriptedTurn::text(["half"]);
    script.hang = true;
    let (server, client) = connected(turns(&[script])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let mut turn = session.send("?").unwrap();
    assert_eq!(timeout(SOON, turn.next_text()).await.unwrap().as_deref(), Some("half"));
    let other = client.session(SessionOptions::agent("b")).await.unwrap();
    let mut detached = other.send("?").unwrap();
    assert_eq!(timeout(SOON, detached.next_text()).await.unwrap().as_deref(), Some("half"));
    detached.detach();
    session.clone().close();
    other.close();
    // No error, also where every end but the agent's own is one.
    let result = timeout(SOON, turn).await.unwrap().unwrap();
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    assert_eq!(received(&server, "abort_message").len(), 1);
    session.close();
    // The handle can still be used.
    assert_eq!(session.mode(), "standard");
    session.abort().await.unwrap();
}

#[tokio::test]
async fn a_run_without_check_is_an_outcome() {
    let mut script = ScriptedTurn::text(["half"]);
    script.error = Some("no credits".to_owned());
    let (_server, client) = connected(turns(&[script])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let result = session.run_with("?", session.turn_options()).await.unwrap();
    assert_eq!((result.status, result.text.as_str()), (Some(TurnStatus::Failed), "half"));
    let checked = TurnOptions { check: true, ..session.turn_options() };
    let error = session.run_with("?", checked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert_eq!(session.usage().total_tokens, 2 * result.usage.total_tokens);
}

#[tokio::test]
async fn what_a_turn_has_used_counts_when_it_is_dropped() {
    let call = ScriptedCall::new("Read", json!({}));
    let hanging = ScriptedTurn { hang: true, ..ScriptedTurn::text(["on and on"]) }.call(call);
    let script = [hanging.clone(), hanging, ScriptedTurn::text(["done"])];
    let (_server, client) = connected(turns(&script)).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let used = async |ends: &mut Messages| {
        timeout(SOON, ends.next()).await.unwrap().unwrap();
        // What came before the answer has been seen.
        client.sync(json!({ "runtime": session.runtime() })).await.unwrap();
        session.usage().total_tokens
    };
    let mut ends = client.messages(MessageFilter::all().types(["turn_finished"]));
    let mut turn = session.send("?").unwrap();
    assert_eq!(turn.next_text().await.as_deref(), Some("on and on"));
    assert_eq!(session.usage().total_tokens, 0);
    drop(turn);
    // Its first run has said what it used, and the one that was stopped has not.
    assert_eq!(used(&mut ends).await, PER_RUN);
    let mut texts = client.messages(MessageFilter::all().types(["stream_delta"]));
    let said = async {
        while texts.next().await.unwrap().json()["delta"]["message_type"] != "assistant_message" {}
    };
    tokio::select! {
        result = session.run("?") => panic!("{result:?}"),
        () = said => {}
    }
    assert_eq!(used(&mut ends).await, 2 * PER_RUN);
    // Nobody has looked at the end of this one.
    let turn = session.send("?").unwrap();
    assert_eq!(used(&mut ends).await, 2 * PER_RUN);
    drop(turn);
    assert_eq!(session.usage().total_tokens, 3 * PER_RUN);
}

#[tokio::test]
async fn a_turn_is_a_stream_and_a_future() {
    let (_server, client) = connected(turns(&[ScriptedTurn::text(["4", "2"])])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    assert_eq!(session.send("?").unwrap().await.unwrap().text, "42");
    let updates = session.send("?").unwrap().updates();
    let updates: Vec<TurnUpdate> = updates.try_collect().await.unwrap();
    let pieces = updates.iter().filter_map(|update| match update {
        TurnUpdate::Event(TurnEvent::AssistantDelta { text, .. }) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(pieces.collect::<Vec<_>>(), ["4", "2"]);
    assert!(matches!(updates.last(), Some(TurnUpdate::Finished(result)) if result.text == "42"));
}

#[tokio::test]
async fn limits_that_no_turn_can_keep_are_found_before_anything_is_sent() {
    let (server, client) = connected(turns(&[])).await;
    let none = Some(Duration::ZERO);
    let limits = TurnOptions { tool_timeout: none, ..TurnOptions::default() };
    for (options, name) in [
        (SessionOptions::agent("a").timeout(Duration::ZERO), "timeout"),
        (SessionOptions::agent("a").turns(limits), "tool_timeout"),
    ] {
        let error = client.session(options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert_eq!(error.message(), format!("{name}: expected a time above zero, got 0"));
    }
    assert!(received(&server, "runtime_start").is_empty());
}

#[tokio::test]
async fn an_answer_without_a_runtime_is_no_session() {
    for (runtime, field) in [
        (json!(null), "agent_id"),
        (json!({ "agent_id": "", "conversation_id": "c" }), "agent_id"),
        (json!({ "agent_id": "a" }), "conversation_id"),
    ] {
        let answer = json!({ "success": true, "runtime": runtime });
        let answers = [("runtime_start".to_owned(), answer)].into();
        let (_server, client) = connected(ScriptOptions { answers, ..turns(&[]) }).await;
        let error = client.session(SessionOptions::agent("a")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request, "{error}");
        assert!(error.message().contains(&format!("`runtime.{field}`")), "{error}");
        assert!(error.response().unwrap().contains("runtime_start_response"), "{error:?}");
    }
}

#[tokio::test]
async fn limits_are_those_of_each_turn() {
    let mut script = ScriptedTurn::text(["half"]);
    script.hang = true;
    let (_server, client) = connected(turns(&[script])).await;
    let soon = Duration::from_millis(200);
    let options = SessionOptions::agent("a");
    let short = client.session(options.clone().timeout(soon)).await.unwrap();
    assert_eq!(short.run("?").await.unwrap_err().kind(), ErrorKind::TurnTimeout);
    let idle = client.session(options.clone().idle_timeout(soon)).await.unwrap();
    assert_eq!(idle.run("?").await.unwrap_err().kind(), ErrorKind::TurnIdleTimeout);
    let patient = client.session(options.idle_timeout(None)).await.unwrap();
    assert_eq!(patient.turn_options().idle_timeout, None);
    // What wants a permission is denied all the same.
    assert_eq!(patient.turn_options().approvals, None);
}

#[tokio::test]
async fn the_stored_messages_of_a_default_conversation_are_its_agents() {
    let script = turns(&[ScriptedTurn::text(["one"]), ScriptedTurn::text(["two"])]);
    let (_server, client) = connected(script).await;
    for (agent, text) in [("a", "one"), ("b", "two")] {
        let options = SessionOptions::agent(agent).conversation("default");
        let session = client.session(options).await.unwrap();
        session.run("?").await.unwrap();
        let mut stored = session.messages();
        let newest = stored.next().await.unwrap().unwrap();
        assert_eq!(newest["content"][0]["text"], text);
        assert!(stored.next().await.unwrap().is_some());
        assert!(stored.next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn the_updates_of_a_turn_end_with_its_error_and_can_be_polled_on() {
    let cut = ScriptedTurn { disconnect_after: Some(1), ..ScriptedTurn::text(["a", "b"]) };
    let failing = ScriptedTurn { error: Some("no credits".into()), ..ScriptedTurn::text(["half"]) };
    let (server, _) = connected(turns(&[cut, failing])).await;
    let client = Client::new(ConnectOptions::new(server.url()).reconnect(None)).unwrap();
    for kind in [ErrorKind::TurnInterrupted, ErrorKind::TurnFailed] {
        client.connect().await.unwrap();
        let session = client.session(SessionOptions::agent("a")).await.unwrap();
        let checked = TurnOptions { check: true, ..session.turn_options() };
        let mut updates = session.send_with("?", checked).unwrap().updates();
        let mut last = None;
        while !updates.is_terminated() {
            // As in a loop with something else to do.
            tokio::select! {
                Some(update) = updates.next() => last = Some(update),
                else => {}
            }
        }
        assert_eq!(last.unwrap().unwrap_err().kind(), kind);
        assert!(updates.next().await.is_none());
    }
}

#[tokio::test]
async fn a_turn_is_stopped_from_elsewhere() {
    let hanging = ScriptedTurn { hang: true, ..ScriptedTurn::text(["half"]) };
    let (_server, client) = connected(turns(&[hanging])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let mut turn = session.send("?").unwrap();
    let button = turn.handle();
    assert_eq!(timeout(SOON, turn.next_text()).await.unwrap().as_deref(), Some("half"));
    assert!(button.report().is_some());
    let follower = tokio::spawn(async move {
        while turn.next().await.is_some() {}
        turn.result().await
    });
    button.clone().abort();
    let result = timeout(SOON, follower).await.unwrap().unwrap().unwrap();
    assert_eq!(result.status, Some(TurnStatus::Aborted));
    assert!(button.report().is_none());
    button.abort();
    // It does not keep the client alive either.
    drop((session, client));
    button.abort();
    assert!(button.report().is_none());
}

#[tokio::test]
async fn whatever_is_text_or_content_can_be_said() {
    let (server, client) = connected(turns(&[ScriptedTurn::text(["yes"])])).await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let owned = "text".to_owned();
    let parts = json!([{ "type": "text", "text": "text" }]);
    session.run(&owned).await.unwrap();
    session.run(Cow::from("text")).await.unwrap();
    session.run(owned.into_boxed_str()).await.unwrap();
    session.run(&Prompt::from("text")).await.unwrap();
    session.run(&parts).await.unwrap();
    session.run(parts.as_array().cloned().unwrap()).await.unwrap();
    session.run(parts.as_array().unwrap()).await.unwrap();
    // As iterations give them.
    for text in &["text"] {
        session.run(text).await.unwrap();
    }
    for text in &[Cow::from("text")] {
        session.run(text).await.unwrap();
    }
    for text in &[Box::<str>::from("text")] {
        session.run(text).await.unwrap();
    }
    for text in &[Arc::<str>::from("text")] {
        session.run(text).await.unwrap();
        session.run(Arc::clone(text)).await.unwrap();
    }
    let said = received(&server, "input").into_iter();
    let said: Vec<_> =
        said.map(|input| input["payload"]["messages"][0]["content"].clone()).collect();
    let text = json!("text");
    let (texts, rest) = (vec![text.clone(); 4], [parts.clone(), parts.clone(), parts]);
    assert_eq!(said, [texts, rest.into(), vec![text; 5]].concat());
}

#[tokio::test]
async fn a_new_agent_that_is_no_object_is_refused() {
    let (_server, client) = connected(turns(&[])).await;
    let options = SessionOptions::agent("a").field("create_agent", json!("oops")).unpinned();
    let error = client.session(options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCommand);
    assert!(error.message().contains("create_agent"), "{error}");
}

#[tokio::test]
async fn a_slip_of_a_mode_or_directory_starts_nothing() {
    let (server, client) = connected(turns(&[])).await;
    for (slip, meant) in [("modle", "mode"), ("mod", "mode"), ("cwdd", "cwd"), ("cdw", "cwd")] {
        let options = SessionOptions::agent("a").field(slip, json!("x"));
        let error = client.session(options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCommand);
        assert!(error.message().ends_with(&format!("did you mean `{meant}`?")), "{error}");
    }
    assert_eq!(received(&server, "runtime_start"), [] as [Value; 0]);
    // Another field of the protocol may be one of a later server here.
    client.session(SessionOptions::agent("a").field("model", json!("x"))).await.unwrap();
}

#[tokio::test]
async fn what_a_session_is_shown_as_has_no_secrets() {
    let (_server, client) = connected(turns(&[ScriptedTurn::text(["yes"])])).await;
    let agent = json!({ "name": "x", "secrets": { "TOKEN": "s3cret" } });
    let options = SessionOptions::new_agent(&agent);
    let env = vec![("API_KEY".to_owned(), "s3cret".to_owned())];
    let server = ServerOptions { env, ..ServerOptions::default() };
    let mut shown = format!("{options:?} {server:?}");
    let session = client.session(options).await.unwrap();
    let turn = session.send("?").unwrap();
    write!(shown, " {session:?} {turn:?}").unwrap();
    assert!(!shown.contains("s3cret"), "{shown}");
    for name in ["create_agent", "API_KEY", session.agent_id()] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
}
