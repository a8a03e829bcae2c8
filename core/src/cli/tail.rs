//! `tail`: the frames of a server as they come.

use std::time::Instant;

use serde_json::{Value, json};

use super::args::Args;
use super::given::LONGEST;
use super::out::{Look, Out};
use super::{Exit, Outcome, Stop, render, target};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::events::Event;
use crate::state::State;

pub(super) async fn run(args: &Args, out: &mut Out) -> Outcome {
    let client = Client::new(target::options(args))?;
    out.clients.push(client.clone());
    let mut events = client.events();
    client.connect().await?;
    out.note(&format!("connected to {}", crate::options::shown(&args.url)));
    subscribe(args, &client).await?;
    follow(args, &client, &mut events, out, true).await
}

/// Asks for the events of the conversation that the options name; a server sends them to those who do.
pub(super) async fn subscribe(args: &Args, client: &Client) -> Result<(), Stop> {
    match (&args.agent, &args.conversation) {
        (Some(agent), Some(conversation)) => {
            let runtime = json!({ "agent_id": agent, "conversation_id": conversation });
            client.sync(json!({ "runtime": runtime, "recover_approvals": false })).await?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Counts, and where wanted shows, frames until a limit of the options or the end of the connection. One that is lost
/// is opened again; a limit that comes meanwhile is no success.
pub(super) async fn follow(
    args: &Args,
    client: &Client,
    events: &mut crate::Events,
    out: &mut Out,
    show: bool,
) -> Outcome {
    let begun = Instant::now();
    let end = args.seconds.map(|seconds| tokio::time::Instant::now() + seconds);
    let far = tokio::time::Instant::now() + LONGEST;
    let (mut seen, mut lost) = (0, String::new());
    while args.count.is_none_or(|count| seen < count) {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep_until(end.unwrap_or(far)) => break,
        };
        match event {
            Some(Event::Message(message)) => {
                let frame = message.json();
                let kind = frame["type"].as_str().unwrap_or_default();
                if !args.types.is_empty() && !args.types.iter().any(|wanted| wanted == kind) {
                    continue;
                }
                seen += 1;
                if show && args.json {
                    out.line(one_line(message.text()))?;
                } else if show {
                    let line = render::frame(out, begun.elapsed().as_secs_f64(), "<", &frame);
                    out.line(line)?;
                }
            }
            Some(Event::Disconnected { reason, will_reconnect: true, .. }) => {
                out.aside(&format!("the connection was lost: {reason}"), Look::Warn);
                lost = reason;
            }
            Some(Event::State { state: State::Open, .. }) if !lost.is_empty() => {
                out.aside("the connection is back", Look::Warn);
                lost.clear();
            }
            Some(Event::Disconnected { reason, code, .. }) => {
                let message = format!("the connection was lost: {reason}");
                let error = Error::new(ErrorKind::Disconnected, message);
                return Err(error.with_close_code(Some(code)).into());
            }
            // There will be no other attempt: the server has refused one for good.
            Some(Event::State { state: State::Disconnected, error: Some(error) }) => {
                return Err(error.into());
            }
            Some(Event::Lagged { dropped }) => {
                out.aside(
                    &format!(
                        "{dropped} frames were dropped because they could not be shown in time"
                    ),
                    Look::Bad,
                );
            }
            Some(Event::Unrecorded { reason }) => out.unrecorded(reason),
            Some(_) => {}
            None => break,
        }
    }
    out.note(&format!("{seen} frames"));
    let is_open = client.state() == State::Open;
    if !is_open && args.count.is_none_or(|count| seen < count) {
        let reason = if lost.is_empty() { String::new() } else { format!(": {lost}") };
        let message = format!("the connection was lost, and is not back{reason}");
        return Err(Error::new(ErrorKind::Disconnected, message).into());
    }
    Ok(Exit::Done)
}

/// A frame as it came, on one line: line ends may only stand between the tokens of JSON.
fn one_line(text: &str) -> String {
    if serde_json::from_str::<Value>(text).is_ok() {
        text.replace(['\n', '\r'], " ")
    } else {
        text.to_owned()
    }
}
