//! What a server prints, on its way to JavaScript.

use std::sync::Arc;

use letta_app_client::{LineBacklog, OnLine};
use napi_derive::napi;

use crate::doorbell::{Bell, Doorbell};

/// The lines of one server, and the bell that tells of them.
#[napi]
pub struct ServerLog {
    backlog: LineBacklog,
    bell: Arc<Bell>,
}

impl ServerLog {
    /// What a server calls with each line.
    pub(crate) fn writer(&self) -> OnLine {
        let bell = Arc::clone(&self.bell);
        self.backlog.writer(move || bell.ring())
    }
}

#[napi]
impl ServerLog {
    /// Its bell rings when there are lines; then `drain` has to be called until there are none.
    #[napi(constructor)]
    pub fn new(doorbell: &Doorbell, bell: u32) -> Self {
        Self { backlog: LineBacklog::default(), bell: Arc::new(doorbell.bell(bell)) }
    }

    /// The oldest lines, so many at most.
    #[napi]
    pub fn drain(&self, most: u32) -> Vec<String> {
        self.backlog.drain(usize::try_from(most).unwrap_or(usize::MAX)).0
    }

    /// Whether all lines were taken and none comes any more.
    #[napi(getter)]
    pub fn over(&self) -> bool {
        self.backlog.drain(0).1
    }
}
