//! What a client of a server of one's own knows of that server: once it has ended there is nothing to connect to.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::options::ConnectOptions;
use crate::server::ServerExit;

/// How long the word that a server has ended may come after its sockets did.
pub(super) const SOON: Duration = Duration::from_millis(250);

const MAKE_ANOTHER: &str = "start another server, and make a client of that one";

/// The error of an attempt to connect to a server that has ended.
pub(super) fn gone(options: &ConnectOptions) -> Option<Error> {
    options.server.as_ref()?.try_exited().map(refused)
}

/// The same for one whose sockets suggest it: the word may be on its way.
pub(super) async fn gone_soon(options: &ConnectOptions) -> Option<Error> {
    exit(options).await.map(refused)
}

/// The error of a connection that was lost, with the server's end if that is why.
pub(super) async fn lost(options: &ConnectOptions, error: Error) -> Error {
    match exit(options).await {
        Some(exit) => {
            let told = |text: &str| format!("{text}; the server has ended: {exit}");
            error.reworded(told).with_hint(MAKE_ANOTHER).for_good()
        }
        None => error,
    }
}

async fn exit(options: &ConnectOptions) -> Option<ServerExit> {
    let ended = options.server.as_ref()?.ended();
    tokio::time::timeout(SOON, ended).await.ok()
}

fn refused(exit: ServerExit) -> Error {
    let message = format!("the server has ended: {exit}");
    Error::new(ErrorKind::ConnectionFailed, message).with_hint(MAKE_ANOTHER).for_good()
}
