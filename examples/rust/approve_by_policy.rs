//! Permissions: rules decide what the agent may do, and a record is kept.

use std::env;

use letta_app_client::{Client, ConnectOptions, Error, Policy, Rule, SessionOptions};
use serde_json::{Value, json};

/// Looks at the whole of it: a command line can hold several commands.
fn runs_tests(command: &Value) -> bool {
    let harmless = |c: char| c.is_ascii_alphanumeric() || " _./-".contains(c);
    let command = command.as_str().unwrap_or_default();
    let mut words = command.split(' ');
    matches!((words.next(), words.next()), (Some("cargo"), Some("test" | "clippy")))
        && command.chars().all(harmless)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = env::var("LETTA_URL").unwrap_or_else(|_| "ws://127.0.0.1:4500".to_owned());
    let model = env::var("LETTA_MODEL").unwrap_or_else(|_| "lmstudio/echo-1".to_owned());
    let agent = json!({ "name": "helper", "model": model });
    let policy = Policy::first_match([
        Rule::allow(["Read", "Grep", "Glob"]),
        Rule::allow(["Bash"]).when("command", runs_tests).named("tests"),
        Rule::deny(["Bash"], "only cargo test and cargo clippy may be run"),
    ]); // what no rule matches is denied

    let client = Client::new(ConnectOptions::new(url))?;
    client.connect().await?;
    let options = SessionOptions::new_agent(&agent).unpinned();
    let session = client.session(options.approvals(policy)).await?;
    let result = session.run("Run the tests, then push.").await?;
    println!("{}", result.text);
    for entry in session.approvals() {
        let decided = match &entry.decision {
            Some(decision) if decision.is_allow() => "allow",
            Some(_) => "deny",
            None => entry.error.as_deref().unwrap_or("undecided"),
        };
        let question = &entry.question;
        println!("{} {}: {decided} by {}", question.tool_name(), question.input(), entry.by);
    }
    client.close().await;
    Ok(())
}
