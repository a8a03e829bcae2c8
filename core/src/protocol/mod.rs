//! The wire: what frames look like, told without any state.

mod delta;
pub(crate) mod depth;
pub(crate) mod edits;
pub mod envelope;
mod escapes;
pub mod frames;
pub mod generated;
pub(crate) mod node;
pub mod outline;
mod plain;
pub mod raw;
pub(crate) mod scan;
mod shape;
pub mod shapes;
pub(crate) mod slips;
pub mod spec;
mod statuses;
pub mod typed;
pub mod types;
pub mod validate;
pub mod version;

/// The text of a frame, shared without copying.
pub use tokio_tungstenite::tungstenite::Utf8Bytes as Text;
