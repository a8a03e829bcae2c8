//! The answer as a value of a type: the agent hands in its fields, and they are checked.

use std::env;
use std::fmt;

use letta_app_client::{Client, ConnectOptions, Error, ErrorKind, SessionOptions};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Severity {
    #[default]
    Low,
    High,
}

#[derive(Deserialize)]
struct Finding {
    file: String,
    line: u32,
    why: String,
    #[serde(default)]
    severity: Severity,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, why, severity } = self;
        let severity = match severity {
            Severity::Low => "low",
            Severity::High => "high",
        };
        write!(f, "{file}:{line}: {why} [{severity}]")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "reviewer", "model": model });
    // What the agent is told of the type; serde checks what it hands in.
    let finding = json!({
        "type": "object",
        "properties": {
            "file": { "type": "string", "description": "The path, from the root of the project" },
            "line": { "type": "integer", "minimum": 1 },
            "why": { "type": "string", "description": "What goes wrong, in one sentence" },
            "severity": { "enum": ["low", "high"] },
        },
        "required": ["file", "line", "why"],
    });

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let session = client.session(SessionOptions::new_agent(&agent).unpinned()).await?;
    let worst = session.run_as::<Finding>("Find the worst bug.", &finding).await?;
    println!("{}", worst.output);

    let findings = json!({ "type": "array", "items": finding });
    match session.run_as::<Vec<Finding>>("List all others.", &findings).await {
        Ok(others) => others.output.iter().for_each(|other| println!("{other}")),
        Err(error) if error.kind() == ErrorKind::StructuredOutput => {
            let said = error.result().map(|result| result.text.as_str()).unwrap_or_default();
            println!("no list: {said:?}");
            error.problems().iter().for_each(|problem| println!("{problem}"));
        }
        Err(error) => return Err(error),
    }
    client.close().await;
    Ok(())
}
