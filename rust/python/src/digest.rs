//! The one digest, BLAKE3, for what Python hashes.

use std::fs::File;
use std::path::PathBuf;

use blake3::Hasher;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

/// Takes bytes, and digests them.
#[pyclass(module = "fractalrs._core")]
#[derive(Default)]
pub struct Blake3(Hasher);

#[pymethods]
impl Blake3 {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn update(&mut self, bytes: PyReadonlyArray1<'_, u8>) -> PyResult<()> {
        self.0.update(bytes.as_slice()?);
        Ok(())
    }

    /// One of its own that has taken the same bytes.
    fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    /// The digest of what was taken so far, in hexadecimal.
    fn hexdigest(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// The digest of a file, in hexadecimal.
#[pyfunction]
pub fn digest_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| Ok(Hasher::new().update_reader(File::open(path)?)?.finalize().to_hex().to_string()))
}
