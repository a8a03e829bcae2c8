//! Where a server that may be joined is written down, for programs of the same user only.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::ending::{self, ServerWatch};
use super::patience::Patience;
use super::process::answer;
use crate::background;

/// How often a server that is being started by another program is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often somebody else's lock is met without a server that can be joined before that counts: it may be a look of
/// another program, or an owner that is just letting go.
const LOOKS: usize = 10;

/// How often those who have joined a server look whether it is offered still.
const WATCH_EVERY: Duration = Duration::from_millis(500);

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
    /// A server, with its token and with what tells of its end.
    Server(String, Option<String>, ServerWatch),
    /// Nobody offers one: the caller is to start it, and to offer it with this.
    Seat(Seat),
    /// One that cannot be joined, or no file can be had: what the caller starts is its own alone.
    Nothing,
}

/// Looks for a server that was offered and still answers; with `auth`, for one that wants a token. While another program
/// starts one, this waits for it.
///
/// # Errors
///
/// That the patience is over, in words.
pub(super) fn find(auth: bool, patience: &Patience) -> Result<Found, &'static str> {
    let mut looks = 0;
    loop {
        match Seat::take() {
            Ok(Some(seat)) => return Ok(Found::Seat(seat)),
            Ok(None) => {}
            Err(_) => return Ok(Found::Nothing),
        }
        let entry = file().and_then(|file| fs::read_to_string(file).ok());
        if let Some(entry) = entry {
            if let Some((url, token)) = joinable(&entry, auth, patience) {
                return Ok(Found::Server(url, token, watch(entry)));
            }
            looks += 1;
            if looks == LOOKS {
                return Ok(Found::Nothing);
            }
        }
        // Without an entry whoever has the lock is about to offer one.
        let Some(left) = patience.left() else {
            return Err(
                "another program is starting the server to join, which does not answer yet",
            );
        };
        std::thread::sleep(left.min(LOOK_EVERY));
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

/// Tells when the server of an entry is offered no more: its owner takes the offer back when it lets go of the server
/// and when the server ends, and the system does when the owner ends.
fn watch(entry: String) -> ServerWatch {
    let (teller, watch) = ending::pair();
    let look = async move {
        while is_offered(&entry) {
            tokio::select! {
                () = teller.unwatched() => return,
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
        teller.read(None);
    };
    // Where no thread can be had nothing is told of it.
    background::spawn(look).unwrap_or_default();
    watch
}

/// Whether that is so as far as can be told: what cannot be looked at now may be there.
fn is_offered(entry: &str) -> bool {
    let (Some(file), Some(lock)) = (file(), lock()) else { return true };
    let is_missing = |error: &std::io::Error| error.kind() == IoErrorKind::NotFound;
    let held = match File::open(lock) {
        Ok(lock) => matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(error) => !is_missing(&error),
    };
    held && match fs::read_to_string(file) {
        Ok(now) => now == entry,
        Err(error) => !is_missing(&error),
    }
}

/// The one place for a server to join: for the program that starts it, and then owns it. Empty once it was left. All
/// copies are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat(Arc<Mutex<Option<Held>>>);

/// The lock, and the process that has it: what is forked from that has a copy.
#[derive(Debug)]
struct Held {
    _lock: File,
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
        let held = Held { _lock: lock, owner: std::process::id() };
        Ok(Some(Self(Arc::new(Mutex::new(Some(held))))))
    }

    /// Writes a server down, for as long as the seat is held. Not one whose end has already emptied it.
    pub(super) fn offer(&self, url: &str, token: Option<&str>) {
        let mut held = self.held();
        if held.is_some() && write(&json!({ "url": url, "token": token }).to_string()).is_none() {
            // The next program is not to wait for it.
            *held = None;
        }
    }

    /// Takes it back: nobody is to join the server any more.
    pub(super) fn leave(&self) {
        let mut held = self.held();
        if held.as_ref().is_some_and(|held| held.owner == std::process::id()) {
            file().map(fs::remove_file).transpose().unwrap_or_default();
        }
        // After the file, which belongs to whoever has the lock.
        *held = None;
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
