//! Lines of text from columns.

use fractalrs_core::text::{self, TextColumn};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A column as it comes: whole numbers, or where each text begins (one more than texts) and the texts' bytes.
#[derive(FromPyObject)]
enum Given<'py> {
    Int32(PyReadonlyArray1<'py, i32>),
    Int64(PyReadonlyArray1<'py, i64>),
    Texts(PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, u8>),
}

/// A line for each row of columns of the same length, values divided by a delimiter. Other threads run meanwhile.
#[pyfunction]
pub fn text_lines<'py>(
    py: Python<'py>,
    columns: Vec<Bound<'py, PyAny>>,
    delimiter: char,
) -> PyResult<Bound<'py, PyBytes>> {
    let given = columns.iter().map(PyAnyMethods::extract::<Given>).collect::<Result<Vec<_>, _>>();
    let given =
        given.map_err(|_| PyTypeError::new_err("columns must be whole numbers, or starts and bytes of texts"))?;
    let columns = given
        .iter()
        .map(|column| {
            Ok(match column {
                Given::Int32(values) => TextColumn::Int32(values.as_slice()?),
                Given::Int64(values) => TextColumn::Int64(values.as_slice()?),
                Given::Texts(starts, bytes) => {
                    TextColumn::Texts { starts: starts.as_slice()?, bytes: bytes.as_slice()? }
                }
            })
        })
        .collect::<PyResult<Vec<_>>>()?;
    let delimiter = u8::try_from(delimiter).map_err(|_| PyValueError::new_err("the delimiter must be one byte"))?;
    let lines = py.detach(|| text::lines(&columns, delimiter));
    let lines = lines.ok_or_else(|| PyValueError::new_err("the columns do not fit each other"))?;
    Ok(PyBytes::new(py, &lines))
}
