//! The model of the server and the real client as hosts of one simulated network.

pub mod host;
pub mod story;
