//! What can go wrong in the core.

use std::fmt::Display;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// A file that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
    /// A file of a data set that cannot be read.
    #[error("cannot read {}{}: {reason}", path.display(), row_group.map_or(String::new(), |g| format!(", row group {g}")))]
    Damaged { path: PathBuf, row_group: Option<usize>, reason: String },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// The system gives no thread.
    #[error("no thread can be started: {0}")]
    NoThread(String),
    /// A defect of this program: a thread ended in a panic.
    #[error("a worker thread panicked; this is a defect of fractalrs, please report it")]
    Panicked,
}

impl Error {
    pub(crate) fn unwritable(path: &Path, reason: impl Display) -> Self {
        Self::Unwritable { path: path.to_path_buf(), reason: reason.to_string() }
    }
}
