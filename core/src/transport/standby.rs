//! The second socket of a client with a standby: opened when the engine says so, read along, and put in the
//! place of the first one when that is lost.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::connect::open_another;
use super::driver::{Driver, Target};
use super::socket::{Ended, Socket};
use super::sockets::Sockets;
use crate::engine::{Channel, Delivery, Engine};
use crate::error::{Error, ErrorKind};
use crate::mailbox::Sink;
use crate::protocol::Text;
use crate::state::State;

type Attempt = Pin<Box<dyn Future<Output = Result<Socket, Error>> + Send>>;

/// How many bursts of frames are read before it takes over, to see whether it has ended as well.
const READ_FIRST: usize = 64;

/// What happened on it.
pub(super) enum StandbyEvent {
    Opened(Box<Socket>),
    Failed(Error),
    /// A frame, behind which more may have come.
    Frame(Text),
    Ended(Ended),
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Standby {
    pub(super) socket: Option<Box<Socket>>,
    attempt: Option<Attempt>,
}

impl Standby {
    fn open(&mut self, target: Arc<Target>) {
        let attempt = async move { open_another(&target.endpoint, &target.options, None).await };
        self.attempt = Some(Box::pin(attempt));
    }

    /// Waits for what happens; for ever when there is none.
    pub(super) async fn next(&mut self) -> StandbyEvent {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StandbyEvent> {
        if let Some(Poll::Ready(outcome)) = self.attempt.as_mut().map(|a| a.as_mut().poll(cx)) {
            self.attempt = None;
            return Poll::Ready(match outcome {
                Ok(socket) => StandbyEvent::Opened(Box::new(socket)),
                Err(error) => StandbyEvent::Failed(error),
            });
        }
        let Some(socket) = &mut self.socket else { return Poll::Pending };
        socket.write(cx);
        socket.poll_frame(cx).map(|read| read.map_or_else(StandbyEvent::Ended, StandbyEvent::Frame))
    }

    /// What has happened already, if anything.
    async fn waiting(&mut self) -> Option<StandbyEvent> {
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    pub(super) fn keep_alive_at(&self) -> Option<Instant> {
        self.socket.as_deref().map(Socket::keep_alive_at)
    }

    /// Sends what the engine has for it.
    pub(super) fn send_all(&mut self, engine: &mut Engine) {
        while let Some(text) = engine.poll_transmit_standby() {
            if let Some(socket) = &mut self.socket {
                socket.send(text);
            }
        }
    }

    /// Closes it cleanly.
    pub(super) async fn close(&mut self) {
        self.attempt = None;
        let Some(socket) = &mut self.socket else { return };
        socket.close();
        while !matches!(self.next().await, StandbyEvent::Ended(_)) {}
        self.socket = None;
    }
}

impl<S: Sink> Driver<S> {
    /// Pings it where it is silent, and opens it when its time has come.
    pub(super) fn keep_standby(&mut self) {
        let socket = self.standby.socket.as_mut();
        if let Some(ended) = socket.and_then(|socket| socket.keep_alive(Instant::now())) {
            self.standby_lost(ended);
        }
        if self.engine.poll_connect_standby() {
            self.standby.open(Arc::clone(&self.target));
        }
    }

    pub(super) async fn handle_standby(&mut self, event: StandbyEvent) {
        let now = self.now();
        match event {
            StandbyEvent::Opened(socket) => {
                self.standby.socket = Some(socket);
                self.engine.handle_standby_opened(now);
            }
            StandbyEvent::Failed(error) => self.engine.handle_standby_failed(now, &error),
            StandbyEvent::Frame(first) => {
                if let Some(socket) = &mut self.standby.socket {
                    let engine = &mut self.engine;
                    socket
                        .handle_all(&first, |frame| engine.handle_standby_frame(now, frame))
                        .await;
                }
            }
            StandbyEvent::Ended(ended) => self.standby_lost(ended),
        }
    }

    fn standby_lost(&mut self, Ended { code, reason }: Ended) {
        self.standby.socket = None;
        let reason = self.target.endpoint.without_secrets(&reason);
        let error = Error::new(ErrorKind::Disconnected, reason);
        self.engine.handle_standby_lost(self.now(), &error.with_close_code(Some(code)));
    }

    /// Another socket takes the place of the first. What nobody waits for and has not left there leaves when its
    /// runtime is there again, in its order.
    fn hand_over_unsent(&mut self, mut socket: Socket) {
        let before = self.sockets.take().map(|mut sockets| sockets.control.take_unwritten());
        let mut unsent = before.unwrap_or_default();
        while let Some(frame) = self.engine.poll_outgoing() {
            if frame.is_unawaited() {
                unsent.push(frame);
            } else {
                socket.send(frame);
            }
        }
        self.sockets = Some(Sockets::new(socket, None));
        self.unsent(unsent);
    }

    /// The first socket is lost: puts the standby in its place. Says whether there was one, and it still is
    /// a connection.
    pub(super) async fn take_over(&mut self, code: u16, reason: &str, error: &Error) -> bool {
        // A server that goes takes both with it.
        for _ in 0..READ_FIRST {
            let Some(event) = self.standby.waiting().await else { break };
            self.handle_standby(event).await;
        }
        let socket = self.standby.socket.take().filter(|_| self.engine.can_switch());
        let Some(socket) = socket else {
            self.standby = Standby::default();
            return false;
        };
        self.standby = Standby::default();
        self.hand_over_unsent(*socket);
        // Frames, then the loss, then what fails because of it: whoever resumes knows already.
        self.pump();
        self.engine.handle_switched(self.now(), error);
        let lost = State::Reconnecting;
        let changed = self.shared.set_state(lost);
        let (channel, reason, will_reconnect) = (Channel::Control, reason.to_owned(), true);
        self.sink.deliver(Delivery::Disconnected { channel, code, reason, will_reconnect });
        if changed {
            let error = Some(error.clone().with_will_reconnect(true));
            self.sink.deliver(Delivery::State { state: lost, error });
        }
        self.set_state(State::Open, None);
        true
    }
}
