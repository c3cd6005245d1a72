//! Plain text files, read into arrays.

use std::path::PathBuf;

use fractalrs_core::reading::{Cell, PlainText};
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::watch::watch;

type Columns<'py> = (Vec<Bound<'py, PyArray1<i64>>>, Vec<Bound<'py, PyArray1<f64>>>);

/// The columns of integers and of decimals of a text file, block by block; None where its numbers are not all plain.
///
/// `kinds` has a letter for each cell of a line: i, an integer; d, a decimal; anything else, nothing that is wanted.
#[pyfunction]
#[pyo3(signature = (path, delimiter, kinds, first_line, *, block_bytes, threads))]
pub fn read_plain<'py>(
    py: Python<'py>,
    path: PathBuf,
    delimiter: u8,
    kinds: &str,
    first_line: usize,
    block_bytes: usize,
    threads: usize,
) -> PyResult<Option<Vec<Columns<'py>>>> {
    if kinds.is_empty() || block_bytes == 0 {
        return Err(PyValueError::new_err("there must be at least one cell in a line, and one byte in a block"));
    }
    let (mut integers, mut decimals) = (0.., 0..);
    let cells = kinds.chars().map(|kind| match kind {
        'i' => Cell::Integer(integers.next().unwrap_or_default()),
        'd' => Cell::Decimal(decimals.next().unwrap_or_default()),
        _ => Cell::Skipped,
    });
    let text = PlainText { delimiter, cells: cells.collect(), first_line };
    let blocks = watch(py, None, |progress| text.read(&path, block_bytes, threads, progress))?;
    Ok(blocks.map(|blocks| {
        let columns = blocks.into_iter().map(|rows| {
            let integers = rows.integers.into_iter().map(|values| values.into_pyarray(py)).collect();
            (integers, rows.decimals.into_iter().map(|values| values.into_pyarray(py)).collect())
        });
        columns.collect()
    }))
}
