//! `record`: a recording of what comes, until Ctrl-C or a limit.

use std::path::Path;

use super::args::Args;
use super::out::Out;
use super::{Outcome, tail, target};
use crate::client::Client;

pub(super) async fn run(args: &Args, file: &Path, out: &mut Out) -> Outcome {
    let client = Client::new(target::options(args))?;
    out.clients.push(client.clone());
    let mut events = client.events();
    client.connect().await?;
    out.note(&format!("recording to {}; press Ctrl-C to stop", file.display()));
    tail::subscribe(args, &client).await?;
    tail::follow(args, &client, &mut events, out, false).await
}
