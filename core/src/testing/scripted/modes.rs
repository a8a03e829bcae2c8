//! Permission modes: which tool calls need a decision (protocol reference, sections 8, 13 and 14).

use super::super::options::ScriptedCall;
use super::world::State;

const MODES: [&str; 3] = ["standard", "acceptEdits", "unrestricted"];

/// The mode of a runtime for which none was ever set.
pub(super) const UNSET: &str = "unrestricted";

/// Tools that ask a person, which they do in every mode.
const INTERACTIVE: [&str; 1] = ["AskUserQuestion"];

/// Tools that change files, which `acceptEdits` lets run.
const EDITS: [&str; 14] = [
    "Write",
    "Edit",
    "MultiEdit",
    "NotebookEdit",
    "memory",
    "apply_patch",
    "ApplyPatch",
    "memory_apply_patch",
    "replace",
    "Replace",
    "write_file",
    "WriteFile",
    "write_file_gemini",
    "WriteFileGemini",
];

pub(super) fn is_known(state: &State, mode: &str) -> bool {
    MODES.contains(&mode) || (mode == "strict" && state.is_single())
}

/// Whether a call is asked about. What a server's own tools do (read, write, run) is not known to the double: of
/// those the script says whether they need a decision, where the mode leaves that open.
pub(super) fn asks(mode: &str, call: &ScriptedCall, is_external: bool) -> bool {
    let name = call.name.as_str();
    if INTERACTIVE.contains(&name) {
        return true;
    }
    match mode {
        "unrestricted" => false,
        "strict" => true,
        "acceptEdits" if EDITS.contains(&name) && !is_external => false,
        _ => call.needs_approval || is_external,
    }
}
