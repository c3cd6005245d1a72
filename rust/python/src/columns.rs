//! Payload columns as Python hands them over.

use fractalrs_core::parts::{Column, Meaning, Source, TimeUnit, Values};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A column of the files after users and items: its name, what it means, one value per entry of the base, where texts
/// start, and which values are there. `timestamp` and `rating` without values are made with the interactions.
pub type PyColumn = (String, String, Option<PyValues>, Option<Py<PyArray1<i64>>>, Option<Py<PyArray1<bool>>>);

#[derive(FromPyObject)]
pub enum PyValues {
    Boolean(Py<PyArray1<bool>>),
    Bytes(Py<PyArray1<u8>>),
    Int32(Py<PyArray1<i32>>),
    Int64(Py<PyArray1<i64>>),
    Float(Py<PyArray1<f32>>),
    Double(Py<PyArray1<f64>>),
}

enum BorrowedValues<'py> {
    Boolean(PyReadonlyArray1<'py, bool>),
    Bytes(PyReadonlyArray1<'py, u8>),
    Int32(PyReadonlyArray1<'py, i32>),
    Int64(PyReadonlyArray1<'py, i64>),
    Float(PyReadonlyArray1<'py, f32>),
    Double(PyReadonlyArray1<'py, f64>),
}

pub struct BorrowedColumn<'py> {
    name: &'py str,
    meaning: &'py str,
    values: Option<BorrowedValues<'py>>,
    starts: Option<PyReadonlyArray1<'py, i64>>,
    valid: Option<PyReadonlyArray1<'py, bool>>,
}

impl<'py> BorrowedColumn<'py> {
    pub fn new((name, meaning, values, starts, valid): &'py PyColumn, py: Python<'py>) -> Self {
        Self {
            name,
            meaning,
            values: values.as_ref().map(|values| values.borrow(py)),
            starts: starts.as_ref().map(|array| array.bind(py).readonly()),
            valid: valid.as_ref().map(|array| array.bind(py).readonly()),
        }
    }
}

impl PyValues {
    fn borrow<'py>(&self, py: Python<'py>) -> BorrowedValues<'py> {
        match self {
            Self::Boolean(values) => BorrowedValues::Boolean(values.bind(py).readonly()),
            Self::Bytes(values) => BorrowedValues::Bytes(values.bind(py).readonly()),
            Self::Int32(values) => BorrowedValues::Int32(values.bind(py).readonly()),
            Self::Int64(values) => BorrowedValues::Int64(values.bind(py).readonly()),
            Self::Float(values) => BorrowedValues::Float(values.bind(py).readonly()),
            Self::Double(values) => BorrowedValues::Double(values.bind(py).readonly()),
        }
    }
}

impl BorrowedColumn<'_> {
    /// The column, if it fits a base of `count` interactions.
    pub fn column(&self, count: usize) -> PyResult<Column<'_>> {
        let Self { name, meaning, .. } = *self;
        let refuse = |why: &str| PyValueError::new_err(format!("the column {name:?} does not fit the base: {why}"));
        let source = match (&self.values, name) {
            (None, "timestamp") => Source::Times,
            (None, "rating") => Source::Ratings,
            (None, _) => return Err(refuse("it has no values")),
            (Some(values), _) => {
                let (values, length) = match values {
                    BorrowedValues::Boolean(values) => (Values::Boolean(values.as_slice()?), values.len()?),
                    BorrowedValues::Int32(values) => (Values::Int32(values.as_slice()?), values.len()?),
                    BorrowedValues::Int64(values) => (Values::Int64(values.as_slice()?), values.len()?),
                    BorrowedValues::Float(values) => (Values::Float(values.as_slice()?), values.len()?),
                    BorrowedValues::Double(values) => (Values::Double(values.as_slice()?), values.len()?),
                    BorrowedValues::Bytes(bytes) => {
                        let starts = self.starts.as_ref().ok_or_else(|| refuse("nothing says where texts start"))?;
                        let (starts, bytes) = (starts.as_slice()?, bytes.as_slice()?);
                        let within = starts.last().is_some_and(|&end| end as usize <= bytes.len());
                        if !within || starts[0] < 0 || starts.windows(2).any(|pair| pair[0] > pair[1]) {
                            return Err(refuse("its texts are not within its bytes"));
                        }
                        (Values::Text { starts, bytes }, starts.len() - 1)
                    }
                };
                let valid = self.valid.as_ref().map(|valid| valid.as_slice()).transpose()?;
                if length != count || valid.is_some_and(|valid| valid.len() != count) {
                    return Err(refuse(&format!("{length} values for {count} interactions")));
                }
                Source::Carried { values, valid }
            }
        };
        let meaning = match meaning {
            "number" => Meaning::Number,
            "text" => Meaning::Text,
            "date" => Meaning::Date,
            _ => {
                let (unit, utc) = meaning.strip_suffix(" utc").map_or((meaning, false), |unit| (unit, true));
                let unit = match unit {
                    "ms" => TimeUnit::MILLIS,
                    "us" => TimeUnit::MICROS,
                    "ns" => TimeUnit::NANOS,
                    _ => return Err(refuse(&format!("unknown meaning {meaning:?}"))),
                };
                Meaning::Timestamp { unit, utc }
            }
        };
        Ok(Column { name: name.to_owned(), meaning, source })
    }
}
