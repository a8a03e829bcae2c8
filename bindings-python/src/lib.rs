//! The native half of the Python package: one connection and its mailbox, and the mock server.
//!
//! Everything here is plain data in and out. No thread of the engine ever attaches to Python: it
//! leaves deliveries in the mailbox and rings the doorbell, and the event loop fetches them.

mod cli;
mod command;
mod connection;
mod delivery;
mod directory;
mod doorbell;
mod errors;
mod events;
mod exit;
mod options;
mod outcome;
mod record;
mod recording;
mod server;
mod server_end;
mod server_log;
mod server_start;
mod submission;
mod testing;
mod values;
mod whole;

use pyo3::prelude::*;

/// The native module `letta_app_client._native`.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::cli::cli;
    #[pymodule_export]
    use crate::connection::Connection;
    #[pymodule_export]
    use crate::delivery::{
        allowed_by_no_rule, approver_failed, check_decision, check_tool_name, denied_by_rule,
        kept_frames, nullable_parameters,
    };
    #[pymodule_export]
    use crate::directory::DirectoryChange;
    #[pymodule_export]
    use crate::errors::{error_kinds, outcome_error, refusal};
    #[pymodule_export]
    use crate::exit::leave;
    #[pymodule_export]
    use crate::options::check_values;
    #[pymodule_export]
    use crate::outcome::Outcome;
    #[pymodule_export]
    use crate::record::{Record, frame_type};
    #[pymodule_export]
    use crate::recording::{Recording, replay_events};
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::server_end::ServerEnd;
    #[pymodule_export]
    use crate::server_log::ServerLog;
    #[pymodule_export]
    use crate::server_start::ServerStart;
    #[pymodule_export]
    use crate::submission::Submission;
    #[pymodule_export]
    use crate::testing::MockServer;
    #[pymodule_export]
    use crate::values::ByTag;
    #[pymodule_export]
    use crate::whole::WireText;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
