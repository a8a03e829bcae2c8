//! From the options of a command line to a client.

use std::time::Duration;

use super::Stop;
use super::args::Args;
use super::out::Out;
use super::words::short;
use crate::client::Client;
use crate::options::ConnectOptions;
use crate::record::RecordOptions;

/// How to reach the server.
pub(super) fn options(args: &Args) -> ConnectOptions {
    let mut options = ConnectOptions::new(args.url.clone());
    options.token.clone_from(&args.token);
    options.tls.ca.clone_from(&args.ca);
    options.record = args.record.clone().map(RecordOptions::new);
    options
}

/// For commands whose time limit is that of connecting and of requests.
pub(super) fn brisk(args: &Args) -> ConnectOptions {
    let mut options = options(args).reconnect(None);
    let limit = args.timeout.unwrap_or(Duration::from_secs(10));
    options.connect_timeout = limit;
    options.request_timeout = limit;
    options
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
