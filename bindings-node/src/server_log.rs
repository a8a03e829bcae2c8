//! What a server prints, on its way to JavaScript.

use letta_app_client::{LineBacklog, OnLine};
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::doorbell::Doorbell;
use crate::errors::{Thrown, bad_option};

/// The lines of one server, and the bell that tells of them.
#[napi]
pub struct ServerLog {
    backlog: LineBacklog,
    doorbell: Doorbell,
}

impl ServerLog {
    /// What a server calls with each line.
    pub(crate) fn writer(&self) -> OnLine {
        let doorbell = self.doorbell.clone();
        self.backlog.writer(move || doorbell.ring())
    }
}

#[napi]
impl ServerLog {
    /// `onLines` is called when there are lines, and has to call `drain` until there are none.
    #[napi(constructor)]
    pub fn new(
        #[napi(ts_arg_type = "() => void")] on_lines: Function<'_, (), ()>,
    ) -> Result<Self, Thrown> {
        let doorbell = Doorbell::new(&on_lines)
            .map_err(|error| bad_option("onLines", "a function", error.reason))?;
        Ok(Self { backlog: LineBacklog::default(), doorbell })
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

    /// Lets go of the callback.
    #[napi]
    pub fn release(&self) {
        self.doorbell.release();
    }
}
