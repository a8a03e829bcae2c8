//! What a server prints: its last lines, and the address it listens on.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How many lines are kept.
pub(crate) const LINES: usize = 50;

/// What a line begins with that tells the address.
const LISTENING: &str = "Listening on ";

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    url: Option<String>,
    /// How many streams are still read.
    open: usize,
}

/// What is called with every line.
pub(super) type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Read by threads of its own, so that a server never waits for a reader.
#[derive(Clone)]
pub(super) struct Output {
    shared: Arc<(Mutex<State>, Condvar)>,
    on_line: Option<OnLine>,
}

impl Output {
    pub(super) fn new(on_line: Option<OnLine>) -> Self {
        Self { shared: Arc::default(), on_line }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream to its end.
    pub(super) fn read(&self, stream: impl Read + Send + 'static) -> std::io::Result<()> {
        self.state().open += 1;
        let output = self.clone();
        let read = move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                output.line(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
            output.state().open -= 1;
            output.shared.1.notify_all();
        };
        std::thread::Builder::new().name("letta-app-server-output".to_owned()).spawn(read)?;
        Ok(())
    }

    fn line(&self, line: &str) {
        let mut state = self.state();
        if let Some(url) =
            line.strip_prefix(LISTENING).and_then(|rest| rest.split_whitespace().next())
        {
            state.url = Some(url.to_owned());
        }
        if state.lines.len() == LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(line.to_owned());
        drop(state);
        self.shared.1.notify_all();
        if let Some(on_line) = &self.on_line {
            on_line(line);
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

    /// Waits for the address; `None` when the time is over or nothing will be printed any more.
    pub(super) fn url(&self, deadline: Instant) -> Option<String> {
        let mut state = self.state();
        loop {
            if state.url.is_some() || state.open == 0 {
                return state.url.clone();
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.shared.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
