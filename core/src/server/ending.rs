//! Whether a server has ended, and how: known to whoever waits for it and keeps nothing running by that.

use std::fmt;
use std::process::ExitStatus;

use tokio::sync::{oneshot, watch};

use crate::background;
use crate::error::Error;

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

/// How it stands with a server.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    /// It has ended, with this status where that is known.
    Ended(Option<ExitStatus>),
    /// And what it printed was read.
    Read(Option<ExitStatus>),
}

/// Tells whether a server has ended, and how, and does not keep it running. From
/// [`Server::watch`](super::Server::watch).
#[derive(Debug, Clone)]
pub struct ServerWatch(watch::Receiver<Phase>);

/// The other side.
#[derive(Debug)]
pub(crate) struct Teller(watch::Sender<Phase>);

/// Both sides, for a server that runs.
pub(crate) fn pair() -> (Teller, ServerWatch) {
    let (to, from) = watch::channel(Phase::Running);
    (Teller(to), ServerWatch(from))
}

impl Teller {
    pub(crate) fn ended(&self, status: Option<ExitStatus>) {
        self.0.send_replace(Phase::Ended(status));
    }

    pub(crate) fn read(&self, status: Option<ExitStatus>) {
        self.0.send_replace(Phase::Read(status));
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
        let mut phase = self.0.clone();
        async move {
            // Without the other side nothing will be told any more; what is known then counts.
            drop(phase.wait_for(|phase| matches!(phase, Phase::Read(_))).await.map(drop));
            Self(phase).try_exited().unwrap_or_default()
        }
    }

    /// Calls a function once, when [`exited`](Self::exited) would resolve: for event loops of other languages, which
    /// only have to be woken. It is called on a thread of this library, and not after the result was dropped.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Internal`] where no thread can be had.
    pub fn on_exit(&self, call: impl FnOnce() + Send + 'static) -> Result<ExitCall, Error> {
        let (hold, dropped) = oneshot::channel::<()>();
        let exited = self.exited();
        let wait = async move {
            tokio::select! {
                biased;
                _ = dropped => {}
                _ = exited => call(),
            }
        };
        background::spawn(wait)?;
        Ok(ExitCall { _hold: hold })
    }

    /// Resolves when it has ended, whatever of its output was read.
    pub(crate) async fn ended(&self) -> ServerExit {
        let mut phase = self.0.clone();
        if phase.wait_for(|phase| !matches!(phase, Phase::Running)).await.is_err() {
            // Nothing will be told any more: that it has ended is not known.
            std::future::pending::<()>().await;
        }
        self.try_exited().unwrap_or_default()
    }

    /// Whether it has ended, and with which status where that is known.
    #[expect(clippy::option_option, reason = "running, ended somehow and a status are three cases")]
    pub(super) fn status(&self) -> Option<Option<ExitStatus>> {
        match *self.0.borrow() {
            Phase::Running => None,
            Phase::Ended(status) | Phase::Read(status) => Some(status),
        }
    }
}

/// See [`ServerWatch::on_exit`].
#[derive(Debug)]
#[must_use = "dropping it ends the wait"]
pub struct ExitCall {
    _hold: oneshot::Sender<()>,
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
