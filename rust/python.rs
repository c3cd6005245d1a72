//! The extension module's classes: arrays in, arrays and reports out, and long runs that answer Ctrl-C.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use parquet::basic::TimeUnit;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::base::{Base, Cells};
use crate::error::Error;
use crate::expansion::{self, Existence, Expansion, Id, Interactions, Options, Order};
use crate::files::FileRows;
use crate::gram::{self, Real};
use crate::neighbours;
use crate::parquet::{EncodingChoice, FileReport, Format, parse_compression};
use crate::payload::{self, Column, Meaning, Values};
use crate::random::Keys;
use crate::rows::{self, BaseRows, ExpandedRows};
use crate::run::{Part, RunReport, Stage, Target, run};
use crate::shuffle::Columns;
use crate::sums::{self, Layout, VIOLATIONS};
use crate::threads::Progress;
use crate::tile::Tiler;
use crate::timeline::Timeline;

/// How often a long run looks for Ctrl-C and reports progress.
const HEARTBEAT: Duration = Duration::from_millis(100);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(message) => ours("InputError", message),
            Error::Damaged { .. } => ours("InputError", error.to_string()),
            Error::Cancelled => PyKeyboardInterrupt::new_err(()),
            Error::Panicked => PyRuntimeError::new_err(error.to_string()),
            Error::Io { .. } | Error::Parquet { .. } => ours("WriteError", error.to_string()),
        }
    }
}

/// An exception of `fractalrs.errors`.
fn ours(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let class = py.import("fractalrs.errors").and_then(|module| module.getattr(class));
        class.and_then(|class| class.call1((message,))).map_or_else(|failure| failure, PyErr::from_value)
    })
}

/// Refuses an encoding or a compression that does not exist.
#[pyfunction]
pub fn check_format(encoding: &str, compression: &str) -> PyResult<()> {
    EncodingChoice::from_str(encoding)?;
    parse_compression(compression)?;
    Ok(())
}

/// Which blocks of an expansion of (m, n) blocks exist, where their keep rates are above 0.
#[pyfunction]
pub fn existing_blocks(py: Python<'_>, seed: u64, block_keep: f64, shape: (u32, u32)) -> Bound<'_, PyArray2<bool>> {
    let existence = Existence::new(&Keys::new(seed), block_keep);
    let shape = (shape.0 as usize, shape.1 as usize);
    Array2::from_shape_fn(shape, |(i, j)| existence.has(i as u32, j as u32)).into_pyarray(py)
}

/// Generates the interactions of one expansion, as `docs/generator.md` defines them.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct Generator {
    indptr: Py<PyArray1<i64>>,
    entries: Py<PyArray1<u32>>,
    items: u32,
    keep_rates: Py<PyArray2<f64>>,
    user_order: Py<PyArray1<u32>>,
    user_starts: Py<PyArray1<u32>>,
    item_order: Py<PyArray1<u32>>,
    item_starts: Py<PyArray1<u32>>,
    options: Options,
    payload: Payload,
}

/// What interactions carry beside users and items.
struct Payload {
    timeline: Option<Timeline>,
    factors: Option<Py<PyArray2<f64>>>,
    ratings: Option<Py<PyArray1<f64>>>,
    columns: Vec<PyColumn>,
}

/// A column of the files after users and items: its name, what it means, one value per entry of the base, where texts
/// start, and which values are there. `timestamp` and `rating` without values are made with the interactions.
type PyColumn = (String, String, Option<PyValues>, Option<Py<PyArray1<i64>>>, Option<Py<PyArray1<bool>>>);

#[derive(FromPyObject)]
enum PyValues {
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

struct BorrowedColumn<'py> {
    values: Option<BorrowedValues<'py>>,
    starts: Option<PyReadonlyArray1<'py, i64>>,
    valid: Option<PyReadonlyArray1<'py, bool>>,
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
    fn column(&self, name: &str, meaning: &str, count: usize) -> PyResult<Column<'_>> {
        let refuse = |why: &str| PyValueError::new_err(format!("the column {name:?} does not fit the base: {why}"));
        let source = match (&self.values, name) {
            (None, "timestamp") => payload::Source::Times,
            (None, "rating") => payload::Source::Ratings,
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
                payload::Source::Carried { values, valid }
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

/// The arrays of a [`Generator`], borrowed for one call.
struct Borrowed<'py> {
    indptr: PyReadonlyArray1<'py, i64>,
    entries: PyReadonlyArray1<'py, u32>,
    keep_rates: PyReadonlyArray2<'py, f64>,
    user_order: PyReadonlyArray1<'py, u32>,
    user_starts: PyReadonlyArray1<'py, u32>,
    item_order: PyReadonlyArray1<'py, u32>,
    item_starts: PyReadonlyArray1<'py, u32>,
    factors: Option<PyReadonlyArray2<'py, f64>>,
    ratings: Option<PyReadonlyArray1<'py, f64>>,
    columns: Vec<BorrowedColumn<'py>>,
}

impl Generator {
    fn borrow<'py>(&self, py: Python<'py>) -> Borrowed<'py> {
        Borrowed {
            indptr: self.indptr.bind(py).readonly(),
            entries: self.entries.bind(py).readonly(),
            keep_rates: self.keep_rates.bind(py).readonly(),
            user_order: self.user_order.bind(py).readonly(),
            user_starts: self.user_starts.bind(py).readonly(),
            item_order: self.item_order.bind(py).readonly(),
            item_starts: self.item_starts.bind(py).readonly(),
            factors: self.payload.factors.as_ref().map(|array| array.bind(py).readonly()),
            ratings: self.payload.ratings.as_ref().map(|array| array.bind(py).readonly()),
            columns: self
                .payload
                .columns
                .iter()
                .map(|(_, _, values, starts, valid)| BorrowedColumn {
                    values: values.as_ref().map(|values| values.borrow(py)),
                    starts: starts.as_ref().map(|array| array.bind(py).readonly()),
                    valid: valid.as_ref().map(|array| array.bind(py).readonly()),
                })
                .collect(),
        }
    }

    /// The columns of the files after users and items.
    fn payload_columns<'a>(&self, arrays: &'a Borrowed<'_>) -> PyResult<Vec<Column<'a>>> {
        let count = arrays.entries.len()?;
        let named = self.payload.columns.iter().zip(&arrays.columns);
        named.map(|((name, meaning, ..), column)| column.column(name, meaning, count)).collect()
    }

    /// Expanded users and items.
    fn shape(&self, py: Python<'_>) -> (usize, usize) {
        let dimensions = self.keep_rates.bind(py).dims();
        let users = self.indptr.bind(py).len().unwrap_or(1) - 1;
        (dimensions[0] * users, dimensions[1] * self.items as usize)
    }

    fn expansion<'a>(&'a self, arrays: &'a Borrowed<'_>) -> PyResult<Expansion<'a>> {
        let base = Base::new(arrays.indptr.as_slice()?, arrays.entries.as_slice()?, self.items)?;
        let users = Cells::new(arrays.user_order.as_slice()?, arrays.user_starts.as_slice()?, base.users(), "user")?;
        let items = Cells::new(arrays.item_order.as_slice()?, arrays.item_starts.as_slice()?, base.items(), "item")?;
        let column_blocks = arrays.keep_rates.as_array().ncols() as u32;
        let factors = arrays.factors.as_ref().map(|factors| factors.as_slice()).transpose()?;
        let ratings = arrays.ratings.as_ref().map(|ratings| ratings.as_slice()).transpose()?;
        let payload = expansion::Payload {
            sources: !self.payload.columns.is_empty(),
            timeline: self.payload.timeline.as_ref(),
            factors: factors.map(|factors| (factors, ratings)),
        };
        let rates = arrays.keep_rates.as_slice()?;
        Ok(Expansion::new(base, rates, column_blocks, users, items, self.options, payload)?)
    }
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (
        indptr, entries, items, keep_rates, user_order, user_starts, item_order, item_starts, *,
        seed, shuffled, block_keep, one_test_item, drop_incomplete, cold_users=0.0, cold_items=0.0, order="block", sketch=false,
        times=None, test_is_late=false, hour=None, factors=None, ratings=None, columns=Vec::new(),
    ))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
    fn new(
        py: Python<'_>,
        indptr: Py<PyArray1<i64>>,
        entries: Py<PyArray1<u32>>,
        items: u32,
        keep_rates: Py<PyArray2<f64>>,
        user_order: Py<PyArray1<u32>>,
        user_starts: Py<PyArray1<u32>>,
        item_order: Py<PyArray1<u32>>,
        item_starts: Py<PyArray1<u32>>,
        seed: u64,
        shuffled: bool,
        block_keep: f64,
        one_test_item: bool,
        drop_incomplete: bool,
        cold_users: f64,
        cold_items: f64,
        order: &str,
        sketch: bool,
        times: Option<PyReadonlyArray1<'_, i64>>,
        test_is_late: bool,
        hour: Option<u64>,
        factors: Option<Py<PyArray2<f64>>>,
        ratings: Option<Py<PyArray1<f64>>>,
        columns: Vec<PyColumn>,
    ) -> PyResult<Self> {
        let order = match order {
            "block" => Order::Block,
            "item" => Order::Item,
            "time" => Order::Time,
            _ => return Err(PyValueError::new_err(format!("unknown order {order:?}"))),
        };
        let options = Options {
            seed,
            shuffled,
            block_keep,
            one_test_item,
            drop_incomplete,
            cold_users,
            cold_items,
            order,
            sketch,
        };
        let timeline = {
            let (indptr, entries) = (indptr.bind(py).readonly(), entries.bind(py).readonly());
            let base = Base::new(indptr.as_slice()?, entries.as_slice()?, items)?;
            base.check()?;
            times
                .map(|times| Ok::<_, PyErr>(Timeline::new(&base, times.as_slice()?, test_is_late, hour)?))
                .transpose()?
        };
        let payload = Payload { timeline, factors, ratings, columns };
        let generator = Self {
            indptr,
            entries,
            items,
            keep_rates,
            user_order,
            user_starts,
            item_order,
            item_starts,
            options,
            payload,
        };
        let arrays = generator.borrow(py);
        generator.expansion(&arrays)?;
        generator.payload_columns(&arrays)?;
        drop(arrays);
        Ok(generator)
    }

    /// Interactions of the expanded users `first` to `last` (not included) of one split: user, item, and where the
    /// expansion has them the entry of the base, the time and the product of rating and factor, else empty arrays.
    fn rows<'py>(&self, py: Python<'py>, first: u64, last: u64, test: bool) -> PyResult<Made<'py>> {
        let arrays = self.borrow(py);
        let expansion = self.expansion(&arrays)?;
        check_users(&expansion, first, last)?;
        match id_types(&expansion) {
            (IdType::Int32, IdType::Int32) => rows::<i32, i32>(py, &expansion, first, last, test),
            (IdType::Int32, IdType::Int64) => rows::<i32, i64>(py, &expansion, first, last, test),
            (IdType::Int64, IdType::Int32) => rows::<i64, i32>(py, &expansion, first, last, test),
            (IdType::Int64, IdType::Int64) => rows::<i64, i64>(py, &expansion, first, last, test),
        }
    }

    /// The column that each source item takes in block (i, j).
    fn columns<'py>(&self, py: Python<'py>, i: u32, j: u32) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let arrays = self.borrow(py);
        let expansion = self.expansion(&arrays)?;
        let mut table = Vec::new();
        if self.options.shuffled {
            Columns::new(&expansion, i, j).fill(None, &mut table);
        } else {
            table.extend(0..self.items);
        }
        Ok(table.into_pyarray(py))
    }

    /// The source user of each row of row block i, where every expanded user has one: user cells of size 1.
    fn source_users<'py>(&self, py: Python<'py>, i: u32) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let arrays = self.borrow(py);
        Ok(self.expansion(&arrays)?.source_users(i).collect::<Vec<_>>().into_pyarray(py))
    }

    /// Makes parts on `threads` threads, up to a stage: "generate", "encode", "write" or "flush".
    ///
    /// A part is `(index, first user, last user, train target, test target)`, a target `(path, labels)` or None.
    /// `progress` is called about ten times a second with the interactions made and the parts finished.
    #[pyo3(signature = (parts, *, encoding, compression, row_group_size, stage, threads, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn run<'py>(
        &self,
        py: Python<'py>,
        parts: Vec<PyPart>,
        encoding: &str,
        compression: &str,
        row_group_size: usize,
        stage: &str,
        threads: usize,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let arrays = self.borrow(py);
        let expansion = self.expansion(&arrays)?;
        let columns = self.payload_columns(&arrays)?;
        let (encoding, compression) = (EncodingChoice::from_str(encoding)?, parse_compression(compression)?);
        let format = Format::new(encoding, compression, row_group_size, &columns);
        let stage = match stage {
            "generate" => Stage::Generate,
            "encode" => Stage::Encode,
            "write" => Stage::Write,
            "flush" => Stage::Flush,
            _ => return Err(PyValueError::new_err(format!("unknown stage {stage:?}"))),
        };
        if threads == 0 || row_group_size == 0 {
            return Err(PyValueError::new_err("threads and row_group_size must be at least 1"));
        }
        let mut made = Vec::with_capacity(parts.len());
        for (index, first, last, train, test) in parts {
            check_users(&expansion, first, last)?;
            made.push(Part { index, users: first..last, train: target(train), test: target(test) });
        }
        let types = id_types(&expansion);
        let watched = |state: &Progress| {
            let (expansion, parts, format) = (&expansion, made.as_slice(), &format);
            match types {
                (IdType::Int32, IdType::Int32) => run::<i32, i32>(expansion, parts, format, stage, threads, state),
                (IdType::Int32, IdType::Int64) => run::<i32, i64>(expansion, parts, format, stage, threads, state),
                (IdType::Int64, IdType::Int32) => run::<i64, i32>(expansion, parts, format, stage, threads, state),
                (IdType::Int64, IdType::Int64) => run::<i64, i64>(expansion, parts, format, stage, threads, state),
            }
        };
        report(py, &watch(py, progress.as_ref(), watched)?)
    }
}

/// The rows of a base, of an expansion or of files, to be measured in passes over all of them.
///
/// Every pass takes `threads`, and `progress`, which is called about ten times a second with the interactions and the
/// pieces done.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct Rows {
    source: Source,
    pieces: Vec<Range<u64>>,
}

enum Source {
    Base { indptr: Py<PyArray1<i64>>, entries: Py<PyArray1<u32>>, items: u32 },
    Expansion(Py<Generator>),
    Files { users: u64, items: u64, files: Vec<[Option<PathBuf>; 2]> },
}

type Pieces = Vec<(u64, u64)>;
type Pair<'py, A, B> = (Bound<'py, PyArray1<A>>, Bound<'py, PyArray1<B>>);
type Callback<'py> = Option<Bound<'py, PyAny>>;

fn ranges(pieces: Pieces) -> Vec<Range<u64>> {
    pieces.into_iter().map(|(first, last)| first..last).collect()
}

impl Rows {
    /// Does a job on the rows, and meanwhile answers signals and reports progress.
    fn pass<T: Send>(
        &self,
        py: Python<'_>,
        progress: &Callback<'_>,
        job: impl FnOnce(&dyn rows::Rows, &Progress) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let pieces = self.pieces.clone();
        match &self.source {
            Source::Base { indptr, entries, items } => {
                let (indptr, entries) = (indptr.bind(py).readonly(), entries.bind(py).readonly());
                let rows = BaseRows { base: Base::new(indptr.as_slice()?, entries.as_slice()?, *items)?, pieces };
                watch(py, progress.as_ref(), |state| job(&rows, state))
            }
            Source::Expansion(generator) => {
                let generator = generator.get();
                let arrays = generator.borrow(py);
                let rows = ExpandedRows { expansion: generator.expansion(&arrays)?, pieces };
                watch(py, progress.as_ref(), |state| job(&rows, state))
            }
            Source::Files { users, items, files } => {
                let rows = FileRows { users: *users, items: *items, pieces, files: files.clone() };
                watch(py, progress.as_ref(), |state| job(&rows, state))
            }
        }
    }

    /// A product of the matrix, or of its transpose, with a block of vectors in float32 or float64.
    fn multiply<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        threads: usize,
        progress: &Callback<'py>,
        kind: Product,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(x) = x.extract::<PyReadonlyArray2<'py, f32>>() {
            return self.multiply_real(py, &x, threads, progress, kind);
        }
        self.multiply_real(py, &x.extract::<PyReadonlyArray2<'py, f64>>()?, threads, progress, kind)
    }

    fn multiply_real<'py, T: Real + numpy::Element>(
        &self,
        py: Python<'py>,
        x: &PyReadonlyArray2<'py, T>,
        threads: usize,
        progress: &Callback<'py>,
        kind: Product,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (length, width) = x.as_array().dim();
        let x = x.as_slice()?;
        let (users, items) = self.shape(py);
        let (expected, height) = match kind {
            Product::Gram => (items, items),
            Product::Plain => (items, users),
            Product::Transposed => (users, items),
        };
        if length != expected {
            let message = format!("the vectors have {length} entries, the matrix needs {expected}");
            return Err(PyValueError::new_err(message));
        }
        if width == 0 {
            return Err(PyValueError::new_err("there must be at least one vector"));
        }
        // NumPy asks the system for large pages, which such scattered access gains much from.
        let count = if kind == Product::Plain { 1 } else { threads };
        let arrays: Vec<_> = (0..count).map(|_| PyArray2::<T>::zeros(py, [height, width], false)).collect();
        let mut borrowed: Vec<_> = arrays.iter().map(PyArrayMethods::readwrite).collect();
        let mut sums = borrowed.iter_mut().map(|array| array.as_slice_mut()).collect::<Result<Vec<_>, _>>()?;
        self.pass(py, progress, |rows, state| match kind {
            Product::Gram => gram::gram(rows, x, width, &mut sums, state),
            Product::Plain => gram::product(rows, x, width, sums[0], threads, state),
            Product::Transposed => gram::transposed_product(rows, x, width, &mut sums, state),
        })?;
        drop(borrowed);
        Ok(arrays[0].clone().into_any())
    }

    /// Users and items.
    fn shape(&self, py: Python<'_>) -> (usize, usize) {
        match &self.source {
            Source::Base { indptr, items, .. } => (indptr.bind(py).len().unwrap_or(1) - 1, *items as usize),
            Source::Expansion(generator) => generator.get().shape(py),
            Source::Files { users, items, .. } => (*users as usize, *items as usize),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Product {
    Gram,
    Plain,
    Transposed,
}

#[pymethods]
impl Rows {
    /// The rows of a base itself.
    #[staticmethod]
    fn of_base(
        py: Python<'_>,
        indptr: Py<PyArray1<i64>>,
        entries: Py<PyArray1<u32>>,
        items: u32,
        pieces: Pieces,
    ) -> PyResult<Self> {
        Base::new(indptr.bind(py).readonly().as_slice()?, entries.bind(py).readonly().as_slice()?, items)?.check()?;
        Ok(Self { source: Source::Base { indptr, entries, items }, pieces: ranges(pieces) })
    }

    /// The rows of an expansion, generated in every pass.
    #[staticmethod]
    fn of_expansion(generator: Py<Generator>, pieces: Pieces) -> Self {
        Self { source: Source::Expansion(generator), pieces: ranges(pieces) }
    }

    /// The rows of files: for each piece its train file and its test file, or None.
    #[staticmethod]
    fn of_files(
        users: u64,
        items: u64,
        pieces: Pieces,
        files: Vec<(Option<PathBuf>, Option<PathBuf>)>,
    ) -> PyResult<Self> {
        if pieces.len() != files.len() {
            return Err(PyValueError::new_err("there must be as many pieces as pairs of files"));
        }
        let files = files.into_iter().map(|(train, test)| [train, test]).collect();
        Ok(Self { source: Source::Files { users, items, files }, pieces: ranges(pieces) })
    }

    /// Sums of users, items and blocks, and violations of what must hold exactly, as a dict.
    #[pyo3(signature = (*, base_users, base_items, order_by_item, bins, each_item, threads, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn sums<'py>(
        &self,
        py: Python<'py>,
        base_users: u64,
        base_items: u64,
        order_by_item: bool,
        bins: (u64, u64),
        each_item: bool,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let layout = Layout { base_users, base_items, order_by_item, bins, each_item };
        let sums = self.pass(py, &progress, |rows, state| sums::sums(rows, &layout, threads, state))?;
        let dict = PyDict::new(py);
        dict.set_item("user_train", sums.user_train.into_pyarray(py))?;
        dict.set_item("user_test", sums.user_test.into_pyarray(py))?;
        dict.set_item("item_train", sums.item_train.into_pyarray(py))?;
        dict.set_item("item_test", sums.item_test.into_pyarray(py))?;
        dict.set_item("item_user_degree", sums.item_user_degree.into_pyarray(py))?;
        dict.set_item("block_train", sums.block_train.into_pyarray(py))?;
        dict.set_item("block_test", sums.block_test.into_pyarray(py))?;
        dict.set_item("density", sums.density.into_pyarray(py))?;
        let violations = PyDict::new(py);
        for (name, found) in VIOLATIONS.iter().zip(sums.violations) {
            violations.set_item(name, (found.count, found.first))?;
        }
        dict.set_item("violations", violations)?;
        Ok(dict)
    }

    /// `AᵀA x` for x of shape (items, width), float32 or float64, C order; the same type comes back.
    #[pyo3(signature = (x, *, threads, progress=None))]
    fn gram<'py>(
        &self,
        py: Python<'py>,
        x: Bound<'py, PyAny>,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.multiply(py, &x, threads, &progress, Product::Gram)
    }

    /// A x for x of shape (items, width).
    #[pyo3(signature = (x, *, threads, progress=None))]
    fn product<'py>(
        &self,
        py: Python<'py>,
        x: Bound<'py, PyAny>,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.multiply(py, &x, threads, &progress, Product::Plain)
    }

    /// Aᵀ x for x of shape (users, width).
    #[pyo3(signature = (x, *, threads, progress=None))]
    fn transposed_product<'py>(
        &self,
        py: Python<'py>,
        x: Bound<'py, PyAny>,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.multiply(py, &x, threads, &progress, Product::Transposed)
    }

    /// For every item and each of the chosen items, the train users of both: shape (items, chosen).
    #[pyo3(signature = (chosen, *, threads, progress=None))]
    fn cooccurrence<'py>(
        &self,
        py: Python<'py>,
        chosen: PyReadonlyArray1<'py, u32>,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let chosen = chosen.as_slice()?;
        let items = self.shape(py).1;
        let distinct: HashSet<_> = chosen.iter().collect();
        if distinct.len() < chosen.len() || chosen.iter().any(|&item| item as usize >= items) {
            return Err(Error::Invalid("the chosen items must be items of the matrix, each once".to_owned()).into());
        }
        let counts = self.pass(py, &progress, |rows, state| neighbours::cooccurrence(rows, chosen, threads, state))?;
        let counts = Array2::from_shape_vec((items, chosen.len()), counts);
        Ok(counts.map_err(|error| PyValueError::new_err(error.to_string()))?.into_pyarray(py))
    }

    /// The train or test rows of the chosen users, which rise: where each begins, and their items.
    #[pyo3(signature = (chosen, *, test, threads, progress=None))]
    fn collect<'py>(
        &self,
        py: Python<'py>,
        chosen: PyReadonlyArray1<'py, u64>,
        test: bool,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Pair<'py, u64, i64>> {
        let chosen = chosen.as_slice()?;
        let (starts, items) =
            self.pass(py, &progress, |rows, state| neighbours::collect(rows, chosen, test, threads, state))?;
        Ok((starts.into_pyarray(py), items.into_pyarray(py)))
    }

    /// The nearest user of each given train row (as `collect` gives them) in each group of `group` consecutive users,
    /// or −1, and the squared cosine: one after the other, groups within rows.
    #[pyo3(signature = (given, starts, items, *, group, threads, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn nearest<'py>(
        &self,
        py: Python<'py>,
        given: PyReadonlyArray1<'py, u64>,
        starts: PyReadonlyArray1<'py, u64>,
        items: PyReadonlyArray1<'py, i64>,
        group: u64,
        threads: usize,
        progress: Callback<'py>,
    ) -> PyResult<Pair<'py, i64, f64>> {
        let (given, starts, items) = (given.as_slice()?, starts.as_slice()?, items.as_slice()?);
        let all_items = self.shape(py).1;
        let in_range = |&item: &i64| usize::try_from(item).is_ok_and(|item| item < all_items);
        let fits = starts.len() == given.len() + 1
            && starts.last() == Some(&(items.len() as u64))
            && starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if group == 0 || !fits || !items.iter().all(in_range) {
            return Err(Error::Invalid("the given rows are not rows of the matrix, one a user".to_owned()).into());
        }
        let (users, cosines) = self.pass(py, &progress, |rows, state| {
            neighbours::nearest(rows, given, starts, items, group, threads, state)
        })?;
        Ok((users.into_pyarray(py), cosines.into_pyarray(py)))
    }
}

type Made<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f64>>,
);
type PyPart = (u64, u64, u64, Option<PyTarget>, Option<PyTarget>);
type PyTarget = (PathBuf, Vec<(String, String)>);

fn target(target: Option<PyTarget>) -> Option<Target> {
    target.map(|(path, labels)| Target { path, labels })
}

enum IdType {
    Int32,
    Int64,
}

/// The types of expanded user and item ids, from the id space alone.
fn id_types(expansion: &Expansion) -> (IdType, IdType) {
    let fitting = |ids: u64| if ids <= 1 << 31 { IdType::Int32 } else { IdType::Int64 };
    (fitting(expansion.users()), fitting(expansion.items()))
}

fn check_users(expansion: &Expansion, first: u64, last: u64) -> PyResult<()> {
    let users = expansion.users();
    if first > last || last > users {
        let message = format!("users {first} to {last} are not within the expansion's users 0 to {users}");
        return Err(PyValueError::new_err(message));
    }
    Ok(())
}

fn rows<'py, U: Id + numpy::Element, I: Id + numpy::Element>(
    py: Python<'py>,
    expansion: &Expansion,
    first: u64,
    last: u64,
    test: bool,
) -> PyResult<Made<'py>> {
    let (users, made) = watch(py, None, |progress| {
        let (mut of_train, mut of_test) = (Interactions::<I>::default(), Interactions::<I>::default());
        Tiler::new(expansion).expand(first..last, &mut of_train, &mut of_test, |of_train, of_test| {
            let unwanted = if test { of_train } else { of_test };
            unwanted.clear();
            if progress.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
        })?;
        let wanted = if test { of_test } else { of_train };
        let mut users = Vec::with_capacity(wanted.items.len());
        for &(user, count) in &wanted.users {
            users.extend(std::iter::repeat_n(U::at(user, 0), count as usize));
        }
        Ok((users, wanted))
    })?;
    Ok((
        users.into_pyarray(py).into_any(),
        made.items.into_pyarray(py).into_any(),
        made.sources.into_pyarray(py),
        made.times.into_pyarray(py),
        made.ratings.into_pyarray(py),
    ))
}

/// Runs `job` on a thread of its own and meanwhile answers signals and reports progress.
fn watch<T: Send>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&Progress) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let progress = Progress::default();
    let report = || -> PyResult<()> {
        let Some(callback) = callback else { return Ok(()) };
        let interactions = progress.interactions.load(Ordering::Relaxed);
        callback.call1((interactions, progress.parts.load(Ordering::Relaxed)))?;
        Ok(())
    };
    let caller = thread::current();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let outcome = job(&progress);
            done.store(true, Ordering::Release);
            caller.unpark();
            outcome
        });
        let mut interruption = None;
        // A job that panics never says it is done.
        while !done.load(Ordering::Acquire) && !worker.is_finished() {
            py.detach(|| thread::park_timeout(HEARTBEAT));
            if let Err(error) = py.check_signals().and_then(|()| report()) {
                progress.cancel.store(true, Ordering::Relaxed);
                interruption.get_or_insert(error);
            }
        }
        let outcome = py.detach(|| worker.join().unwrap_or(Err(Error::Panicked)));
        if let Some(error) = interruption {
            return Err(error);
        }
        let finished = outcome?;
        report()?;
        Ok(finished)
    })
}

fn report<'py>(py: Python<'py>, report: &RunReport) -> PyResult<Bound<'py, PyDict>> {
    let file = |file: &Option<FileReport>| -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(file) = file else { return Ok(None) };
        let dict = PyDict::new(py);
        dict.set_item("rows", file.rows)?;
        dict.set_item("bytes", file.bytes)?;
        dict.set_item("sha256", &file.sha256)?;
        Ok(Some(dict))
    };
    let parts = PyList::empty(py);
    for part in &report.parts {
        let dict = PyDict::new(py);
        dict.set_item("index", part.index)?;
        dict.set_item("train", file(&part.train)?)?;
        dict.set_item("test", file(&part.test)?)?;
        parts.append(dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("parts", parts)?;
    dict.set_item("generating_seconds", report.generating.as_secs_f64())?;
    dict.set_item("encoding_seconds", report.encoding.as_secs_f64())?;
    Ok(dict)
}
