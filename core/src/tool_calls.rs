//! External tools that this client runs for the server (PROTOCOL.md section 14).

use std::sync::Weak;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::connection::Connection;
use crate::router::{Called, Router};

/// The calls of external tools, in the order in which they come.
#[derive(Debug)]
pub struct ToolCalls {
    pub(crate) calls: mpsc::UnboundedReceiver<Called>,
    pub(crate) router: Router,
    pub(crate) connection: Weak<Connection>,
}

impl ToolCalls {
    /// The next call; `None` once another [`ToolCalls`] of the client took over, or the client is
    /// closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ToolCallRequest> {
        let (text, over) = self.calls.recv().await?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Some(ToolCallRequest { json, over, router: self.router.clone() })
    }
}

impl Drop for ToolCalls {
    /// Without a reader, calls are left to whoever answers them raw.
    fn drop(&mut self) {
        self.calls.close();
        if self.router.tools_gone()
            && let Some(connection) = self.connection.upgrade()
        {
            connection.handle_tools(false);
        }
    }
}

/// One call that waits for its answer. A call that is dropped without one stays open until its time
/// limit (see [`crate::ConnectOptions::external_tools`]).
#[derive(Debug)]
pub struct ToolCallRequest {
    json: Value,
    over: oneshot::Receiver<String>,
    router: Router,
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
    /// passed, the connection ended.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped and asked for again.
    pub async fn over(&mut self) -> String {
        (&mut self.over).await.unwrap_or_else(|_| "the client is closed".to_owned())
    }

    /// Answers with text.
    pub fn answer_text(self, text: &str) {
        self.answer(&json!({ "content": [{ "type": "text", "text": text }] }));
    }

    /// Answers with a result: `{content: [{type, text?, data?, mimeType?}], is_error?}`. An invalid
    /// one, which the server would ignore for ever, becomes an error of the tool.
    pub fn answer(self, result: &Value) {
        self.send(Ok(result.to_string()));
    }

    /// Answers that the tool failed.
    pub fn fail(self, error: impl Into<String>) {
        self.send(Err(error.into()));
    }

    fn send(self, answer: Result<String, String>) {
        let id = self.json["request_id"].as_str().unwrap_or_default();
        self.router.answer_tool(id, answer);
    }
}
