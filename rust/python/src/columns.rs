//! Payload columns as Python hands them over.

use fractalrs_core::parts::{Column, Source, Values};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A column of the files after users and items: its name, what Parquet's schemas call what it means, one value per entry
/// of the base, where texts start, and which values are there. `timestamp` and `rating` without values are made with the
/// interactions.
#[derive(FromPyObject)]
pub struct PyColumn<'py>(
    String,
    String,
    Option<PyValues<'py>>,
    Option<PyReadonlyArray1<'py, i64>>,
    Option<PyReadonlyArray1<'py, bool>>,
);

#[derive(FromPyObject)]
enum PyValues<'py> {
    Boolean(PyReadonlyArray1<'py, bool>),
    Int32(PyReadonlyArray1<'py, i32>),
    Int64(PyReadonlyArray1<'py, i64>),
    Float(PyReadonlyArray1<'py, f32>),
    Double(PyReadonlyArray1<'py, f64>),
    /// The bytes of texts.
    Text(PyReadonlyArray1<'py, u8>),
}

impl PyColumn<'_> {
    /// The column, if it fits a base of `count` interactions.
    pub fn column(&self, count: usize) -> PyResult<Column<'_>> {
        let Self(name, meaning, values, starts, valid) = self;
        let refuse = |why: &str| PyValueError::new_err(format!("the column {name:?} does not fit the base: {why}"));
        let source = match (values, name.as_str()) {
            (None, "timestamp") => Source::Times,
            (None, "rating") => Source::Ratings,
            (None, _) => return Err(refuse("it has no values")),
            (Some(values), _) => {
                let (values, length) = match values {
                    PyValues::Boolean(values) => (Values::Boolean(values.as_slice()?), values.len()?),
                    PyValues::Int32(values) => (Values::Int32(values.as_slice()?), values.len()?),
                    PyValues::Int64(values) => (Values::Int64(values.as_slice()?), values.len()?),
                    PyValues::Float(values) => (Values::Float(values.as_slice()?), values.len()?),
                    PyValues::Double(values) => (Values::Double(values.as_slice()?), values.len()?),
                    PyValues::Text(bytes) => {
                        let starts = starts.as_ref().ok_or_else(|| refuse("nothing says where texts start"))?;
                        let (starts, bytes) = (starts.as_slice()?, bytes.as_slice()?);
                        let within = starts.last().is_some_and(|&end| end as usize <= bytes.len());
                        if !within || starts[0] < 0 || starts.windows(2).any(|pair| pair[0] > pair[1]) {
                            return Err(refuse("its texts are not within its bytes"));
                        }
                        (Values::Text { starts, bytes }, starts.len() - 1)
                    }
                };
                let valid = valid.as_ref().map(|valid| valid.as_slice()).transpose()?;
                if length != count || valid.is_some_and(|valid| valid.len() != count) {
                    return Err(refuse(&format!("{length} values for {count} interactions")));
                }
                Source::Carried { values, valid }
            }
        };
        Column::new(name, meaning, source).map_err(|error| refuse(&error.to_string()))
    }
}
