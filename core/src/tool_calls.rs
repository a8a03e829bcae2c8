//! External tools that this client runs for the server (PROTOCOL.md section 14).

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::protocol::Text;

/// The calls of external tools, in the order in which they come.
#[derive(Debug)]
pub struct ToolCalls {
    pub(crate) calls: mpsc::UnboundedReceiver<Text>,
    pub(crate) connection: Arc<Connection>,
}

impl ToolCalls {
    /// The next call; `None` once another [`ToolCalls`] of the client took over.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ToolCallRequest> {
        let text = self.calls.recv().await?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Some(ToolCallRequest { json, connection: Arc::clone(&self.connection) })
    }
}

/// One call that waits for its answer. A call that is dropped without one stays open until the
/// server gives up after five minutes.
#[derive(Debug)]
pub struct ToolCallRequest {
    json: Value,
    connection: Arc<Connection>,
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

    /// Answers with text.
    pub fn answer_text(self, text: &str) {
        self.answer(&json!({ "content": [{ "type": "text", "text": text }] }));
    }

    /// Answers with a result: `{content: [{type, text?, data?, mimeType?}], is_error?}`. An invalid
    /// one, which the server would ignore for ever, becomes an error of the tool.
    pub fn answer(self, result: &Value) {
        self.connection.answer_tool(self.id(), Ok(result.to_string()));
    }

    /// Answers that the tool failed.
    pub fn fail(self, error: impl Into<String>) {
        self.connection.answer_tool(self.id(), Err(error.into()));
    }

    fn id(&self) -> String {
        self.json["request_id"].as_str().unwrap_or_default().to_owned()
    }
}
