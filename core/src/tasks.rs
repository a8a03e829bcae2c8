//! Where the functions run that a program hands to a session: never on the thread of the sockets.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::background;
use crate::connection::Connection;
use crate::error::Error;

/// The program's own tokio runtime, where the session was made on one, for as long as there is that runtime; else a
/// thread of the library's, so that sessions work on any executor.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    runtime: Option<Handle>,
    /// All that happens happens on this runtime, whose clock is no real one.
    simulated: bool,
}

impl Tasks {
    /// Those of whoever calls.
    pub(crate) fn here(connection: &Connection) -> Self {
        let simulated = connection.is_simulated();
        Self { runtime: Handle::try_current().ok(), simulated }
    }

    /// Runs what hands out a session's questions and calls, on the library's thread: it must not end, or stand still,
    /// with the runtime on which the session was made.
    pub(crate) fn serve(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        match &self.runtime {
            Some(runtime) if self.simulated => drop(runtime.spawn(future)),
            _ => background::spawn_handler(future)?,
        }
        Ok(())
    }

    /// Runs a function of the program's in a task of its own. Where that is not possible it is dropped.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        match &self.runtime {
            Some(runtime) if self.simulated => drop(runtime.spawn(future)),
            Some(runtime) => drop(runtime.spawn(Moving(Some(Box::pin(future)), false))),
            None => background::spawn_handler(future).unwrap_or_default(),
        }
    }

    /// The same for one that comes to something; `None` where its runtime has ended before it did. Dropping this
    /// future drops the other.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (mut to, from) = oneshot::channel();
        self.spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = to.closed() => return,
                outcome = future => outcome,
            };
            // Whoever waited may have gone at this moment.
            drop(to.send(outcome));
        });
        from.await.ok()
    }
}

/// A future that moves to the library's thread when its runtime ends, or has ended, before it has begun.
struct Moving<F: Future<Output = ()> + Send + 'static>(Option<Pin<Box<F>>>, bool);

impl<F: Future<Output = ()> + Send + 'static> Future for Moving<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.1 = true;
        self.0.as_mut().map_or(Poll::Ready(()), |future| future.as_mut().poll(context))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Drop for Moving<F> {
    fn drop(&mut self) {
        if let Some(future) = self.0.take().filter(|_| !self.1) {
            background::spawn_handler(future).unwrap_or_default();
        }
    }
}
