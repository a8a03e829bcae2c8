//! Reads `protocol/catalog.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Outcome;

/// The part of the catalog that the generator needs.
#[derive(Debug, Deserialize)]
pub struct Catalog {
    pub messages: Vec<Message>,
    pub types: BTreeMap<String, NamedType>,
    pub enums: BTreeMap<String, Vec<String>>,
    pub stream_delta_message_types: BTreeMap<String, NamedType>,
}

/// A command, a response or an event.
#[derive(Debug, Deserialize)]
pub struct Message {
    #[serde(rename = "type")]
    pub name: String,
    pub kind: Kind,
    #[serde(default)]
    pub response_type: Option<String>,
    #[serde(default)]
    pub response_to: Option<String>,
    pub request_id: RequestId,
    /// The family of a command's method.
    #[serde(default)]
    pub group: Option<String>,
    /// The name of a command's method.
    #[serde(default)]
    pub method: Option<String>,
    /// What a command does.
    #[serde(default)]
    pub summary: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
    /// The first version of the server that knows the message; all where it is missing.
    #[serde(default)]
    pub since: Option<String>,
    /// What is said of a command that nobody answered.
    #[serde(default)]
    pub timeout_hint: Option<String>,
    /// The server generations whose recordings hold it.
    #[serde(default)]
    pub observed_in: Vec<String>,
    pub fields: Fields,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Command,
    Response,
    Event,
}

/// Whether a message carries a `request_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestId {
    Required,
    Optional,
    None,
}

/// The definition of a type that several messages share.
#[derive(Debug, Deserialize)]
pub struct NamedType {
    pub fields: Fields,
}

/// Fields by name.
pub type Fields = BTreeMap<String, Field>;

/// One field of a message or type.
#[derive(Debug, Deserialize)]
pub struct Field {
    #[serde(rename = "type")]
    pub expression: String,
    pub required: bool,
    /// The server generations that know the field; all where it is empty.
    #[serde(default)]
    pub generations: Vec<String>,
    /// Words that only later versions of the server know.
    #[serde(default)]
    pub since: BTreeMap<String, String>,
    /// Present when the field was seen on the wire but is in no type definition; its `type` is then
    /// a remark instead of an expression.
    #[serde(default)]
    pub observed_only: Option<serde::de::IgnoredAny>,
}

/// Reads the catalog of the repository at `root`.
pub fn read(root: &Path) -> Outcome<Catalog> {
    let path = root.join("protocol/catalog.json");
    let text =
        std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    serde_json::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))
}
