//! How a client stands to its server.

/// How a client stands to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Built, not connected yet.
    New,
    /// Connecting, because the user asked for it.
    Connecting,
    /// Connected.
    Open,
    /// The connection was lost and is being opened again.
    Reconnecting,
    /// The connection could not be opened, or was lost for good.
    Disconnected,
    /// Closed by its owner; it cannot be used again.
    Closed,
}

impl State {
    pub(crate) const ALL: [Self; 6] = [
        Self::New,
        Self::Connecting,
        Self::Open,
        Self::Reconnecting,
        Self::Disconnected,
        Self::Closed,
    ];

    /// The name of the state in all three languages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Reconnecting => "reconnecting",
            Self::Disconnected => "disconnected",
            Self::Closed => "closed",
        }
    }
}

/// How the second connection of a client stands, see [`crate::ConnectOptions::standby`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StandbyState {
    /// There is none: it was not asked for, the server is one with split channels, or there is no
    /// connection at all.
    #[default]
    Off,
    /// It is being opened, or being subscribed to runtimes. A loss now is one as without it for the
    /// runtimes that are missing.
    Opening,
    /// It takes over as soon as the first connection is lost.
    Ready,
}

impl StandbyState {
    pub(crate) const ALL: [Self; 3] = [Self::Off, Self::Opening, Self::Ready];

    /// The name of the state in all three languages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opening => "opening",
            Self::Ready => "ready",
        }
    }
}
