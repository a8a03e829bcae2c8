//! A server of your own as a JavaScript class.

use letta_app_client::{Printed, Server as Core, ServerWatch};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;

/// A running App Server; see `letta_app_client::Server`.
#[napi]
pub struct Server {
    /// There until it is closed.
    core: Option<Core>,
    printed: Printed,
    watch: ServerWatch,
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

impl Server {
    pub(crate) fn new(core: Core) -> Self {
        Self { printed: core.printed(), watch: core.watch(), core: Some(core) }
    }

    /// What tells of its end.
    pub(crate) fn watch(&self) -> ServerWatch {
        self.watch.clone()
    }
}

#[napi]
impl Server {
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

    /// The last lines of its output, also when it is closed.
    #[napi]
    pub fn output(&self) -> Vec<String> {
        self.printed.lines()
    }

    /// Ends it; resolves when it has ended.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close(&mut self) -> AsyncTask<End> {
        AsyncTask::new(End(self.core.take()))
    }
}
