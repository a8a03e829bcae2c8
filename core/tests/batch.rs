//! Many prompts at once, against the server double.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
use letta_app_client::{
    Approvals, Client, ConnectOptions, Error, ErrorKind, MapOptions, Prompt, Reconnect, Resend,
    SessionOptions, State, Tool, ToolContext, TurnOptions, map,
};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
/// Prompt and completion tokens that a run of the double takes by default.
const PER_RUN: u64 = 12;

async fn connected(turns: Vec<ScriptedTurn>) -> (Arc<MockServer>, Client) {
    let options = ScriptOptions { turns, ..ScriptOptions::default() };
    let server = Arc::new(MockServer::scripted(options).unwrap());
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

/// The commands of a type that the server got.
fn received(server: &MockServer, kind: &str) -> Vec<Value> {
    let received = server.received().into_iter();
    let commands = received.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    commands.filter(|command| command["type"] == kind).collect()
}

async fn waits_for(server: &Arc<MockServer>, kind: &'static str, times: usize) -> bool {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || server.wait_received(kind, times, SOON)).await.unwrap()
}

/// A turn that calls `meet` once.
fn meeting() -> ScriptedTurn {
    ScriptedTurn::text(["done"]).call(ScriptedCall::new("meet", json!({})))
}

#[tokio::test]
async fn prompts_go_to_the_agents_in_turn_each_in_a_conversation_of_its_own() {
    let (server, client) = connected(vec![ScriptedTurn::text(["4", "2"])]).await;
    let options =
        MapOptions::agents(["agent-1", "agent-2"]).sessions(|options| options.mode("acceptEdits"));
    let batch = map(&client, ["a", "b", "c"], options).await.unwrap();
    let texts: Vec<_> =
        batch.items.iter().map(|item| &*item.result.as_ref().unwrap().text).collect();
    assert_eq!(texts, ["42"; 3]);
    assert_eq!(batch.usage.total_tokens, 3 * PER_RUN);
    let inputs = received(&server, "input");
    let mut asked: Vec<_> = inputs
        .iter()
        .map(|input| {
            let prompt = &input["payload"]["messages"][0]["content"];
            (prompt.as_str().unwrap(), input["runtime"]["agent_id"].as_str().unwrap())
        })
        .collect();
    asked.sort_unstable();
    assert_eq!(asked, [("a", "agent-1"), ("b", "agent-2"), ("c", "agent-1")]);
    let conversations: HashSet<_> =
        inputs.iter().map(|input| input["runtime"]["conversation_id"].as_str().unwrap()).collect();
    assert_eq!(conversations.len(), 3);
    let starts = received(&server, "runtime_start");
    assert!(starts.iter().all(|start| start["mode"] == "acceptEdits"), "{starts:?}");
}

#[tokio::test]
async fn one_that_fails_leaves_the_others_alone() {
    let mut failing = ScriptedTurn::text(["half"]);
    failing.error = Some("no credits".to_owned());
    let turns = vec![ScriptedTurn::text(["one"]), failing, ScriptedTurn::text(["three"])];
    let (_server, client) = connected(turns).await;
    let batch = map(&client, ["a", "b", "c"], MapOptions::agents(["x"]).limit(1)).await.unwrap();
    assert_eq!(batch.items[0].result.as_ref().unwrap().text, "one");
    let error = batch.items[1].result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert_eq!(batch.items[2].result.as_ref().unwrap().text, "three");
    // What a failed turn has used counts as well.
    assert_eq!(batch.usage.total_tokens, 3 * PER_RUN);
}

#[tokio::test]
async fn with_check_the_first_that_fails_stops_the_others() {
    let mut hanging = ScriptedTurn::text(["half"]);
    hanging.hang = true;
    let mut failing = ScriptedTurn::text(["bad"]);
    failing.error = Some("no credits".to_owned());
    let turns = vec![hanging, ScriptedTurn::text(["good"]), failing];
    let (server, client) = connected(turns).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let options = MapOptions::agents(["x"]).limit(2).check(true).progress(move |progress| {
        telling.lock().unwrap().push(progress.item.result.as_ref().unwrap().text.clone());
    });
    let error = timeout(SOON, map(&client, ["?"; 9], options)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert_eq!(error.result().unwrap().text, "bad");
    assert!(waits_for(&server, "abort_message", 1).await);
    assert_eq!(received(&server, "input").len(), 3, "no more begin");
    assert_eq!(*told.lock().unwrap(), ["good"]);
}

#[tokio::test]
async fn as_many_run_at_once_as_the_limit_says() {
    let (_server, client) = connected(vec![meeting()]).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let barrier = Arc::new(Barrier::new(2));
    // Nobody gets on before there are two.
    let meet = Tool::new("meet", "", json!({ "type": "object" }), move |_, _| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        let barrier = Arc::clone(&barrier);
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, String>(())
        }
    });
    let options = MapOptions::agents(["a", "b"]).limit(2);
    let options = options.sessions(move |options| options.tool(meet.clone()));
    let batch = timeout(SOON, map(&client, ["?"; 6], options)).await.unwrap().unwrap();
    assert!(batch.items.iter().all(|item| item.result.is_ok()), "{batch:?}");
    assert_eq!(highest.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn progress_is_told_as_it_comes_and_results_keep_their_order() {
    let (_server, client) = connected(vec![meeting()]).await;
    let second_is_done = Arc::new(Notify::new());
    let done = Arc::clone(&second_is_done);
    let meet = Tool::new("meet", "", json!({ "type": "object" }), move |_, call: ToolContext| {
        let second_is_done = Arc::clone(&second_is_done);
        async move {
            if call.runtime().unwrap()["agent_id"] == "first" {
                second_is_done.notified().await;
            }
            Ok::<_, String>(())
        }
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let options = MapOptions::agents(["first", "second"])
        .sessions(move |options| options.tool(meet.clone()))
        .progress(move |progress| {
            let agent = progress.item.result.as_ref().unwrap().agent_id.clone();
            let entry = (progress.index, progress.done, progress.total, agent);
            telling.lock().unwrap().push(entry);
            done.notify_one();
        });
    let batch = timeout(SOON, map(&client, ["a", "b"], options)).await.unwrap().unwrap();
    let expected = [(1, 1, 2, "second".to_owned()), (0, 2, 2, "first".to_owned())];
    assert_eq!(*told.lock().unwrap(), expected);
    let agents = batch.items.iter().map(|item| item.agent_id.as_str());
    assert_eq!(agents.collect::<Vec<_>>(), ["first", "second"]);
}

#[tokio::test]
async fn none_begins_while_a_lost_connection_is_opened_again() {
    let turns = vec![ScriptedTurn::text(["done"])];
    let options = ScriptOptions { turns, ..ScriptOptions::default() };
    let server = Arc::new(MockServer::scripted(options).unwrap());
    // It would not be tried again by itself for ten hours.
    let long = Duration::from_secs(36_000);
    let rules = Reconnect { max_attempts: None, base: long, cap: long };
    let options = ConnectOptions::new(server.url()).reconnect(Some(rules));
    let client = Client::new(options).unwrap();
    client.connect().await.unwrap();
    let cut = Arc::clone(&server);
    let options = MapOptions::agents(["a"]).limit(2).progress(move |progress| {
        if progress.done == 1 {
            cut.cut_connections();
        }
    });
    let mut events = client.events();
    let reopened = async {
        while client.state() != State::Reconnecting {
            events.next().await.unwrap();
        }
        client.connect().await.unwrap();
    };
    let (batch, ()) =
        timeout(SOON, async { tokio::join!(map(&client, ["?"; 30], options), reopened) })
            .await
            .unwrap();
    let failed = batch.unwrap().items.iter().filter(|item| item.result.is_err()).count();
    assert!(failed <= 2, "{failed}: no more than were under way");
}

#[tokio::test]
async fn where_the_server_is_gone_it_ends_when_a_turn_would() {
    let (server, client) = connected(vec![ScriptedTurn::text(["done"])]).await;
    let gone = Arc::clone(&server);
    let turns =
        TurnOptions { recover_timeout: Duration::from_millis(200), ..TurnOptions::default() };
    let options = MapOptions::agents(["a"])
        .limit(2)
        .sessions(move |options| options.turns(turns.clone()))
        .progress(move |progress| {
            if progress.done == 1 {
                gone.close();
            }
        });
    let batch = timeout(SOON, map(&client, ["?"; 30], options)).await.unwrap().unwrap();
    let failed = batch.items.iter().filter_map(|item| item.result.as_ref().err());
    let kinds: Vec<_> = failed.map(letta_app_client::Error::kind).collect();
    assert!(kinds.len() >= 27, "{kinds:?}");
    assert!(kinds.iter().skip(2).all(|kind| *kind == ErrorKind::Disconnected), "{kinds:?}");
}

#[tokio::test]
async fn dropping_it_stops_what_runs() {
    let mut hanging = ScriptedTurn::text(["half"]);
    hanging.hang = true;
    let (server, client) = connected(vec![hanging]).await;
    {
        let asking = map(&client, ["?"; 4], MapOptions::agents(["a"]).limit(2));
        tokio::select! {
            batch = asking => unreachable!("{batch:?}"),
            sent = waits_for(&server, "input", 2) => assert!(sent),
        }
    }
    assert!(waits_for(&server, "abort_message", 2).await);
    assert_eq!(received(&server, "input").len(), 2);
}

#[tokio::test]
async fn options_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let (server, client) = connected(vec![ScriptedTurn::text(["done"])]).await;
    let tool = |name| Tool::new(name, "", json!({}), |_, _| async { Ok::<_, String>(()) });
    let agents = || MapOptions::agents(["a", "b"]);
    let asking = TurnOptions { approvals: Some(Approvals::Ask), ..TurnOptions::default() };
    for (options, field) in [
        (MapOptions::agents(["a", ""]), "agents"),
        (agents().sessions(move |options| options.tools([tool("one"), tool("one")])), "tools"),
        (agents().sessions(|options| options.timeout(Duration::ZERO)), "timeout"),
        (agents().sessions(|options| options.cwd("")), "cwd"),
        (agents().sessions(move |options| options.turns(asking.clone())), "approvals"),
    ] {
        let error = map(&client, ["?"; 3], options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
        assert!(error.message().starts_with(&format!("{field}: ")), "{error}");
    }
    for (options, words) in [
        (agents().sessions(|options| options.mode("bogus")), "`runtime_start`: field `mode`"),
        (agents().sessions(|options| options.field("skil_sources", json!([]))), "skil_sources"),
        (agents().sessions(|options| options.field("create_conversation", json!(5))), "expected"),
    ] {
        let error = map(&client, ["?"; 3], options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCommand, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    assert!(received(&server, "runtime_start").is_empty());
}

#[tokio::test]
async fn without_agents_or_room_nothing_is_sent() {
    let (server, client) = connected(Vec::new()).await;
    let nobody: [&str; 0] = [];
    for options in [MapOptions::agents(nobody), MapOptions::agents(["a"]).limit(0)] {
        let error = map(&client, ["?"], options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }
    assert!(received(&server, "runtime_start").is_empty());
    let nothing: [&str; 0] = [];
    let batch = map(&client, nothing, MapOptions::agents(["a"])).await.unwrap();
    assert!(batch.items.is_empty());
}

#[tokio::test]
async fn prompts_may_be_borrowed() {
    let (_server, client) = connected(vec![ScriptedTurn::text(["done"])]).await;
    let prompts = ["a", "b"];
    let batch = map(&client, prompts.iter(), MapOptions::agents(["agent-1"])).await.unwrap();
    let asked: Vec<_> = batch.items.iter().map(|item| item.prompt.text()).collect();
    assert_eq!(asked, prompts.map(Some));
}

#[tokio::test]
async fn a_prompt_that_cannot_be_sent_starts_no_conversation() {
    let (server, client) = connected(vec![ScriptedTurn::text(["done"])]).await;
    let part = json!([{ "type": "text", "txt": "?" }]);
    let prompts = [json!("a"), json!(7), Value::Null, part.clone()].map(Prompt::from);
    let batch = map(&client, prompts, MapOptions::agents(["agent-1"])).await.unwrap();
    let kinds: Vec<_> =
        batch.items.iter().map(|item| item.result.as_ref().err().map(Error::kind)).collect();
    let refused = Some(ErrorKind::InvalidCommand);
    assert_eq!(kinds, [None, refused, refused, refused]);
    assert_eq!(received(&server, "runtime_start").len(), 1);
    // In the words of a session.
    let session = client.session(SessionOptions::agent("agent-1")).await.unwrap();
    let told = session.run(part).await.unwrap_err();
    assert_eq!(batch.items[3].result.as_ref().unwrap_err().to_string(), told.to_string());
}

#[tokio::test]
async fn a_closed_client_is_refused() {
    let (_server, client) = connected(vec![ScriptedTurn::text(["done"])]).await;
    client.close().await;
    for prompts in [vec!["a", "b"], vec![]] {
        let error = map(&client, prompts, MapOptions::agents(["agent-1"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}

#[tokio::test]
async fn what_was_not_sent_because_the_connection_was_lost_is_sent_on_the_next() {
    let turn = ScriptedTurn { delay_ms: 4, ..ScriptedTurn::text(["done"]) };
    let (server, client) = connected(vec![turn]).await;
    let cut = Arc::clone(&server);
    let turns = TurnOptions { resend: Some(Resend::Never), ..TurnOptions::default() };
    let options = MapOptions::agents(["agent-1", "agent-2"])
        .limit(16)
        .sessions(move |options| options.turns(turns.clone()))
        .progress(move |progress| {
            if progress.done.is_multiple_of(25) {
                cut.cut_connections();
            }
        });
    let prompts = (0..300).map(|number| number.to_string());
    let batch = timeout(6 * SOON, map(&client, prompts, options)).await.unwrap().unwrap();
    let errors = batch.items.iter().filter_map(|item| item.result.as_ref().err());
    let unsent: Vec<_> = errors
        .filter(|error| error.kind() == ErrorKind::Disconnected && error.retryable())
        .map(ToString::to_string)
        .collect();
    assert_eq!(unsent, Vec::<String>::new());
    let mut asked = HashSet::new();
    for input in received(&server, "input") {
        assert!(asked.insert(input["payload"]["messages"][0]["content"].to_string()), "{input}");
    }
}
