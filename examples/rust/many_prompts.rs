//! Many questions at once, each in a conversation of its own, a few at a time.

use std::env;
use std::time::Duration;

use letta_app_client::{Client, ConnectOptions, Error, MapOptions, SessionOptions, map};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });
    let prompts = (1..=6).map(|number| format!("Describe the number {number} in one sentence."));

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let first = client.session(SessionOptions::new_agent(&agent).unpinned()).await?;
    // Several agents would get the prompts in turn.
    let options = MapOptions::agents([first.agent_id()])
        .limit(3)
        .sessions(|options| options.timeout(Duration::from_secs(300)))
        .progress(|progress| eprintln!("{} of {}", progress.done, progress.total));
    let batch = map(&client, prompts, options).await?;
    for item in &batch.items {
        match &item.result {
            Ok(result) => println!("{} -> {}", item.prompt, result.text),
            Err(error) => println!("{} -> [{error}]", item.prompt),
        }
    }
    println!("[{} tokens in all]", batch.usage.total_tokens);
    client.close().await;
    Ok(())
}
