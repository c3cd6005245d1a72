//! Lookups in embedding tables: which ids are sampled, and how far apart lookups of one id are.

use fractalrs_core::passes::{self, IdSample};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Whether each id is in the sample that `StreamedMatrix.lookups` takes for a seed and a bound.
#[pyfunction]
pub fn sampled_ids<'py>(
    py: Python<'py>,
    ids: PyReadonlyArray1<'py, i64>,
    seed: u64,
    below: Option<u64>,
) -> PyResult<Bound<'py, PyArray1<bool>>> {
    let (ids, sample) = (ids.as_slice()?, IdSample::new(seed, below));
    let taken = py.detach(|| ids.iter().map(|&id| sample.has(id as u64)).collect::<Vec<_>>());
    Ok(taken.into_pyarray(py))
}

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
