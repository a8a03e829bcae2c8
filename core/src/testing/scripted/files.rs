//! Files in a folder of the double's own (protocol reference, sections 19 and 20.5).

use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

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

/// The place of a path, if it is in the folder, which is also where a relative one begins.
pub(super) fn place(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let path = folder.join(path);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let is_inside = path.starts_with(folder) && !climbs;
    is_inside.then_some(path).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// What Node says of a failed call for a path.
fn failure(error: &io::Error, call: &str, path: &str) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => "EISDIR: illegal operation on a directory, read".to_owned(),
        io::ErrorKind::NotADirectory => format!("ENOTDIR: not a directory, {call} '{path}'"),
        io::ErrorKind::PermissionDenied => format!("EACCES: permission denied, {call} '{path}'"),
        _ => format!("ENOENT: no such file or directory, {call} '{path}'"),
    }
}

/// Bytes as text, or why they are none.
fn text_of(bytes: Vec<u8>, path: &str) -> Result<String, String> {
    let detail = match bytes.as_slice() {
        [0xff, 0xfe, ..] => "Detected UTF-16LE BOM; convert the file to UTF-8 and retry.",
        [0xfe, 0xff, ..] => "Detected UTF-16BE BOM; convert the file to UTF-8 and retry.",
        _ => "The file contains bytes that cannot be decoded as UTF-8.",
    };
    String::from_utf8(bytes).map_err(|_| format!("File is not valid UTF-8 text: {path}. {detail}"))
}

fn read(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let path = frame["path"].as_str()?;
    let encoding = optional(frame, "encoding")?.unwrap_or("utf8");
    let bytes = place(folder, path).and_then(fs::read);
    let bytes = bytes.map_err(|error| failure(&error, "open", path));
    let content = bytes.and_then(|bytes| match encoding {
        "base64" => Ok(base64(&bytes)),
        _ => text_of(bytes, path),
    });
    let mut fields =
        json!({ "path": path, "content": content.as_ref().ok(), "encoding": encoding });
    if let Err(error) = content {
        fields["success"] = false.into();
        fields["error"] = error.into();
    }
    Some(object(fields))
}

fn write(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let (path, content) = (frame["path"].as_str()?, frame["content"].as_str()?);
    let written = place(folder, path).and_then(|path| {
        // What is in the way of a folder is found out by writing.
        let _ = path.parent().map(fs::create_dir_all);
        fs::write(path, content)
    });
    let mut fields = json!({ "path": path });
    if let Err(error) = written {
        fields["success"] = false.into();
        fields["error"] = failure(&error, "open", path).into();
    }
    Some(object(fields))
}

/// An edit as it is asked for, with the ends of lines that a real server gives a file.
struct Edit {
    old: String,
    new: String,
    all: bool,
    expected: Option<usize>,
}

impl Edit {
    fn read(frame: &Value) -> Option<Self> {
        let text = |field: &str| frame[field].as_str().map(unix);
        let expected = match &frame["expected_replacements"] {
            Value::Null => None,
            number => Some(usize::try_from(number.as_u64().filter(|it| *it > 0)?).ok()?),
        };
        let all = frame["replace_all"] == true || expected.is_some_and(|expected| expected > 1);
        Some(Self { old: text("old_string")?, new: text("new_string")?, all, expected })
    }

    /// Why it is refused whatever the file is.
    fn nonsense(&self) -> Option<&'static str> {
        if self.old.is_empty() {
            Some("old_string cannot be empty. Provide the exact text you want to replace.")
        } else if self.old == self.new {
            Some("No changes to make: old_string and new_string are exactly the same.")
        } else {
            None
        }
    }

    /// The edited text, how often it was changed, and in which line first.
    fn apply(&self, text: &str) -> Result<(String, usize, usize), String> {
        let found = text.matches(&self.old).count();
        let Some(at) = text.find(&self.old) else {
            let hint = "The snippet may be stale; re-read the file and copy exact text.";
            return Err(format!(
                "String to replace not found in file.\nString: {}\nPossible mismatch reasons:\n- {hint}",
                self.old
            ));
        };
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            let plural = if expected == 1 { "" } else { "s" };
            return Err(format!(
                "Expected {expected} occurrence{plural} but found {found}. Update old_string to be more specific, \
                 or set replace_all/expected_replacements correctly."
            ));
        }
        let count = if self.all { found } else { 1 };
        let line = text[..at].matches('\n').count() + 1;
        Ok((text.replacen(&self.old, &self.new, count), count, line))
    }
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn edit(folder: &Path, frame: &Value) -> Option<(Map<String, Value>, Option<String>)> {
    let path = frame["file_path"].as_str()?;
    let wanted = Edit::read(frame)?;
    let full = folder.join(path).to_string_lossy().into_owned();
    let edited = wanted.nonsense().map_or(Ok(()), |error| Err(error.to_owned())).and_then(|()| {
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::IsADirectory => format!("Path is a directory: {full}"),
            io::ErrorKind::PermissionDenied => format!("Permission denied: {full}"),
            io::ErrorKind::NotADirectory => failure(error, "open", &full),
            _ => {
                let place = folder.display();
                format!(
                    "File does not exist. Attempted path: {full}. Current working directory: {place}"
                )
            }
        };
        let place = place(folder, path).map_err(|error| failed(&error))?;
        let text = text_of(fs::read(&place).map_err(|error| failed(&error))?, &full)?;
        let (edited, count, line) = wanted.apply(&unix(&text))?;
        fs::write(place, &edited).map_err(|error| failed(&error))?;
        Ok((edited, count, line))
    });
    Some(match edited {
        Ok((edited, count, line)) => {
            let plural = if count == 1 { "" } else { "s" };
            let message = format!("Successfully replaced {count} occurrence{plural} in {full}");
            let fields = json!({
                "file_path": path, "replacements": count, "message": message, "start_line": line,
            });
            (object(fields), Some(edited))
        }
        Err(error) => {
            let fields = json!({
                "file_path": path, "message": null, "replacements": 0, "success": false, "error": error,
            });
            (object(fields), None)
        }
    })
}

/// The folders and the files in a directory, by name.
fn entries(path: &Path) -> io::Result<(Vec<String>, Vec<String>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder { folders.push(name) } else { files.push(name) }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}

fn list(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let path = frame["path"].as_str()?;
    let (mut folders, mut files) = match place(folder, path).and_then(|path| entries(&path)) {
        Ok(entries) => entries,
        Err(error) => {
            let error = failure(&error, "scandir", path);
            return Some(object(json!({
                "path": path, "folders": [], "hasMore": false, "success": false, "error": error,
            })));
        }
    };
    let with_files = frame["include_files"] == true;
    if !with_files {
        files.clear();
    }
    let total = folders.len() + files.len();
    let number = |field| frame[field].as_u64().and_then(|number| usize::try_from(number).ok());
    let (offset, limit) = (number("offset").unwrap_or(0), number("limit").unwrap_or(total));
    // One page goes over the folders and then the files.
    let behind = offset.saturating_sub(folders.len());
    folders = folders.into_iter().skip(offset).take(limit).collect();
    files = files.into_iter().skip(behind).take(limit - folders.len()).collect();
    let more = offset.saturating_add(limit) < total;
    let mut fields = json!({ "path": path, "folders": folders, "hasMore": more, "total": total });
    if with_files {
        fields["files"] = json!(files);
    }
    Some(object(fields))
}

/// All that is below a directory, level by level down to a depth; whether there are folders deeper than that. What
/// cannot be read is empty.
fn below(root: &Path, depth: u64) -> (Vec<(String, bool)>, bool) {
    let mut found = Vec::new();
    let mut more = false;
    let mut open = VecDeque::from([(String::new(), 0)]);
    while let Some((inside, level)) = open.pop_front() {
        if level >= depth {
            more |= level > 0;
            continue;
        }
        let Ok((folders, files)) = entries(&root.join(&inside)) else { continue };
        let path = |name: &String| match inside.as_str() {
            "" => name.clone(),
            inside => format!("{inside}/{name}"),
        };
        found.extend(folders.iter().map(|name| (path(name), true)));
        found.extend(files.iter().map(|name| (path(name), false)));
        open.extend(folders.iter().map(|name| (path(name), level + 1)));
    }
    (found, more)
}

fn tree(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let (path, depth) = (frame["path"].as_str()?, frame["depth"].as_i64()?);
    let place = place(folder, path).ok();
    let depth = u64::try_from(depth).unwrap_or(0);
    let (found, more) = place.map(|path| below(&path, depth)).unwrap_or_default();
    let kind = |is_folder| if is_folder { "dir" } else { "file" };
    let entry =
        |(path, is_folder): (String, bool)| json!({ "path": path, "type": kind(is_folder) });
    let entries: Vec<Value> = found.into_iter().map(entry).collect();
    Some(object(json!({ "path": path, "entries": entries, "has_more_depth": more })))
}

fn search(folder: &Path, frame: &Value) -> Option<Map<String, Value>> {
    let query = frame["query"].as_str()?;
    let cwd = optional(frame, "cwd")?.and_then(|cwd| place(folder, cwd).ok());
    let most = frame["max_results"].as_u64().and_then(|most| usize::try_from(most).ok());
    let (found, _) = below(cwd.as_deref().unwrap_or(folder), u64::MAX);
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
