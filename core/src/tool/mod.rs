//! Functions of a program that an agent can call (PROTOCOL.md section 14).

mod calls;
mod context;
mod output;
mod routes;
mod serve;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use calls::{Called, NOBODY};
pub use calls::{ToolCallRequest, ToolCalls};
pub use context::ToolContext;
pub use output::ToolOutput;
pub(crate) use routes::{Calls, Scope, ToolRoutes};
pub(crate) use serve::{Toolbox, panic_text};

use crate::engine::{
    check_tool_arguments, check_tool_name, check_tool_parameters, nullable_parameters,
    registered_parameters,
};
use crate::error::{Error, ErrorKind};

/// How much of an error the model is told, in characters.
pub(crate) const LONGEST: usize = 1000;

type Outcome = Pin<Box<dyn Future<Output = Result<ToolOutput, String>> + Send>>;

/// A function that an agent can call. It runs in this program. Add it to a session with
/// [`crate::SessionOptions::tool`].
///
/// ```
/// use letta_app_client::Tool;
/// use serde_json::json;
///
/// #[derive(serde::Deserialize)]
/// struct Wanted {
///     city: String,
///     #[serde(default)]
///     days: u8,
/// }
///
/// let parameters = json!({
///     "type": "object",
///     "properties": {
///         "city": { "type": "string", "description": "Name of the city" },
///         "days": { "type": "integer", "minimum": 0 },
///     },
///     "required": ["city"],
/// });
/// let tool = Tool::typed("weather", "Forecasts the weather.", parameters, |wanted: Wanted, _| async move {
///     if wanted.days > 7 {
///         return Err("nobody knows the weather of next week".to_owned());
///     }
///     Ok(format!("sunshine in {}", wanted.city))
/// });
/// assert_eq!(tool.name(), "weather");
/// ```
#[derive(Clone)]
pub struct Tool {
    name: String,
    label: Option<String>,
    description: String,
    parameters: Value,
    run: Arc<dyn Fn(Value, ToolContext) -> Outcome + Send + Sync>,
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tool {
    /// Makes a tool from an async function that takes the arguments as JSON. `parameters` is the JSON schema of
    /// the arguments, which has to describe an object. If the arguments do not fit, the model is told what is
    /// wrong, field by field, and the function is not called. The check covers types, the values of an `enum`
    /// and the `required` names, also in nested values, and no other keywords.
    ///
    /// What the function returns is sent to the model: its output, or the text of its error. A panic is
    /// answered as an error as well. The future runs in a task of its own, and is dropped when the answer is no
    /// longer wanted ([`ToolContext::cancelled`]).
    pub fn new<F, R, T, E>(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        handler: F,
    ) -> Self
    where
        F: Fn(Value, ToolContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<ToolOutput>,
        E: fmt::Display,
    {
        let schema = parameters.clone();
        Self::unchecked(name, description, parameters, move |arguments, context| {
            let running = match check_tool_arguments(&schema, &arguments) {
                Ok(()) => Ok(handler(arguments, context)),
                Err(problems) => Err(bad_arguments(context.tool_name(), &problems.join("; "))),
            };
            async move { running?.await.map_err(|error| error.to_string()) }
        })
    }

    /// Like [`Tool::new`], for a function that checks its arguments itself.
    fn unchecked<F, R, T>(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        handler: F,
    ) -> Self
    where
        F: Fn(Value, ToolContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, String>> + Send + 'static,
        T: Into<ToolOutput>,
    {
        let nullable = nullable_parameters(&parameters);
        let run = move |mut arguments: Value, context| -> Outcome {
            if let Value::Object(fields) = &mut arguments {
                for name in &nullable {
                    fields.entry(name).or_insert(Value::Null);
                }
            }
            let running = handler(arguments, context);
            Box::pin(async move { running.await.map(Into::into) })
        };
        let (name, description) = (name.into(), description.into());
        Self { name, label: None, description, parameters, run: Arc::new(run) }
    }

    /// Like [`Tool::new`], with arguments that are deserialized into a type; the type decides what fits, in
    /// place of the schema. If the arguments do not fit, the model is told which field is wrong, and the
    /// function is not called.
    pub fn typed<A, F, R, T, E>(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        handler: F,
    ) -> Self
    where
        A: DeserializeOwned,
        F: Fn(A, ToolContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<ToolOutput>,
        E: fmt::Display,
    {
        Self::unchecked(name, description, parameters, move |arguments, context: ToolContext| {
            let running = match serde_path_to_error::deserialize(arguments) {
                Ok(arguments) => Ok(handler(arguments, context)),
                Err(error) => Err(misfit(context.tool_name(), &error)),
            };
            async move { running?.await.map_err(|error| error.to_string()) }
        })
    }

    /// Sets a name for people, if it differs from the tool's own.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The name by which the model calls the tool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the tool is registered: an entry of `external_tools[].tools`. A required parameter that may be `null` is
    /// registered as one that may be left out, and is `null` then: the server itself refuses a call in which a
    /// required parameter is missing, or `null`.
    #[must_use]
    pub fn definition(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), self.name.as_str().into());
        if let Some(label) = &self.label {
            fields.insert("label".to_owned(), label.as_str().into());
        }
        fields.insert("description".to_owned(), self.description.as_str().into());
        fields.insert("parameters".to_owned(), registered_parameters(&self.parameters));
        Value::Object(fields)
    }

    /// Whether models would take it: they refuse the whole request otherwise, and so each turn.
    fn check(&self) -> Result<(), Error> {
        let name = check_tool_name(&self.name);
        let checked = name.and_then(|()| {
            let parameters = check_tool_parameters(&self.parameters);
            parameters.map_err(|problem| format!("`{}`: parameters: {problem}", self.name))
        });
        checked.map_err(|problem| Error::new(ErrorKind::InvalidOption, format!("tools: {problem}")))
    }
}

/// What a model is told whose arguments are not those of the tool.
fn misfit(tool: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, what) = (error.path().to_string(), error.inner());
    let field = if path == "." { String::new() } else { format!("{path}: ") };
    bad_arguments(tool, &format!("{field}{what}"))
}

fn bad_arguments(tool: &str, problems: &str) -> String {
    format!("invalid arguments for {tool}: {problems}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, parameters: Value) -> Tool {
        Tool::new(name, "Looks up", parameters, |_, _| async { Ok::<_, String>("found") })
    }

    #[test]
    fn a_definition_is_what_the_protocol_wants() {
        let parameters = json!({ "type": "object" });
        let expected = json!({
            "name": "look_up", "label": "Look-up", "description": "Looks up", "parameters": parameters,
        });
        assert_eq!(tool("look_up", parameters).label("Look-up").definition(), expected);
    }

    #[test]
    fn what_models_would_not_take_is_refused() {
        let object = json!({ "type": "object" });
        tool(&"a".repeat(64), object.clone()).check().unwrap();
        for (name, parameters) in [
            ("", object.clone()),
            ("look up", object.clone()),
            (&*"a".repeat(65), object.clone()),
            ("look_up", json!([])),
            ("look_up", json!({ "type": "array" })),
        ] {
            let error = tool(name, parameters).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{name:?}: {error}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Wanted {
        #[expect(dead_code, reason = "only its type matters")]
        rows: Vec<u8>,
    }

    #[test]
    fn a_misfit_names_the_field() {
        let misfit = |arguments: Value| {
            let error = serde_path_to_error::deserialize::<_, Wanted>(arguments).err().unwrap();
            super::misfit("look_up", &error)
        };
        let told = misfit(json!({ "rows": [1, "two"] }));
        assert!(told.starts_with("invalid arguments for look_up: rows[1]: invalid type"), "{told}");
        let told = misfit(json!({}));
        assert_eq!(told, "invalid arguments for look_up: missing field `rows`");
    }
}
