//! `bench`: how quick a server is, with requests that change nothing.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde_json::json;

use super::args::Args;
use super::out::Out;
use super::{Exit, Outcome, Stop, target};
use crate::client::Client;

/// How many connections are opened, and how many requests wait at once.
const CONNECTS: usize = 5;
const AT_ONCE: usize = 16;

pub(super) async fn run(args: &Args, out: &mut Out) -> Outcome {
    let count = args.count.unwrap_or(100).max(1);
    let mut connects = Vec::new();
    for _ in 1..CONNECTS {
        let client = Client::new(target::options(args))?;
        let begun = Instant::now();
        client.connect().await?;
        connects.push(begun.elapsed());
        client.close().await;
    }
    let begun = Instant::now();
    let client = target::connected(target::options(args), out).await?;
    connects.push(begun.elapsed());
    out.note(&format!("{count} requests one after the other"));
    let mut trips = Vec::new();
    for _ in 0..count {
        trips.push(round_trip(&client).await?);
    }
    out.note(&format!("{count} requests, {AT_ONCE} at once"));
    let begun = Instant::now();
    let asked = stream::iter((0..count).map(|_| round_trip(&client))).buffer_unordered(AT_ONCE);
    let outcomes: Vec<_> = asked.collect().await;
    for outcome in outcomes {
        outcome?;
    }
    let rate = count as u64 * 1_000_000
        / u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    let (connect, trip) = (spread(&mut connects), spread(&mut trips));
    if args.json {
        let figures = |(low, median, high): (f64, f64, f64)| json!({ "min_ms": low, "median_ms": median, "max_ms": high });
        let all = json!({ "connect": figures(connect), "request": figures(trip), "requests_per_second": rate });
        out.line(all.to_string())?;
    } else {
        let line = |name: &str, (low, median, high): (f64, f64, f64)| {
            format!("{name:<20} min {low:8.2} ms   median {median:8.2} ms   max {high:8.2} ms")
        };
        out.line(line("connect", connect))?;
        out.line(line("request", trip))?;
        out.line(format!("{:<20} {rate} per second, {AT_ONCE} at once", "throughput"))?;
    }
    Ok(Exit::Done)
}

/// The time of a request that both generations answer, and that asks for little.
pub(super) async fn round_trip(client: &Client) -> Result<Duration, Stop> {
    let begun = Instant::now();
    client.request("agent_list", json!({ "query": { "limit": 1 } })).await?;
    Ok(begun.elapsed())
}

/// The least, the middle one and the most, in milliseconds.
pub(super) fn spread(times: &mut [Duration]) -> (f64, f64, f64) {
    times.sort_unstable();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    (ms(times.first()), ms(times.get(times.len() / 2)), ms(times.last()))
}
