//! A temporary folder, gone with its owner.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::random;

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> io::Result<Self> {
        let name = random::uuid().map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("letta-mock-{name}"));
        fs::create_dir(&path)?;
        // Clients see the real path, so that what they send back is inside.
        Ok(Self(path.canonicalize()?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to tidy up.
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}
