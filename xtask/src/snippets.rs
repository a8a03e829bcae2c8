//! Code in documents: a fenced block behind `<!-- path -->` is the file at that path, so that what
//! a reader copies is what the tests run.

use std::fs;
use std::path::Path;

use crate::Outcome;

/// The documents that show code.
const DOCUMENTS: [&str; 1] = ["README.md"];

/// Fills the blocks in.
pub fn write(root: &Path) -> Outcome<String> {
    for name in DOCUMENTS {
        let (_, wanted) = read(root, name)?;
        let path = root.join(name);
        fs::write(&path, wanted).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(format!("{}: written", DOCUMENTS.join(", ")))
}

/// Compares the blocks with their files.
pub fn check(root: &Path) -> Outcome<String> {
    for name in DOCUMENTS {
        let (there, wanted) = read(root, name)?;
        if there != wanted {
            return Err(format!("{name}: a code block differs from its file; run xtask gen"));
        }
    }
    Ok(format!("{}: code blocks are their files", DOCUMENTS.join(", ")))
}

fn read(root: &Path, name: &str) -> Outcome<(String, String)> {
    let load = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let document = load(name)?;
    let wanted = filled(&document, load)?;
    Ok((document, wanted))
}

/// The document with each marked block replaced by its file.
fn filled(document: &str, load: impl Fn(&str) -> Outcome<String>) -> Outcome<String> {
    let mut out = String::with_capacity(document.len());
    let mut source: Option<String> = None;
    let mut inside = false;
    for line in document.lines() {
        if inside && line != "```" {
            continue;
        }
        inside = false;
        out.push_str(line);
        out.push('\n');
        if let Some(path) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            source = Some(load(path)?);
        } else if line.starts_with("```")
            && let Some(text) = source.take()
        {
            out.push_str(&text);
            inside = true;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_block_becomes_its_file_and_others_stay() {
        let document = "<!-- a.py -->\n```python\nold\n```\n\n```sh\nmake\n```\n";
        let filled = filled(document, |path| Ok(format!("new {path}\n"))).unwrap();
        assert_eq!(filled, "<!-- a.py -->\n```python\nnew a.py\n```\n\n```sh\nmake\n```\n");
    }
}
