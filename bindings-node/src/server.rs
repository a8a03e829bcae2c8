//! A server of one's own as a JavaScript class.

use std::time::Duration;

use letta_app_client::{Error, Server as Core, ServerOptions};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Status, Task};
use napi_derive::napi;

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

/// A running App Server; see `letta_app_client::Server`.
#[napi]
pub struct Server {
    /// There until it is closed.
    core: Option<Core>,
}

/// What is called with each line that a server prints.
type OnLine = Box<dyn Fn(&str) + Send + Sync>;

/// The start, on a thread that may wait.
pub struct Start {
    options: ServerOptions,
    on_line: Option<OnLine>,
}

impl Task for Start {
    type Output = Core;
    type JsValue = Server;

    fn compute(&mut self) -> napi::Result<Core> {
        let started = match self.on_line.take() {
            Some(on_line) => Core::start_logged(&self.options, on_line),
            None => Core::start(&self.options),
        };
        started.map_err(rejection)
    }

    fn resolve(&mut self, _env: Env, core: Core) -> napi::Result<Server> {
        Ok(Server { core: Some(core) })
    }
}

/// The end, on a thread that may wait.
pub struct End(Option<Core>);

impl Task for End {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> napi::Result<()> {
        if let Some(core) = self.0.take() {
            core.close();
        }
        Ok(())
    }

    fn resolve(&mut self, _env: Env, (): ()) -> napi::Result<()> {
        Ok(())
    }
}

/// A promise can only be rejected so; `ts/server.ts` reads the message.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` calls")]
fn rejection(error: Error) -> napi::Error {
    napi::Error::new(Status::GenericFailure, error.to_json())
}

#[napi]
impl Server {
    /// Starts one; rejects with an error whose message is one of ours as JSON. Its lines go to `log`.
    #[napi(ts_return_type = "Promise<Server>")]
    pub fn start(options: NativeServerOptions, log: Option<&ServerLog>) -> AsyncTask<Start> {
        let mut start = ServerOptions {
            cwd: options.cwd.map(Into::into),
            env: pairs(options.env),
            auth: options.auth,
            reuse: options.reuse,
            ..ServerOptions::default()
        };
        if let Some(command) = options.command {
            start.command = command;
        }
        if let Some(limit) = options.ready_timeout_ms {
            start.ready_timeout =
                Duration::try_from_secs_f64(limit / 1000.0).unwrap_or(Duration::MAX);
        }
        let on_line = log.map(|log| Box::new(log.writer()) as OnLine);
        AsyncTask::new(Start { options: start, on_line })
    }

    /// `ws://127.0.0.1:PORT`.
    #[napi]
    pub fn url(&self) -> String {
        self.core.as_ref().map(|core| core.url().to_owned()).unwrap_or_default()
    }

    /// The token that clients need.
    #[napi]
    pub fn token(&self) -> Option<String> {
        self.core.as_ref()?.token().map(str::to_owned)
    }

    /// Whether another program's server was joined.
    #[napi]
    pub fn joined(&self) -> bool {
        self.core.as_ref().is_some_and(Core::joined)
    }

    /// The last lines of its output.
    #[napi]
    pub fn output(&self) -> Vec<String> {
        self.core.as_ref().map(Core::output).unwrap_or_default()
    }

    /// Ends it; resolves when it has ended.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close(&mut self) -> AsyncTask<End> {
        AsyncTask::new(End(self.core.take()))
    }
}

fn pairs(names_and_values: Vec<String>) -> Vec<(String, String)> {
    let mut rest = names_and_values.into_iter();
    std::iter::from_fn(|| rest.next().zip(rest.next())).collect()
}
