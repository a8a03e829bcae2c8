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
mod text;
pub mod typed;
pub mod types;
pub mod validate;
pub mod version;

pub use text::Text;
