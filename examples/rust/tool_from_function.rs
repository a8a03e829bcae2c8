//! A function that the agent can call: it runs here, in this program, over data of its own.

use std::env;

use letta_app_client::{
    Client, ConnectOptions, Error, SessionOptions, Tool, ToolContext, ToolOutput,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize)]
struct Item {
    name: &'static str,
    color: &'static str,
    count: u32,
}

const STOCK: [Item; 3] = [
    Item { name: "apple", color: "red", count: 12 },
    Item { name: "cherry", color: "red", count: 70 },
    Item { name: "lemon", color: "yellow", count: 5 },
];

#[derive(Debug, Deserialize)]
struct Wanted {
    color: Option<String>,
    #[serde(default)]
    at_least: u32,
}

/// Arguments that do not fit `Wanted` never come here: the model is told which field is wrong.
async fn stock(wanted: Wanted, _: ToolContext) -> Result<ToolOutput, serde_json::Error> {
    println!("[stock: {wanted:?}]");
    let of_color = |item: &&Item| wanted.color.as_ref().is_none_or(|color| color == item.color);
    let fitting = STOCK.iter().filter(of_color).filter(|item| item.count >= wanted.at_least);
    ToolOutput::json(&fitting.collect::<Vec<_>>())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });
    let parameters = json!({
        "type": "object",
        "properties": {
            "color": { "type": "string", "description": "Only items of this color" },
            "at_least": { "type": "integer", "minimum": 0 },
        },
    });
    let description = "Looks up what is in stock, with the count of each item.";

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let options = SessionOptions::new_agent(&agent).unpinned();
    let tool = Tool::typed("stock", description, parameters, stock);
    let session = client.session(options.tool(tool)).await?;
    let result = session.run("Of which red fruit are there more than twenty?").await?;
    println!("{}", result.text);
    client.close().await;
    Ok(())
}
