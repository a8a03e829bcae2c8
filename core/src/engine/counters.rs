//! What a client has counted so far.

use crate::state::StandbyState;

/// Counters of what came in. Of what comes twice, on a connection and on its standby, one copy counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that were JSON objects.
    pub frames: u64,
    /// Bytes of all frames.
    pub bytes: u64,
    /// Frames that were not, or nested more than 127 levels deep; each cost itself only.
    pub malformed: u64,
    /// Frames whose fields were not of the expected types; they counted for nothing here.
    pub degraded: u64,
    /// Events that came twice on one connection; the second one counted for nothing and reached nobody.
    pub repeated: u64,
    /// How often a lost connection was opened again.
    pub reconnects: u64,
    /// Runtimes that were brought back after it.
    pub restored: u64,
    /// Commands for that which the server refused, or did not answer.
    pub restore_failures: u64,
    /// How the second connection stands ([`crate::ConnectOptions::standby`]).
    pub standby: StandbyState,
    /// Commands that nobody waited for ([`crate::Client::input`], [`crate::Client::send`], the inputs of turns that were
    /// detached) and that never left: because the client was closed, or gave up to connect again, while they waited; or
    /// because the connection was lost before they were written, and they meant nothing on another one (an abort, the
    /// answer to a permission request, and all that has no runtime). What else had not been written then leaves on the
    /// next connection. What was written into a connection that proves to be lost is not counted: it may have arrived.
    pub unsent: u64,
    /// Lines that a recording of the connection lacks ([`crate::RecordOptions`]): because they came too fast or could
    /// not be written, because a redactor failed, or because a frame was no JSON and nothing could be taken out of it;
    /// when that is closed, with those that had to wait for longer than the close, until they are written.
    pub unrecorded: u64,
}
