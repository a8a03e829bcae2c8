//! Where a server that may be joined is written down, for programs of the same user only.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::patience::Patience;
use super::process::answer;

/// The file, in the user's own folder.
fn file() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".letta").join("app-client").join("server.json"))
}

/// Locked by the owner of the server that is offered, as long as that owner lives.
fn lock() -> Option<PathBuf> {
    Some(file()?.with_extension("lock"))
}

/// A server that was offered and still answers, with its token. With `auth`, one that wants a token.
pub(super) fn find(auth: bool, patience: &Patience) -> Option<(String, Option<String>)> {
    // An owner that was killed took nothing back, and whoever has got the port since must not see the
    // token.
    let abandoned = fs::File::open(lock()?).ok()?.try_lock().is_ok();
    if abandoned {
        return None;
    }
    let entry: Value = serde_json::from_str(&fs::read_to_string(file()?).ok()?).ok()?;
    let url = entry["url"].as_str()?.to_owned();
    let token = entry["token"].as_str().map(str::to_owned);
    if auth && token.is_none() {
        return None;
    }
    let place = url.split("://").nth(1)?.split('/').next()?;
    let answer = answer(place, "/app-server-info", token.as_deref(), patience)?;
    answer.starts_with("HTTP/1.1 200").then_some((url, token))
}

/// Writes a server down, for as long as the result lives; `None` where another one is, or where that
/// cannot be done.
pub(super) fn offer(url: &str, token: Option<&str>) -> Option<fs::File> {
    let file = file()?;
    fs::create_dir_all(file.parent()?).ok()?;
    let held = private(&lock()?).ok()?;
    held.try_lock().ok()?;
    let entry = json!({ "url": url, "token": token }).to_string();
    // Beside it and then in its place: nobody reads half of it.
    let draft = file.with_extension(format!("{}.tmp", std::process::id()));
    private(&draft).ok()?.write_all(entry.as_bytes()).ok()?;
    fs::rename(draft, file).ok()?;
    Some(held)
}

/// Takes it back, while the lock is held.
pub(super) fn withdraw() {
    file().map(fs::remove_file).transpose().unwrap_or_default();
}

/// A file that only its owner can read.
fn private(path: &std::path::Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
