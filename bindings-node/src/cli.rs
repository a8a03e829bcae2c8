//! The command line of all packages.

use napi_derive::napi;

/// Runs a command and gives its exit code. It blocks, and reads and writes the process's own standard streams.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "napi registers nothing in test builds"))]
#[must_use]
pub fn cli(arguments: Vec<String>) -> i32 {
    letta_app_client::cli::main(&arguments) as i32
}
