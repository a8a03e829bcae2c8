//! The file of a recording, and the older ones beside it.

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// How often a file that was there is moved aside before it counts as somebody else's.
const ATTEMPTS: usize = 8;

/// A file that is moved aside when it is full.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    max_bytes: u64,
    max_files: u32,
    file: File,
    written: u64,
}

impl Rotating {
    /// Fails with [`ErrorKind::ResourceBusy`] where another recording still writes that file.
    pub(super) fn open(path: &Path, max_bytes: u64, max_files: u32) -> io::Result<Self> {
        let file = begin(path, max_files)?;
        // Pipes and devices are never full.
        let max_bytes = if file.metadata()?.is_file() { max_bytes } else { u64::MAX };
        Ok(Self { path: path.to_owned(), max_bytes, max_files, file, written: 0 })
    }

    /// Whether so many bytes more are too many for this file.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.written > 0 && self.written + more as u64 > self.max_bytes
    }

    /// Begins a new file.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        // What somebody has put in its place is moved aside where the new one begins.
        if alone::is_at(&self.path, &self.file) {
            move_aside(&self.path, self.max_files)?;
        }
        let file = begin(&self.path, self.max_files)?;
        alone::release(&self.file);
        self.file = file;
        self.written = 0;
        Ok(())
    }

    /// Writes a line with one call, so that no other state of the file is ever seen.
    pub(super) fn write(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.written += line.len() as u64;
        Ok(())
    }
}

impl Drop for Rotating {
    /// Nothing more is written: the file may be another recording's.
    fn drop(&mut self) {
        alone::release(&self.file);
    }
}

/// A file that is empty and nobody else's. What was there is moved aside.
fn begin(path: &Path, max_files: u32) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        let Some(file) = alone::open(path)? else { break };
        let there = file.metadata()?;
        if !there.is_file() {
            return Ok(file);
        }
        // Somebody may have moved it aside just before it was ours.
        let is_at = alone::is_at(path, &file);
        if is_at && there.len() == 0 {
            alone::make_private(&file)?;
            return Ok(file);
        }
        if is_at {
            move_aside(path, max_files)?;
        }
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
    use std::fs::read_to_string;

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
