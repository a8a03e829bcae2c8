//! The two ends of a doorbell: on Linux a counter, elsewhere one byte through a pair of sockets. The counter takes half
//! the time, and each answer of a server rings.

#[cfg(target_os = "linux")]
pub(super) use counter::{Button, Reader, pair};
#[cfg(not(target_os = "linux"))]
pub(super) use sockets::{Button, Reader, pair};

#[cfg(target_os = "linux")]
mod counter {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::{read, write};

    #[derive(Debug)]
    pub(crate) struct Reader(OwnedFd);

    #[derive(Debug)]
    pub(crate) struct Button(OwnedFd);

    pub(crate) fn pair() -> io::Result<(Reader, Button)> {
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok((Reader(counter.try_clone()?), Button(counter)))
    }

    impl Button {
        pub(crate) fn press(&mut self) {
            // A full counter means that the loop is being woken already.
            let _ = write(&self.0, &1u64.to_ne_bytes());
        }
    }

    impl Reader {
        pub(crate) fn silence(&mut self) {
            // It is zero afterwards; what was zero cannot be read.
            let _ = read(&self.0, &mut [0; 8]);
        }

        pub(crate) fn number(&self) -> i64 {
            self.0.as_raw_fd().into()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sockets {
    use std::io::{self, Read, Write};

    #[cfg(not(unix))]
    type Stream = std::net::TcpStream;
    #[cfg(unix)]
    type Stream = std::os::unix::net::UnixStream;

    #[derive(Debug)]
    pub(crate) struct Reader(Stream);

    #[derive(Debug)]
    pub(crate) struct Button(Stream);

    pub(crate) fn pair() -> io::Result<(Reader, Button)> {
        let (reader, writer) = streams()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok((Reader(reader), Button(writer)))
    }

    impl Button {
        pub(crate) fn press(&mut self) {
            // A full pipe means that the loop is being woken already.
            let _ = self.0.write(&[1]);
        }
    }

    impl Reader {
        pub(crate) fn silence(&mut self) {
            let mut bytes = [0; 64];
            while matches!(self.0.read(&mut bytes), Ok(count) if count == bytes.len()) {}
        }

        #[cfg(unix)]
        pub(crate) fn number(&self) -> i64 {
            std::os::fd::AsRawFd::as_raw_fd(&self.0).into()
        }

        #[cfg(windows)]
        pub(crate) fn number(&self) -> i64 {
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
}
