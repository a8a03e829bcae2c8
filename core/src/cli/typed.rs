//! What is typed.

use std::io;

use tokio::task::{JoinHandle, spawn_blocking};

/// The lines of standard input, each read by a thread of its own when somebody wants it. A wait that is
/// given up leaves the thread where it is: the next one gets the line that it reads.
#[derive(Default)]
pub(super) struct Typed {
    reading: Option<JoinHandle<Option<String>>>,
}

impl Typed {
    /// The next line; `None` at the end of the input.
    pub(super) async fn line(&mut self) -> Option<String> {
        let reading = self.reading.get_or_insert_with(|| spawn_blocking(read));
        let line = reading.await.ok().flatten();
        self.reading = None;
        line
    }

    /// What was typed when nothing was asked is no answer to what is asked now.
    pub(super) fn forget(&mut self) {
        self.reading.take_if(|reading| reading.is_finished());
    }
}

fn read() -> Option<String> {
    Some(io::stdin().lines().next()?.ok()?.trim().to_owned())
}

/// All of standard input.
pub(super) async fn all() -> io::Result<String> {
    let read = spawn_blocking(|| io::read_to_string(io::stdin()));
    read.await.unwrap_or_else(|failed| Err(io::Error::other(failed)))
}
