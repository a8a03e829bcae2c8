//! The file of a recording, and the older ones beside it.

use std::fs::{File, OpenOptions, read_to_string, remove_file, rename};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// How often a file that was there is moved aside before it counts as somebody else's.
const ATTEMPTS: usize = 8;

/// What a recording begins with, and what one has alone that nothing came into.
pub(super) const BEGUN: &str = "recorded by letta-app-client ";

/// The most bytes of a file that has no more than that.
const SHORT: u64 = 256;

/// A file that is moved aside when it is full.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    max_bytes: u64,
    max_files: u32,
    file: File,
    /// It is another recording's that is over, which is moved aside when there is something to write.
    is_older: bool,
    /// Whole lines.
    written: u64,
    /// There may be a part of a line behind them.
    is_torn: bool,
    /// Pipes and devices stay as they are.
    is_regular: bool,
}

impl Rotating {
    /// Opens a file, and leaves what is in it. Fails with [`ErrorKind::ResourceBusy`] where another recording still
    /// writes that file.
    pub(super) fn open(path: &Path, max_bytes: u64, max_files: u32) -> io::Result<Self> {
        let (file, is_older) = taken(path)?;
        let is_regular = file.metadata()?.is_file();
        // Pipes and devices are never full.
        let max_bytes = if is_regular { max_bytes } else { u64::MAX };
        let path = path.to_owned();
        let (written, is_torn) = (0, false);
        Ok(Self { path, max_bytes, max_files, file, is_older, written, is_torn, is_regular })
    }

    /// Whether nothing was written yet into the file that is there.
    pub(super) fn is_new(&self) -> bool {
        self.written == 0 && !self.is_older
    }

    /// Whether so many bytes more are for another file.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.is_older || self.written > 0 && self.written + more as u64 > self.max_bytes
    }

    /// Begins a new file.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        self.mend()?;
        // What somebody has put in its place is moved aside where the new one begins.
        if alone::is_at(&self.path, &self.file) {
            move_aside(&self.path, self.max_files)?;
        }
        let file = begin(&self.path, self.max_files)?;
        alone::release(&self.file);
        self.file = file;
        self.is_older = false;
        self.written = 0;
        Ok(())
    }

    /// Writes lines with one call, so that no other state of the file is ever seen. Where that fails nothing of
    /// them stays.
    pub(super) fn write(&mut self, mut lines: String) -> io::Result<()> {
        self.mend()?;
        if !lines.ends_with('\n') {
            lines.push('\n');
        }
        let outcome = self.file.write_all(lines.as_bytes());
        if outcome.is_err() {
            self.is_torn = true;
            // If it cannot be done now, it is before the next line.
            self.mend().unwrap_or_default();
        } else {
            self.written += lines.len() as u64;
        }
        outcome
    }

    /// Takes away what there is of a line that could not be written to its end, or ends it where that cannot be done.
    fn mend(&mut self) -> io::Result<()> {
        if !self.is_torn {
            return Ok(());
        }
        if self.is_regular {
            if self.file.metadata()?.len() > self.written {
                self.file.set_len(self.written)?;
            }
            self.file.seek(SeekFrom::Start(self.written))?;
        } else {
            self.file.write_all(b"\n")?;
        }
        self.is_torn = false;
        Ok(())
    }

    /// Another file in its place, and which one it was.
    #[cfg(test)]
    pub(super) fn swap(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}

impl Drop for Rotating {
    /// Nothing more is written: the file may be another recording's.
    fn drop(&mut self) {
        alone::release(&self.file);
    }
}

/// A file that is nobody else's, and whether it is to be moved aside before it is written.
fn taken(path: &Path) -> io::Result<(File, bool)> {
    for _ in 0..ATTEMPTS {
        let Some(file) = alone::open(path)? else { break };
        let there = file.metadata()?;
        if !there.is_file() {
            return Ok((file, false));
        }
        // Somebody may have moved it aside just before it was ours.
        if alone::is_at(path, &file) {
            let is_older = there.len() > 0 && !has_nothing(path, there.len());
            if !is_older {
                file.set_len(0)?;
                alone::make_private(&file)?;
            }
            return Ok((file, is_older));
        }
        alone::release(&file);
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "another recording is being written to it"))
}

/// Whether a file of this size has the line that a recording begins with, and no other.
fn has_nothing(path: &Path, size: u64) -> bool {
    let text = if size < SHORT { read_to_string(path).unwrap_or_default() } else { String::new() };
    // More than one line is no JSON value.
    serde_json::from_str::<Value>(&text).is_ok_and(|line| {
        line["event"] == "note" && line["text"].as_str().is_some_and(|it| it.starts_with(BEGUN))
    })
}

/// A file that is empty and nobody else's. What was there is moved aside.
fn begin(path: &Path, max_files: u32) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        let (file, is_older) = taken(path)?;
        if !is_older {
            return Ok(file);
        }
        move_aside(path, max_files)?;
        alone::release(&file);
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "another recording is being written to it"))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn move_aside(path: &Path, max_files: u32) -> io::Result<()> {
    if max_files == 0 {
        return moved(remove_file(path));
    }
    for number in (1..max_files).rev() {
        moved(rename(numbered(path, number), numbered(path, number + 1)))?;
    }
    moved(rename(path, numbered(path, 1)))
}

/// Where nothing is there any more, somebody else has moved it.
fn moved(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// How a file is written by one recording alone, and read by its owner alone.
#[cfg(unix)]
mod alone {
    use std::fs::{File, Permissions, TryLockError};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    /// Nothing where another recording writes it.
    pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
        // What was said is for its owner.
        let file = super::options().mode(0o600).open(path)?;
        // Devices are for all, and not every file system has locks.
        let taken =
            file.metadata()?.is_file() && matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        Ok((!taken).then_some(file))
    }

    pub(super) fn release(file: &File) {
        // By itself it would end with the last process that was forked meanwhile.
        file.unlock().unwrap_or_default();
    }

    /// Whether the path still leads to the file.
    pub(super) fn is_at(path: &Path, file: &File) -> bool {
        let id = |there: &std::fs::Metadata| (there.dev(), there.ino());
        matches!((path.metadata(), file.metadata()), (Ok(at), Ok(own)) if id(&at) == id(&own))
    }

    /// One that was there may have been made for all to read.
    pub(super) fn make_private(file: &File) -> io::Result<()> {
        if file.metadata()?.mode() & 0o777 == 0o600 {
            return Ok(());
        }
        file.set_permissions(Permissions::from_mode(0o600))
    }
}

#[cfg(not(unix))]
mod alone {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// Windows' word for a file that somebody else has open.
    #[cfg(windows)]
    const SHARING_VIOLATION: i32 = 32;

    /// Nothing where another recording writes it.
    pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
        let mut options = super::options();
        // Others may read it and give it another name, but not write it.
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 1 | 4);
        match options.open(path) {
            #[cfg(windows)]
            Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// It is nobody's once it is closed.
    pub(super) fn release(_: &File) {}

    pub(super) fn is_at(path: &Path, _: &File) -> bool {
        path.exists()
    }

    #[allow(clippy::unnecessary_wraps, reason = "as elsewhere")]
    pub(super) fn make_private(_: &File) -> io::Result<()> {
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // What is in it is looked at first.
    options.write(true).create(true).truncate(false);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &mut Rotating, text: &str) {
        file.write(text.to_owned()).unwrap();
    }

    #[test]
    fn a_file_is_one_recordings_alone_until_that_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut first = Rotating::open(&path, 100, 1).unwrap();
        line(&mut first, "first");
        let error = Rotating::open(&path, 100, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        first.rotate().unwrap();
        assert!(Rotating::open(&path, 100, 1).is_err(), "the next file is its own as well");
        line(&mut first, "more");
        drop(first);
        let mut second = Rotating::open(&path, 100, 2).unwrap();
        second.rotate().unwrap();
        line(&mut second, "second");
        let texts = ["", ".1", ".2"].map(|end| read_to_string(format!("{}{end}", path.display())));
        assert_eq!(texts.map(Result::unwrap), ["second\n", "more\n", "first\n"]);
    }

    #[test]
    fn one_that_somebody_else_has_moved_goes_on_in_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        for max_files in [0, 2] {
            let mut file = Rotating::open(&path, 100, max_files).unwrap();
            line(&mut file, "before");
            rename(&path, folder.path().join("elsewhere")).unwrap();
            line(&mut file, "meanwhile");
            file.rotate().unwrap();
            line(&mut file, "after");
            assert_eq!(read_to_string(&path).unwrap(), "after\n");
            let moved = read_to_string(folder.path().join("elsewhere")).unwrap();
            assert_eq!(moved, "before\nmeanwhile\n");
        }
    }

    #[test]
    fn what_is_there_stays_until_there_is_something_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        std::fs::write(&path, "a crash\n").unwrap();
        for _ in 0..4 {
            assert!(!Rotating::open(&path, 100, 1).unwrap().is_new());
            assert_eq!(read_to_string(&path).unwrap(), "a crash\n");
        }
        let mut file = Rotating::open(&path, 100, 1).unwrap();
        assert!(file.is_full(1));
        file.rotate().unwrap();
        line(&mut file, "new");
        assert_eq!(read_to_string(&path).unwrap(), "new\n");
        assert_eq!(read_to_string(folder.path().join("run.1")).unwrap(), "a crash\n");
    }

    #[test]
    fn one_that_nothing_came_into_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let note = r#"{"t_ms":0,"event":"note","text":"recorded by letta-app-client 0.0.9"}"#;
        std::fs::write(&path, format!("{note}\n")).unwrap();
        let file = Rotating::open(&path, 100, 1).unwrap();
        assert!(file.is_new());
        assert_eq!(read_to_string(&path).unwrap(), "");
        drop(file);
        let frame = r#"{"t_ms":1,"frame":{"text":"recorded by letta-app-client 0.0.9"}}"#;
        for more in [format!("{note}\n{note}\n"), format!("{frame}\n"), "{\n".to_owned()] {
            std::fs::write(&path, &more).unwrap();
            assert!(!Rotating::open(&path, 100, 1).unwrap().is_new(), "{more}");
        }
    }

    #[test]
    fn a_part_of_a_line_is_taken_away_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut file = Rotating::open(&path, 100, 1).unwrap();
        line(&mut file, "whole");
        file.file.write_all(b"a part of a li").unwrap();
        let writable = file.swap(File::open(&path).unwrap());
        file.write("cannot be written".to_owned()).unwrap_err();
        drop(file.swap(writable));
        line(&mut file, "next");
        assert_eq!(read_to_string(&path).unwrap(), "whole\nnext\n");
    }

    #[cfg(unix)]
    #[test]
    fn one_that_was_made_for_others_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let file = Rotating::open(&path, 100, 2).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        let before = Path::new("/dev/null").metadata().unwrap().permissions();
        let mut nowhere = Rotating::open(Path::new("/dev/null"), 1, 2).unwrap();
        line(&mut nowhere, "nothing");
        assert!(!nowhere.is_full(1));
        Rotating::open(Path::new("/dev/null"), 1, 2).unwrap();
        assert_eq!(Path::new("/dev/null").metadata().unwrap().permissions(), before);
    }
}
