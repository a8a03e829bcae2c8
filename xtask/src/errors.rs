//! The list of errors that the tests of all three languages share, as the engine itself prints it.

use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// Where the list is kept.
pub const FILE: &str = "tests/errors.json";

/// Asks the engine. A program of its own, because the engine is built of generated files.
pub fn list(root: &Path) -> Outcome<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "-p", "letta-app-client", "--features", "testing"])
        .args(["--example", "error_list"])
        .current_dir(root)
        .output()
        .map_err(|why| format!("error_list: {why}"))?;
    if !output.status.success() {
        return Err(format!("error_list: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|why| format!("error_list: {why}"))
}
