//! What can be said of an address or a command before there is a connection.

use letta_app_client::protocol::spec::RequestId;
use letta_app_client::protocol::validate::spec;
use letta_app_client::{ConnectOptions, Connection, Mailbox};
use napi_derive::napi;
use serde_json::Value;

use crate::errors::{Thrown, bad_option, thrown};
use crate::options::{NativeTurnOptions, turn_options};

/// Throws unless a client can be built for this address.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
pub fn check_url(url: String) -> Result<(), Thrown> {
    // A connection that is dropped at once: opening one checks its options and touches no network.
    Connection::open(ConnectOptions::new(url), Mailbox::new(|| {})).map(drop).map_err(thrown)
}

/// What keeps a decision on a permission from being taken; nothing where it would be.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn check_decision(decision: String) -> Option<String> {
    letta_app_client::engine::check_decision(&decision).err()
}

/// What a model is told about a permission that a rule denies.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn denied_by_rule(tool: String) -> String {
    letta_app_client::engine::denied_by_rule(&tool)
}

/// The same about one that no rule gives.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn allowed_by_no_rule(tool: String) -> String {
    letta_app_client::engine::allowed_by_no_rule(&tool)
}

/// The same about one whose handler failed, and said so.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn approver_failed(said: String) -> String {
    letta_app_client::engine::approver_failed(&said)
}

/// What is wrong with the name of a tool; nothing where models take it.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn check_tool_name(name: String) -> Option<String> {
    letta_app_client::engine::check_tool_name(&name).err()
}

/// The required parameters of a tool that may be `null`, by its JSON schema, which is JSON.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
pub fn nullable_parameters(schema: String) -> Result<Vec<String>, Thrown> {
    let schema = serde_json::from_str(&schema);
    let schema = schema.map_err(|error| bad_option("parameters", "JSON", error))?;
    Ok(letta_app_client::engine::nullable_parameters(&schema))
}

/// What is wrong with the arguments of a call by the JSON schema of its tool; both are JSON.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
pub fn check_tool_arguments(schema: String, arguments: String) -> Result<Vec<String>, Thrown> {
    let json = |name: &str, text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| bad_option(name, "JSON", error))
    };
    let (schema, arguments) = (json("parameters", &schema)?, json("arguments", &arguments)?);
    let checked = letta_app_client::engine::check_tool_arguments(&schema, &arguments);
    Ok(checked.err().unwrap_or_default())
}

/// Throws unless a turn could be sent with these options, for whoever wants to know before there is one.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
pub fn check_turn_options(options: NativeTurnOptions) -> Result<(), Thrown> {
    turn_options(Some(&options))?.check_limits().map_err(thrown)
}

/// Whether commands of a type carry a `request_id`: `required`, `optional` or `none`.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn request_id_rule(kind: String) -> &'static str {
    match spec(&kind).map(|spec| spec.request_id) {
        Some(RequestId::Required) => "required",
        Some(RequestId::None) => "none",
        Some(RequestId::Optional) | None => "optional",
    }
}
