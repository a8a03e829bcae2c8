//! Approvals as policy: rules that decide on permission requests (PROTOCOL.md section 13).
//!
//! ```
//! use letta_app_client::policy::{Policy, Rule};
//! use letta_app_client::{Decision, SessionOptions};
//!
//! let policy = Policy::first_match([
//!     Rule::allow(["Read", "Grep", "Glob"]),
//!     Rule::allow(["Bash"]).when("command", |command| command == "cargo test"),
//!     Rule::deny(["Bash"], "only the tests may be run"),
//!     Rule::ask(|question| async move {
//!         println!("{} {}?", question.tool_name(), question.input());
//!         Decision::deny("nobody is at the keyboard")
//!     }),
//! ]);
//! let options = SessionOptions::agent("agent-123").approvals(policy);
//! ```
//!
//! What no rule matches is denied. What rules decide is final for the server: an `allow` runs the tool.
//! **Be exact in what you allow**: a command line can hold several commands, so a rule that allows whatever
//! begins with `cargo test` also allows `cargo test; rm -rf /`.

mod audit;
mod question;
mod rule;
mod serve;

use std::sync::Arc;

pub(crate) use audit::Audit;
pub use audit::AuditEntry;
#[cfg(test)]
pub(crate) use audit::{KEPT_BYTES, KEPT_DECISIONS};
pub use question::{IntoDecision, Question};
pub use rule::Rule;
pub(crate) use serve::serve;

/// An ordered list of rules: the first that matches decides; a request that none matches is denied.
///
/// Pass it to [`crate::SessionOptions::approvals`]. `into()` makes a policy from a single [`Rule`].
///
/// ```
/// # use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedCall, ScriptedTurn};
/// # use letta_app_client::{Client, ConnectOptions};
/// # use serde_json::json;
/// use letta_app_client::{Policy, Rule, SessionOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let asking = |command| ScriptedCall::asking("Bash", json!({ "command": command }));
/// # let turn = ScriptedTurn::text(["Done."]).call(asking("cargo test")).call(asking("rm -rf /"));
/// # let turns = vec![turn];
/// # let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
/// # let client = Client::new(ConnectOptions::new(server.url()))?;
/// # client.connect().await?;
/// let policy = Policy::first_match([
///     Rule::allow(["Bash"]).when("command", |command| command == "cargo test").named("the tests"),
///     Rule::deny(["Bash"], "only the tests may be run"),
/// ]);
/// let options = SessionOptions::agent("agent-123").approvals(policy);
/// let session = client.session(options).await?;
/// session.run("Run the tests, then clean up.").await?;
/// let decided: Vec<_> = session.approvals().into_iter().map(|entry| entry.by).collect();
/// assert_eq!(decided, ["the tests", "deny(Bash)"]);
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Policy(Arc<[Rule]>);

impl Policy {
    /// Makes a policy of rules, in order.
    #[must_use]
    pub fn first_match(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// The rule that decides.
    fn pick(&self, question: &Question) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.matches(question))
    }
}

impl From<Rule> for Policy {
    fn from(rule: Rule) -> Self {
        Self::first_match([rule])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::approvals::Decision;

    fn picked(policy: &Policy, tool: &str, input: &Value) -> Option<String> {
        let question = Question::new(json!({ "request": { "tool_name": tool, "input": input } }));
        policy.pick(&question).map(ToString::to_string)
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = Policy::first_match([
            Rule::allow(["Read", "Grep"]),
            Rule::allow(["Bash"]).when("command", |command| command == "ls"),
            Rule::deny(["Bash"], "no"),
            Rule::ask(|_| async { Decision::allow() }).only(["Write"]).named("the user"),
        ]);
        let picked = |tool, input| picked(&policy, tool, &input);
        assert_eq!(picked("Grep", json!({})).as_deref(), Some("allow(Read, Grep)"));
        let ls = json!({ "command": "ls" });
        assert_eq!(picked("Bash", ls).as_deref(), Some("allow(Bash, command)"));
        let other = json!({ "command": "ls; rm" });
        assert_eq!(picked("Bash", other).as_deref(), Some("deny(Bash)"));
        assert_eq!(picked("Write", json!({})).as_deref(), Some("the user"));
        assert_eq!(picked("Edit", json!({})), None);
    }

    #[test]
    fn an_argument_that_is_missing_matches_nothing() {
        let policy = Policy::from(Rule::allow_all().when("path", |_| true));
        assert_eq!(picked(&policy, "Read", &json!({ "file": "a" })), None);
        assert_eq!(picked(&policy, "Read", &json!("path")), None);
        let found = picked(&policy, "Read", &json!({ "path": null }));
        assert_eq!(found.as_deref(), Some("allow_all(path)"));
    }

    #[test]
    fn no_names_are_no_tools() {
        let nothing: [&str; 0] = [];
        assert_eq!(picked(&Rule::allow(nothing).into(), "Read", &json!({})), None);
        assert_eq!(picked(&Rule::allow_all().only(nothing).into(), "Read", &json!({})), None);
        assert_eq!(picked(&Rule::deny(nothing, "no").into(), "Read", &json!({})), None);
        assert_eq!(
            picked(&Rule::deny_all("no").into(), "x", &json!({})).as_deref(),
            Some("deny_all")
        );
    }
}
