//! Closed clients and turns that are over leave nothing behind. `make endurance` does the same a thousand
//! times, and looks at the memory. Cargo builds the program before the tests of the whole package.
#![cfg(all(feature = "testing", target_os = "linux"))]

use std::path::Path;
use std::process::Command;

use letta_app_client::testing::{MockServer, ScriptOptions, ScriptedTurn};
use serde_json::Value;

#[test]
fn neither_threads_nor_descriptors_stay() {
    let turns = vec![ScriptedTurn::text(["piece "; 30])];
    let server = MockServer::scripted(ScriptOptions { turns, ..ScriptOptions::default() }).unwrap();
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let output =
        Command::new(folder.join("endurance")).args([&server.url(), "50"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let held: Value = serde_json::from_slice(&output.stdout).unwrap();
    for what in ["connections", "turns"] {
        for kind in ["threads", "descriptors"] {
            let counts = &held[what][kind];
            assert!(counts[0].as_u64().unwrap() > 0 && counts[0] == counts[1], "{held}");
        }
    }
}
