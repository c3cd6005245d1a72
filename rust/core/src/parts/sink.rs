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
            Self::File(temporary) => {
                temporary.file.sync_all().map_err(|error| Error::unwritable(&temporary.target, error))
            }
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
            Self::File(temporary) => temporary.file.write(buffer),
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
    file: File,
}

impl Temporary {
    pub(super) fn create(target: PathBuf) -> Result<Self, Error> {
        let path = temporary_path(&target);
        match File::create(&path) {
            Ok(file) => Ok(Self { path, target, file }),
            Err(error) => Err(Error::unwritable(&path, error)),
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
