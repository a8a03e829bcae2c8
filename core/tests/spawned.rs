//! What a program may hand to a task of its executor: the futures of the whole client, made where they run.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::future::IntoFuture;
use std::time::Duration;

use letta_app_client::protocol::types::AgentListCommand;
use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
use letta_app_client::{
    ApprovalRequest, ApprovalRequests, Batch, Client, ConnectOptions, Error, Events, FileChanges,
    MapOptions, Messages, Policy, Server, Session, SessionOptions, StoredMessages, Terminal,
    TimeLimit, Tool, ToolCallRequest, ToolCalls, ToolContext, Turn, TurnOptions, TurnUpdate,
    gather, map,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn connected() -> (MockServer, Client) {
    let turns = vec![ScriptedTurn::text(["done"])];
    let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap();
    let client = Client::new(ConnectOptions::new(server.url())).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

/// Says at compile time that a future can be spawned.
fn spawnable<F: Future<Output: Send> + Send + 'static>(future: F) -> F {
    future
}

fn shared_between_threads<T: Send + Sync + 'static>() {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_prompts_can_be_asked_in_a_task() {
    let (_server, client) = connected().await;
    let asking = tokio::spawn(async move {
        map(&client, vec!["a", "b", "c"], MapOptions::agents(["x", "y"]).limit(2)).await
    });
    let batch = timeout(SOON, asking).await.unwrap().unwrap().unwrap();
    let agents: Vec<_> = batch.items.iter().map(|item| item.agent_id.as_str()).collect();
    assert_eq!(agents, ["x", "y", "x"]);
    assert!(batch.items.iter().all(|item| item.result.is_ok()), "{:?}", batch.items);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_can_be_awaited_in_a_task() {
    let (_server, client) = connected().await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    let turn = session.send("?").unwrap();
    let result = timeout(SOON, tokio::spawn(turn.into_future())).await.unwrap().unwrap();
    assert_eq!(result.unwrap().text, "done");
    let turns = [session.send("?").unwrap(), session.send("?").unwrap()];
    let batch = timeout(SOON, tokio::spawn(gather(turns))).await.unwrap().unwrap();
    assert_eq!(batch.items.len(), 2);
}

#[tokio::test]
async fn every_call_makes_a_future_that_can_be_spawned() {
    let (_server, client) = connected().await;
    let session = client.session(SessionOptions::agent("a")).await.unwrap();
    // Not polled: what they are is known without that. Each owns what it needs, as in a task.
    macro_rules! in_a_task {
        ($owner:ident => $($call:expr;)*) => {$({
            #[allow(unused_mut, reason = "some calls want it")]
            let mut $owner = $owner.clone();
            drop(spawnable(async move {
                let _outcome = $call.await;
            }));
        })*};
    }
    in_a_task! { client =>
        client.connect();
        client.close();
        client.session(SessionOptions::agent("a"));
        client.call(AgentListCommand::new());
        client.request("agent_list", json!({}));
        client.request_raw("{}", TimeLimit::Never, |_| true);
        client.run_turn(json!({}), TurnOptions::default());
        client.send_turn(json!({}), TurnOptions::default()).unwrap().result();
        client.agents().list(AgentListCommand::new());
        client.terminals().open(80, 24, None);
        client.events().next();
        client.tool_calls().next();
    }
    in_a_task! { session =>
        session.run("?");
        session.run_as::<Value>("?", &json!({ "type": "object" }));
        session.fork();
        session.set_cwd(".");
        session.abort();
        session.update_model("m");
    }
    shared_between_threads::<(Client, Session, Turn, TurnUpdate, Batch, MapOptions, Error)>();
    shared_between_threads::<(Events, Messages, StoredMessages, FileChanges, Terminal, Server)>();
    shared_between_threads::<(ApprovalRequest, ApprovalRequests, ToolCallRequest, ToolCalls)>();
    shared_between_threads::<(ConnectOptions, SessionOptions, Tool, ToolContext, Policy)>();
    client.close().await;
}
