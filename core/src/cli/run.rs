//! `run`: one turn, its text on standard output, everything else beside it.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Args;
use super::ask;
use super::out::{Look, Out};
use super::signals::Signal;
use super::words::{harmless, short};
use super::{Exit, Outcome, Stop, target, typed};
use crate::client::Client;
use crate::engine::{TurnEvent, TurnOptions, TurnResult, TurnStatus};
use crate::error::{Error, ErrorKind};
use crate::events::Event;
use crate::policy::Policy;
use crate::protocol::types::AgentDeleteCommand;
use crate::session::{Session, SessionOptions};
use crate::turn::TurnUpdate;

pub(super) async fn run(args: &Args, prompt: &str, out: &mut Out) -> Outcome {
    let prompt = if prompt == "-" { piped().await? } else { prompt.to_owned() };
    let client = target::connected(target::options(args), out).await?;
    turn(args, &client, prompt, out).await
}

/// The prompt from standard input. There is none if the command that should have written it has failed.
async fn piped() -> Result<String, Stop> {
    let prompt = typed::all().await?;
    if prompt.trim().is_empty() {
        let message = "run: expected a prompt on standard input, got nothing but white space";
        return Err(Error::new(ErrorKind::InvalidOption, message).into());
    }
    Ok(prompt)
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
    options.mode(&args.mode).cwd(args.cwd.as_deref().unwrap_or_else(|| Path::new(".")))
}

/// Starts the session, for as long as that may take.
async fn started(args: &Args, client: &Client, policy: Policy) -> Result<Session, Stop> {
    let limit = target::start_limit(args);
    let starting = client.session(session_options(args).approvals(policy));
    let started = tokio::time::timeout(limit, starting).await;
    let late = |_| {
        let message = format!("the session did not start within {} s", limit.as_secs_f64());
        Error::new(ErrorKind::RequestTimeout, message)
    };
    Ok(started.map_err(late)??)
}

/// Refuses a directory that was asked for and that the server has not taken, before anything works elsewhere. No command
/// tells beforehand whether there is one.
async fn check_directory(args: &Args, session: &Session, out: &mut Out) -> Result<(), Stop> {
    if !session.cwd_ignored() {
        return Ok(());
    }
    let kept = session.cwd().unwrap_or_default();
    let Some(wanted) = &args.cwd else {
        out.aside(
            &format!("the server does not have this directory, and works in {kept}"),
            Look::Warn,
        );
        return Ok(());
    };
    let message = format!(
        "--cwd: the server has no directory {}, and would work in {kept}; the prompt was not sent",
        wanted.display()
    );
    if args.agent.is_none() {
        delete_agent(session, out).await;
    }
    Err(Error::new(ErrorKind::InvalidOption, message).into())
}

/// Deletes the agent that was made for a prompt that is not sent: nobody would look for it.
async fn delete_agent(session: &Session, out: &mut Out) {
    let id = session.agent_id();
    let deleted = session.client().agents().delete(AgentDeleteCommand::new(id)).await;
    if let Err(error) = deleted {
        out.aside(&format!("the new agent {id} is still there: {error}"), Look::Warn);
    }
}

async fn turn(args: &Args, client: &Client, prompt: String, out: &mut Out) -> Outcome {
    let mut events = client.events();
    let (policy, mut desk) = ask::policy(&args.allow);
    let session = started(args, client, policy).await?;
    out.note(&format!("{} {}", session.agent_id(), session.conversation_id()));
    check_directory(args, &session, out).await?;
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
        Err(error) => {
            if speaking {
                out.text("\n")?;
            }
            Err(error.into())
        }
    }
}

/// The last line of `run --json` where there is no result of a turn: why, and what there is of a result.
pub(super) fn last_line(stop: &Stop) -> Option<String> {
    let mut why: Value = match stop {
        Stop::Error(error) => serde_json::from_str(&error.to_json()).unwrap_or_default(),
        Stop::Interrupted(signal) => interrupted(*signal),
        Stop::Unread => return None,
    };
    let result = why.as_object_mut().and_then(|why| why.remove("result"));
    Some(json!({ "type": "result", "result": result, "error": why }).to_string())
}

/// A signal in the form of an error. A client has none for it.
fn interrupted(signal: Signal) -> Value {
    let error = Error::new(ErrorKind::TurnAborted, signal.reason());
    let mut why: Value = serde_json::from_str(&error.to_json()).unwrap_or_default();
    why["code"] = "interrupted".into();
    why
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
