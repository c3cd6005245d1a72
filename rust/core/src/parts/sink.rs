//! Where the bytes of a file go: it appears whole under its final name, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where the bytes of a file go.
pub(super) enum Sink {
    Null,
    File(Temporary),
}

impl Sink {
    pub(super) fn flush_to_disk(&self) -> Result<(), Error> {
        match self {
            Self::Null => Ok(()),
            Self::File(temporary) => temporary.flush().map_err(|error| Error::unwritable(&temporary.target, error)),
        }
    }

    /// Closes a file that is written.
    pub(super) fn close(&mut self) {
        if let Self::File(temporary) = self {
            temporary.file = None;
        }
    }

    pub(super) fn publish(self) -> Result<(), Error> {
        match self {
            Self::Null => Ok(()),
            Self::File(temporary) => temporary.publish(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Null => Ok(buffer.len()),
            Self::File(Temporary { file: Some(file), .. }) => file.write(buffer),
            Self::File(_) => Err(io::Error::other("the file is closed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file under a temporary name, which disappears unless it is published.
pub(super) struct Temporary {
    path: PathBuf,
    target: PathBuf,
    /// None once it is closed.
    file: Option<File>,
}

impl Temporary {
    pub(super) fn create(target: PathBuf) -> Result<Self, Error> {
        let path = temporary_path(&target);
        match File::create(&path) {
            Ok(file) => Ok(Self { path, target, file: Some(file) }),
            Err(error) => Err(Error::unwritable(&path, error)),
        }
    }

    /// The same in a folder that may not be there yet.
    pub(super) fn create_in_folder(target: PathBuf) -> Result<Self, Error> {
        let folder = target.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder).map_err(|error| Error::unwritable(folder, error))?;
        Self::create(target)
    }

    fn flush(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.sync_all(),
            None => File::options().write(true).open(&self.path)?.sync_all(),
        }
    }

    pub(super) fn publish(self) -> Result<(), Error> {
        fs::rename(&self.path, &self.target).map_err(|error| Error::unwritable(&self.target, error))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After publishing there is nothing under this name; otherwise nothing half-written stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// The temporary name of a file: hidden, so that no reader of the folder takes it for data.
fn temporary_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.tmp"))
}
