//! `replay`: what the engine makes of a recording.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::args::Args;
use super::out::{Look, Out};
use super::words::short;
use super::{Exit, Outcome, render};
use crate::error::{Error, ErrorKind};
use crate::testing::replay_events;

pub(super) async fn run(args: &Args, file: &Path, out: &mut Out) -> Outcome {
    let mut at = 0;
    let file = file.to_owned();
    // A large one takes its time, in which Ctrl-C is to end it.
    let read = tokio::task::spawn_blocking(move || replay_events(&file)).await;
    for event in read.map_err(|failed| Error::new(ErrorKind::Internal, failed.to_string()))?? {
        tokio::task::yield_now().await;
        let value: Value = serde_json::from_str(event.get()).unwrap_or_default();
        let t_ms = value["t_ms"].as_u64().unwrap_or(at);
        if args.speed > 0.0 && t_ms > at {
            let pause = Duration::from_millis(t_ms - at).as_secs_f64() / args.speed;
            // No pace is too slow: it waits until Ctrl-C.
            let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
            tokio::time::sleep(pause).await;
        }
        at = t_ms;
        if args.json {
            out.line(event.get().replace(['\n', '\r'], " "))?;
        } else if let Some(line) = shown(out, t_ms, &value) {
            out.line(line)?;
        }
    }
    Ok(Exit::Done)
}

fn shown(out: &Out, t_ms: u64, event: &Value) -> Option<String> {
    let seconds = Duration::from_millis(t_ms).as_secs_f64();
    let turn = &event["turn"];
    let word = |text: String, look: Look| {
        let time = out.looking(&format!("{seconds:9.3}"), Look::Faint);
        Some(format!("{time} {}", out.looking(&text, look)))
    };
    match event["type"].as_str().unwrap_or_default() {
        "sent" => Some(render::frame(out, seconds, ">", &event["frame"])),
        "message" => Some(render::frame(out, seconds, "<", &event["frame"])),
        "open" => word("= connected".to_owned(), Look::Good),
        "closed" => word(format!("= closed ({})", event["code"]), Look::Warn),
        "turn" => {
            let result = &event["result"];
            let status = result["status"].as_str().unwrap_or("?");
            let said = short(result["text"].as_str().unwrap_or_default(), 200);
            word(format!("= turn {turn} {status}: {said}"), Look::Good)
        }
        "turn_failed" => {
            let why = short(event["error"]["message"].as_str().unwrap_or_default(), 200);
            word(format!("= turn {turn} failed: {why}"), Look::Bad)
        }
        // The frames that they come from are shown.
        _ => None,
    }
}
