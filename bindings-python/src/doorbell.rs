//! What wakes the event loop: one byte through a pair of sockets whose reading end the loop watches.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(not(unix))]
type Stream = std::net::TcpStream;
#[cfg(unix)]
type Stream = std::os::unix::net::UnixStream;

/// One end, until it is let go of.
type End = Mutex<Option<Stream>>;

/// The reading end, and a hold on the other one for the end of both.
#[derive(Debug)]
pub(crate) struct Doorbell {
    reader: End,
    writer: Arc<End>,
}

fn lock(end: &End) -> MutexGuard<'_, Option<Stream>> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bell and the button that rings it. The button never blocks and may be pressed on any thread.
pub(crate) fn pair() -> io::Result<(Doorbell, impl Fn() + Send + Sync + 'static)> {
    let (reader, writer) = streams()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    let writer = Arc::new(Mutex::new(Some(writer)));
    let doorbell = Doorbell { reader: Mutex::new(Some(reader)), writer: Arc::clone(&writer) };
    Ok((doorbell, move || press(&writer)))
}

fn press(writer: &End) {
    if let Some(writer) = lock(writer).as_mut() {
        // A full pipe means that the loop is being woken already.
        let _ = writer.write(&[1]);
    }
}

impl Doorbell {
    /// Swallows what was rung. Has to happen before the mailbox is emptied, or a ring could be lost.
    pub(crate) fn silence(&self) {
        if let Some(reader) = lock(&self.reader).as_mut() {
            let mut bytes = [0; 64];
            while matches!(reader.read(&mut bytes), Ok(count) if count == bytes.len()) {}
        }
    }

    /// Wakes who watches the reading end.
    pub(crate) fn ring(&self) {
        press(&self.writer);
    }

    /// Closes both ends. A closed client may live on for long, and would keep its descriptors.
    pub(crate) fn hang_up(&self) {
        // The writing end first: who still watches the other one is woken by that.
        drop(lock(&self.writer).take());
        drop(lock(&self.reader).take());
    }

    /// The file descriptor (on Windows the socket handle) for the event loop; -1 after the end.
    #[cfg(unix)]
    pub(crate) fn fileno(&self) -> i64 {
        let reader = lock(&self.reader);
        reader.as_ref().map_or(-1, |reader| std::os::fd::AsRawFd::as_raw_fd(reader).into())
    }

    /// The file descriptor (on Windows the socket handle) for the event loop; -1 after the end.
    #[cfg(windows)]
    pub(crate) fn fileno(&self) -> i64 {
        let reader = lock(&self.reader);
        reader.as_ref().map_or(-1, |reader| {
            std::os::windows::io::AsRawSocket::as_raw_socket(reader).cast_signed()
        })
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
