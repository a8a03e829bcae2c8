//! What the catalog's type expressions cannot say, in the same notation.

/// Bodies of the Letta REST API that the App Server checks itself, by name. All other names that
/// the catalog does not define stand for any JSON object.
pub const REST_TYPES: &[(&str, &str)] = &[
    (
        "MessageCreate",
        r#"{ role: "user" | "system" | "assistant"; content: string | MessagePart[] }"#,
    ),
    ("MessagePart", "{ type: string }"),
];

/// Fields that are narrower than the catalog's type for them: type, field, expression.
///
/// The server ignores a frame whose `runtime` has an empty id (protocol reference, section 5.1).
pub const NARROWER: &[(&str, &str, &str)] = &[
    ("RuntimeScope", "agent_id", "non_empty_string"),
    ("RuntimeScope", "conversation_id", "non_empty_string"),
];
