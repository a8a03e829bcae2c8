//! One question to a new agent, and its answer.

use std::env;

use letta_app_client::{Client, ConnectOptions, Error, SessionOptions};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let session = client.session(SessionOptions::new_agent(&agent).unpinned()).await?;
    let result = session.run("Which planet is the largest?").await?;
    println!("{}", result.text);
    let reason = result.stop_reason.unwrap_or_default();
    println!("[{reason}, {} tokens]", result.usage.total_tokens);
    client.close().await;
    Ok(())
}
