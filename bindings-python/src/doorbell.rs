//! What wakes the event loop: one byte through a pair of sockets whose reading end the loop watches.

use std::io::{self, Read, Write};

#[cfg(not(unix))]
type Stream = std::net::TcpStream;
#[cfg(unix)]
type Stream = std::os::unix::net::UnixStream;

/// The reading end.
#[derive(Debug)]
pub(crate) struct Doorbell(Stream);

/// A bell and the button that rings it. The button never blocks and may be pressed on any thread.
pub(crate) fn pair() -> io::Result<(Doorbell, impl Fn() + Send + Sync + 'static)> {
    let (reader, writer) = streams()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    let ring = move || {
        // A full pipe means that the loop is being woken already; a closed one that nobody listens.
        let _ = (&writer).write(&[1]);
    };
    Ok((Doorbell(reader), ring))
}

impl Doorbell {
    /// Swallows what was rung. Has to happen before the mailbox is emptied, or a ring could be lost.
    pub(crate) fn silence(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.0).read(&mut bytes), Ok(count) if count == bytes.len()) {}
    }

    /// The file descriptor (on Windows the socket handle) for the event loop.
    #[cfg(unix)]
    pub(crate) fn fileno(&self) -> i64 {
        std::os::fd::AsRawFd::as_raw_fd(&self.0).into()
    }

    /// The file descriptor (on Windows the socket handle) for the event loop.
    #[cfg(windows)]
    pub(crate) fn fileno(&self) -> i64 {
        std::os::windows::io::AsRawSocket::as_raw_socket(&self.0).cast_signed()
    }
}

#[cfg(unix)]
fn streams() -> io::Result<(Stream, Stream)> {
    Stream::pair()
}

/// Windows has no anonymous pairs that `select` understands, so two ends of a loopback connection.
#[cfg(not(unix))]
fn streams() -> io::Result<(Stream, Stream)> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let writer = Stream::connect(listener.local_addr()?)?;
    loop {
        let (reader, from) = listener.accept()?;
        // Anybody on this machine could have connected first.
        if from == writer.local_addr()? {
            writer.set_nodelay(true)?;
            return Ok((reader, writer));
        }
    }
}
