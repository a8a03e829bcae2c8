//! A server of your own: it is started here, and ends with this program.
//!
//! Arguments are the command that starts it, `letta server` by default.

use std::env;
use std::error::Error;

use letta_app_client::{Client, ServerOptions, SessionOptions, spawn_server};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });
    let mut options = ServerOptions::default();
    let command: Vec<String> = env::args().skip(1).collect();
    if !command.is_empty() {
        options.command = command;
    }

    let server = spawn_server(options).await?;
    println!("[{} is ready]", server.url());
    // The token that was made for this server is in the options.
    let client = Client::new(server.connect_options())?;
    client.connect().await?;
    let session = client.session(SessionOptions::new_agent(&agent).unpinned().cwd(".")).await?;
    println!("{}", session.run("Which planet is the largest?").await?.text);
    client.close().await;
    server.shutdown().await;
    Ok(())
}
