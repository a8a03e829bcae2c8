//! The engine's mock server as a JavaScript class.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use letta_app_client::testing::{
    Generation, MockServer as Core, PlayOptions, ScriptOptions, Terminated, Trace,
};
use letta_app_client::{Error, ErrorKind};
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::errors::{Thrown, bad_option, thrown};

/// An App Server double on a loopback port; see `letta_app_client::testing::MockServer`.
#[napi]
pub struct MockServer {
    core: Arc<Core>,
}

#[napi]
impl MockServer {
    /// Plays a recording. `generation` is `single` or `split`.
    #[napi(factory)]
    pub fn play(
        path: String,
        generation: String,
        step_timeout_ms: Option<u32>,
    ) -> Result<Self, Thrown> {
        let generation = match generation.as_str() {
            "single" => Generation::Single,
            "split" => Generation::Split,
            other => return Err(bad_option("generation", "\"single\" or \"split\"", other)),
        };
        let mut options = PlayOptions::default();
        if let Some(limit) = step_timeout_ms {
            options.step_timeout = Duration::from_millis(limit.into());
        }
        let trace = Trace::read(path).map_err(|error| bad_option("path", "a recording", error))?;
        Self::started(Core::play(trace, generation, options))
    }

    /// Answers by itself, as the options (JSON) say.
    #[napi(factory)]
    pub fn scripted(options: String) -> Result<Self, Thrown> {
        let options: ScriptOptions = serde_json::from_str(&options)
            .map_err(|error| bad_option("options", "a script", error))?;
        options.check().map_err(thrown)?;
        Self::started(Core::scripted(options))
    }

    fn started(core: std::io::Result<Core>) -> Result<Self, Thrown> {
        let core = core.map_err(|error| bad_option("server", "a free loopback port", error))?;
        Ok(Self { core: Arc::new(core) })
    }

    /// `ws://127.0.0.1:PORT`.
    #[napi]
    pub fn url(&self) -> String {
        self.core.url()
    }

    /// The frames that clients have sent.
    #[napi]
    pub fn received(&self) -> Vec<String> {
        self.core.received()
    }

    /// The frames that nothing was done with.
    #[napi]
    pub fn unexpected(&self) -> Vec<String> {
        self.core.unexpected()
    }

    /// What a recording waited for when it was given up.
    #[napi]
    pub fn failure(&self) -> Option<String> {
        self.core.failure()
    }

    /// How many connections were ever opened.
    #[napi]
    pub fn connections(&self) -> u32 {
        u32::try_from(self.core.connections()).unwrap_or(u32::MAX)
    }

    /// How many connections are open now.
    #[napi]
    pub fn open_connections(&self) -> u32 {
        u32::try_from(self.core.open_connections()).unwrap_or(u32::MAX)
    }

    /// The connections that were dropped because their clients read too slowly, as JSON.
    #[napi]
    pub fn terminated(&self) -> String {
        let entry = |it: Terminated| {
            let after = u64::try_from(it.after.as_millis()).unwrap_or(u64::MAX);
            serde_json::json!({ "afterMs": after, "reason": it.reason })
        };
        self.core.terminated().into_iter().map(entry).collect::<serde_json::Value>().to_string()
    }

    /// How what came differs from a demand, whose fields are a JSON object.
    #[napi]
    pub fn complaint(
        &self,
        kind: String,
        times: Option<u32>,
        fields: String,
    ) -> Result<Option<String>, Thrown> {
        let fields = serde_json::from_str(&fields)
            .map_err(|error| bad_option("fields", "an object", error))?;
        Ok(self.core.complaint(&kind, times.map(|times| times as usize), &fields))
    }

    /// The temporary folder of its files.
    #[napi]
    pub fn folder(&self) -> Option<String> {
        self.core.folder().map(|folder| folder.to_string_lossy().into_owned())
    }

    /// Sends a text to all clients.
    #[napi]
    pub fn push(&self, text: String) {
        self.core.push(&text);
    }

    /// Cuts one open connection, counted from 0.
    #[napi]
    pub fn cut_connection(&self, index: u32) {
        self.core.cut_connection(index as usize);
    }

    /// Drops all TCP connections.
    #[napi]
    pub fn cut_connections(&self) {
        self.core.cut_connections();
    }

    /// Calls back when the recording has been played; with `false` when the time is up first.
    #[napi]
    pub fn wait_done(
        &self,
        timeout_ms: u32,
        #[napi(ts_arg_type = "(happened: boolean) => void")] callback: Function<'_, bool, ()>,
    ) -> Result<(), Thrown> {
        self.wait(For::Done(Duration::from_millis(timeout_ms.into())), &callback)
    }

    /// Calls back when clients have sent so many frames of a type; with `false` when the time is up.
    #[napi]
    pub fn wait_received(
        &self,
        kind: String,
        times: u32,
        timeout_ms: u32,
        #[napi(ts_arg_type = "(happened: boolean) => void")] callback: Function<'_, bool, ()>,
    ) -> Result<(), Thrown> {
        let timeout = Duration::from_millis(timeout_ms.into());
        self.wait(For::Received { kind, times, timeout }, &callback)
    }

    /// Refuses connections and drops those that are open, then calls back.
    #[napi]
    pub fn stop(
        &self,
        #[napi(ts_arg_type = "(happened: boolean) => void")] callback: Function<'_, bool, ()>,
    ) -> Result<(), Thrown> {
        self.wait(For::Stop, &callback)
    }

    /// Listens again at the same address.
    #[napi]
    pub fn start_again(&self) -> Result<(), Thrown> {
        self.core.start_again().map_err(|error| {
            let message = format!("the server cannot start again: {error}");
            thrown(Error::new(ErrorKind::InvalidOption, message))
        })
    }

    /// Frees the port and ends the server's thread, then calls back.
    #[napi]
    pub fn close(
        &self,
        #[napi(ts_arg_type = "(happened: boolean) => void")] callback: Function<'_, bool, ()>,
    ) -> Result<(), Thrown> {
        self.wait(For::Close, &callback)
    }

    /// Waits on a thread of its own: those of Node's pool are few, and everything else needs them.
    fn wait(&self, event: For, callback: &Function<'_, bool, ()>) -> Result<(), Thrown> {
        let failed = |error: String| thrown(Error::new(ErrorKind::Internal, error));
        let callback = callback
            .build_threadsafe_function::<bool>()
            .build()
            .map_err(|error| failed(error.reason.clone()))?;
        let core = Arc::clone(&self.core);
        let wait = move || {
            let happened = event.wait(&core);
            // Refused only by an environment that is going away, where nobody would listen.
            let _ = callback.call(happened, ThreadsafeFunctionCallMode::NonBlocking);
        };
        thread::Builder::new().spawn(wait).map_err(|error| failed(error.to_string()))?;
        Ok(())
    }
}

enum For {
    Done(Duration),
    Received { kind: String, times: u32, timeout: Duration },
    Stop,
    Close,
}

impl For {
    fn wait(&self, core: &Core) -> bool {
        match self {
            Self::Done(timeout) => core.wait_done(*timeout),
            Self::Received { kind, times, timeout } => {
                let times = usize::try_from(*times).unwrap_or(usize::MAX);
                core.wait_received(kind, times, *timeout)
            }
            Self::Stop => {
                core.stop();
                true
            }
            Self::Close => {
                core.close();
                true
            }
        }
    }
}
