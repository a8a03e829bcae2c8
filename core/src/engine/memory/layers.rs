//! The external tools of one runtime, by who has registered them (PROTOCOL.md section 14). The server keeps one set
//! for each runtime of a connection, so what several want is registered together.

use std::collections::HashSet;

use crate::protocol::raw::RawObject;
use serde_json::value::RawValue;

/// No groups of tools.
pub(crate) const NONE: &str = "[]";

/// What one of them has registered.
#[derive(Debug)]
struct Layer {
    /// None where a command of the user's has: that replaced what was there.
    owner: Option<String>,
    /// The JSON text of a list.
    groups: String,
    /// When that was given.
    at: u64,
}

/// See the module's text; the latest comes last.
#[derive(Debug, Default)]
pub(crate) struct Layers(Vec<Layer>);

impl Layers {
    /// A command of the user's, given at a time, has replaced all there was then.
    pub(crate) fn replace(&mut self, groups: &str, at: u64) {
        self.0.retain(|layer| layer.at > at);
        if groups != NONE {
            self.0.insert(0, Layer { owner: None, groups: groups.to_owned(), at });
        }
    }

    /// Somebody's tools come to those of the others.
    pub(crate) fn add(&mut self, owner: &str, groups: &str, at: u64) {
        self.remove(owner);
        if groups != NONE {
            self.0.push(Layer { owner: Some(owner.to_owned()), groups: groups.to_owned(), at });
        }
    }

    /// Somebody's tools go.
    pub(crate) fn remove(&mut self, owner: &str) {
        self.0.retain(|layer| layer.owner.as_deref() != Some(owner));
    }

    /// All go.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The groups of each.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|layer| layer.groups.as_str())
    }
}

/// The groups of several as one list. Of tools of one name in one scope the latest stays.
pub(crate) fn union<'a>(sets: impl Iterator<Item = &'a str>) -> String {
    let sets: Vec<_> = sets.filter(|set| *set != NONE).collect();
    let [first, _, ..] = &sets[..] else {
        return sets.first().map_or(NONE, |only| *only).to_owned();
    };
    let mut taken = HashSet::new();
    let mut groups = Vec::new();
    for set in sets.iter().rev() {
        // It was taken from a command that was checked, or that the server took.
        let Ok(list) = serde_json::from_str::<Vec<RawObject>>(set) else {
            return (*first).to_owned();
        };
        let mut names = Vec::new();
        for group in list.into_iter().rev() {
            groups.extend(without(group, &taken, &mut names));
        }
        taken.extend(names);
    }
    groups.reverse();
    format!("[{}]", groups.join(","))
}

/// A tool's scope and name.
type Name = (Option<String>, String);

/// A group without the tools that somebody later has; none where no tool is left. Notes the names of the others.
fn without(mut group: RawObject, taken: &HashSet<Name>, names: &mut Vec<Name>) -> Option<String> {
    let scope = group.get_str("scope_id");
    let tools: Vec<Box<RawValue>> = serde_json::from_str(group.get("tools")?).ok()?;
    let mut left = Vec::with_capacity(tools.len());
    for tool in &tools {
        let name = RawObject::parse(tool.get()).ok().and_then(|tool| tool.get_str("name"));
        let name = (scope.clone(), name.unwrap_or_default());
        if !taken.contains(&name) {
            left.push(tool.get());
            names.push(name);
        }
    }
    if left.is_empty() {
        return None;
    }
    if left.len() < tools.len() {
        // They were taken from valid JSON.
        group.set("tools", format!("[{}]", left.join(","))).unwrap_or_default();
    }
    Some(group.to_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sets: &[&str]) -> String {
        union(sets.iter().copied())
    }

    #[test]
    fn one_set_stays_as_it_is() {
        let only = r#"[ {"tools": [ {"name":"a"} ] , "tools": []} ]"#;
        assert_eq!(of(&[]), "[]");
        assert_eq!(of(&["[]", only, "[]"]), only);
    }

    #[test]
    fn of_one_name_the_latest_stays() {
        let first =
            r#"[{"tools":[{"name":"a","v":1},{"name":"b","v":1.0}]},{"tools":[{"name":"c"}]}]"#;
        let second = r#"[{"tools":[{"name":"c","v":2},{"name":"a","v":2}],"more":true}]"#;
        let both = r#"[{"tools":[{"name":"b","v":1.0}]},{"tools":[{"name":"c","v":2},{"name":"a","v":2}],"more":true}]"#;
        assert_eq!(of(&[first, second]), both);
    }

    #[test]
    fn tools_of_another_scope_are_others() {
        let first = r#"[{"scope_id":"s","tools":[{"name":"a"}]}]"#;
        let second = r#"[{"tools":[{"name":"a"}]}]"#;
        let both = r#"[{"scope_id":"s","tools":[{"name":"a"}]},{"tools":[{"name":"a"}]}]"#;
        assert_eq!(of(&[first, second]), both);
        assert_eq!(of(&[second, first, second]), both);
    }
}
