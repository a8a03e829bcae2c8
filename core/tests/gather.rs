//! Turns that were sent, waited for together, against the server double.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
use letta_app_client::{
    Approvals, Client, ConnectOptions, ErrorKind, Session, SessionOptions, TurnOptions, gather,
    gather_checked, gather_with,
};
use serde_json::json;
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

async fn waits_for(server: &Arc<MockServer>, kind: &'static str, times: usize) -> bool {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || server.wait_received(kind, times, SOON)).await.unwrap()
}

/// Sessions of two agents.
async fn sessions(client: &Client) -> [Session; 2] {
    let open = |agent| client.session(SessionOptions::agent(agent));
    [open("agent-1").await.unwrap(), open("agent-2").await.unwrap()]
}

#[tokio::test]
async fn turns_that_were_sent_are_gathered_in_their_order() {
    let mut failing = ScriptedTurn::text(["half"]);
    failing.error = Some("no credits".to_owned());
    let (server, client) = connected(vec![ScriptedTurn::text(["one"]), failing]).await;
    let [here, there] = sessions(&client).await;
    let parts = json!([{ "type": "text", "text": "b" }]);
    let good = here.send("a").unwrap();
    assert_eq!((good.prompt().text(), good.agent_id()), (Some("a"), "agent-1"));
    // The double plays its turns in the order of the inputs.
    assert!(waits_for(&server, "input", 1).await);
    let bad = there.send(parts.clone()).unwrap();
    let mut told = Vec::new();
    let batch = timeout(
        SOON,
        gather_with([bad, good], |progress| {
            told.push((progress.done, progress.total));
            assert!(progress.index < 2 && progress.item.result.is_ok() == (progress.index == 1));
        }),
    );
    let batch = batch.await.unwrap();
    let asked: Vec<_> =
        batch.items.iter().map(|item| (item.agent_id.as_str(), item.prompt.content())).collect();
    assert_eq!(asked, [("agent-2", &parts), ("agent-1", &json!("a"))]);
    // `send` gives a turn that failed as a result; here it is an error, as of `map`.
    let error = batch.items[0].result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert!(error.message().contains("no credits"), "{error}");
    assert_eq!(error.result().unwrap().text, "half");
    assert_eq!(batch.items[1].result.as_ref().unwrap().text, "one");
    assert_eq!(told, [(1, 2), (2, 2)]);
    assert_eq!(batch.usage.total_tokens, 2 * PER_RUN);
    // Sessions count what was gathered.
    assert_eq!(here.usage().total_tokens + there.usage().total_tokens, 2 * PER_RUN);
    assert!(gather([]).await.items.is_empty());
}

#[tokio::test]
async fn with_check_the_first_that_fails_stops_the_others() {
    let mut hanging = ScriptedTurn::text(["half"]);
    hanging.hang = true;
    let mut failing = ScriptedTurn::text(["bad"]);
    failing.error = Some("no credits".to_owned());
    let good = ScriptedTurn::text(["good"]);
    let (server, client) = connected(vec![good, hanging, failing]).await;
    let [here, there] = sessions(&client).await;
    let first = gather_checked([here.send("a").unwrap()], |_| {}).await.unwrap();
    assert_eq!(first.items[0].result.as_ref().unwrap().text, "good");
    let stuck = here.send("b").unwrap();
    // The double plays its turns in the order of the inputs.
    assert!(waits_for(&server, "input", 2).await);
    let bad = there.send("c").unwrap();
    let error = timeout(SOON, gather_checked([stuck, bad], |_| {})).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnFailed);
    assert_eq!(error.result().unwrap().text, "bad");
    assert!(waits_for(&server, "abort_message", 1).await);
}

#[tokio::test]
async fn gathering_answers_permissions_that_nobody_else_can() {
    let asking = ScriptedTurn::text(["done"])
        .call(ScriptedCall { needs_approval: true, ..ScriptedCall::new("Bash", json!({})) });
    let (_server, client) = connected(vec![asking]).await;
    let [session, _] = sessions(&client).await;
    let options = TurnOptions { approvals: Some(Approvals::Ask), ..session.turn_options() };
    let turn = session.send_with("a", options).unwrap();
    let batch = timeout(SOON, gather([turn])).await.unwrap();
    let result = batch.items[0].result.as_ref().unwrap();
    assert_eq!(result.tool_calls[0].status.as_deref(), Some("error"));
}

#[tokio::test]
async fn dropping_the_gathering_stops_its_turns() {
    let mut hanging = ScriptedTurn::text(["half"]);
    hanging.hang = true;
    let (server, client) = connected(vec![hanging]).await;
    let [here, there] = sessions(&client).await;
    {
        let gathering = gather([here.send("a").unwrap(), there.send("b").unwrap()]);
        tokio::select! {
            batch = gathering => unreachable!("{batch:?}"),
            sent = waits_for(&server, "input", 2) => assert!(sent),
        }
    }
    assert!(waits_for(&server, "abort_message", 2).await);
}

#[tokio::test]
async fn a_stopped_turn_is_gathered_as_an_error() {
    let mut hanging = ScriptedTurn::text(["half"]);
    hanging.hang = true;
    let (server, client) = connected(vec![hanging]).await;
    let [session, _] = sessions(&client).await;
    let gathering = gather([session.send("a").unwrap()]);
    let stopping = async {
        assert!(waits_for(&server, "input", 1).await);
        session.close();
    };
    let (batch, ()) = timeout(SOON, async { tokio::join!(gathering, stopping) }).await.unwrap();
    let error = batch.items[0].result.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TurnAborted);
}
