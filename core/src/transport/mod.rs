//! Sockets, TLS, HTTP and timers: the only place with I/O. It carries frames between the network
//! and the engine, and decides nothing about the protocol.

mod ahead;
mod certificate;
mod clock;
mod connect;
mod connecting;
mod driver;
mod http;
mod keepalive;
mod leaving;
#[cfg(test)]
mod limits;
mod ops;
mod outbox;
mod reuse;
mod socket;
mod sockets;
mod standby;
mod tls;
mod wire;

#[cfg(feature = "cli")]
pub(crate) use connect::fetch;
pub(crate) use driver::{Driver, Op};
pub(crate) use leaving::enlist;
pub use leaving::leave;
pub(crate) use ops::{OpSender, OpTeller, channel as op_channel};
