//! Client for the Letta Code App Server.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
mod client;
mod connection;
pub mod engine;
mod error;
mod events;
mod mailbox;
mod message;
mod options;
mod prepare;
pub mod protocol;
mod random;
mod router;
mod shared;
#[cfg(feature = "testing")]
pub mod testing;
mod tool_calls;
mod transport;

pub use client::Client;
pub use connection::{Connection, RequestOptions, TimeLimit};
pub use engine::{Approvals, Channel, TurnOptions, TurnResult, TurnStatus};
pub use error::{Error, ErrorKind};
pub use events::{Event, Events};
pub use mailbox::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ITEMS, Mailbox, Sink};
pub use message::Message;
pub use options::{ConnectOptions, TlsOptions, Transport};
pub use shared::State;
pub use tool_calls::{ToolCallRequest, ToolCalls};
