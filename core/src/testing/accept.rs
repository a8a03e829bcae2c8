//! Takes connections, wherever and as long as the server is to listen.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::yield_now;

use super::connection::{Context, Event, serve};
use super::shared::Socket;

/// Listens here, until told to listen elsewhere, or nowhere. Then all connections go.
pub(super) async fn accept(
    context: Context,
    first: std::net::TcpListener,
    mut places: UnboundedReceiver<Option<std::net::TcpListener>>,
) {
    let mut listener = TcpListener::from_std(first).ok();
    let mut id = 0;
    loop {
        tokio::select! {
            place = places.recv() => match place {
                Some(Some(next)) => listener = TcpListener::from_std(next).ok(),
                Some(None) => {
                    listener = None;
                    cut_all(&context).await;
                }
                None => return,
            },
            stream = connection(listener.as_ref()) => match stream {
                Ok(stream) => {
                    id += 1;
                    take(&context, id, stream);
                }
                // Out of file descriptors, for instance: others may free some meanwhile.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

/// The next connection; never where nobody listens.
async fn connection(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => pending().await,
    }
}

fn take(context: &Context, id: u64, stream: TcpStream) {
    // Registered before the task can run: both happen on this thread.
    let task = tokio::spawn(serve(context.clone(), id, stream)).abort_handle();
    context.shared.update(|state| state.sockets.insert(id, Socket { task, link: None }));
}

/// Drops all connections, and says so when they are gone.
async fn cut_all(context: &Context) {
    let shared = &context.shared;
    let tasks: Vec<_> = shared.lock().sockets.values().map(|it| it.task.clone()).collect();
    for task in &tasks {
        task.abort();
    }
    while !tasks.iter().all(tokio::task::AbortHandle::is_finished) {
        yield_now().await;
    }
    // It does not matter that nobody may be left to hear it.
    let _ = context.events.send(Event::Stopped);
    shared.update(|state| {
        // A task that had not begun has not taken itself out.
        state.sockets.clear();
        state.listening = false;
    });
}
