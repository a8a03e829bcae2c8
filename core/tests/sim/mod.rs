//! A simulated network between the client and a model of the server, from a seed.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod dice;
pub mod figures;
pub mod judge;
pub mod ledger;
pub mod plan;
pub mod program;
pub mod script;
pub mod server;
pub mod standby;
pub mod wire;
pub mod world;
