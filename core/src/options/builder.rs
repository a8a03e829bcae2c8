//! The setters of [`ConnectOptions`], one for each field.

use std::time::Duration;

use super::{ConnectOptions, TlsOptions, Transport};
use crate::engine::{Reconnect, ToolLimits};
use crate::record::RecordOptions;
use crate::server::ServerWatch;

impl ConnectOptions {
    /// Sets the token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the transport.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets how long opening a connection may take, handshakes included.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the limit for a request that sets none of its own.
    #[must_use]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Sets how long a socket may be silent before a ping is sent.
    #[must_use]
    pub fn keepalive_interval(mut self, interval: Duration) -> Self {
        self.keepalive_interval = interval;
        self
    }

    /// Sets how long a ping may stay unanswered before the connection counts as lost.
    #[must_use]
    pub fn keepalive_timeout(mut self, limit: Duration) -> Self {
        self.keepalive_timeout = limit;
        self
    }

    /// Sets the largest message in either direction, in bytes.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Sets how many requests and turns may wait at once.
    #[must_use]
    pub fn max_pending_requests(mut self, most: usize) -> Self {
        self.max_pending_requests = most;
        self
    }

    /// Sets which certificates are accepted.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Sets how long to wait before an input on a runtime whose turn has just ended.
    #[must_use]
    pub fn settle_pause(mut self, pause: Duration) -> Self {
        self.settle_pause = pause;
        self
    }

    /// Sets how many external tools run at once, and for how long.
    #[must_use]
    pub fn external_tools(mut self, limits: ToolLimits) -> Self {
        self.external_tools = limits;
        self
    }

    /// Sets how a lost connection is opened again; `None` for not at all.
    #[must_use]
    pub fn reconnect(mut self, reconnect: Option<Reconnect>) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Sets whether there is a second connection that takes over.
    #[must_use]
    pub fn standby(mut self, standby: bool) -> Self {
        self.standby = standby;
        self
    }

    /// Sets which server of your own this is a client of.
    #[must_use]
    pub fn server(mut self, server: ServerWatch) -> Self {
        self.server = Some(server);
        self
    }

    /// Writes everything that goes over the sockets into a file.
    #[must_use]
    pub fn record(mut self, record: RecordOptions) -> Self {
        self.record = Some(record);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setter_sets_its_field() {
        let seconds = Duration::from_secs;
        let tls = TlsOptions { ca: Some("ca.pem".to_owned()), verify: false };
        let limits = ToolLimits { concurrency: 2, timeout: seconds(6) };
        let options = ConnectOptions::new("ws://h")
            .token("t")
            .transport(Transport::Split)
            .connect_timeout(seconds(1))
            .request_timeout(seconds(2))
            .keepalive_interval(seconds(3))
            .keepalive_timeout(seconds(4))
            .max_message_bytes(5)
            .max_pending_requests(6)
            .tls(tls)
            .settle_pause(seconds(5))
            .external_tools(limits)
            .reconnect(None)
            .standby(true)
            .record(RecordOptions::new("run.jsonl"));
        assert_eq!((options.token.as_deref(), options.transport), (Some("t"), Transport::Split));
        let times = [
            options.connect_timeout,
            options.request_timeout,
            options.keepalive_interval,
            options.keepalive_timeout,
            options.settle_pause,
            options.external_tools.timeout,
        ];
        assert_eq!(times.map(|time| time.as_secs()), [1, 2, 3, 4, 5, 6]);
        assert_eq!((options.max_message_bytes, options.max_pending_requests), (5, 6));
        assert_eq!((options.tls.ca.as_deref(), options.tls.verify), (Some("ca.pem"), false));
        assert_eq!((options.external_tools.concurrency, options.standby), (2, true));
        assert!(options.reconnect.is_none() && options.record.is_some());
    }
}
