//! The frames of the recordings, for what reads frames one by one.

use serde_json::Value;

/// Those of each recording, in their order.
pub fn frames() -> impl Iterator<Item = Vec<String>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/traces");
    let folders = ["single", "split"].map(|generation| format!("{folder}/{generation}"));
    let files = folders.into_iter().flat_map(std::fs::read_dir).flatten().flatten();
    files.map(|file| {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.map(|line| line["frame"].to_string()).collect()
    })
}
