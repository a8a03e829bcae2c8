//! Options on their way into the engine, which judges them. What it has no form for is refused here, by its name in
//! JavaScript.

use std::time::Duration;

use letta_app_client::engine::{Approvals, TurnOptions};
use letta_app_client::testing::{Replay, replay};
use letta_app_client::{
    ConnectOptions, Reconnect, RecordOptions, Resend, TimeLimit, TlsOptions, Transport,
};
use napi_derive::napi;

use crate::errors::{Thrown, bad_option, thrown};

/// How to reach the server; what is missing has the default of the engine. Times in milliseconds.
#[napi(object)]
pub struct NativeOptions {
    pub url: String,
    pub auth_token: Option<String>,
    pub transport: Option<String>,
    pub connect_timeout_ms: Option<f64>,
    pub request_timeout_ms: Option<f64>,
    pub keepalive_interval_ms: Option<f64>,
    pub keepalive_timeout_ms: Option<f64>,
    pub max_message_bytes: Option<u32>,
    pub max_pending_requests: Option<u32>,
    pub settle_pause_ms: Option<f64>,
    pub external_tool_concurrency: Option<u32>,
    pub external_tool_timeout_ms: Option<f64>,
    /// Left out for the engine's own waits.
    pub reconnect: Option<NativeReconnect>,
    pub standby: Option<bool>,
    /// PEM text, or the path of a PEM file.
    pub ca: Option<String>,
    pub reject_unauthorized: Option<bool>,
    pub record: Option<NativeRecord>,
    /// Whether the recording waits for `serveRecording`.
    pub redacted: Option<bool>,
    pub replay: Option<NativeReplay>,
}

/// A file for everything that goes over the sockets.
#[napi(object)]
pub struct NativeRecord {
    pub path: String,
    pub max_bytes: Option<i64>,
    pub max_files: Option<u32>,
    /// The names of fields that are hidden.
    pub fields: Option<Vec<String>>,
}

/// A recording in place of the server.
#[napi(object)]
pub struct NativeReplay {
    pub path: String,
    pub speed: Option<f64>,
    pub wait: Option<bool>,
    pub step_timeout_ms: Option<f64>,
}

/// How a lost connection is opened again.
#[napi(object)]
pub struct NativeReconnect {
    pub enabled: bool,
    /// Left out for no end.
    pub max_attempts: Option<u32>,
    pub base_ms: Option<f64>,
    pub cap_ms: Option<f64>,
}

/// The limits of a turn in milliseconds; infinite means none.
#[napi(object)]
pub struct NativeTurnOptions {
    pub timeout_ms: Option<f64>,
    pub idle_timeout_ms: Option<f64>,
    pub abort_grace_ms: Option<f64>,
    pub tool_timeout_ms: Option<f64>,
    pub approval_timeout_ms: Option<f64>,
    pub accept_timeout_ms: Option<f64>,
    pub recover_timeout_ms: Option<f64>,
    pub resend: Option<String>,
    /// Left out for the engine's own way.
    pub approvals: Option<String>,
    /// The names of tools that nobody is asked about.
    pub allow: Option<Vec<String>>,
    /// Whether a turn that the agent did not end itself fails.
    pub check: Option<bool>,
}

pub(crate) fn connect_options(given: NativeOptions) -> Result<ConnectOptions, Thrown> {
    let mut options = ConnectOptions::new(given.url);
    options.token = given.auth_token;
    options.transport = match given.transport.as_deref() {
        None | Some("auto") => Transport::Auto,
        Some("single") => Transport::Single,
        Some("split") => Transport::Split,
        Some(other) => {
            let expected = "\"auto\", \"single\" or \"split\"";
            return Err(bad_option("transport", expected, format!("{other:?}")));
        }
    };
    for (name, value, target) in [
        ("connectTimeoutMs", given.connect_timeout_ms, &mut options.connect_timeout),
        ("requestTimeoutMs", given.request_timeout_ms, &mut options.request_timeout),
        ("keepaliveIntervalMs", given.keepalive_interval_ms, &mut options.keepalive_interval),
        ("keepaliveTimeoutMs", given.keepalive_timeout_ms, &mut options.keepalive_timeout),
        (
            "externalToolTimeoutMs",
            given.external_tool_timeout_ms,
            &mut options.external_tools.timeout,
        ),
    ] {
        if let Some(value) = value {
            *target = time(name, ABOVE_ZERO, value)?;
        }
    }
    if let Some(value) = given.settle_pause_ms {
        options.settle_pause = wait("settlePauseMs", value)?;
    }
    for (value, target) in [
        (given.max_message_bytes, &mut options.max_message_bytes),
        (given.max_pending_requests, &mut options.max_pending_requests),
        (given.external_tool_concurrency, &mut options.external_tools.concurrency),
    ] {
        if let Some(value) = value {
            *target = usize::try_from(value).unwrap_or(usize::MAX);
        }
    }
    if let Some(given) = given.reconnect {
        options.reconnect = given.enabled.then(|| reconnect(&given)).transpose()?;
    }
    options.standby = given.standby.unwrap_or(false);
    options.record = given.record.map(record);
    options.replay = given.replay.map(replayed).transpose()?;
    options.tls = TlsOptions { ca: given.ca, verify: given.reject_unauthorized.unwrap_or(true) };
    Ok(options)
}

fn record(given: NativeRecord) -> RecordOptions {
    let mut record = RecordOptions::new(given.path).redact_fields(given.fields.unwrap_or_default());
    if let Some(value) = given.max_bytes {
        record.max_bytes = u64::try_from(value).unwrap_or_default();
    }
    record.max_files = given.max_files.unwrap_or(record.max_files);
    record
}

fn replayed(given: NativeReplay) -> Result<Replay, Thrown> {
    let mut played = replay(given.path);
    played.speed = given.speed.unwrap_or(0.0);
    played.wait_for_commands = given.wait.unwrap_or(true);
    if let Some(value) = given.step_timeout_ms {
        played.step_timeout = time("stepTimeoutMs", "milliseconds", value)?;
    }
    Ok(played)
}

fn reconnect(given: &NativeReconnect) -> Result<Reconnect, Thrown> {
    let mut rules = Reconnect { max_attempts: given.max_attempts, ..Reconnect::default() };
    if let Some(value) = given.base_ms {
        rules.base = wait("reconnect.baseMs", value)?;
    }
    if let Some(value) = given.cap_ms {
        rules.cap = time("reconnect.capMs", ABOVE_ZERO, value)?;
    }
    Ok(rules)
}

pub(crate) fn turn_options(given: Option<&NativeTurnOptions>) -> Result<TurnOptions, Thrown> {
    let mut options = TurnOptions::default();
    let Some(given) = given else { return Ok(options) };
    for (name, value, target) in [
        ("timeoutMs", given.timeout_ms, &mut options.timeout),
        ("idleTimeoutMs", given.idle_timeout_ms, &mut options.idle_timeout),
        ("toolTimeoutMs", given.tool_timeout_ms, &mut options.tool_timeout),
        ("approvalTimeoutMs", given.approval_timeout_ms, &mut options.approval_timeout),
    ] {
        if let Some(limit) = limit(name, value)? {
            *target = limit;
        }
    }
    let number = "a number of milliseconds";
    for (name, expected, value, target) in [
        ("acceptTimeoutMs", ABOVE_ZERO, given.accept_timeout_ms, &mut options.accept_timeout),
        ("abortGraceMs", number, given.abort_grace_ms, &mut options.abort_grace),
        ("recoverTimeoutMs", number, given.recover_timeout_ms, &mut options.recover_timeout),
    ] {
        if let Some(value) = value {
            *target = time(name, expected, value)?;
        }
    }
    options.resend = given.resend.as_deref().map(Resend::named).transpose().map_err(thrown)?;
    if let Some(approvals) = &given.approvals {
        options.approvals = Some(Approvals::named(approvals).map_err(thrown)?);
    }
    options.allow = given.allow.clone().unwrap_or_default();
    options.check = given.check.unwrap_or(false);
    Ok(options)
}

/// The time limit of a request.
pub(crate) fn time_limit(timeout_ms: Option<f64>) -> Result<TimeLimit, Thrown> {
    Ok(match limit("timeoutMs", timeout_ms)? {
        None => TimeLimit::Default,
        Some(None) => TimeLimit::Never,
        Some(Some(limit)) => TimeLimit::After(limit),
    })
}

/// A time limit: `None` where none was named, `Some(None)` for an infinite one.
#[expect(clippy::option_option, reason = "left out, infinite and a time are three cases")]
fn limit(name: &str, value: Option<f64>) -> Result<Option<Option<Duration>>, Thrown> {
    match value {
        None => Ok(None),
        Some(value) if value == f64::INFINITY => Ok(Some(None)),
        Some(value) => {
            let limit = time(name, "milliseconds above 0, or Infinity", value)?;
            Ok(Some(Some(limit)))
        }
    }
}

/// A year; beyond it adding to a clock could overflow.
const LONGEST: f64 = 365.0 * 86_400_000.0;

/// What most limits have to be.
const ABOVE_ZERO: &str = "milliseconds above 0";

/// A limit for the engine, which judges whether it will do.
fn time(name: &str, expected: &str, value: f64) -> Result<Duration, Thrown> {
    // Not `min`, which would take NaN for the longest time.
    let value = if value > LONGEST { LONGEST } else { value };
    duration(value).ok_or_else(|| bad_option(name, expected, value))
}

/// A time that has to pass before something happens: it has to end.
fn wait(name: &str, value: f64) -> Result<Duration, Thrown> {
    let expected = if value > 0.0 { "milliseconds, less than a year" } else { "milliseconds" };
    let shown = || if value == f64::INFINITY { "Infinity".to_owned() } else { value.to_string() };
    duration(value).ok_or_else(|| bad_option(name, expected, shown()))
}

fn duration(milliseconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(milliseconds / 1000.0).ok()
}
