//! How Windows finds a program by the name that people type.

use std::ffi::OsStr;
use std::path::PathBuf;

/// The endings of what can be started, where the system does not name them.
const ENDINGS: &str = ".COM;.EXE;.BAT;.CMD";

/// Finds a program without a shell: with one of the endings, unless it has one, in the folders of `PATH`
/// unless it names its own. What is not found is left as it is, for the system's own words about it.
///
/// A file without an ending is none: npm puts a shell script there, beside the one that can be started.
///
/// # Arguments
///
/// * `path` - `PATH`, the folders.
/// * `endings` - `PATHEXT`, endings between semicolons.
pub(super) fn resolve(program: &str, path: &OsStr, endings: Option<&str>) -> PathBuf {
    let endings: Vec<_> = endings.unwrap_or(ENDINGS).split(';').filter(|e| !e.is_empty()).collect();
    let lower = program.to_lowercase();
    let has_one = endings.iter().any(|ending| lower.ends_with(&ending.to_lowercase()));
    let names: Vec<String> = if has_one {
        vec![program.to_owned()]
    } else {
        // Upper case is how the system writes them, and files are mostly named the other way.
        endings.iter().map(|ending| format!("{program}{}", ending.to_lowercase())).collect()
    };
    let folders: Vec<PathBuf> = if program.contains(['/', '\\']) {
        vec![PathBuf::new()]
    } else {
        std::env::split_paths(path).collect()
    };
    let mut files = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    files.find(|file| file.is_file()).unwrap_or_else(|| program.into())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// Two folders with files, as `PATH`.
    fn folders(first: &[&str], second: &[&str]) -> (tempfile::TempDir, OsString) {
        let root = tempfile::tempdir().unwrap();
        let paths = [("first", first), ("second", second)].map(|(folder, names)| {
            let folder = root.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            for name in names {
                std::fs::write(folder.join(name), "").unwrap();
            }
            folder
        });
        (root, std::env::join_paths(paths).unwrap())
    }

    #[test]
    fn what_npm_installs_is_found_and_not_the_shell_script_beside_it() {
        let (root, path) = folders(&["letta", "letta.ps1"], &["letta", "letta.cmd", "letta.ps1"]);
        let found = resolve("letta", &path, None);
        assert_eq!(found, root.path().join("second").join("letta.cmd"));
    }

    #[test]
    fn the_first_folder_counts_and_in_it_the_first_ending() {
        let (root, path) = folders(&["a.bat", "a.exe"], &["a.com"]);
        assert_eq!(resolve("a", &path, None), root.path().join("first/a.exe"));
        let endings = Some(".BAT;.EXE;");
        assert_eq!(resolve("a", &path, endings), root.path().join("first/a.bat"));
    }

    #[test]
    fn an_ending_that_is_given_is_kept() {
        let (root, path) = folders(&["node.exe.cmd"], &["node.exe"]);
        assert_eq!(resolve("node.exe", &path, None), root.path().join("second/node.exe"));
    }

    #[test]
    fn a_path_is_looked_for_where_it_leads() {
        let (root, _) = folders(&["tool.exe"], &[]);
        let program = root.path().join("first/tool");
        let found = resolve(program.to_str().unwrap(), OsStr::new(""), None);
        assert_eq!(found, root.path().join("first/tool.exe"));
    }

    #[test]
    fn what_is_not_there_is_left_to_the_system() {
        let (_root, path) = folders(&["other.exe"], &[]);
        assert_eq!(resolve("letta", &path, None), PathBuf::from("letta"));
    }
}
