//! What can go wrong in the core.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that cannot be used.
    #[error("{0}")]
    Invalid(String),
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Parquet { path: PathBuf, source: parquet::errors::ParquetError },
    /// A file of a data set that cannot be read.
    #[error("cannot read {}{}: {source}", path.display(), row_group.map_or(String::new(), |g| format!(", row group {g}")))]
    Damaged { path: PathBuf, row_group: Option<usize>, source: parquet::errors::ParquetError },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// A defect of this program: a thread ended in a panic.
    #[error("a worker thread panicked; this is a defect of fractalrs, please report it")]
    Panicked,
}
