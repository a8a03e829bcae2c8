//! Permission modes (protocol reference, section 8).

use super::world::State;

const MODES: [&str; 3] = ["standard", "acceptEdits", "unrestricted"];

/// The mode of a runtime for which none was ever set.
pub(super) const UNSET: &str = "unrestricted";

pub(super) fn is_known(state: &State, mode: &str) -> bool {
    MODES.contains(&mode) || (mode == "strict" && state.is_single())
}
