//! The connections of a played recording and which recorded client each of them stands for.

use super::connection::{Command, Link};
use super::options::Generation;
use super::trace::Channel;

/// The close code of a recording that could not be played on; of those for private use.
const FAILED: u16 = 4000;

/// A connection, in the order of arrival.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) link: Link,
    open: bool,
    /// The label of the recorded client it plays, once an `open` line was waiting for it.
    client: Option<String>,
    /// Whether that client had one socket where this one may have two.
    stands_alone: bool,
}

/// All connections in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Cast {
    sockets: Vec<Socket>,
}

impl Cast {
    pub(super) fn add(&mut self, link: Link) {
        self.sockets.push(Socket { link, open: true, client: None, stands_alone: false });
        self.adopt();
    }

    pub(super) fn gone(&mut self, id: u64) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.link.id == id) {
            socket.open = false;
        }
    }

    /// Gives a client a connection for one of its recorded sockets, if there is one.
    pub(super) fn bind(
        &mut self,
        generation: Generation,
        client: &str,
        channel: Channel,
    ) -> Option<()> {
        let wanted = match (generation, channel) {
            (Generation::Single, _) => Channel::Socket,
            (Generation::Split, Channel::Stream) => Channel::Stream,
            (Generation::Split, _) => Channel::Control,
        };
        let free = |socket: &&mut Socket| socket.client.is_none();
        let mut arrived = self.sockets.iter_mut().filter(free).collect::<Vec<_>>();
        // A socket that is gone already did connect, but one that is still there is more likely to be meant.
        arrived.sort_by_key(|socket| !socket.open);
        if let Some(socket) = arrived.iter_mut().find(|socket| socket.link.channel == wanted) {
            socket.client = Some(client.to_owned());
            socket.stands_alone = channel == Channel::Socket;
            self.adopt();
            return Some(());
        }
        // A client that opened its control socket without naming the channel never opens a stream socket.
        let alone = |socket: &Socket| {
            let ours = socket.client.as_deref().is_none_or(|label| label == client);
            ours && socket.open && socket.link.channel == Channel::Control && !socket.link.named
        };
        (wanted == Channel::Stream && self.sockets.iter().any(alone)).then_some(())
    }

    /// Gives the stream socket of a pair to a client that was recorded with one socket only.
    fn adopt(&mut self) {
        let Some(owner) = self.sockets.iter().find(|socket| socket.stands_alone && socket.open)
        else {
            return;
        };
        let client = owner.client.clone();
        for socket in &mut self.sockets {
            if socket.client.is_none() && socket.link.channel == Channel::Stream {
                socket.client.clone_from(&client);
            }
        }
    }

    pub(super) fn belongs(&self, socket: u64, client: &str) -> bool {
        let is_owned = |candidate: &Socket| {
            candidate.link.id == socket && candidate.client.as_deref() == Some(client)
        };
        self.sockets.iter().any(is_owned)
    }

    /// Closes a socket of a client from the side of the server.
    pub(super) fn close(&mut self, client: &str, channel: Channel, code: u16, reason: &str) {
        for socket in &mut self.sockets {
            let ours = socket.client.as_deref() == Some(client);
            let meant = channel == Channel::Socket || socket.link.channel == channel;
            if ours && meant && socket.open {
                socket.open = false;
                socket.link.send(match code {
                    1006 => Command::Cut,
                    1005 => Command::Close(None),
                    code => Command::Close(Some((code, reason.to_owned()))),
                });
            }
        }
    }

    /// Closes everything and says why.
    pub(super) fn fail_all(&mut self, reason: &str) {
        // What fits into a close frame.
        let reason: String = reason.chars().filter(char::is_ascii).take(120).collect();
        for socket in self.sockets.iter_mut().filter(|socket| socket.open) {
            socket.open = false;
            socket.link.send(Command::Close(Some((FAILED, reason.clone()))));
        }
    }

    /// Closes everything that is still open.
    pub(super) fn close_all(&mut self) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.open) {
            socket.open = false;
            socket.link.send(Command::Close(None));
        }
    }

    pub(super) fn by_id(&self, id: u64) -> Option<&Socket> {
        self.sockets.iter().find(|socket| socket.link.id == id)
    }

    /// The newest open socket of a client in this role.
    pub(super) fn find(&self, client: &str, channel: Channel) -> Option<&Socket> {
        self.sockets.iter().rev().find(|socket| {
            let ours = socket.open && socket.client.as_deref() == Some(client);
            ours && socket.link.channel == channel
        })
    }
}
