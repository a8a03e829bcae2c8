//! Readers that take one item per millisecond of a flood, beside a fast one: `backpressure URL DELTAS`. Prints
//! what each of them got, merged and missed, and by how much the process grew, as JSON.

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use letta_app_client::{
    Backpressure, Client, ConnectOptions, Event, Events, MessageFilter, Messages, Turn, TurnEvent,
    TurnOptions, TurnUpdate,
};
use serde_json::json;
use tokio::time::{sleep, timeout};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long may be read what waits at the end of the flood.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the flood stands.
struct Flood {
    is_over: Cell<bool>,
    /// Deltas of all kinds; known once the fast reader is done.
    sent: Cell<u64>,
    most_memory: Cell<u64>,
}

impl Flood {
    async fn pause(&self) {
        if !self.is_over.get() {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn look(&self) -> Outcome<()> {
        self.most_memory.set(self.most_memory.get().max(memory()?));
        Ok(())
    }

    /// Everything, as it comes.
    async fn fast(&self, mut all: Events) -> Outcome<[u64; 4]> {
        let (mut frames, mut deltas, mut missing) = (0_u64, 0, 0);
        while let Some(event) = all.next().await {
            match event {
                Event::Lagged { dropped } => missing += dropped,
                Event::Message(message) if message.kind() == "stream_delta" => deltas += 1,
                Event::Message(message) if message.kind() == "turn_finished" => break,
                _ => {}
            }
            frames += 1;
            if frames % 1000 == 0 {
                self.look()?;
            }
        }
        self.sent.set(deltas);
        self.is_over.set(true);
        Ok([deltas, deltas, 0, missing])
    }

    async fn slow_turn(&self, turn: &mut Turn, sent: u64) -> [u64; 4] {
        let (mut given, mut merges, mut drops) = (0, 0, 0);
        while let Some(update) = turn.next().await {
            match update {
                TurnUpdate::Event(TurnEvent::AssistantDelta { .. }) => given += 1,
                TurnUpdate::Lagged { dropped, merged } => {
                    merges += merged;
                    drops += dropped;
                }
                _ => {}
            }
            self.pause().await;
        }
        [sent, given, merges, drops]
    }

    async fn slow_frames(&self, mut few: Messages) -> [u64; 4] {
        let mut given = 0;
        while few.next().await.is_some() {
            given += 1;
            self.pause().await;
            // What waits is all that comes, once the flood is over.
            if given + few.dropped() >= self.sent.get() {
                break;
            }
        }
        [self.sent.get(), given, 0, few.dropped()]
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(deltas)) = (arguments.next(), arguments.next()) else {
        return Err("usage: backpressure URL DELTAS".into());
    };
    let deltas = deltas.parse()?;
    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let fields = json!({ "agent_id": "a", "mode": "standard" });
    let runtime = client.runtime_start(fields).await?.json()["runtime"].clone();

    let (begin, before) = (Instant::now(), memory()?);
    let flood = Flood {
        is_over: Cell::new(false),
        sent: Cell::new(u64::MAX),
        most_memory: Cell::new(before),
    };
    let limits = |max_items| Backpressure { max_items, ..Backpressure::default() };
    let filter = |kind| MessageFilter::all().types([kind]);
    let all = client.events();
    let few = client.messages_with(filter("stream_delta"), limits(10_000))?;
    let mut ends = client.messages_with(filter("turn_finished"), limits(1))?;
    let message = json!({ "role": "user", "content": "?" });
    let payload = json!({ "kind": "create_message", "messages": [message] });
    let fields = json!({ "runtime": runtime, "payload": payload });
    let mut turn = client.send_turn(fields, TurnOptions::default())?;

    let quick = async {
        let counts = flood.fast(all).await;
        (counts, begin.elapsed())
    };
    let patience = async {
        while !flood.is_over.get() {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(PATIENCE).await;
    };
    let readers =
        async { tokio::join!(quick, flood.slow_turn(&mut turn, deltas), flood.slow_frames(few)) };
    let ((fast, seconds), followed, frames) = tokio::select! {
        rows = readers => rows,
        () = patience => return Err("what waited was not read".into()),
    };
    let end = timeout(PATIENCE, ends.next()).await?;
    let result = turn.result().await?;
    flood.look()?;
    client.close().await;
    let finished = end.is_some_and(|end| end.kind() == "turn_finished");
    println!(
        "{}",
        json!({
            "seconds": seconds.as_secs_f64(),
            "memory": [before, flood.most_memory.get()],
            "readers": { "turn": followed, "frames": frames, "fast": fast? },
            "finished": finished && result.stop_reason.as_deref() == Some("end_turn"),
            "bytes": result.text.len(),
        })
    );
    Ok(())
}

/// KiB that are resident.
fn memory() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.unwrap_or_default().split_whitespace().next();
    Ok(words.ok_or("no VmRSS")?.parse()?)
}
