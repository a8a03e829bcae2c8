//! A server double as a program, for trying out clients. It says where it listens, answers each input with
//! the arguments, piece by piece, and ends when it is killed; the options of a real server change nothing:
//!
//! `cargo run -p letta-app-client --features testing --example double -- "Hel" "lo."`

use std::io;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};

fn main() -> io::Result<()> {
    let pieces: Vec<String> =
        std::env::args().skip(1).take_while(|argument| !argument.starts_with("--")).collect();
    let turn = if pieces.is_empty() { ScriptedTurn::default() } else { ScriptedTurn::text(pieces) };
    let server =
        MockServer::scripted(ScriptOptions { turns: vec![turn], ..ScriptOptions::default() })?;
    println!("Listening on {}", server.url());
    loop {
        std::thread::park();
    }
}
