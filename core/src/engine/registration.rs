//! The commands that give a runtime other external tools, without a `request_id` (PROTOCOL.md section 14).

use serde_json::json;

use super::memory::{Place, TOOLS, scope_of};
use crate::protocol::raw::RawObject;
use crate::protocol::validate::spec;
use crate::protocol::version::Version;

/// The one that is for that alone; `groups` is the JSON text of a list.
pub(super) fn tools_update(place: &Place, groups: &str) -> Option<RawObject> {
    RawObject::parse(&update_text(place, groups)).ok()
}

fn update_text(place: &Place, groups: &str) -> String {
    let scope = scope_of(place);
    format!(
        r#"{{"type":"{TOOLS}","updates":[{{"runtimes":[{scope}],"external_tools":{groups}}}]}}"#
    )
}

/// The one that a server of at most this version knows.
pub(crate) fn registration(newest: Option<Version>, place: &Place, groups: &str) -> String {
    let since = spec(TOOLS).and_then(|spec| spec.since);
    if newest.zip(since).is_none_or(|(newest, since)| newest >= since) {
        return update_text(place, groups);
    }
    // Starting it again replaces them as well, and changes nothing else (section 8).
    let (agent, conversation) = (json!(place.0), json!(place.1));
    format!(
        r#"{{"type":"runtime_start","agent_id":{agent},"conversation_id":{conversation},"external_tools":{groups},"recover_approvals":false,"preserve_skill_sources":true}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(newest: Option<&str>) -> String {
        let newest = newest.and_then(Version::parse);
        let place = ("agent-\"1".to_owned(), "conv-1".to_owned());
        registration(newest, &place, r#"[{"tools":[]}]"#)
    }

    #[test]
    fn there_is_a_command_for_it_from_0_30_8_on() {
        let update = r#"{"type":"runtime_external_tools_update","updates":[{"runtimes":[{"agent_id":"agent-\"1","conversation_id":"conv-1"}],"external_tools":[{"tools":[]}]}]}"#;
        for newest in [None, Some("0.30.8"), Some("0.31.0")] {
            assert_eq!(of(newest), update);
        }
    }

    #[test]
    fn before_that_the_runtime_is_started_again() {
        let start = r#"{"type":"runtime_start","agent_id":"agent-\"1","conversation_id":"conv-1","external_tools":[{"tools":[]}],"recover_approvals":false,"preserve_skill_sources":true}"#;
        for newest in ["0.30.7", "0.28.5"] {
            assert_eq!(of(Some(newest)), start);
        }
    }
}
