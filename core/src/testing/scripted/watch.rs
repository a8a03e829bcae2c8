//! Watched files (protocol reference, section 20.5). A real server is told by the system; the double looks often.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::files;
use super::world::{State, World};

/// The commands that this file answers, with silence.
pub(super) const COMMANDS: [&str; 2] = ["watch_file", "unwatch_file"];

/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// For how many looks a file has to be left alone before its change is told: together the 150 ms of a real server.
const QUIET: u32 = 6;

/// A file that a client watches, perhaps several times.
#[derive(Debug)]
pub(super) struct Watch {
    times: usize,
    task: AbortHandle,
}

pub(super) fn handle(
    world: &World,
    state: &mut State,
    folder: &Path,
    client: u64,
    frame: &Value,
) -> Option<()> {
    frame["request_id"].as_str()?;
    let path = frame["path"].as_str()?.to_owned();
    let watched = &mut state.clients.get_mut(&client)?.watched;
    if frame["type"] == "watch_file" {
        if let Some(watch) = watched.get_mut(&path) {
            watch.times += 1;
        } else if let Some((place, seen)) = files::place(folder, &path).ok().and_then(first_look) {
            let task = tokio::spawn(follow(world.clone(), client, path.clone(), place, seen));
            watched.insert(path, Watch { times: 1, task: task.abort_handle() });
        }
    } else if let Some(watch) = watched.get_mut(&path) {
        watch.times -= 1;
        if watch.times == 0 {
            watch.task.abort();
            watched.remove(&path);
        }
    }
    Some(())
}

/// When a file was changed, and how long it is.
type Look = (SystemTime, u64);

fn look(place: &Path) -> Option<Look> {
    let about = fs::metadata(place).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// A file that is not there is not watched.
fn first_look(place: PathBuf) -> Option<(PathBuf, Look)> {
    let seen = look(&place)?;
    Some((place, seen))
}

/// Tells of changes until the file is gone, or whoever watches it.
async fn follow(world: World, client: u64, path: String, place: PathBuf, mut told: Look) {
    let mut last = Some(told);
    let mut quiet = 0;
    loop {
        sleep(LOOK).await;
        let now = look(&place);
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
        let state = &mut *world.lock();
        let Some(watching) = state.clients.get_mut(&client) else { return };
        if quiet < QUIET || now == Some(told) {
            continue;
        }
        let Some(now) = now else {
            watching.watched.remove(&path);
            return;
        };
        told = now;
        let at = now.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        state.reply(client, &json!({ "type": "file_changed", "path": path, "lastModified": at }));
    }
}
