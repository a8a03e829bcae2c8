//! What `make bench` measures with: a server double that is never the bottleneck, frames like those of a real
//! server, and how much a process has used.

pub mod double;
pub mod frames;
pub mod peers;
pub mod usage;
