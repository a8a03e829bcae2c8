//! This project's Rust client, as a program uses it.

use std::time::Instant;

use futures_util::future::try_join_all;
use letta_app_client::{Client, ConnectOptions, TurnEvent, TurnOptions, TurnUpdate};
use serde_json::{Value, json};

use super::Outcome;
use crate::usage::Usage;

async fn connected(url: &str) -> Result<Client, letta_app_client::Error> {
    let settle_pause = std::time::Duration::ZERO;
    let client = Client::new(ConnectOptions::new(url).settle_pause(settle_pause))?;
    client.connect().await?;
    Ok(client)
}

async fn started(client: &Client, number: usize) -> Result<Value, letta_app_client::Error> {
    let fields =
        json!({ "agent_id": "a", "conversation_id": format!("c-{number}"), "mode": "standard" });
    let started = client.runtime_start(fields).await?;
    Ok(json!({ "runtime": started.json()["runtime"],
        "payload": { "kind": "create_message", "messages": [{ "role": "user", "content": "go" }] } }))
}

/// One turn to warm up, and so many that are measured.
///
/// # Errors
///
/// When the connection is lost.
pub async fn stream(url: &str, turns: usize) -> Outcome {
    let client = connected(url).await?;
    let input = started(&client, 0).await?;
    let (mut usage, mut pieces) = (Usage::now(), 0);
    for number in 0..=turns {
        if number == 1 {
            (usage, pieces) = (Usage::now(), 0);
        }
        let mut turn = client.send_turn(input.clone(), TurnOptions::default())?;
        while let Some(update) = turn.next().await {
            let is_text = matches!(update, TurnUpdate::Event(TurnEvent::AssistantDelta { .. }));
            pieces += usize::from(is_text);
        }
    }
    println!("{}", usage.report(pieces, None));
    client.close().await;
    Ok(())
}

/// Turns on many runtimes at once.
///
/// # Errors
///
/// When the connection is lost.
pub async fn turns(url: &str, runtimes: usize, turns: usize) -> Outcome {
    let client = connected(url).await?;
    let mut inputs = Vec::new();
    for number in 0..runtimes {
        inputs.push(started(&client, number).await?);
    }
    let several = async |input: &Value, count: usize| {
        for _ in 0..count {
            client.run_turn(input.clone(), TurnOptions::default()).await?;
        }
        Ok::<_, letta_app_client::Error>(())
    };
    try_join_all(inputs.iter().take(64).map(|input| several(input, 1))).await?;
    let usage = Usage::now();
    try_join_all(inputs.iter().map(|input| several(input, turns))).await?;
    println!("{}", usage.report(turns * runtimes, None));
    client.close().await;
    Ok(())
}

/// So many requests, some of them at a time.
///
/// # Errors
///
/// When the connection is lost.
pub async fn requests(url: &str, outstanding: usize, count: usize) -> Outcome {
    let client = connected(url).await?;
    let worker = async |count: usize| {
        let mut times = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            client.request("conversation_list", json!({})).await?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        Ok::<_, letta_app_client::Error>(times)
    };
    worker(200).await?;
    let usage = Usage::now();
    let times = try_join_all((0..outstanding).map(|_| worker(count / outstanding))).await?;
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    println!("{}", usage.report(times.len(), times.get(times.len() / 2).copied()));
    client.close().await;
    Ok(())
}
