//! The command line, the same one in every package: `letta-app` of the Python and of the Node package calls
//! [`main`], as does `cargo run -p letta-app-client --features cli --example letta_app`.
//!
//! What a command is for goes to standard output; progress, questions and problems go to standard error.

mod args;
mod ask;
mod bench;
mod dialog;
mod doctor;
mod given;
mod out;
mod record;
mod render;
mod replay;
mod run;
mod signals;
mod tail;
mod target;
mod typed;
mod usage;
mod words;

use std::ffi::OsStr;
use std::io::{self, Write};

use args::{Args, Command};
#[cfg(test)]
pub(crate) use doctor::WIDTH_WAIT;
#[cfg(test)]
pub(crate) use given::LONGEST;
use out::{Look, Out};
#[cfg(test)]
pub(crate) use signals::END_LIMIT;
use signals::{Signal, Signals};
#[cfg(test)]
pub(crate) use target::{LIMIT, START_LIMIT};

use crate::error::{Error, ErrorKind};

/// How a command ends, as the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked for.
    Done = 0,
    /// It failed: a turn did not complete, `doctor` found something, a request was refused.
    Failed = 1,
    /// The command line, or a file, cannot be used.
    Usage = 2,
    /// There is no connection, or it was lost.
    NoConnection = 3,
    /// The server wants other credentials.
    Refused = 4,
    /// SIGHUP: the terminal has gone; what was running has been stopped on the server.
    HungUp = 129,
    /// Ctrl-C; what was running has been stopped on the server.
    Interrupted = 130,
    /// SIGTERM; what was running has been stopped on the server.
    Terminated = 143,
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An error of the client.
    Error(Error),
    /// Nobody reads the output any more, as in `letta-app tail | head`; that is no failure.
    Unread,
    /// Ctrl-C, or another signal.
    Interrupted(Signal),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Error(Error::new(ErrorKind::InvalidOption, error.to_string())),
        }
    }
}

type Outcome = Result<Exit, Stop>;

/// Runs the command that the arguments (without the name of the program) name, and says how it ended. Blocks
/// meanwhile, and reads and writes the standard streams. The name of a file need not be text.
#[must_use]
pub fn main<S: AsRef<OsStr>>(arguments: &[S]) -> Exit {
    let args = match Args::parse(arguments) {
        Ok(args) => args,
        Err(problem) => {
            let usage =
                format!("letta-app: {problem}\nletta-app --help lists commands and options");
            // Where nobody reads it the exit code still says so.
            writeln!(io::stderr(), "{}", words::harmless(&usage)).unwrap_or_default();
            return Exit::Usage;
        }
    };
    let mut out = Out::new(&args);
    let mut signals;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            // To the very end: what is said last may find nobody who reads, too.
            signals = Signals::listen();
            let outcome = runtime.block_on(run(&args, &mut out, &mut signals));
            // A thread that waits for somebody to type does not end by itself.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error.into()),
    };
    if let (Command::Run { .. }, true, Err(stop)) = (&args.command, args.json, &outcome)
        && let Some(line) = run::last_line(stop)
    {
        // Where nobody reads it the exit code still says so.
        out.line(line).unwrap_or_default();
    }
    match outcome {
        Ok(exit) => exit,
        Err(Stop::Unread) => Exit::Done,
        Err(Stop::Interrupted(signal)) => {
            out.note("interrupted");
            signal.exit()
        }
        Err(Stop::Error(error)) => {
            out.problem(&error);
            exit_of(&error)
        }
    }
}

fn exit_of(error: &Error) -> Exit {
    match error.kind() {
        ErrorKind::InvalidOption | ErrorKind::InvalidCommand => Exit::Usage,
        ErrorKind::Auth => Exit::Refused,
        ErrorKind::ConnectionFailed
        | ErrorKind::ProtocolMismatch
        | ErrorKind::Disconnected
        | ErrorKind::TurnInterrupted
        | ErrorKind::Closed => Exit::NoConnection,
        _ => Exit::Failed,
    }
}

async fn run(args: &Args, out: &mut Out, signals: &mut Signals) -> Outcome {
    let work = async {
        match &args.command {
            Command::Help => out.line(args::HELP).map(|()| Exit::Done),
            Command::Version => {
                let version = concat!("letta-app ", env!("CARGO_PKG_VERSION"));
                out.line(version).map(|()| Exit::Done)
            }
            Command::Doctor => doctor::run(args, out).await,
            Command::Run { prompt } => run::run(args, prompt, out).await,
            Command::Tail => tail::run(args, out).await,
            Command::Replay { file } => replay::run(args, file, out).await,
            Command::Record { file } => record::run(args, file, out).await,
            Command::Bench => bench::run(args, out).await,
        }
    };
    let outcome = tokio::select! {
        // The signal first: whatever the command does then, it can be ended.
        biased;
        signal = signals.first() => Err(Stop::Interrupted(signal)),
        outcome = work => outcome,
    };
    // Dropping the work has stopped its turn, which goes out before the client is closed.
    let mut missing = 0;
    for client in std::mem::take(&mut out.clients) {
        client.close().await;
        missing += client.counters().unrecorded;
        client.connection.unrecorded().into_iter().for_each(|why| out.unrecorded(why));
    }
    if missing > 0 {
        out.aside(&format!("lines that are missing in the recording: {missing}"), Look::Bad);
    }
    match outcome {
        Ok(Exit::Done) if missing > 0 && matches!(args.command, Command::Record { .. }) => {
            Ok(Exit::Failed)
        }
        outcome => outcome,
    }
}
