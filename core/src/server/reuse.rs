//! Where a server that may be joined is written down, for programs of the same user only.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::patience::Patience;
use super::process::answer;

/// How often somebody else's lock is met without a server that can be joined before that counts: it may be a look of
/// another program, or an owner that is just letting go.
const LOOKS: usize = 10;

/// The file, in the user's own folder.
fn file() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".letta").join("app-client").join("server.json"))
}

/// Locked by the one program that starts the server that is offered, or owns it, as long as that program lives.
fn lock() -> Option<PathBuf> {
    Some(file()?.with_extension("lock"))
}

/// What a program that wants to share a server finds.
pub(super) enum Found {
    /// A server, with its token.
    Server(String, Option<String>),
    /// Nobody offers one: the caller is to start it, and to offer it with this. An empty seat where there is one that cannot
    /// be joined, or none comes in time, or no file can be had: what the caller starts is its own alone.
    Seat(Seat),
}

/// Looks for a server that was offered and still answers; with `auth`, for one that wants a token. While another program
/// starts one, this waits for it.
pub(super) fn find(auth: bool, patience: &Patience) -> Found {
    let mut looks = 0;
    loop {
        match Seat::take() {
            Ok(Some(seat)) => return Found::Seat(seat),
            Ok(None) => {}
            Err(_) => return Found::Seat(Seat::default()),
        }
        let entry = file().and_then(|file| fs::read_to_string(file).ok());
        if let Some(entry) = entry {
            if let Some((url, token)) = joinable(&entry, auth, patience) {
                return Found::Server(url, token);
            }
            looks += 1;
            if looks == LOOKS {
                return Found::Seat(Seat::default());
            }
        }
        // Without an entry whoever has the lock is about to offer one.
        let Some(wait) = patience.look() else {
            return Found::Seat(Seat::default());
        };
        std::thread::sleep(wait);
    }
}

/// The server of an entry, if it answers.
fn joinable(entry: &str, auth: bool, patience: &Patience) -> Option<(String, Option<String>)> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let url = entry["url"].as_str()?.to_owned();
    let token = entry["token"].as_str().map(str::to_owned);
    if auth && token.is_none() {
        return None;
    }
    let place = url.split("://").nth(1)?.split('/').next()?;
    let answer = answer(place, "/app-server-info", token.as_deref(), patience)?;
    answer.starts_with("HTTP/1.1 200").then_some((url, token))
}

/// The one place for a server to join: for the program that starts it, and then owns it. Empty once it was left. All
/// copies are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat(Arc<Mutex<Option<Held>>>);

/// The lock, and the process that has it: what is forked from that has a copy of the descriptor, which holds it too. A
/// program that is run does not get it.
#[derive(Debug)]
struct Held {
    lock: File,
    owner: u32,
}

impl Seat {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it if nobody has it. An entry there is of an owner that was killed and took nothing back: whoever has got
    /// the port since must not see the token.
    fn take() -> std::io::Result<Option<Self>> {
        let nowhere = || std::io::Error::from(IoErrorKind::NotFound);
        let (file, lock) = (file().ok_or_else(nowhere)?, lock().ok_or_else(nowhere)?);
        fs::create_dir_all(file.parent().ok_or_else(nowhere)?)?;
        let lock = private(&lock)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match fs::remove_file(file) {
            Err(error) if error.kind() != IoErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let held = Held { lock, owner: std::process::id() };
        Ok(Some(Self(Arc::new(Mutex::new(Some(held))))))
    }

    /// Writes a server down, for as long as the seat is held. Not one whose end has already emptied it.
    pub(super) fn offer(&self, url: &str, token: Option<&str>) {
        let held = self.held();
        if held.is_some() && write(&json!({ "url": url, "token": token }).to_string()).is_none() {
            // The next program is not to wait for it.
            drop(held);
            self.leave();
        }
    }

    /// Takes it back: nobody is to join the server any more.
    pub(super) fn leave(&self) {
        let held = self.held().take();
        if let Some(Held { lock, .. }) = held.filter(|held| held.owner == std::process::id()) {
            file().map(fs::remove_file).transpose().unwrap_or_default();
            // After the file, which belongs to whoever has the lock. To close it would not do: a fork has it open.
            lock.unlock().unwrap_or_default();
        }
    }
}

/// Writes the entry beside its file and then in its place: nobody reads half of it.
fn write(entry: &str) -> Option<()> {
    let file = file()?;
    let draft = file.with_extension(format!("{}.tmp", std::process::id()));
    private(&draft).ok()?.write_all(entry.as_bytes()).ok()?;
    fs::rename(draft, file).ok()
}

/// A file that only its owner can read.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
