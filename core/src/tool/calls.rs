//! External tools that this client runs for the server (PROTOCOL.md section 14).

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Token;
use crate::protocol::Text;
use crate::router::Router;

/// What a call is answered with that nobody is for.
pub(crate) const NOBODY: &str = "there is no handler for this tool any more";

/// A call on its way to whoever runs its tool. Dropped without an answer, it is answered with an error:
/// the turn would wait.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) text: Text,
    pub(crate) request_id: String,
    /// Says why no answer is wanted any more.
    pub(crate) over: oneshot::Receiver<String>,
    pub(crate) router: Router,
    pub(crate) answered: bool,
}

impl Called {
    pub(crate) fn answer(&mut self, answer: Result<String, String>) {
        self.answered = true;
        self.router.answer_tool(&self.request_id, answer);
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        if !self.answered {
            self.answer(Err(NOBODY.to_owned()));
        }
    }
}

/// The calls of external tools, in the order in which they come. Made by [`crate::Client::tool_calls`] and
/// [`crate::Client::tool_calls_of`].
///
/// Dropping it answers the calls that were not taken yet with an error.
#[derive(Debug)]
#[must_use = "dropping it answers the calls that were not taken with an error"]
pub struct ToolCalls {
    pub(crate) calls: mpsc::UnboundedReceiver<Called>,
    pub(crate) router: Router,
    pub(crate) token: Token,
}

impl ToolCalls {
    /// The next call; `None` once another reader for all took over, or the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ToolCallRequest> {
        let call = self.calls.recv().await?;
        let json = serde_json::from_str(&call.text).unwrap_or_default();
        Some(ToolCallRequest { json, call, ended: None })
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }
}

impl Drop for ToolCalls {
    fn drop(&mut self) {
        self.calls.close();
        self.router.remove_tools(self.token);
    }
}

/// One call that waits for its answer. Dropped without one, it is answered with an error: the turn would
/// wait until the time limit (see [`crate::ConnectOptions::external_tools`]).
#[derive(Debug)]
#[must_use = "dropping a call without an answer fails it"]
pub struct ToolCallRequest {
    json: Value,
    call: Called,
    /// Why no answer is wanted any more, once that was told.
    ended: Option<String>,
}

impl ToolCallRequest {
    /// The tool.
    #[must_use]
    pub fn name(&self) -> &str {
        self.json["tool_name"].as_str().unwrap_or_default()
    }

    /// The arguments.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.json["input"]
    }

    /// The whole `external_tool_call_request`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Resolves when no answer is wanted any more, and says why: the turn was aborted, the time limit
    /// passed, the connection ended. From then on it says the same at once.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped and asked for again.
    pub async fn over(&mut self) -> String {
        if let Some(reason) = &self.ended {
            return reason.clone();
        }
        let told = (&mut self.call.over).await;
        let reason = told.unwrap_or_else(|_| "the client is closed".to_owned());
        self.ended.insert(reason).clone()
    }

    /// Answers with text.
    pub fn answer_text(self, text: &str) {
        self.answer(&json!({ "content": [{ "type": "text", "text": text }] }));
    }

    /// Answers with a result: `{content: [{type, text?, data?, mimeType?}], is_error?}`. An invalid
    /// one, which the server would ignore for ever, becomes an error of the tool.
    pub fn answer(mut self, result: &Value) {
        self.call.answer(Ok(result.to_string()));
    }

    /// Answers that the tool failed.
    pub fn fail(mut self, error: impl Into<String>) {
        self.call.answer(Err(error.into()));
    }
}
