//! The open sockets of a connection, and whose turn it is to be read.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::socket::{Ended, Socket};
use crate::engine::Channel;
use crate::protocol::Text;

/// A split server's stream socket, on its way back after a loss.
pub(super) type Reopening = Pin<Box<dyn Future<Output = Socket> + Send>>;

/// The open sockets.
pub(super) struct Sockets {
    pub(super) control: Socket,
    pub(super) stream: Option<Box<Socket>>,
    /// A split server's stream socket, on its way back after a loss.
    pub(super) reopening: Option<Reopening>,
    /// Whose turn it is while the stream socket has frames all the time.
    control_first: bool,
    stream_busy: bool,
}

/// What woke the driver.
pub(super) enum Wake {
    /// A frame, behind which more may have come; see [`Sockets::handle_all`].
    Frame(Channel, Text),
    Ended(Channel, Ended),
    Reopened(Box<Socket>),
}

impl Sockets {
    pub(super) fn new(control: Socket, stream: Option<Box<Socket>>) -> Self {
        Self { control, stream, reopening: None, control_first: false, stream_busy: false }
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Socket> {
        self.stream.as_deref_mut().into_iter().chain(std::iter::once(&mut self.control))
    }

    pub(super) fn keep_alive_at(&self) -> Instant {
        let stream = self.stream.as_deref().map(Socket::keep_alive_at);
        stream.into_iter().fold(self.control.keep_alive_at(), Instant::min)
    }

    pub(super) fn keep_alive(&mut self) -> Option<(Channel, Ended)> {
        let now = Instant::now();
        self.each().find_map(|socket| Some((socket.channel, socket.keep_alive(now)?)))
    }

    pub(super) async fn next(&mut self) -> Wake {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The same while anything waits to be written.
    pub(super) async fn next_while_writing(&mut self) -> Option<Wake> {
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(wake) => Poll::Ready(Some(wake)),
            Poll::Pending if self.control.waiting() == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// See [`Socket::handle_all`].
    pub(super) async fn handle_all(
        &mut self,
        channel: Channel,
        first: &Text,
        handle: impl FnMut(&Text),
    ) -> bool {
        match (&mut self.stream, channel) {
            (Some(stream), Channel::Stream) => stream.handle_all(first, handle).await,
            _ => self.control.handle_all(first, handle).await,
        }
    }

    /// The stream socket usually goes first: when both are readable, what it carries is older than the
    /// end of the control socket. But a flood on it must not keep the control socket from being
    /// read, nor any from being written.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        self.each().for_each(|socket| socket.write(cx));
        self.control_first = !self.control_first && self.stream_busy;
        if self.control_first
            && let Poll::Ready(wake @ Wake::Frame(..)) = poll_socket(&mut self.control, cx)
        {
            return Poll::Ready(wake);
        }
        self.stream_busy = false;
        if let Some(Poll::Ready(wake)) = self.stream.as_mut().map(|socket| poll_socket(socket, cx))
        {
            self.stream_busy = true;
            return Poll::Ready(wake);
        }
        if let Some(Poll::Ready(socket)) = self.reopening.as_mut().map(|r| r.as_mut().poll(cx)) {
            return Poll::Ready(Wake::Reopened(Box::new(socket)));
        }
        poll_socket(&mut self.control, cx)
    }
}

pub(super) fn poll_socket(socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Wake> {
    let channel = socket.channel;
    Poll::Ready(match ready!(socket.poll_frame(cx)) {
        Ok(frame) => Wake::Frame(channel, frame),
        Err(ended) => Wake::Ended(channel, ended),
    })
}

pub(super) async fn next_of(socket: &mut Socket) -> Wake {
    poll_fn(|cx| poll_socket(socket, cx)).await
}
