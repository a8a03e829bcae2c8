//! Connects and closes so often, then runs so many turns: `endurance URL TIMES`. Prints what the process holds
//! at the beginning, half-way and at the end of each, as JSON.

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use letta_app_client::{Client, ConnectOptions, TurnOptions, TurnUpdate};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(times)) = (arguments.next(), arguments.next()) else {
        return Err("usage: endurance URL TIMES".into());
    };
    let times = times.parse()?;
    let connections = measured(times, async || {
        let client = Client::new(ConnectOptions::new(&url))?;
        let _events = client.events();
        start(&client).await?;
        client.close().await;
        Ok(())
    });
    let connections = connections.await?;

    let mut options = ConnectOptions::new(&url);
    options.settle_pause = Duration::ZERO;
    let client = Client::new(options)?;
    let runtime = start(&client).await?;
    let turns = measured(times, async || {
        let message = json!({ "role": "user", "content": "?" });
        let payload = json!({ "kind": "create_message", "messages": [message] });
        let fields = json!({ "runtime": runtime, "payload": payload });
        let mut turn = client.send_turn(fields, TurnOptions::default())?;
        let mut events = 0;
        while let Some(update) = turn.next().await {
            events += usize::from(matches!(update, TurnUpdate::Event(_)));
        }
        turn.result().await?;
        if events <= 20 { Err(format!("{events} events").into()) } else { Ok(()) }
    });
    let turns = turns.await?;
    client.close().await;
    println!("{}", json!({ "connections": connections, "turns": turns }));
    Ok(())
}

async fn start(client: &Client) -> Outcome<Value> {
    client.connect().await?;
    let fields = json!({ "agent_id": "a", "mode": "standard" });
    Ok(client.runtime_start(fields).await?.json()["runtime"].clone())
}

async fn measured(times: usize, one: impl AsyncFn() -> Outcome<()>) -> Outcome<Value> {
    // What the crate keeps for the life of the process comes with the first.
    one().await?;
    let before = (count("task")?, count("fd")?);
    let mut resident = vec![memory()?];
    for _ in 0..2 {
        for _ in 0..times / 2 {
            one().await?;
        }
        resident.push(memory()?);
    }
    // The socket is closed by a thread of the crate, which may need a moment more.
    let patience = Instant::now() + Duration::from_secs(5);
    let mut after = (count("task")?, count("fd")?);
    while after != before && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(10)).await;
        after = (count("task")?, count("fd")?);
    }
    Ok(json!({
        "threads": [before.0, after.0],
        "descriptors": [before.1, after.1],
        "memory": resident,
    }))
}

/// How many threads (`task`) or descriptors (`fd`); the one that lists the folder is among these, every time.
fn count(what: &str) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/self/{what}"))?.count())
}

/// KiB that are resident.
fn memory() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.unwrap_or_default().split_whitespace().next();
    Ok(words.ok_or("no VmRSS")?.parse()?)
}
