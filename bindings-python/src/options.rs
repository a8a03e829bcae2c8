//! The options of a client that need no look at files or at the URL.

use letta_app_client::engine::ToolLimits;
use letta_app_client::{ConnectOptions, Reconnect, Transport};
use pyo3::prelude::*;

use crate::connection::seconds;
use crate::errors::{invalid_option, raise};

/// See `_native.pyi`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Values {
    token: Option<String>,
    transport: String,
    connect_timeout: f64,
    request_timeout: f64,
    keepalive_interval: f64,
    keepalive_timeout: f64,
    max_message_bytes: usize,
    max_pending_requests: usize,
    settle_pause: f64,
    external_tool_concurrency: usize,
    external_tool_timeout: f64,
    reconnect: Option<(Option<u32>, f64, f64)>,
    standby: bool,
}

impl Values {
    /// The engine's options with these values.
    pub(crate) fn options(self, py: Python<'_>, url: String) -> PyResult<ConnectOptions> {
        let transport = match &*self.transport {
            "auto" => Transport::Auto,
            "single" => Transport::Single,
            "split" => Transport::Split,
            other => {
                let message =
                    format!("transport: expected \"auto\", \"single\" or \"split\", got {other:?}");
                return Err(invalid_option(py, message));
            }
        };
        let reconnect = self.reconnect.map(|(max_attempts, base, cap)| {
            let base = seconds(py, "reconnect.base", base)?;
            let cap = seconds(py, "reconnect.cap", cap)?;
            PyResult::Ok(Reconnect { max_attempts, base, cap })
        });
        let mut options = ConnectOptions::new(url)
            .transport(transport)
            .connect_timeout(seconds(py, "connect_timeout", self.connect_timeout)?)
            .request_timeout(seconds(py, "request_timeout", self.request_timeout)?)
            .keepalive_interval(seconds(py, "keepalive_interval", self.keepalive_interval)?)
            .keepalive_timeout(seconds(py, "keepalive_timeout", self.keepalive_timeout)?)
            .max_message_bytes(self.max_message_bytes)
            .max_pending_requests(self.max_pending_requests)
            .settle_pause(seconds(py, "settle_pause", self.settle_pause)?)
            .external_tools(ToolLimits {
                concurrency: self.external_tool_concurrency,
                timeout: seconds(py, "external_tool_timeout", self.external_tool_timeout)?,
            })
            .reconnect(reconnect.transpose()?)
            .standby(self.standby);
        options.token = self.token;
        Ok(options)
    }
}

/// Refuses values with which no client could be made.
#[pyfunction]
pub(crate) fn check_values(py: Python<'_>, values: Values) -> PyResult<()> {
    let options = values.options(py, String::new())?;
    options.check_values().map_err(|error| raise(py, &error))
}
