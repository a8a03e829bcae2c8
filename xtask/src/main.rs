//! Generators and checks of this repository.
//!
//! * `cargo run -q -p xtask -- gen` writes the generated source files and the code in documents.
//! * `cargo run -q -p xtask -- check` fails when a generated file is out of date or a hand-written
//!   one has grown too long.

mod amend;
mod catalog;
mod emit;
mod errors;
mod generate;
mod lower;
mod model;
mod pages;
mod python;
mod rust;
mod shape;
mod sizes;
mod snippets;
mod types;
mod typescript;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Everything here ends in a message for the person at the terminal.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gen"] => generate::write(&root())
            .and_then(|first| Ok(format!("{first}\n{}", snippets::write(&root())?))),
        ["check"] => check(&root()),
        _ => Err("usage: cargo run -q -p xtask -- gen|check".to_owned()),
    };
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The top folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs every check, so that one run shows everything there is to repair.
fn check(root: &Path) -> Outcome<String> {
    let results = [generate::check(root), snippets::check(root), sizes::check(root)];
    let failed = results.iter().any(Result::is_err);
    let report: Vec<String> = results
        .into_iter()
        .map(|result| result.unwrap_or_else(|message| format!("FAILED: {message}")))
        .collect();
    let report = report.join("\n");
    if failed { Err(report) } else { Ok(report) }
}
