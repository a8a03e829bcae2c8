//! The signals that end a command.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::process;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::Exit;
use crate::background;

/// How long a command may take to end: longer than it takes to close a client.
pub(crate) const END_LIMIT: Duration = Duration::from_secs(4);

/// Listens to signals, until it is dropped.
pub(super) struct Signals {
    first: oneshot::Receiver<Signal>,
    /// Dropping it ends the thread.
    _listening: oneshot::Sender<()>,
}

impl Signals {
    /// On a thread of its own: a command may be stuck in writing to somebody who does not read, and only the end of the
    /// process ends that, at a second signal or when [`END_LIMIT`] is over.
    pub(super) fn listen() -> Self {
        let (tell, first) = oneshot::channel();
        let (listening, over) = oneshot::channel::<()>();
        let (ready, is_ready) = mpsc::channel::<()>();
        let listen = async move {
            let (mut any, mut ready) = (pin!(Signal::any()), Some(ready));
            let signal = poll_fn(|context| {
                let signal = any.as_mut().poll(context);
                // From its first step on it listens.
                ready = None;
                signal
            })
            .await;
            tell.send(signal).unwrap_or_default();
            tokio::select! {
                _ = Signal::any() => {}
                () = tokio::time::sleep(END_LIMIT) => {}
            }
            process::exit(signal.exit() as i32);
        };
        let run = move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                runtime.block_on(async {
                    tokio::select! {
                        _ = over => {}
                        () = listen => {}
                    }
                });
            }
        };
        // Without a thread signals do what they do by themselves.
        background::thread("letta-app-signals", Box::new(run)).map(drop).unwrap_or_default();
        // A signal that comes right after must not do what it does by itself. Nothing is sent: it ends with its sender.
        is_ready.recv().unwrap_or_default();
        Self { first, _listening: listening }
    }

    /// The first one; never, where they cannot be listened to.
    pub(super) async fn first(&mut self) -> Signal {
        match (&mut self.first).await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    }
}

/// What has ended a command from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM: a service is stopped, a container ends.
    #[cfg(unix)]
    Terminate,
    /// SIGHUP: the terminal has gone.
    #[cfg(unix)]
    HangUp,
}

impl Signal {
    /// The next one.
    async fn any() -> Self {
        tokio::select! {
            () = pressed() => Self::Interrupt,
            signal = from_outside() => signal,
        }
    }

    pub(super) const fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            #[cfg(unix)]
            Self::Terminate => Exit::Terminated,
            #[cfg(unix)]
            Self::HangUp => Exit::HungUp,
        }
    }

    /// As the reason for a turn without a result.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Interrupt => "Ctrl-C was pressed",
            #[cfg(unix)]
            Self::Terminate => "the process was told to end (SIGTERM)",
            #[cfg(unix)]
            Self::HangUp => "the terminal has gone (SIGHUP)",
        }
    }
}

/// Waits for Ctrl-C; for ever where that cannot be waited for.
async fn pressed() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn from_outside() -> Signal {
    use tokio::signal::unix::SignalKind;

    tokio::select! {
        () = arrived(SignalKind::terminate(), true) => Signal::Terminate,
        () = arrived(SignalKind::hangup(), hears_hang_ups()) => Signal::HangUp,
    }
}

#[cfg(not(unix))]
async fn from_outside() -> Signal {
    std::future::pending().await
}

/// Waits for a signal; for ever if it is not listened to.
#[cfg(unix)]
async fn arrived(kind: tokio::signal::unix::SignalKind, listens: bool) {
    let signal = listens.then(|| tokio::signal::unix::signal(kind).ok()).flatten();
    match signal {
        Some(mut signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the end of the terminal is to end the command: not under `nohup`, which has the signal ignored. Where that
/// cannot be known (there is no `/proc`) the signal is left as it is.
#[cfg(unix)]
fn hears_hang_ups() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores_hang_ups(&status))
}

/// The set of ignored signals in a `/proc/self/status`, where SIGHUP is the lowest bit.
#[cfg(unix)]
fn ignores_hang_ups(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let set = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_none_or(|set| set & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignores_hang_ups;

    #[test]
    fn an_ignored_hang_up_is_the_lowest_bit_of_its_line() {
        let status = |set| format!("SigBlk:\t0000000000000001\nSigIgn:\t{set}\nSigCgt:\t0\n");
        assert!(!ignores_hang_ups(&status("0000000000001000")));
        assert!(ignores_hang_ups(&status("0000000000001001")));
        assert!(ignores_hang_ups("Name:\tx\n"), "unknown: it is left as it is");
    }
}
