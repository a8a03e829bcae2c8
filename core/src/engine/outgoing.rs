//! A frame on its way to the server, and what becomes of it where it never leaves.

use super::delivery::Token;
use super::memory::Place;
use crate::protocol::Text;

/// A frame to send. One that nobody waits for says where it belongs: nobody could be told that it has not left.
#[derive(Debug)]
pub struct Outgoing {
    pub(crate) text: Text,
    pub(crate) unawaited: Option<Box<Unawaited>>,
}

/// What is known of a frame that nobody waits for.
#[derive(Debug)]
pub(crate) struct Unawaited {
    /// Its runtime, if it has one.
    pub(crate) place: Option<Place>,
    /// Whether it is an input.
    pub(crate) settles: bool,
}

impl Outgoing {
    /// The frame of a command that a call waits for, or else what is known of it.
    pub(crate) fn new(text: Text, call: Option<Token>, known: impl FnOnce() -> Unawaited) -> Self {
        let unawaited = call.is_none().then(|| Box::new(known()));
        Self { text, unawaited }
    }

    /// Whether nobody waits for what becomes of it.
    #[must_use]
    pub fn is_unawaited(&self) -> bool {
        self.unawaited.is_some()
    }

    /// The frame.
    #[must_use]
    pub fn into_text(self) -> Text {
        self.text
    }
}

/// A frame that somebody waits for, or one of the engine's own.
impl From<Text> for Outgoing {
    fn from(text: Text) -> Self {
        Self { text, unawaited: None }
    }
}
