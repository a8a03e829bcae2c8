//! Permissions: what the agent may do is asked on the terminal, one y or n each time.

use std::env;
use std::error::Error;
use std::io::{self, Write};

use letta_app_client::policy::{Question, Rule};
use letta_app_client::{Client, ConnectOptions, Decision, SessionOptions};
use serde_json::json;
use tokio::task::spawn_blocking;

/// What it fails with denies as well.
async fn decide(question: Question) -> Result<Decision, Box<dyn Error + Send + Sync>> {
    print!("{} {}? [y/n] ", question.tool_name(), question.input());
    io::stdout().flush()?;
    // In a thread, so that other tasks go on while somebody thinks.
    let answer = spawn_blocking(|| io::stdin().lines().next()).await?.transpose()?;
    let answer = answer.unwrap_or_default().trim().to_lowercase();
    Ok(match &*answer {
        "y" | "yes" => Decision::allow(),
        _ => Decision::deny("the user denied it"),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let options = SessionOptions::new_agent(&agent).unpinned();
    let session = client.session(options.approvals(Rule::ask(decide))).await?;
    let result = session.run("Tidy up this folder.").await?;
    for call in &result.tool_calls {
        println!("{}: {}", call.name, call.status.as_deref().unwrap_or("unknown"));
    }
    println!("{}", result.text);
    client.close().await;
    Ok(())
}
