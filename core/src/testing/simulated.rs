//! The seam for a simulated network: a client whose connections and whose time are a test's.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// In place of TCP, of the thread for all connections and of chance.
///
/// A client with it lives on the tokio runtime on which it is made, and its clock is that runtime's.
#[derive(Clone)]
pub struct Simulated {
    /// Opens a connection to `host:port`.
    pub open: Arc<dyn Fn(&str) -> Opening + Send + Sync>,
    /// Where the waits between attempts to connect come from.
    pub seed: u64,
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").field("seed", &self.seed).finish_non_exhaustive()
    }
}
