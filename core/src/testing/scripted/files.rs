//! Files in a folder of the double's own (protocol reference, sections 19 and 20.5).

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use super::commands::{optional, respond};
use super::world::State;

/// The commands that this file answers.
pub(super) const COMMANDS: [&str; 6] =
    ["read_file", "write_file", "edit_file", "list_in_directory", "get_tree", "search_files"];

/// The most files that a search gives.
const MOST_FOUND: usize = 200;

/// Handles one of them, where the double has a folder. A path outside of it is not there.
pub(super) fn handle(
    state: &State,
    folder: &Path,
    client: u64,
    id: Option<&str>,
    frame: &Value,
) -> Option<()> {
    let kind = frame["type"].as_str()?;
    let fields = match kind {
        "read_file" => read(folder, frame)?,
        "write_file" => write(folder, frame)?,
        "edit_file" => {
            let (fields, content) = edit(folder, frame)?;
            if let Some(content) = content {
                state.reply(
                    client,
                    &json!({
                        "type": "file_ops", "path": frame["file_path"], "cg_entries": [], "ops": [],
                        "source": "agent", "document_content": content,
                    }),
                );
            }
            fields
        }
        "list_in_directory" => list(folder, frame)?,
        "get_tree" => tree(folder, frame)?,
        _ => search(folder, frame)?,
    };
    if let Some(id) = id {
        respond(state, client, kind, id, fields);
    } else {
        let mut answer = json!({ "type": format!("{kind}_response"), "success": true });
        answer.as_object_mut()?.extend(fields);
        state.reply(client, &answer);
    }
    Some(())
}

/// The place of a path, if it is in the folder.
fn place(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    (path.starts_with(folder) && !climbs).then(|| path.to_owned())
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

fn missing(path: &str, what: &str) -> String {
    format!("ENOENT: no such file or directory, {what} '{path}'")
}

fn read(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let path = frame["path"].as_str()?;
    let encoding = optional(frame, "encoding")?.unwrap_or("utf8");
    let bytes = place(folder, path).and_then(|path| fs::read(path).ok());
    let content = bytes.map(|bytes| match encoding {
        "base64" => base64(&bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    });
    let mut fields = json!({ "path": path, "content": content, "encoding": encoding });
    if content.is_none() {
        fields["success"] = false.into();
        fields["error"] = missing(path, "open").into();
    }
    Some(object(fields))
}

fn write(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let (path, content) = (frame["path"].as_str()?, frame["content"].as_str()?);
    let written = place(folder, path).is_some_and(|path| {
        path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok())
            && fs::write(path, content).is_ok()
    });
    let mut fields = json!({ "path": path });
    if !written {
        fields["success"] = false.into();
        fields["error"] = missing(path, "open").into();
    }
    Some(object(fields))
}

fn edit(folder: &Path, frame: &Value) -> Option<(Map<String, Value>, Option<String>)> {
    let path = frame["file_path"].as_str()?;
    let (old, new) = (frame["old_string"].as_str()?, frame["new_string"].as_str()?);
    let all = frame["replace_all"] == true;
    let refused = |error: String| {
        let fields = json!({
            "file_path": path, "message": null, "replacements": 0, "success": false, "error": error,
        });
        Some((object(fields), None))
    };
    let Some(text) = place(folder, path).and_then(|path| fs::read_to_string(path).ok()) else {
        return refused(missing(path, "open"));
    };
    let found = text.matches(old).count();
    let Some(at) = text.find(old).filter(|_| !old.is_empty()) else {
        return refused(format!("String to replace not found in file.\nString: {old}"));
    };
    let count = if all { found } else { 1 };
    let edited = text.replacen(old, new, count);
    if fs::write(path, &edited).is_err() {
        return refused(missing(path, "open"));
    }
    let plural = if count == 1 { "" } else { "s" };
    let fields = json!({
        "file_path": path, "replacements": count,
        "message": format!("Successfully replaced {count} occurrence{plural} in {path}"),
        "start_line": text[..at].matches('\n').count() + 1,
    });
    Some((object(fields), Some(edited)))
}

/// The folders and the files in a directory, by name.
fn entries(path: &Path) -> Option<(Vec<String>, Vec<String>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder { folders.push(name) } else { files.push(name) }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Some((folders, files))
}

fn list(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let path = frame["path"].as_str()?;
    let Some((folders, files)) = place(folder, path).and_then(|path| entries(&path)) else {
        let error = missing(path, "scandir");
        let fields = json!({ "path": path, "folders": [], "hasMore": false, "success": false, "error": error });
        return Some(object(fields));
    };
    let with_files = frame["include_files"] == true;
    let total = folders.len() + if with_files { files.len() } else { 0 };
    let mut fields = json!({ "path": path, "folders": folders, "hasMore": false, "total": total });
    if with_files {
        fields["files"] = json!(files);
    }
    Some(object(fields))
}

/// All that is below a directory, down to a depth; whether there is more.
fn below(path: &Path, prefix: &str, depth: u64, found: &mut Vec<(String, bool)>) -> bool {
    let Some((folders, files)) = entries(path) else { return false };
    let mut more = false;
    let mut deeper = Vec::new();
    for name in &folders {
        found.push((format!("{prefix}{name}"), true));
        deeper.push(name);
    }
    found.extend(files.iter().map(|name| (format!("{prefix}{name}"), false)));
    for name in deeper {
        let inside = path.join(name);
        if depth > 1 {
            more |= below(&inside, &format!("{prefix}{name}/"), depth - 1, found);
        } else {
            more |= entries(&inside).is_some_and(|(a, b)| !a.is_empty() || !b.is_empty());
        }
    }
    more
}

fn tree(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let (path, depth) = (frame["path"].as_str()?, frame["depth"].as_u64()?);
    let mut found = Vec::new();
    let place = place(folder, path).filter(|path| path.is_dir());
    let is_there = place.is_some();
    let more = place.is_some_and(|path| below(&path, "", depth.max(1), &mut found));
    let entry = |(path, is_folder): &(String, bool)| json!({ "path": path, "type": if *is_folder { "dir" } else { "file" } });
    let entries: Vec<Value> = found.iter().map(entry).collect();
    let mut fields = json!({ "path": path, "entries": entries, "has_more_depth": more });
    if !is_there {
        fields["success"] = false.into();
        fields["error"] = missing(path, "scandir").into();
    }
    Some(object(fields))
}

fn search(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let query = frame["query"].as_str()?;
    let cwd = optional(frame, "cwd")?.and_then(|cwd| place(folder, cwd));
    let most = frame["max_results"].as_u64().and_then(|most| usize::try_from(most).ok());
    let mut found = Vec::new();
    below(cwd.as_deref().unwrap_or(folder), "", u64::MAX, &mut found);
    let files: Vec<Value> = found
        .iter()
        .filter(|(path, is_folder)| !is_folder && path.contains(query))
        .take(most.unwrap_or(MOST_FOUND).min(MOST_FOUND))
        .map(|(path, _)| json!({ "path": path, "type": "file" }))
        .collect();
    Some(object(json!({ "files": files })))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or(0);
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_as_in_rfc_4648() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(texts.map(|text| base64(text.as_bytes())), expected.map(str::to_owned));
    }
}
