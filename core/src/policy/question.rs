//! What a permission is wanted for, and what may be answered.

use std::fmt;

use serde_json::Value;

use crate::approvals::Decision;

/// What a permission is wanted for. Clones are copies.
#[derive(Debug, Clone)]
pub struct Question(Value);

impl Question {
    /// Of a `control_request`.
    pub(crate) fn new(frame: Value) -> Self {
        Self(frame)
    }

    /// The tool that wants to run.
    #[must_use]
    pub fn tool_name(&self) -> &str {
        self.0["request"]["tool_name"].as_str().unwrap_or_default()
    }

    /// Its arguments.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.0["request"]["input"]
    }

    /// The server's id of the question.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.0["request_id"].as_str().unwrap_or_default()
    }

    /// The whole `control_request`: `request.permission_suggestions`, `request.diffs`, …
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }
}

/// What a function of [`crate::Rule::ask`] may return: a [`Decision`], or a result, whose error denies.
pub trait IntoDecision {
    /// The decision, or why there is none.
    ///
    /// # Errors
    ///
    /// The text of the error, which the model is told.
    fn into_decision(self) -> Result<Decision, String>;
}

impl IntoDecision for Decision {
    fn into_decision(self) -> Result<Decision, String> {
        Ok(self)
    }
}

impl<E: fmt::Display> IntoDecision for Result<Decision, E> {
    fn into_decision(self) -> Result<Decision, String> {
        self.map_err(|error| error.to_string())
    }
}
