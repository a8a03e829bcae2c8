//! The server double: says where it listens, and ends when it is killed.
//!
//! `double [--deltas N] [--outputs N] [--output-bytes N] [--one-by-one] [--split]`

use std::io;
use std::net::TcpListener;

use side_by_side::double::{Options, serve};
use side_by_side::frames::Shape;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse().ok()
    };
    let shape = Shape {
        deltas: number("--deltas").unwrap_or(50),
        outputs: number("--outputs").unwrap_or(0),
        output_bytes: number("--output-bytes").unwrap_or(1 << 20),
        single: !has("--split"),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("ws://{}", listener.local_addr()?);
    serve(&listener, Options { shape, one_by_one: has("--one-by-one") })
}
