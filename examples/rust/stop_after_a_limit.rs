//! A time limit: the turn is stopped on the server, and what it had said by then is shown.

use std::env;
use std::error::Error;
use std::time::Duration;

use letta_app_client::{Client, ConnectOptions, ErrorKind, SessionOptions};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });
    let seconds: f64 = env::var("SECONDS").unwrap_or_else(|_| "10".to_owned()).parse()?;

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let options = SessionOptions::new_agent(&agent).unpinned();
    let session = client.session(options.timeout(Duration::try_from_secs_f64(seconds)?)).await?;
    match session.run("Tell a very long story.").await {
        Ok(result) => println!("{}", result.text),
        Err(error) if error.kind() == ErrorKind::TurnTimeout => {
            println!("[stopped after {seconds} s]");
            // What is known of the turn: its text, its tool calls, what it has used.
            if let Some(result) = error.result() {
                println!("{}\n[{} tool calls]", result.text, result.tool_calls.len());
            }
        }
        Err(error) => return Err(error.into()),
    }
    client.close().await;
    Ok(())
}
