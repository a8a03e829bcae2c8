//! A chat: every line of the standard input is a question; the end of the input ends it.

use std::env;
use std::error::Error;
use std::io::{self, Write};

use letta_app_client::{Client, ConnectOptions, SessionOptions, TurnStatus};
use serde_json::json;
use tokio::task::spawn_blocking;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let session = client.session(SessionOptions::new_agent(&agent).unpinned()).await?;
    // The line is awaited in a thread, so that other tasks go on.
    while let Some(line) = spawn_blocking(|| io::stdin().lines().next()).await? {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let mut turn = session.send(line.trim())?;
        while let Some(text) = turn.next_text().await {
            print!("{text}");
            io::stdout().flush()?;
        }
        println!();
        let result = turn.result().await?;
        if result.status != Some(TurnStatus::Completed) {
            // The conversation can go on all the same.
            println!("[{}]", result.error.as_deref().unwrap_or("stopped"));
        }
    }
    println!("[{} tokens in all]", session.usage().total_tokens);
    client.close().await;
    Ok(())
}
