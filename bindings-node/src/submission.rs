//! The engine's wait for a structured result as a JavaScript class: JSON goes in and out.

use letta_app_client::engine::TurnResult;
use letta_app_client::{NextStep, Submission as Core};
use napi_derive::napi;
use serde_json::Value;

use crate::errors::{Thrown, bad_option, thrown};

/// The wait for one result; see `letta_app_client::Submission`.
#[napi]
pub struct Submission {
    core: Core,
}

/// The name of the tool through which results are handed in.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn submission_tool() -> &'static str {
    Core::TOOL
}

/// What a call of the tool holds: `output` as JSON, where there is one, and the `problems` with it.
#[napi(object)]
pub struct NativeOutput {
    pub output: Option<String>,
    pub problems: Vec<String>,
}

/// What to do at the end of a turn: `done`, `repair` with the text to send next, or `give up`.
#[napi(object)]
pub struct NativeNextStep {
    pub step: String,
    pub prompt: Option<String>,
}

#[napi]
impl Submission {
    /// Waits for what a JSON schema describes, handed in through a tool of this scope.
    #[napi(constructor)]
    pub fn new(schema: String, scope: String) -> Result<Self, Thrown> {
        let core = Core::new(&json("outputSchema", &schema)?, scope).map_err(thrown)?;
        Ok(Self { core })
    }

    /// The `scope_id` of the tool's group.
    #[napi(getter)]
    pub fn scope(&self) -> String {
        self.core.scope().to_owned()
    }

    /// The tool's definition.
    #[napi]
    pub fn tool(&self) -> String {
        self.core.tool().to_string()
    }

    /// The content of the user's message, with how to hand the result in.
    #[napi]
    pub fn content(&self, content: String) -> Result<String, Thrown> {
        let content = self.core.content(&json("prompt", &content)?).map_err(thrown)?;
        Ok(content.to_string())
    }

    /// What is answered to a call of another scope; nothing for a call that counts.
    #[napi]
    pub fn late(&self, scope: Option<String>) -> Option<String> {
        self.core.late(scope.as_deref()).map(|answer| answer.to_string())
    }

    /// The result within the arguments of a call.
    #[napi]
    pub fn output(&self, arguments: String) -> NativeOutput {
        let (output, problems) = self.core.output_text(&arguments);
        NativeOutput { output, problems }
    }

    /// Takes note of a call; gives what is answered to it.
    #[napi]
    pub fn submitted(&mut self, problems: Vec<String>) -> String {
        self.core.submitted(problems).to_string()
    }

    /// What to do now that a turn has ended, with these outputs of calls that ended with an error.
    #[napi]
    pub fn turn_ended(&mut self, failed: Vec<String>) -> NativeNextStep {
        let failed: Vec<_> = failed.iter().map(String::as_str).collect();
        let (step, prompt) = match self.core.turn_ended(&failed) {
            NextStep::Done => ("done", None),
            NextStep::Repair(prompt) => ("repair", Some(prompt)),
            NextStep::GiveUp => ("give up", None),
        };
        NativeNextStep { step: step.to_owned(), prompt }
    }

    /// The error of a wait that was given up, as JSON without the turn's result.
    #[napi]
    pub fn error(&self) -> String {
        self.core.error(TurnResult::default()).to_json()
    }
}

fn json(name: &str, text: &str) -> Result<Value, Thrown> {
    serde_json::from_str(text).map_err(|error| bad_option(name, "JSON", error))
}
