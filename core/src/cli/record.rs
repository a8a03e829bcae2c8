//! `record`: a recording of what comes, until Ctrl-C or a limit.

use std::path::Path;

use super::args::Args;
use super::out::Out;
use super::{Outcome, tail, target};
use crate::client::Client;
use crate::record::RecordOptions;

pub(super) async fn run(args: &Args, file: &Path, out: &mut Out) -> Outcome {
    let options = target::options(args).record(RecordOptions::new(file));
    let client = Client::new(options)?;
    out.clients.push(client.clone());
    let mut events = client.events();
    client.connect().await?;
    out.note(&format!("recording to {}; press Ctrl-C to stop", file.display()));
    tail::subscribe(args, &client).await?;
    tail::follow(args, &mut events, out, false).await
}
