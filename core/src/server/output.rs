//! What a server prints: its last lines, and the address it listens on.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lines::Lines;
use super::patience::Patience;
use crate::background;

/// How many lines are kept.
pub(crate) const KEPT_LINES: usize = 50;

/// What a line begins with that tells the address.
const LISTENING: &str = "Listening on ";

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    url: Option<String>,
    /// How many streams are still read.
    open: usize,
}

/// What is called with every line that a server prints; see [`Server::start_logged`](super::Server::start_logged).
pub type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Read by threads of its own, so that a server never waits for a reader.
#[derive(Debug, Clone, Default)]
pub(super) struct Output {
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// What a server has printed, for as long as somebody has this: also when the server is closed. See
/// [`Server::printed`](super::Server::printed).
#[derive(Debug, Clone, Default)]
pub struct Printed(Option<Output>);

impl Printed {
    pub(super) const fn new(output: Option<Output>) -> Self {
        Self(output)
    }

    /// The last 50 lines, the oldest first; nothing of a server that was joined.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.as_ref().map(Output::tail).unwrap_or_default()
    }
}

impl Output {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream to its end; then `on_line` is let go of.
    pub(super) fn read(
        &self,
        mut stream: Box<dyn Read + Send>,
        on_line: Option<OnLine>,
    ) -> std::io::Result<()> {
        self.state().open += 1;
        let output = self.clone();
        let read = move || {
            let mut each = |line: &str| output.line(line, on_line.as_ref());
            let mut lines = Lines::default();
            let mut piece = vec![0; 8 * 1024];
            loop {
                match stream.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => lines.take(&piece[..count], &mut each),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            lines.end(&mut each);
            output.state().open -= 1;
            output.shared.1.notify_all();
        };
        background::thread("letta-app-server-output", Box::new(read)).map(drop)
    }

    fn line(&self, line: &str, on_line: Option<&OnLine>) {
        let mut state = self.state();
        if let Some(url) =
            line.strip_prefix(LISTENING).and_then(|rest| rest.split_whitespace().next())
        {
            state.url = Some(url.to_owned());
        }
        if state.lines.len() == KEPT_LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(line.to_owned());
        drop(state);
        self.shared.1.notify_all();
        if let Some(on_line) = on_line {
            // A reader that panics has said so; the server would wait for ever for one that is gone.
            catch_unwind(AssertUnwindSafe(|| on_line(line))).unwrap_or_default();
        }
    }

    /// The last lines, the oldest first.
    pub(super) fn tail(&self) -> Vec<String> {
        self.state().lines.iter().cloned().collect()
    }

    /// Whether nothing will be printed any more.
    pub(super) fn is_over(&self) -> bool {
        self.state().open == 0
    }

    /// Waits until that is so, for so long at most.
    pub(super) fn wait_over(&self, time: Duration) {
        let is_open = |state: &mut State| state.open > 0;
        drop(self.shared.1.wait_timeout_while(self.state(), time, is_open));
    }

    /// Waits for the address; `None` when the time is over or nothing will be printed any more.
    pub(super) fn url(&self, patience: &Patience) -> Option<String> {
        let mut state = self.state();
        loop {
            if state.url.is_some() || state.open == 0 {
                return state.url.clone();
            }
            let waited = self.shared.1.wait_timeout(state, patience.look()?);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
