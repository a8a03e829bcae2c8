//! A server double for tests: plays recorded traces and scripted turns.
//!
//! [`MockServer`] listens on a loopback port and speaks either generation of the App Server protocol. It runs on a
//! thread of its own with its own runtime, so a test can use it from blocking code, from any async runtime and from
//! every language binding alike.
//!
//! * [`MockServer::play`] repeats a recording frame by frame and waits where the recorded client sent something. Use
//!   it to check a client against what a real server did.
//! * [`MockServer::scripted`] reacts to commands and answers each input with a turn of your choice. Use it to test
//!   an application.
//!
//! ```
//! use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = MockServer::scripted(ScriptOptions {
//!     turns: vec![ScriptedTurn::text(["4", "2"])],
//!     ..ScriptOptions::default()
//! })?;
//! assert!(server.url().starts_with("ws://127.0.0.1:"));
//! server.close();
//! # Ok(())
//! # }
//! ```

mod accept;
mod cast;
mod conformance;
mod connection;
mod expected;
mod folder;
mod http;
mod options;
mod outbox;
mod parse;
mod player;
mod received;
mod replay;
mod scripted;
mod server;
mod shared;
mod simulated;
#[cfg(test)]
mod tests;
mod trace;
mod translate;
mod wire;

pub use conformance::differences;
pub use expected::{Expected, ExpectedInput};
pub use options::{Generation, PlayOptions, ScriptOptions, ScriptedCall, ScriptedTurn};
pub use outbox::{SlowReaderLimits, Terminated};
pub use replay::{Replay, events as replay_events, replay};
pub use server::MockServer;
#[doc(hidden)]
pub use simulated::{Opening, Simulated, Stream};
pub use trace::{Channel, Payload, Trace, TraceError, TraceEvent, TraceLine};
