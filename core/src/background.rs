//! The one thread on which all connections of the process live, and one for permission rules, for
//! handing out tool calls, and for the functions of programs that have no tokio runtime of their own.
//!
//! They never touch Python or the JavaScript engine, and are not joined at exit: they own nothing that
//! outlives the process.

use std::future::{Future, pending};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind};

struct Background {
    /// Threads do not survive a fork, so a child needs a thread of its own.
    pid: u32,
    handle: Handle,
}

static CONNECTIONS: Mutex<Option<Background>> = Mutex::new(None);
static HANDLERS: Mutex<Option<Background>> = Mutex::new(None);

/// Runs a future on the thread of the connections, which is started on first use.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    spawn_on(&CONNECTIONS, "letta-app-client", future)
}

/// Runs a future on the thread for handlers, which is started on first use.
pub(crate) fn spawn_handler(
    future: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    spawn_on(&HANDLERS, "letta-app-client-handlers", future)
}

/// Resolves after a time, for callers whose executor may have no timers.
pub(crate) fn after(time: Duration) -> oneshot::Receiver<()> {
    let (end, over) = oneshot::channel();
    let wait = async move {
        tokio::time::sleep(time).await;
        drop(end);
    };
    // Where no thread can be had nothing is waited for.
    spawn(wait).unwrap_or_default();
    over
}

fn spawn_on(
    thread: &Mutex<Option<Background>>,
    name: &str,
    future: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let mut background = thread.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    let current = match background.take() {
        Some(current) if current.pid == pid => current,
        stale => {
            // A parent's handle points at a thread that is not here; dropping it could wait for it.
            std::mem::forget(stale);
            start(name, pid)?
        }
    };
    current.handle.spawn(future);
    *background = Some(current);
    Ok(())
}

fn start(name: &str, pid: u32) -> Result<Background, Error> {
    let failed = |error: io::Error| {
        let message = format!("the background thread did not start: {error}");
        Error::new(ErrorKind::Internal, message)
    };
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    thread(name, Box::new(move || runtime.block_on(pending::<()>()))).map_err(failed)?;
    Ok(Background { pid, handle })
}

/// Starts a thread. Boxed, as each kind of function would bring two kilobytes of code with it.
pub(crate) fn thread(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}
