//! Client for the Letta Code App Server: runtimes, turns, approvals and tools over WebSocket.
//!
//! An App Server is a local process that runs stateful coding agents. [`Client`] starts a *runtime* on it (an
//! agent and a conversation, working in a directory), sends *input*, and tells when the *turn* is over.
//!
//! ```
//! use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
//! use letta_app_client::{Client, ConnectOptions, SessionOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A double that stands in for `letta server --listen ws://127.0.0.1:4500`.
//! let turns = vec![ScriptedTurn::text(["4", "2"])];
//! let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() })?;
//!
//! let client = Client::new(ConnectOptions::new(server.url()))?;
//! client.connect().await?;
//! let session = client.session(SessionOptions::agent("agent-123").cwd(".")).await?;
//! let result = session.run("What is six times seven?").await?;
//! assert_eq!(result.text, "42");
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A program closes its client before it ends ([`Client::close`]). Nobody waits for the thread of the sockets then, so
//! that what was asked for a moment before (the abort of a turn that was dropped, the input of one that was detached) is
//! not sent without.
//!
//! # Layers
//!
//! * [`Session`] is a conversation: ask with [`Session::run`], follow with [`Session::send`], get a value of a
//!   type with [`Session::run_as`]. It takes functions as [`Tool`]s and a [`policy`] for permissions. [`map`]
//!   sends many prompts at once; [`gather`] waits for turns that were already sent.
//! * [`Client`] is everything else that the protocol has. Bodies are JSON values with the protocol's own field
//!   names, or the typed commands of [`protocol::types`] in methods by family: `client.agents().list(…)`.
//! * [`Connection`] is the handle underneath, for other languages: it takes and gives plain text, never blocks,
//!   and leaves completions in a [`Sink`] such as a [`Mailbox`].
//! * [`engine`] decides everything and does no I/O; it can be driven without a socket.
//! * [`protocol`] knows what frames look like.
//!
//! # Features
//!
//! * `testing` (off by default): the module `testing`, a server double and the comparison with recordings.
//! * `cli` (off by default): the module `cli`, the command line of the Python and Node packages.
//!
//! The sockets of all clients live on one thread of the library's own, so the futures of a [`Client`] run on
//! any executor. Section numbers in this documentation refer to the protocol reference.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod approvals;
mod authorities;
mod background;
mod backpressure;
mod batch;
mod belled;
mod changes;
mod check;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod connection;
pub mod engine;
mod error;
mod events;
pub mod families;
mod gather;
mod handle;
mod lanes;
mod listing;
mod mailbox;
mod map;
mod message;
mod named;
mod options;
mod pages;
pub mod policy;
mod prepare;
pub mod protocol;
mod queue;
mod random;
mod record;
mod room;
mod router;
mod server;
mod session;
mod shared;
mod spelling;
mod state;
mod sync;
mod tasks;
mod terminal;
#[cfg(feature = "testing")]
pub mod testing;
mod tool;
mod transport;
mod turn;
mod updates;

pub use approvals::{ApprovalRequest, ApprovalRequests, Decision};
pub use backpressure::{Backpressure, Overflow};
pub use batch::{Batch, BatchItem, Progress};
pub use changes::FileChanges;
pub use check::Check;
pub use client::Client;
pub use connection::{Connection, RequestOptions, TimeLimit};
#[doc(inline)]
pub use engine::{
    Approvals, Channel, Counters, InputDelivery, NextStep, Reconnect, Resend, Submission,
    TurnEvent, TurnMessage, TurnOptions, TurnPhase, TurnReport, TurnResult, TurnStatus, Usage,
};
pub use error::{Error, ErrorKind};
pub use events::{Event, Events, MessageFilter, Messages};
pub use gather::{gather, gather_checked, gather_with};
pub use handle::TurnHandle;
pub use listing::Listing;
pub use mailbox::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ITEMS, Mailbox, Sink, event_json};
pub use map::{MapOptions, map};
pub use message::Message;
pub use options::{ConnectOptions, TlsOptions, Transport};
pub use pages::{CronRuns, StoredMessages};
#[doc(inline)]
pub use policy::{AuditEntry, Policy, Question, Rule};
pub use record::{Direction, RecordOptions, RecordWriter, RecordedFrame};
pub use server::{
    ExitCall, LineBacklog, OnLine, Printed, Server, ServerExit, ServerOptions, ServerWatch,
    StopStart, spawn_server,
};
pub use session::{Prompt, Session, SessionOptions, Structured};
pub use state::{StandbyState, State};
pub use terminal::Terminal;
pub use tool::{Tool, ToolCallRequest, ToolCalls, ToolContext, ToolOutput};
pub use transport::leave;
pub use turn::{Turn, TurnUpdate};
pub use updates::TurnUpdates;
