//! One connection as the network sees it: what is sent arrives later, in order, or never.

use std::time::Duration;

/// A direction of a socket. A split server's two sockets overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    ToServer,
    Control,
    Stream,
}

#[derive(Debug, Default)]
pub struct Wire {
    pub stream_up: bool,
    /// When the last frame of each lane arrives.
    last: [Duration; 3],
    /// Until when nothing arrives.
    stalled_to_client: Duration,
    stalled_to_server: Duration,
    /// From when on nothing arrives any more.
    client_end: Option<Duration>,
    server_end: Option<Duration>,
}

impl Wire {
    pub fn new(split: bool) -> Self {
        Self { stream_up: split, ..Self::default() }
    }

    /// When a frame arrives that is sent now; `None` for never.
    pub fn arrival(&mut self, lane: Lane, now: Duration, travel: Duration) -> Option<Duration> {
        let (stalled, end) = match lane {
            Lane::ToServer => (self.stalled_to_server, self.server_end),
            Lane::Control | Lane::Stream => (self.stalled_to_client, self.client_end),
        };
        let last = &mut self.last[lane as usize];
        *last = (now + travel).max(*last).max(stalled);
        Some(*last).filter(|at| end.is_none_or(|end| *at <= end))
    }

    pub fn stall(&mut self, to_client: Duration, to_server: Duration) {
        self.stalled_to_client = self.stalled_to_client.max(to_client);
        self.stalled_to_server = self.stalled_to_server.max(to_server);
    }

    /// Whether what arrives now on a side still counts.
    pub fn reaches_client(&self, now: Duration) -> bool {
        self.client_end.is_none_or(|end| now <= end)
    }

    pub fn reaches_server(&self, now: Duration) -> bool {
        self.server_end.is_none_or(|end| now <= end)
    }

    /// Whether everything comes through in both directions, and will.
    pub fn is_sound(&self, now: Duration) -> bool {
        let stalled = self.stalled_to_client.max(self.stalled_to_server) > now;
        self.client_end.or(self.server_end).is_none() && !stalled
    }

    /// Nothing reaches the sides after these times.
    pub fn cut(&mut self, client: Duration, server: Duration) {
        self.client_end = Some(self.client_end.map_or(client, |end| end.min(client)));
        self.server_end = Some(self.server_end.map_or(server, |end| end.min(server)));
    }
}
