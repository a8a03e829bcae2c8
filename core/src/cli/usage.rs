//! Which options a command has, and which of them go together: found before anything is opened or written.

use super::args::{Args, Command};
use super::words::short;
use crate::protocol::slips::meant;

/// Of all commands.
const SHOWING: [&str; 3] = ["--json", "--color", "--quiet"];
/// Of those that have to do with a server.
const CONNECTING: [&str; 5] = ["--url", "--token", "--ca", "--timeout", "--record"];
const RUN: [&str; 6] = ["--agent", "--conversation", "--model", "--mode", "--cwd", "--allow"];
const FRAMES: [&str; 5] = ["--agent", "--conversation", "--types", "--count", "--seconds"];
/// Of other commands, or of none in particular.
const OTHERS: [&str; 3] = ["--speed", "--help", "--version"];

const MODES: [&str; 4] = ["standard", "acceptEdits", "unrestricted", "strict"];

/// Says what is wrong with the options of the command, of which these names were given.
pub(super) fn check(args: &Args, names: &[String]) -> Result<(), String> {
    let (command, own) = match &args.command {
        Command::Help | Command::Version => return Ok(()),
        Command::Doctor => ("doctor", &[] as &[&str]),
        Command::Run { .. } => ("run", &RUN[..]),
        Command::Tail => ("tail", &FRAMES[..]),
        Command::Record { .. } => ("record", &FRAMES[..]),
        Command::Replay { .. } => ("replay", &["--speed"][..]),
        Command::Bench => ("bench", &["--count"][..]),
    };
    let connects = command != "replay";
    let has = |name: &str| match name {
        "--record" if command == "record" => false,
        _ => {
            SHOWING.contains(&name) || own.contains(&name) || connects && CONNECTING.contains(&name)
        }
    };
    if let Some(name) = names.iter().find(|name| !has(name)) {
        return Err(format!("{command} has no option {name}"));
    }
    if args.agent.is_some() && names.iter().any(|name| name == "--model") {
        return Err("--model: it is for a new agent; leave out either this or --agent".to_owned());
    }
    values(args, command)
}

/// What is wrong with an option that no command has.
pub(super) fn unknown(name: &str) -> String {
    let known = SHOWING.into_iter().chain(CONNECTING).chain(RUN).chain(FRAMES).chain(OTHERS);
    let near = match name.strip_prefix('-').filter(|rest| rest.chars().count() == 1) {
        Some(letter) => only(known.filter(|known| known[2..].starts_with(letter))),
        None => meant(name, known),
    };
    let name = short(name, 60);
    match near {
        Some(near) => format!("there is no option {name}; did you mean {near}?"),
        None if name.starts_with("--") => format!("there is no option {name}"),
        None => format!("there is no option {name}; behind -- words may begin with a -"),
    }
}

/// The one name there is, however often.
fn only(mut names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

fn values(args: &Args, command: &str) -> Result<(), String> {
    if args.conversation.is_some() && args.agent.is_none() {
        return Err("--conversation: pass its --agent as well".to_owned());
    }
    match &args.command {
        Command::Run { .. } => run(args),
        Command::Tail | Command::Record { .. }
            if args.agent.is_some() && args.conversation.is_none() =>
        {
            Err(format!("{command}: pass both --agent and --conversation, or neither"))
        }
        Command::Replay { .. } if !(0.0..=1e6).contains(&args.speed) => {
            Err(format!("--speed: expected a number from 0 to 1e6, got {}", args.speed))
        }
        _ => Ok(()),
    }
}

fn run(args: &Args) -> Result<(), String> {
    if args.agent.is_none() && args.model.is_none() {
        let message = "run: pass --agent ID, or --model HANDLE to make a new agent";
        return Err(message.to_owned());
    }
    if !MODES.contains(&&*args.mode) {
        let [first @ .., last] = MODES;
        let modes = format!("{} or {last}", first.join(", "));
        return Err(format!("--mode: expected {modes}, got {:?}", args.mode));
    }
    Ok(())
}
