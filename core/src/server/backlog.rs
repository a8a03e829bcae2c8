//! Lines of a server on their way to a program that may be busy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::output::OnLine;
use crate::mailbox::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ITEMS};

/// What a server has printed and nobody has taken yet: 65,536 lines or 64 MiB at most. Then the oldest go, and a line
/// that says how many stands in their place.
///
/// It is for those who cannot be called by the threads that read the output, as event loops of other languages. Nothing
/// goes over the wire.
#[derive(Debug, Clone, Default)]
pub struct LineBacklog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<String>,
    bytes: usize,
    left_out: usize,
    /// Nothing will be printed any more.
    over: bool,
}

impl State {
    fn push(&mut self, line: &str, max_lines: usize, max_bytes: usize) {
        self.bytes += line.len();
        self.waiting.push_back(line.to_owned());
        while self.waiting.len() > max_lines || self.bytes > max_bytes {
            self.left_out += 1;
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<String> {
        let line = self.waiting.pop_front()?;
        self.bytes -= line.len();
        Some(line)
    }

    fn take(&mut self) -> Option<String> {
        match std::mem::take(&mut self.left_out) {
            0 => self.pop(),
            count => Some(format!("({count} lines were dropped: nobody read them in time)")),
        }
    }
}

impl LineBacklog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a server calls with each line, for [`Server::start_stoppable`](super::Server::start_stoppable). `ring` is
    /// called, by the threads that read the output, when there is something again where there was nothing, and when
    /// the server lets go of this because all was read.
    pub fn writer(&self, ring: impl Fn() + Send + Sync + 'static) -> OnLine {
        let writer = Writer { backlog: self.clone(), ring };
        Arc::new(move |line| writer.line(line))
    }

    /// The oldest lines, so many at most, and whether they are the last.
    #[must_use]
    pub fn drain(&self, most: usize) -> (Vec<String>, bool) {
        let mut state = self.state();
        let taken = std::iter::from_fn(|| state.take()).take(most).collect();
        (taken, state.over && state.waiting.is_empty())
    }
}

/// Tells of the end when it goes.
struct Writer<R: Fn()> {
    backlog: LineBacklog,
    ring: R,
}

impl<R: Fn()> Writer<R> {
    fn line(&self, line: &str) {
        let mut state = self.backlog.state();
        let is_first = state.waiting.is_empty();
        state.push(line, DEFAULT_MAX_ITEMS, DEFAULT_MAX_BYTES);
        drop(state);
        // Whoever was told of others takes this one with them.
        if is_first {
            (self.ring)();
        }
    }
}

impl<R: Fn()> Drop for Writer<R> {
    fn drop(&mut self) {
        self.backlog.state().over = true;
        (self.ring)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn it_rings_for_the_first_line_and_for_the_end() {
        let (backlog, rung) = (LineBacklog::default(), Arc::new(AtomicUsize::new(0)));
        let bell = Arc::clone(&rung);
        let write = backlog.writer(move || {
            bell.fetch_add(1, Ordering::Relaxed);
        });
        write("a");
        write("b");
        assert_eq!(rung.load(Ordering::Relaxed), 1);
        assert_eq!(backlog.drain(1), (vec!["a".to_owned()], false));
        drop(write);
        assert_eq!(rung.load(Ordering::Relaxed), 2);
        assert_eq!(backlog.drain(9), (vec!["b".to_owned()], true));
    }

    #[test]
    fn where_lines_went_a_line_says_how_many() {
        let mut state = State::default();
        for line in ["a", "b", "c", "long", "d"] {
            state.push(line, 3, 5);
        }
        let taken: Vec<_> = std::iter::from_fn(|| state.take()).collect();
        assert_eq!(taken, ["(3 lines were dropped: nobody read them in time)", "long", "d"]);
        assert_eq!((state.bytes, state.take()), (0, None));
    }
}
