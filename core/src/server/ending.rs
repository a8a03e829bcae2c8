//! Whether a server has ended, and how: known to whoever waits for it and keeps nothing running by that.

use std::fmt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// What a shell adds to the number of the signal that ended its program.
const BY_SIGNAL: i32 = 128;

/// The highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// How a server has ended: with a code, or by a signal. Neither is known of a server that was joined, of whose end
/// nothing is told, nor where the program itself has taken note of the end of all its child processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerExit {
    /// The code that it ended with by itself.
    pub code: Option<i32>,
    /// The number of the signal that ended it, on Unix. A code from 129 to 192 stands for a signal too, as in a shell.
    pub signal: Option<i32>,
}

impl ServerExit {
    fn of(status: Option<ExitStatus>) -> Self {
        let Some(status) = status else { return Self::default() };
        #[cfg(unix)]
        {
            let own = std::os::unix::process::ExitStatusExt::signal(&status);
            // The shell that watches over the server passes it on so.
            let passed = status.code().map(|code| code - BY_SIGNAL);
            let signal = own.or(passed.filter(|signal| (1..=LAST_SIGNAL).contains(signal)));
            if signal.is_some() {
                return Self { code: None, signal };
            }
        }
        Self { code: status.code(), signal: None }
    }
}

/// `killed by signal 9`, `exited with code 1`.
impl fmt::Display for ServerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => write!(f, "killed by signal {signal}"),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => f.write_str("it is not known how"),
        }
    }
}

/// What is known of a server.
#[derive(Default)]
#[expect(clippy::option_option, reason = "running, ended somehow and a status are three cases")]
struct Told {
    /// Whether it has ended, with the status where that is known.
    ended: Option<Option<ExitStatus>>,
    /// Nothing will be told any more: what it printed was read too.
    over: bool,
    /// What is to be called then, with numbers.
    calls: Vec<(u64, Call)>,
    last: u64,
}

type Call = Box<dyn FnOnce() + Send>;

/// Tells whether a server has ended, and how, and does not keep it running. From
/// [`Server::watch`](super::Server::watch).
#[derive(Clone)]
pub struct ServerWatch(Arc<Mutex<Told>>);

impl fmt::Debug for ServerWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerWatch").field(&self.try_exited()).finish()
    }
}

/// The other side. All is told once this is dropped.
pub(crate) struct Teller(Arc<Mutex<Told>>);

/// Both sides, for a server that runs.
pub(crate) fn pair() -> (Teller, ServerWatch) {
    let told = Arc::<Mutex<Told>>::default();
    (Teller(Arc::clone(&told)), ServerWatch(told))
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teller {
    pub(crate) fn ended(&self, status: Option<ExitStatus>) {
        lock(&self.0).ended = Some(status);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let mut told = lock(&self.0);
        told.over = true;
        let calls = std::mem::take(&mut told.calls);
        drop(told);
        for (_, call) in calls {
            call();
        }
    }
}

impl ServerWatch {
    /// How the server has ended; `None` while it runs, and always of a server that was joined.
    #[must_use]
    pub fn try_exited(&self) -> Option<ServerExit> {
        self.status().map(ServerExit::of)
    }

    /// Resolves when the server has ended and its last lines were read, however it ended: by itself, by a signal,
    /// because its [`Server`](super::Server) was closed or dropped. At once if it has ended already. A program that the
    /// server has left behind may hold its output; that is waited for for 1 s.
    ///
    /// Of a server that was joined nothing is told: it resolves, with neither code nor signal, when the own handle is
    /// closed or dropped, while the server may go on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the wait, and nothing else.
    pub fn exited(&self) -> impl Future<Output = ServerExit> + Send + use<> {
        let (to, over) = oneshot::channel::<()>();
        let call = self.on_exit(move || drop(to));
        let watch = self.clone();
        async move {
            // It ends with the sender.
            drop(over.await);
            drop(call);
            watch.try_exited().unwrap_or_default()
        }
    }

    /// Calls a function once, when [`exited`](Self::exited) would resolve: for event loops of other languages, which
    /// only have to be woken. It is called on a thread of this library, or on this one if the server has ended already;
    /// it should not take long, nor panic. It is not called once the result was dropped.
    pub fn on_exit(&self, call: impl FnOnce() + Send + 'static) -> ExitCall {
        let mut told = lock(&self.0);
        told.last += 1;
        let number = told.last;
        if told.over {
            drop(told);
            call();
        } else {
            told.calls.push((number, Box::new(call)));
        }
        ExitCall { told: Arc::clone(&self.0), number }
    }

    /// Whether it has ended, and with which status where that is known.
    #[expect(clippy::option_option, reason = "running, ended somehow and a status are three cases")]
    pub(super) fn status(&self) -> Option<Option<ExitStatus>> {
        lock(&self.0).ended
    }
}

/// See [`ServerWatch::on_exit`].
#[must_use = "dropping it ends the wait"]
pub struct ExitCall {
    told: Arc<Mutex<Told>>,
    number: u64,
}

impl fmt::Debug for ExitCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitCall").finish_non_exhaustive()
    }
}

impl Drop for ExitCall {
    fn drop(&mut self) {
        let mut told = lock(&self.told);
        let place = told.calls.iter().position(|(number, _)| *number == self.number);
        let call = place.map(|place| told.calls.swap_remove(place));
        // What it has may look at this.
        drop(told);
        drop(call);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// Of a status as the system gives it: the code in the upper byte, a signal in the lower one.
    fn exit(raw: i32) -> ServerExit {
        ServerExit::of(Some(ExitStatus::from_raw(raw)))
    }

    #[test]
    fn a_signal_is_told_from_a_code() {
        assert_eq!(exit(0), ServerExit { code: Some(0), signal: None });
        assert_eq!(exit(1 << 8).to_string(), "exited with code 1");
        assert_eq!(exit(128 << 8).to_string(), "exited with code 128");
        // The shell passes on that the server was killed, or is killed with it.
        assert_eq!(exit(137 << 8), ServerExit { code: None, signal: Some(9) });
        assert_eq!(exit(9).to_string(), "killed by signal 9");
        assert_eq!(exit(255 << 8).to_string(), "exited with code 255");
        assert_eq!(ServerExit::of(None).to_string(), "it is not known how");
    }
}
