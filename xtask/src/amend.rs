//! What the catalog's type expressions cannot say, in the same notation.

/// Bodies of the Letta REST API that the App Server checks itself, by name. All other names that
/// the catalog does not define stand for any JSON object.
///
/// The server passes parts of a message on as they are (protocol reference, section 8.1), so a type that is not known
/// here may be one that it takes: `MessagePart` and `ImageSource` stand for those.
pub const REST_TYPES: &[(&str, &str)] = &[
    (
        "MessageCreate",
        r#"{ role: "user" | "system" | "assistant"; content: string | (TextPart | ImagePart | MessagePart)[] }"#,
    ),
    ("TextPart", r#"{ type: "text"; text: string }"#),
    ("ImagePart", r#"{ type: "image"; source: Base64Source | UrlSource | ImageSource }"#),
    ("MessagePart", "{ type: string }"),
    ("Base64Source", r#"{ type: "base64"; media_type: string; data: string }"#),
    ("UrlSource", r#"{ type: "url"; url: string }"#),
    ("ImageSource", "{ type: string }"),
];

/// Fields that are narrower than the catalog's type for them: type, field, expression.
///
/// The server ignores a frame whose `runtime` has an empty id (protocol reference, section 5.1).
pub const NARROWER: &[(&str, &str, &str)] = &[
    ("RuntimeScope", "agent_id", "non_empty_string"),
    ("RuntimeScope", "conversation_id", "non_empty_string"),
];
