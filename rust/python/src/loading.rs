//! The order in which interactions are loaded.

use fractalrs_core::chance::{Key, Keys, Shuffling};
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A column of values that are 4 or 8 bytes wide, whatever they mean.
#[derive(FromPyObject)]
pub enum PyWords<'py> {
    Narrow(PyReadonlyArray1<'py, u32>),
    Wide(PyReadonlyArray1<'py, u64>),
}

/// Some columns of `count` values each, in the order of a key: that of a seed, and one child of it after the other.
#[pyfunction]
pub fn shuffled<'py>(
    py: Python<'py>,
    seed: u64,
    path: Vec<u64>,
    count: usize,
    columns: Vec<PyWords<'py>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if u32::try_from(count).is_err() {
        return Err(PyValueError::new_err("count must be below 2**32"));
    }
    let key = path.into_iter().fold(Keys::new(seed).loading, Key::child);
    let shuffling = py.detach(|| Shuffling::new(key, count));
    let fits = |length: usize| {
        if length == count { Ok(()) } else { Err(PyValueError::new_err("a column has another length")) }
    };
    let apply = |column: &PyWords<'py>| {
        Ok(match column {
            PyWords::Narrow(column) => {
                let values = column.as_slice()?;
                fits(values.len())?;
                py.detach(|| shuffling.apply(values)).into_pyarray(py).into_any()
            }
            PyWords::Wide(column) => {
                let values = column.as_slice()?;
                fits(values.len())?;
                py.detach(|| shuffling.apply(values)).into_pyarray(py).into_any()
            }
        })
    };
    columns.iter().map(apply).collect()
}
