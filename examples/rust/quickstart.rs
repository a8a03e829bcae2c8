//! One turn: start a runtime, ask, print the answer.

use std::env;

use letta_app_client::{Client, ConnectOptions, Error, TurnOptions};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let fields = json!({
        "create_agent": { "body": { "name": "helper", "model": model }, "pin_global": false },
        "create_conversation": { "body": {} },
        "mode": "standard",
    });
    let started = client.runtime_start(fields).await?.json();
    let fields = json!({
        "runtime": started["runtime"],
        "payload": {
            "kind": "create_message",
            "messages": [{ "role": "user", "content": "Summarize the tests. N=3" }],
        },
    });
    let result = client.run_turn(fields, TurnOptions::default()).await?;
    println!("{:?} {:?} {}", result.stop_reason, result.text, result.usage.total_tokens);
    client.close().await;
    Ok(())
}
