//! Calls of external tools that the server made and that have not been answered: the other
//! direction of the request table (PROTOCOL.md section 14).

use std::collections::HashSet;

use serde_json::json;
use serde_json::value::RawValue;

use super::context::Context;
use super::delivery::Delivery;
use crate::protocol::Text;
use crate::protocol::raw::quoted;
use crate::protocol::validate::validate;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    open: HashSet<String>,
    /// Whether anybody here runs tools; without, calls are left to whoever answers them raw.
    pub(crate) handled: bool,
}

impl ToolCalls {
    /// The server wants a tool to run.
    pub(crate) fn called(&mut self, request_id: &str, text: &Text, ctx: &mut Context) {
        if self.handled && self.open.insert(request_id.to_owned()) {
            ctx.deliveries.push_back(Delivery::ToolCall { text: text.clone() });
        }
    }

    /// Sends a tool's answer, `result` as JSON text or the text of an error. The server ignores an
    /// invalid result and waits for ever, so that becomes an error of the tool instead.
    pub(crate) fn answer(
        &mut self,
        request_id: &str,
        answer: Result<String, String>,
        ctx: &mut Context,
    ) {
        if !self.open.remove(request_id) {
            return;
        }
        let command = answer.and_then(|result| with_result(request_id, result));
        ctx.send_own(command.unwrap_or_else(|error| with_error(request_id, &error)));
    }

    /// The connection is gone and with it every open call.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

fn with_error(request_id: &str, error: &str) -> String {
    json!({ "type": "external_tool_call_response", "request_id": request_id, "error": error })
        .to_string()
}

fn with_result(request_id: &str, result: String) -> Result<String, String> {
    let invalid = |what: String| format!("the tool returned an invalid result: {what}");
    let result = RawValue::from_string(result).map_err(|error| invalid(error.to_string()))?;
    let text = format!(
        r#"{{"type":"external_tool_call_response","request_id":{},"result":{result}}}"#,
        quoted(request_id)
    );
    let command = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    validate(&command).map_err(|violation| invalid(violation.to_string()))?;
    Ok(text)
}
