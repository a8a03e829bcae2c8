//! Where a server that may be joined is written down, for programs of the same user only.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::process::answer;

/// The file, in the user's own folder.
fn file() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".letta").join("app-client").join("server.json"))
}

/// A server that was offered and still answers, with its token.
pub(super) fn find() -> Option<(String, Option<String>)> {
    let entry: Value = serde_json::from_str(&fs::read_to_string(file()?).ok()?).ok()?;
    let url = entry["url"].as_str()?.to_owned();
    let token = entry["token"].as_str().map(str::to_owned);
    let place = url.split("://").nth(1)?.split('/').next()?;
    // The right token tells it from whoever has got the port since.
    let answer = answer(place, "/app-server-info", token.as_deref())?;
    answer.starts_with("HTTP/1.1 200").then_some((url, token))
}

/// Writes a server down. A machine where that cannot be done has none to be joined.
pub(super) fn offer(url: &str, token: Option<&str>) {
    let write = || -> std::io::Result<()> {
        let file = file().ok_or(std::io::ErrorKind::NotFound)?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let entry = json!({ "url": url, "token": token }).to_string();
        // Beside it and then in its place: nobody reads half of it.
        let draft = file.with_extension(format!("{}.tmp", std::process::id()));
        private(&draft)?.write_all(entry.as_bytes())?;
        fs::rename(draft, file)
    };
    write().unwrap_or_default();
}

/// Takes a server back, unless another one was written down since.
pub(super) fn withdraw(url: &str) {
    let Some(file) = file() else { return };
    let entry = fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
    if entry.is_some_and(|entry: Value| entry["url"] == url) {
        fs::remove_file(file).unwrap_or_default();
    }
}

/// A file that only its owner can read.
fn private(path: &std::path::Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
