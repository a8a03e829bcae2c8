//! The start of a server of your own, which may be broken off.

use std::time::Duration;

use letta_app_client::{Error, OnLine, Server as Core, ServerOptions, StopStart};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Status, Task};
use napi_derive::napi;

use crate::errors::{Thrown, thrown};
use crate::server::Server;
use crate::server_log::ServerLog;

/// How to start a server; what is missing has the default of the engine.
#[napi(object)]
pub struct NativeServerOptions {
    pub command: Option<Vec<String>>,
    pub cwd: Option<String>,
    /// Names and values, in turn.
    pub env: Vec<String>,
    pub auth: bool,
    pub ready_timeout_ms: Option<f64>,
    pub reuse: bool,
}

/// One start; see `letta_app_client::Server::start_stoppable`.
#[napi]
pub struct ServerStart {
    options: ServerOptions,
    stop: StopStart,
}

/// The start, on a thread that may wait.
pub struct Start {
    options: ServerOptions,
    on_line: Option<OnLine>,
    stop: StopStart,
}

impl Task for Start {
    type Output = Core;
    type JsValue = Server;

    fn compute(&mut self) -> napi::Result<Core> {
        Core::start_stoppable(&self.options, self.on_line.take(), &self.stop).map_err(rejection)
    }

    fn resolve(&mut self, _env: Env, core: Core) -> napi::Result<Server> {
        Ok(Server::new(core))
    }
}

/// A promise can only be rejected so; `ts/server.ts` reads the message.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn rejection(error: Error) -> napi::Error {
    napi::Error::new(Status::GenericFailure, error.to_json())
}

#[napi]
impl ServerStart {
    /// Checks the options, and starts nothing.
    #[napi(constructor)]
    pub fn new(given: NativeServerOptions) -> Result<Self, Thrown> {
        let mut options = ServerOptions {
            cwd: given.cwd.map(Into::into),
            env: pairs(given.env),
            auth: given.auth,
            reuse: given.reuse,
            ..ServerOptions::default()
        };
        if let Some(command) = given.command {
            options.command = command;
        }
        if let Some(limit) = given.ready_timeout_ms {
            options.ready_timeout =
                Duration::try_from_secs_f64(limit / 1000.0).unwrap_or(Duration::MAX);
        }
        options.check().map_err(thrown)?;
        Ok(Self { options, stop: StopStart::default() })
    }

    /// Starts it; rejects with an error whose message is one of ours as JSON. Its lines go to `log`.
    #[napi(ts_return_type = "Promise<Server>")]
    pub fn run(&self, log: Option<&ServerLog>) -> AsyncTask<Start> {
        let on_line = log.map(ServerLog::writer);
        AsyncTask::new(Start { options: self.options.clone(), on_line, stop: self.stop.clone() })
    }

    /// Nobody waits for it any more.
    #[napi]
    pub fn stop(&self) {
        self.stop.stop();
    }
}

fn pairs(names_and_values: Vec<String>) -> Vec<(String, String)> {
    let mut rest = names_and_values.into_iter();
    std::iter::from_fn(|| rest.next().zip(rest.next())).collect()
}
