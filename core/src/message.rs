//! A frame as the user sees it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::engine::Channel;
use crate::error::{Error, ErrorKind};
use crate::protocol::Text;
use crate::protocol::envelope::Envelope;
use crate::protocol::types::ServerMessage;

/// A frame from the server, byte for byte, read when it is asked for.
#[derive(Debug, Clone)]
pub struct Message {
    channel: Channel,
    text: Text,
}

impl Message {
    pub(crate) fn new(channel: Channel, text: Text) -> Self {
        Self { channel, text }
    }

    /// The socket it came on.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The wire text: unknown fields and large integers as the server wrote them.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its `type`; empty where it has none.
    #[must_use]
    pub fn kind(&self) -> String {
        Envelope::read(&self.text).map(|envelope| envelope.kind.into_owned()).unwrap_or_default()
    }

    /// The frame as a JSON value. Integers beyond 64 bits become floating-point numbers there; the
    /// text keeps them.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The frame in the typed form of the protocol; [`ServerMessage::Unknown`] for a type that this
    /// version does not know, and for one with fields of other types.
    #[must_use]
    pub fn typed(&self) -> ServerMessage {
        let map: Map<String, Value> = serde_json::from_str(&self.text).unwrap_or_default();
        ServerMessage::from(map)
    }

    /// The frame as a type of the caller's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ProtocolMismatch`] when the frame does not fit the type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.text).map_err(|error| {
            let message = format!("`{}` does not match the requested type: {error}", self.kind());
            Error::new(ErrorKind::ProtocolMismatch, message).with_response(self.text())
        })
    }
}
