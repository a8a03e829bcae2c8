//! The native half of `@letta/app-client-native`: the engine's connections and its mock server,
//! handed to JavaScript as they are. Everything idiomatic is written in TypeScript (`ts/`).
//!
//! No thread of the engine ever enters the JavaScript engine: it leaves deliveries in a mailbox and
//! rings a bell once per burst, and JavaScript fetches them on its own thread.

#![expect(clippy::needless_pass_by_value, reason = "napi hands values over")]

mod checks;
mod cli;
mod connection;
mod crossed;
mod delivery;
mod directory;
mod doorbell;
mod drain;
mod errors;
mod options;
mod recording;
mod server;
mod server_end;
mod server_log;
mod server_start;
mod submission;
mod taken;
mod testing;
mod text;
