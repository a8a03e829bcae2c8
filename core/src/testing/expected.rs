//! `EXPECTED.json`: what a correct client reports for the inputs of the recordings.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::trace::{TraceError, read};

/// The expected results of a folder of recordings.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    /// What the keys mean, for people.
    #[serde(default)]
    pub about: String,
    /// The inputs of each recording in the order in which they were sent, by file name relative to the folder.
    pub inputs: BTreeMap<String, Vec<ExpectedInput>>,
}

impl Expected {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`TraceError`] when the file cannot be read or has another format.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        serde_json::from_slice(&read(path)?).map_err(|error| TraceError::Format {
            path: path.to_owned(),
            line: error.line(),
            message: error.to_string(),
        })
    }
}

/// The expected result of one input. Only what is present is to be compared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExpectedInput {
    /// When the input was sent, in milliseconds since the start of the recording.
    pub sent_t_ms: Option<u64>,
    /// Which client sent it, where several took part.
    pub client: Option<String>,
    /// The client message ids of its messages.
    pub client_message_ids: Option<Vec<String>>,
    /// A wire stop reason or `removed_from_queue`; `Some(None)` when the input never finishes for this client.
    #[serde(deserialize_with = "present")]
    pub outcome: Option<Option<String>>,
    /// The text of the assistant; `Some(None)` when the answer was cut short.
    #[serde(deserialize_with = "present")]
    pub text: Option<Option<String>>,
    /// The text of which the shown text must be a prefix, when the answer was cut short.
    pub text_is_prefix_of: Option<String>,
    /// The runs of the input in order.
    pub run_ids: Option<Vec<String>>,
    /// The number of tool calls.
    pub tool_calls: Option<u64>,
    /// Client message ids of other inputs that the same turn answered.
    pub merged_with: Option<Vec<String>>,
    /// The id of the turn.
    pub turn_id: Option<String>,
    /// Whether the turn ended with an error.
    pub has_error: Option<bool>,
    /// Whether the input came into a turn that was already running.
    pub joined: Option<bool>,
    /// The disposition in `input_accepted`.
    pub disposition: Option<String>,
    /// Whether the input waited in the queue.
    pub was_queued: Option<bool>,
    /// When the turn was complete, in milliseconds since the start of the recording.
    pub completed_t_ms: Option<u64>,
    /// The text by run.
    pub text_by_run: Option<BTreeMap<String, String>>,
    /// A comment.
    pub note: Option<String>,
}

/// Keeps a `null` apart from a missing key.
#[expect(clippy::option_option, reason = "missing, null and a value are three cases")]
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
