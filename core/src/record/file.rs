//! The file of a recording, and the older ones beside it.

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    pub(super) fn open(path: &Path, max_bytes: u64, max_files: u32) -> io::Result<Self> {
        if path.metadata().is_ok_and(|there| there.is_file() && there.len() > 0) {
            move_aside(path, max_files)?;
        }
        let file = create(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, max_files, file, written: 0 })
    }

    /// Whether so many bytes more are too many for this file.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.written > 0 && self.written + more as u64 > self.max_bytes
    }

    /// Begins a new file.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        move_aside(&self.path, self.max_files)?;
        self.file = create(&self.path)?;
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

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // What was said is for its owner.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn move_aside(path: &Path, max_files: u32) -> io::Result<()> {
    if max_files == 0 {
        return remove_file(path);
    }
    for number in (1..max_files).rev() {
        let older = numbered(path, number);
        if older.exists() {
            rename(older, numbered(path, number + 1))?;
        }
    }
    rename(path, numbered(path, 1))
}
