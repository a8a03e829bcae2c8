//! `run`: one turn, its text on standard output, everything else beside it.

use serde_json::{Value, json};

use super::args::Args;
use super::ask;
use super::out::{Look, Out};
use super::words::{harmless, short};
use super::{Exit, Outcome, Stop, target, typed};
use crate::client::Client;
use crate::engine::{TurnEvent, TurnOptions, TurnResult, TurnStatus};
use crate::error::Error;
use crate::events::Event;
use crate::session::SessionOptions;
use crate::turn::TurnUpdate;

pub(super) async fn run(args: &Args, prompt: &str, out: &mut Out) -> Outcome {
    let prompt = if prompt == "-" { typed::all().await? } else { prompt.to_owned() };
    let mut options = target::options(args);
    options.connect_timeout = args.timeout.unwrap_or(options.connect_timeout);
    let client = target::connected(options, out).await?;
    turn(args, &client, prompt, out).await
}

fn session_options(args: &Args) -> SessionOptions {
    let mut options = match &args.agent {
        Some(agent) => SessionOptions::agent(agent),
        None => SessionOptions::new_agent(&json!({ "name": "letta-app", "model": args.model }))
            .unpinned(),
    };
    if let Some(conversation) = &args.conversation {
        options = options.conversation(conversation);
    }
    options.mode(&args.mode).cwd(&args.cwd)
}

async fn turn(args: &Args, client: &Client, prompt: String, out: &mut Out) -> Outcome {
    let mut events = client.events();
    let (policy, mut desk) = ask::policy(&args.allow);
    let session = client.session(session_options(args).approvals(policy)).await?;
    out.note(&format!("{} {}", session.agent_id(), session.conversation_id()));
    let limits = TurnOptions { timeout: args.timeout, ..session.turn_options() };
    let mut turn = session.send_with(prompt, limits)?;
    let mut speaking = false;
    loop {
        tokio::select! {
            update = turn.next() => match update {
                Some(TurnUpdate::Event(event)) if args.json => out.line(json!(event).to_string())?,
                Some(TurnUpdate::Event(event)) => show(&event, &mut speaking, out)?,
                Some(_) => {}
                None => break,
            },
            Some(event) = events.next() => lost(&event, out),
            step = desk.next() => {
                if std::mem::take(&mut speaking) {
                    out.text("\n")?;
                }
                desk.act(step, out);
            }
        }
    }
    desk.close(out);
    match turn.result().await {
        Ok(result) => finish(args, &result, speaking, out),
        Err(error) => failed(args, error, speaking, out),
    }
}

/// The end of a turn without a result; what there is of one is in the error.
fn failed(args: &Args, error: Error, speaking: bool, out: &mut Out) -> Outcome {
    if args.json {
        let mut why: Value = serde_json::from_str(&error.to_json()).unwrap_or_default();
        let result = why.as_object_mut().and_then(|why| why.remove("result"));
        out.line(json!({ "type": "result", "result": result, "error": why }).to_string())?;
    } else if speaking {
        out.text("\n")?;
    }
    Err(error.into())
}

/// Why nothing comes, where there is no connection.
fn lost(event: &Event, out: &mut Out) {
    if let Event::Disconnected { reason, .. } = event {
        out.aside(&format!("the connection was lost: {}", short(reason, 200)), Look::Warn);
    }
}

/// What of a turn is shown.
fn show(event: &TurnEvent, speaking: &mut bool, out: &mut Out) -> Result<(), Stop> {
    if let TurnEvent::AssistantDelta { text, .. } = event {
        *speaking = !text.ends_with('\n');
        return out.text(&harmless(text));
    }
    let (note, look) = match event {
        TurnEvent::Queued { position } => (format!("queued at position {position}"), Look::Faint),
        TurnEvent::ToolCallStart { name, .. } => (format!("-> {}", short(name, 80)), Look::Faint),
        TurnEvent::ToolCallArguments { arguments, .. } => {
            (format!("   {}", short(arguments, 200)), Look::Faint)
        }
        TurnEvent::ToolCallEnd { status, output, .. } => {
            let look = if status == "success" { Look::Faint } else { Look::Warn };
            (format!("<- {status}: {}", short(output.trim(), 200)), look)
        }
        TurnEvent::Retry { message, .. } => {
            (format!("the server is trying again: {}", short(message, 200)), Look::Warn)
        }
        TurnEvent::RunWithdrawn { .. } => {
            ("the text so far is withdrawn and does not count".to_owned(), Look::Warn)
        }
        TurnEvent::ApprovalRefused { reason, .. } => {
            (format!("the answer came too late: {}", short(reason, 200)), Look::Warn)
        }
        TurnEvent::Resumed => ("the connection is back, the turn goes on".to_owned(), Look::Warn),
        _ => return Ok(()),
    };
    if std::mem::take(speaking) {
        out.text("\n")?;
    }
    out.aside(&note, look);
    Ok(())
}

fn finish(args: &Args, result: &TurnResult, speaking: bool, out: &mut Out) -> Outcome {
    if args.json {
        out.line(json!({ "type": "result", "result": result.to_value() }).to_string())?;
    } else if speaking {
        out.text("\n")?;
    }
    let status = result.status.unwrap_or(TurnStatus::Disconnected);
    let tokens = result.usage.total_tokens;
    let took = result.duration_ms;
    let reason = result.error.as_deref().map(|error| format!(": {}", short(error, 400)));
    let look = if status == TurnStatus::Completed { Look::Faint } else { Look::Bad };
    let note =
        format!("{}{} ({tokens} tokens, {took} ms)", status.as_str(), reason.unwrap_or_default());
    out.aside(&note, look);
    Ok(if status == TurnStatus::Completed { Exit::Done } else { Exit::Failed })
}
