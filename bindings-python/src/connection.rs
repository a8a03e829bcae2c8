//! One method for each method of the engine's connection; what crosses is text and numbers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use letta_app_client::engine::{Approvals, TurnOptions};
use letta_app_client::{
    Check, Connection as Engine, Error, Mailbox, RecordOptions, RequestOptions, Resend, TimeLimit,
    TlsOptions,
};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::command::text_of;
use crate::delivery::to_tuple;
use crate::doorbell::{self, Doorbell};
use crate::errors::{invalid_option, raise};
use crate::events;
use crate::options::Values;
use crate::recording::{Recording, Replayed};
use crate::server::Server;

/// Longer limits mean "never", and would overflow the clock.
const LONGEST: f64 = 1e9;

/// What methods for one command take beside its fields.
const OPTIONS: [&str; 1] = ["timeout"];

/// A connection with its mailbox. See `_native.pyi`.
#[pyclass(frozen, module = "letta_app_client._native")]
pub(crate) struct Connection {
    /// Always there, except while being dropped.
    engine: Option<Engine>,
    mailbox: Arc<Mailbox>,
    doorbell: Doorbell,
    recording: Mutex<Option<Recording>>,
    pid: u32,
}

/// `None` for no limit, `"default"` for the connection's, or seconds.
#[derive(FromPyObject)]
enum Limit {
    // First: a number that is none costs an exception.
    Named(#[expect(dead_code, reason = "only `default` is ever passed")] String),
    After(f64),
}

pub(crate) fn seconds(py: Python<'_>, name: &str, value: f64) -> PyResult<Duration> {
    let usable = (0.0..=LONGEST).contains(&value);
    usable.then(|| Duration::from_secs_f64(value)).ok_or_else(|| {
        invalid_option(py, format!("{name}: expected seconds from 0 to {LONGEST:e}, got {value}"))
    })
}

/// The frame that goes out, for who is told of it.
fn told_of(told: bool, text: &str) -> Option<String> {
    told.then(|| text.to_owned())
}

impl Connection {
    fn with<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&Engine) -> Result<T, Error>,
    ) -> PyResult<T> {
        let closed = || Error::new(letta_app_client::ErrorKind::Closed, "the client is closed");
        let result = self.engine.as_ref().ok_or_else(closed).and_then(act);
        result.map_err(|error| raise(py, &error))
    }
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (*, url, values, ca, verify, record, redacted, replay, server))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments, one for each option")]
    fn new(
        py: Python<'_>,
        url: String,
        values: Values,
        ca: Option<String>,
        verify: bool,
        record: Option<(PathBuf, u64, u32, Vec<String>)>,
        redacted: bool,
        replay: Option<Replayed>,
        server: Option<PyRef<'_, Server>>,
    ) -> PyResult<Self> {
        let mut options = values.options(py, url)?.tls(TlsOptions { ca, verify });
        options.record = record.map(|(path, max_bytes, max_files, fields)| {
            let record = RecordOptions::new(path).redact_fields(fields);
            record.max_bytes(max_bytes).max_files(max_files)
        });
        options.replay = replay.map(|played| played.options(py)).transpose()?;
        options.server = server.map(|server| server.watch());
        let (doorbell, ring) = doorbell::pair()?;
        let mailbox = Mailbox::new(ring);
        let sink = Arc::clone(&mailbox);
        let opened = if redacted {
            Engine::open_recorded(options, sink)
        } else {
            Engine::open(options, sink).map(|engine| (engine, None))
        };
        let (engine, writer) = opened.map_err(|error| raise(py, &error))?;
        let recording = Mutex::new(writer.map(Recording::new));
        let pid = std::process::id();
        Ok(Self { engine: Some(engine), mailbox, doorbell, recording, pid })
    }

    /// The recording whose redactor is Python's, given once; nothing is written until it is served.
    fn take_recording(&self) -> Option<Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fileno(&self) -> i64 {
        self.doorbell.fileno()
    }

    fn ring(&self) {
        self.doorbell.ring();
    }

    fn hang_up(&self) {
        self.doorbell.hang_up();
    }

    /// What waits, as far as nothing can be missed, and whether there is more; see `_native.pyi`.
    fn drain<'py>(&self, py: Python<'py>, rung: bool) -> PyResult<(Bound<'py, PyList>, bool)> {
        if rung {
            self.doorbell.silence();
        }
        let (mut deliveries, more) = self.mailbox.drain_step();
        let items: PyResult<Vec<Bound<'py, PyTuple>>> = deliveries
            .iter_mut()
            .filter_map(|delivery| to_tuple(py, delivery).transpose())
            .collect();
        Ok((PyList::new(py, items?)?, more))
    }

    /// Sends the requests that were held.
    fn flush(&self) {
        if let Some(engine) = &self.engine {
            engine.flush();
        }
    }

    /// Somebody listens to frames from now on, or does so no more.
    fn listen(&self, more: bool) {
        self.mailbox.listen(more);
    }

    fn token(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |engine| Ok(engine.token()))
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.engine.as_ref().map_or("closed", |engine| engine.state().as_str())
    }

    #[getter]
    fn info(&self) -> Option<String> {
        self.engine.as_ref().and_then(Engine::info)
    }

    /// Why the token is not safe on its way; `None` when it is, or when there is none.
    #[getter]
    fn insecure_token(&self) -> Option<String> {
        self.engine.as_ref().and_then(Engine::insecure_token).map(str::to_owned)
    }

    #[getter]
    fn is_split(&self) -> bool {
        self.engine.as_ref().is_some_and(Engine::is_split)
    }

    /// `(frames, bytes, malformed, degraded, reconnects, restored, restore_failures, unrecorded, unsent)`.
    fn counters(&self, py: Python<'_>) -> PyResult<[u64; 9]> {
        let counters = self.with(py, |engine| Ok(engine.counters()))?;
        Ok([
            counters.frames,
            counters.bytes,
            counters.malformed,
            counters.degraded,
            counters.reconnects,
            counters.restored,
            counters.restore_failures,
            counters.unrecorded,
            counters.unsent,
        ])
    }

    /// `off`, `opening` or `ready`.
    fn standby(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |engine| Ok(engine.counters().standby.as_str()))
    }

    fn next_request_id(&self, py: Python<'_>, prefix: &str) -> PyResult<String> {
        self.with(py, |engine| Ok(engine.next_request_id(prefix)))
    }

    fn connect(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        self.with(py, |engine| engine.connect(token))
    }

    fn close(&self, token: u64) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.close(token))
    }

    fn send(
        &self,
        command: &Bound<'_, PyAny>,
        check: &str,
        told: bool,
    ) -> PyResult<Option<String>> {
        let py = command.py();
        // Who waits for nothing has no options.
        let check = Check::named(check, &[]).map_err(|error| raise(py, &error))?;
        let text = text_of(command)?;
        let sent = self.with(py, |engine| engine.send_checked(&text, check))?;
        Ok(told_of(told, &sent))
    }

    #[expect(
        clippy::needless_pass_by_value,
        clippy::too_many_arguments,
        reason = "the arguments from Python are values, one for each option"
    )]
    fn request(
        &self,
        token: u64,
        command: &Bound<'_, PyAny>,
        timeout: Option<Limit>,
        manual: bool,
        check: &str,
        held: bool,
        told: bool,
    ) -> PyResult<Option<String>> {
        let py = command.py();
        let check = Check::named(check, &OPTIONS).map_err(|error| raise(py, &error))?;
        let timeout = match timeout {
            None => TimeLimit::Never,
            Some(Limit::Named(_)) => TimeLimit::Default,
            Some(Limit::After(value)) => TimeLimit::After(seconds(py, "timeout", value)?),
        };
        let options = RequestOptions { timeout, manual, check, held };
        let text = text_of(command)?;
        let sent = self.with(py, |engine| engine.request(token, &text, options));
        sent.map(|text| text.and_then(|text| told_of(told, &text)))
    }

    /// Checks the fields of a command's method as if it were sent.
    fn check_command(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        let text = text_of(command)?;
        let check = Check::Documented(&OPTIONS);
        self.with(command.py(), |engine| engine.check_command(&text, check))
    }

    #[pyo3(signature = (token, command, timeout, idle_timeout, tool_timeout, approval_timeout,
        abort_grace, accept_timeout, recover_timeout, resend, approvals, followed, check,
        allow, held, told))]
    #[expect(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "the turn's options, one by one"
    )]
    fn run_turn(
        &self,
        token: u64,
        command: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        idle_timeout: Option<f64>,
        tool_timeout: Option<f64>,
        approval_timeout: Option<f64>,
        abort_grace: f64,
        accept_timeout: f64,
        recover_timeout: f64,
        resend: &str,
        approvals: &str,
        followed: bool,
        check: bool,
        allow: Vec<String>,
        held: bool,
        told: bool,
    ) -> PyResult<Option<String>> {
        let py = command.py();
        let limit = |name, value: Option<f64>| value.map(|value| seconds(py, name, value));
        let options = TurnOptions {
            timeout: limit("timeout", timeout).transpose()?,
            idle_timeout: limit("idle_timeout", idle_timeout).transpose()?,
            abort_grace: seconds(py, "abort_grace", abort_grace)?,
            accept_timeout: seconds(py, "accept_timeout", accept_timeout)?,
            recover_timeout: seconds(py, "recover_timeout", recover_timeout)?,
            resend: Some(Resend::named(resend).map_err(|error| raise(py, &error))?),
            tool_timeout: limit("tool_timeout", tool_timeout).transpose()?,
            approval_timeout: limit("approval_timeout", approval_timeout).transpose()?,
            approvals: Some(Approvals::named(approvals).map_err(|error| raise(py, &error))?),
            allow,
            events: followed,
            check,
        };
        let text = text_of(command)?;
        if followed {
            self.mailbox.follow_turn(token);
        }
        let sent = self.with(py, |engine| engine.run_turn(token, &text, options, held));
        let sent = sent.inspect_err(|_| self.mailbox.leave_turn(token))?;
        Ok(told_of(told, &sent))
    }

    /// The oldest events of a followed turn, a part of them; to be called until there are none.
    fn take_turn<'py>(&self, py: Python<'py>, token: u64) -> PyResult<Bound<'py, PyList>> {
        events::given(py, &self.mailbox.take_events(token))
    }

    fn leave_turn(&self, token: u64) {
        self.mailbox.leave_turn(token);
    }

    fn abort_turn(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        self.with(py, |engine| {
            engine.abort_turn(token);
            Ok(())
        })
    }

    fn detach_turn(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        self.with(py, |engine| {
            engine.detach_turn(token);
            Ok(())
        })
    }

    /// `(phase, text)`, or `None` for a turn that has ended.
    fn turn_report(&self, py: Python<'_>, token: u64) -> Option<(&'static str, String)> {
        let engine = self.engine.as_ref()?;
        let report = py.detach(|| engine.turn_report(token))?;
        Some((report.phase.as_str(), report.to_string()))
    }

    fn handle_approvals(
        &self,
        py: Python<'_>,
        token: u64,
        runtime: Option<(String, String)>,
        handled: bool,
    ) -> PyResult<()> {
        self.with(py, |engine| {
            engine.handle_approvals(token, runtime, handled);
            Ok(())
        })
    }

    fn return_approval(&self, py: Python<'_>, ask: u64) -> PyResult<()> {
        self.with(py, |engine| {
            engine.return_approval(ask);
            Ok(())
        })
    }

    fn hold_runtime(
        &self,
        py: Python<'_>,
        agent: String,
        conversation: String,
        opening: String,
        held: bool,
    ) {
        // Also by a finalizer, when nothing is there any more.
        if let Some(engine) = self.engine.as_ref() {
            py.detach(|| engine.hold_runtime((agent, conversation), opening, held));
        }
    }

    fn watch_file(&self, command: &Bound<'_, PyAny>, told: bool) -> PyResult<Option<String>> {
        let text = text_of(command)?;
        let sent = self.with(command.py(), |engine| engine.watch_file(&text))?;
        Ok(told_of(told, &sent))
    }

    fn unwatch_file(&self, py: Python<'_>, path: String) {
        // Also by a finalizer.
        if let Some(engine) = self.engine.as_ref() {
            py.detach(|| engine.unwatch_file(path));
        }
    }

    /// External tools come for a while beside those of the runtime's sessions, or go.
    fn offer_tools(
        &self,
        py: Python<'_>,
        agent: String,
        conversation: String,
        owner: String,
        groups: Option<String>,
    ) {
        if let Some(engine) = self.engine.as_ref() {
            py.detach(|| engine.offer_tools((agent, conversation), owner, groups));
        }
    }

    /// The permission mode of a runtime that a session holds.
    fn mode_of(&self, agent: String, conversation: String) -> Option<String> {
        self.engine.as_ref()?.mode_of(&(agent, conversation))
    }

    /// The command that gives a runtime other external tools, without a `request_id`.
    fn registration(
        &self,
        py: Python<'_>,
        agent: String,
        conversation: String,
        groups: &str,
    ) -> PyResult<String> {
        self.with(py, |engine| Ok(engine.registration(&(agent, conversation), groups)))
    }

    /// Answers with the decision as JSON text, or with the text of an error.
    fn answer_approval(
        &self,
        py: Python<'_>,
        ask: u64,
        decision: Option<String>,
        error: Option<String>,
    ) -> PyResult<()> {
        let answer = decision.ok_or_else(|| error.unwrap_or_default());
        self.with(py, |engine| {
            engine.answer_approval(ask, answer);
            Ok(())
        })
    }

    fn cancel(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        self.with(py, |engine| {
            engine.cancel(token);
            Ok(())
        })
    }

    fn resolve(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        self.with(py, |engine| {
            engine.resolve(token);
            Ok(())
        })
    }

    fn handle_tools(&self, py: Python<'_>, handled: bool) -> PyResult<()> {
        self.with(py, |engine| {
            engine.handle_tools(handled);
            Ok(())
        })
    }

    /// Answers with the result as JSON text, or with the text of an error.
    fn answer_tool(
        &self,
        py: Python<'_>,
        request_id: String,
        result: Option<String>,
        error: Option<String>,
    ) -> PyResult<()> {
        let answer = result.ok_or_else(|| error.unwrap_or_default());
        self.with(py, |engine| {
            engine.answer_tool(request_id, answer);
            Ok(())
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // After a fork the engine's thread is not here, and letting go of the engine could wait for
        // a lock that this thread held at that moment.
        if self.pid != std::process::id() {
            std::mem::forget(self.engine.take());
        }
    }
}
