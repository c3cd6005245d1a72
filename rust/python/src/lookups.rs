//! Lookups in embedding tables: how far apart those of one id are.

use fractalrs_core::passes;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How many lookups have each stack distance, from 0 for first ones to the number of distinct ids; ids are codes.
#[pyfunction]
pub fn stack_distances<'py>(
    py: Python<'py>,
    codes: PyReadonlyArray1<'py, u32>,
    distinct: usize,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let codes = codes.as_slice()?;
    if codes.iter().any(|&code| code as usize >= distinct) || distinct >= 1 << 30 {
        return Err(PyValueError::new_err("codes must be below distinct, and distinct below 2**30"));
    }
    Ok(py.detach(|| passes::stack_distances(codes, distinct)).into_pyarray(py))
}
