//! Watching a conversation that somebody else leads: here another client in the same program.

use std::env;
use std::error::Error;
use std::io::{self, Write};

use letta_app_client::{Client, ConnectOptions, MessageFilter, SessionOptions};
use serde_json::{Value, json};

/// A message is a text, or a list of parts of which some are.
fn text_of(content: &Value) -> String {
    let part = |part: &Value| part["text"].as_str().unwrap_or_default().to_owned();
    match content {
        Value::Array(parts) => parts.iter().map(part).collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });

    let leader = Client::new(ConnectOptions::new(url.as_str()))?;
    let watcher = Client::new(ConnectOptions::new(url.as_str()))?;
    leader.connect().await?;
    watcher.connect().await?;
    let session = leader.session(SessionOptions::new_agent(&agent).unpinned()).await?;

    let filter = MessageFilter::all().types(["stream_delta"]);
    let filter = filter.runtime(session.agent_id(), session.conversation_id());
    let mut messages = watcher.messages(filter);
    // The server tells a client only of the runtimes that it has asked for.
    watcher.sync(json!({ "runtime": session.runtime(), "recover_approvals": false })).await?;
    let watching = async {
        while let Some(message) = messages.next().await {
            let delta = message.json()["delta"].take();
            match delta["message_type"].as_str() {
                Some("assistant_message") => print!("{}", text_of(&delta["content"])),
                // A turn that uses tools goes on after this reason.
                Some("stop_reason") if delta["stop_reason"] != "requires_approval" => {
                    println!("\n[{}]", delta["stop_reason"].as_str().unwrap_or_default());
                    break;
                }
                _ => {}
            }
            io::stdout().flush()?;
        }
        Ok::<_, io::Error>(())
    };
    let (result, seen) = tokio::join!(session.run("Say hello to whoever listens."), watching);
    result?;
    seen?;
    leader.close().await;
    watcher.close().await;
    Ok(())
}
