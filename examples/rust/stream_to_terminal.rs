//! A turn on the terminal while it runs: the text as it comes, and the tools that are called.

use std::env;
use std::error::Error;
use std::io::{self, Write};

use letta_app_client::{Client, ConnectOptions, SessionOptions, TurnEvent, TurnUpdate};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let session = client.session(SessionOptions::new_agent(&agent).unpinned()).await?;
    let mut turn = session.send("How many files are in this folder?")?;
    while let Some(update) = turn.next().await {
        match update {
            TurnUpdate::Event(TurnEvent::AssistantDelta { text, .. }) => print!("{text}"),
            TurnUpdate::Event(TurnEvent::ToolCallStart { name, .. }) => {
                println!("[{name} is called]");
            }
            TurnUpdate::Event(TurnEvent::ToolCallEnd { status, output, .. }) => {
                println!("[{status}: {}]", output.trim());
            }
            TurnUpdate::Finished(result) => {
                let status = result.status.map_or("unknown", |status| status.as_str());
                println!("\n[{status}, {} tokens]", result.usage.completion_tokens);
            }
            _ => {} // queueing, reasoning, retries and more
        }
        io::stdout().flush()?;
    }
    turn.await?; // tells of a connection that was lost
    client.close().await;
    Ok(())
}
