//! The generator of one expansion.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use fractalrs_core::base::{Base, Cells, Layout, Times};
use fractalrs_core::error::Error;
use fractalrs_core::expansion::{self, Columns, Expansion, Id, Interactions, Options, Order};
use fractalrs_core::for_id_types;
use fractalrs_core::parts::{
    Column, EncodingChoice, FileReport, Format, Part, RunReport, Stage, Target, parse_compression, run,
};
use fractalrs_core::threads::Progress;
use fractalrs_core::tiles::Tiler;
use fractalrs_core::time::Timeline;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::columns::{BorrowedColumn, PyColumn};
use crate::errors::raised;
use crate::watch::watch;

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
    layout: Layout,
    payload: Payload,
}

/// What interactions carry beside users and items.
struct Payload {
    timeline: Option<Timeline>,
    factors: Option<Py<PyArray2<f64>>>,
    ratings: Option<Py<PyArray1<f64>>>,
    columns: Vec<PyColumn>,
}

/// The arrays of a [`Generator`], borrowed for one call.
pub struct Borrowed<'py> {
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
    pub fn borrow<'py>(&self, py: Python<'py>) -> Borrowed<'py> {
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
            columns: self.payload.columns.iter().map(|column| BorrowedColumn::new(column, py)).collect(),
        }
    }

    /// The columns of the files after users and items.
    fn payload_columns<'a>(&self, arrays: &'a Borrowed<'_>) -> PyResult<Vec<Column<'a>>> {
        let count = arrays.entries.len()?;
        let named = self.payload.columns.iter().zip(&arrays.columns);
        named.map(|((name, meaning, ..), column)| column.column(name, meaning, count)).collect()
    }

    /// Expanded users and items.
    pub fn shape(&self, py: Python<'_>) -> (usize, usize) {
        let dimensions = self.keep_rates.bind(py).dims();
        let users = self.indptr.bind(py).len().unwrap_or(1) - 1;
        (dimensions[0] * users, dimensions[1] * self.items as usize)
    }

    pub fn expansion<'a>(&'a self, arrays: &'a Borrowed<'_>) -> PyResult<Expansion<'a>> {
        let base = Base::new(arrays.indptr.as_slice()?, arrays.entries.as_slice()?, self.items).map_err(raised)?;
        let users = Cells::new(arrays.user_order.as_slice()?, arrays.user_starts.as_slice()?, base.users(), "user")
            .map_err(raised)?;
        let items = Cells::new(arrays.item_order.as_slice()?, arrays.item_starts.as_slice()?, base.items(), "item")
            .map_err(raised)?;
        let column_blocks = arrays.keep_rates.as_array().ncols() as u32;
        let factors = arrays.factors.as_ref().map(|factors| factors.as_slice()).transpose()?;
        let ratings = arrays.ratings.as_ref().map(|ratings| ratings.as_slice()).transpose()?;
        let payload = expansion::Payload {
            sources: !self.payload.columns.is_empty(),
            timeline: self.payload.timeline.as_ref(),
            factors: factors.map(|factors| (factors, ratings)),
        };
        let rates = arrays.keep_rates.as_slice()?;
        Expansion::new(base, &self.layout, rates, column_blocks, users, items, self.options, payload).map_err(raised)
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
        let (layout, timeline) = {
            let (indptr, entries) = (indptr.bind(py).readonly(), entries.bind(py).readonly());
            let (order, starts) = (user_order.bind(py).readonly(), user_starts.bind(py).readonly());
            let base = Base::new(indptr.as_slice()?, entries.as_slice()?, items).map_err(raised)?;
            base.check().map_err(raised)?;
            let cells = Cells::new(order.as_slice()?, starts.as_slice()?, base.users(), "user").map_err(raised)?;
            let times = times.as_ref().map(|times| times.as_slice()).transpose()?;
            let times = times.map(|times| Times::new(&base, times, test_is_late, hour)).transpose().map_err(raised)?;
            let carrying = !columns.is_empty();
            py.detach(|| -> Result<_, Error> {
                // A sketch reads the base itself.
                let users = if sketch { &[] } else { cells.order() };
                let layout = Layout::new(&base, users, carrying, times)?;
                let timeline = times.map(|times| Timeline::new(&base, &layout, times)).transpose()?;
                Ok((layout, timeline))
            })
            .map_err(raised)?
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
            layout,
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
        for_id_types!(expansion, rows(py, &expansion, first, last, test))
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
        let (encoding, compression) =
            (EncodingChoice::from_str(encoding).map_err(raised)?, parse_compression(compression).map_err(raised)?);
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
        let watched = |state: &Progress| {
            let (expansion, parts, format) = (&expansion, made.as_slice(), &format);
            run(expansion, parts, format, stage, threads, state)
        };
        report(py, &watch(py, progress.as_ref(), watched)?)
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
