//! From the options of a command line to a client.

use std::time::Duration;

use super::Stop;
use super::args::{Args, Command};
use super::out::Out;
use super::words::short;
use crate::client::Client;
use crate::options::ConnectOptions;
use crate::record::RecordOptions;

/// How long connecting may take, and the answer to a request, where `--timeout` does not say.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// How long `run` may take to start its session, which may make an agent, where `--timeout` does not say.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(30);

/// How to reach the server, for every command.
pub(super) fn options(args: &Args) -> ConnectOptions {
    let mut options = ConnectOptions::new(args.url.clone());
    options.token.clone_from(&args.token);
    options.tls.ca.clone_from(&args.ca);
    let file = match &args.command {
        Command::Record { file } => Some(file),
        _ => args.record.as_ref(),
    };
    options.record = file.map(RecordOptions::new);
    options.connect_timeout = args.timeout.unwrap_or(LIMIT);
    options.request_timeout = match &args.command {
        Command::Run { .. } => start_limit(args),
        _ => args.timeout.unwrap_or(LIMIT),
    };
    if matches!(args.command, Command::Doctor | Command::Bench) {
        // What goes wrong is what they are to tell.
        options.reconnect = None;
    }
    options
}

/// How long `run` may take to start its session.
pub(super) fn start_limit(args: &Args) -> Duration {
    args.timeout.unwrap_or(START_LIMIT)
}

/// A client that is connected.
pub(super) async fn connected(options: ConnectOptions, out: &mut Out) -> Result<Client, Stop> {
    let client = Client::new(options)?;
    out.clients.push(client.clone());
    client.connect().await?;
    if let Some(info) = client.server_info() {
        let text = |key: &str| short(info[key].as_str().unwrap_or("?"), 60);
        out.note(&format!(
            "connected: {}, {} backend",
            text("letta_code_version"),
            text("backend")
        ));
    } else {
        out.note("connected");
    }
    Ok(client)
}
