//! What a tool may know of the call that it answers.

use serde_json::Value;
use tokio::sync::watch;

/// One call of a [`crate::Tool`].
#[derive(Debug, Clone)]
pub struct ToolContext {
    call_id: String,
    tool_name: String,
    runtime: Option<Value>,
    wanted: watch::Receiver<()>,
}

impl ToolContext {
    /// Of an `external_tool_call_request`; the call lasts as long as the sender of `wanted`.
    pub(super) fn new(call: &Value, wanted: watch::Receiver<()>) -> Self {
        let text = |field: &str| call[field].as_str().unwrap_or_default().to_owned();
        let runtime = Some(call["runtime"].clone()).filter(Value::is_object);
        Self { call_id: text("tool_call_id"), tool_name: text("tool_name"), runtime, wanted }
    }

    /// The model's id of the call.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The tool.
    #[must_use]
    pub fn tool_name(&self) -> &str {
        &self.tool_name
    }

    /// The agent and the conversation, as other commands want them; `None` where the server does not say.
    #[must_use]
    pub fn runtime(&self) -> Option<&Value> {
        self.runtime.as_ref()
    }

    /// Resolves when the call is over: it was answered, or nobody wants the answer any more because the
    /// turn was aborted, its time is over, or the connection or the session has ended. The tool's own
    /// future is dropped then; this is for what it has started elsewhere.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped and asked for again.
    pub async fn cancelled(&self) {
        // Nothing is ever sent: an error means that the sender is gone.
        let _ = self.wanted.clone().changed().await;
    }

    /// Whether the call is over, for threads that cannot wait for [`ToolContext::cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.wanted.has_changed().is_err()
    }
}
