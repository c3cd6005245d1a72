//! The extension module's classes: arrays in, arrays and reports out, and long runs that answer Ctrl-C.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::base::{Base, Cells};
use crate::error::Error;
use crate::expansion::{Expansion, Id, Interactions, Options};
use crate::parquet::{EncodingChoice, FileReport, Format, parse_compression};
use crate::run::{Part, Progress, RunReport, Stage, Target, run};
use crate::tile::Tiler;

/// How often a long run looks for Ctrl-C and reports progress.
const HEARTBEAT: Duration = Duration::from_millis(100);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(message) => ours("InputError", message),
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
        }
    }

    fn expansion<'a>(&self, arrays: &'a Borrowed<'_>) -> PyResult<Expansion<'a>> {
        let base = Base::new(arrays.indptr.as_slice()?, arrays.entries.as_slice()?, self.items)?;
        let users = Cells::new(arrays.user_order.as_slice()?, arrays.user_starts.as_slice()?, base.users(), "user")?;
        let items = Cells::new(arrays.item_order.as_slice()?, arrays.item_starts.as_slice()?, base.items(), "item")?;
        let column_blocks = arrays.keep_rates.as_array().ncols() as u32;
        Ok(Expansion::new(base, arrays.keep_rates.as_slice()?, column_blocks, users, items, self.options)?)
    }
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (
        indptr, entries, items, keep_rates, user_order, user_starts, item_order, item_starts, *,
        seed, shuffled, block_keep, one_test_item, drop_incomplete, order_by_item,
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
        order_by_item: bool,
    ) -> PyResult<Self> {
        let options = Options { seed, shuffled, block_keep, one_test_item, drop_incomplete, order_by_item };
        let generator =
            Self { indptr, entries, items, keep_rates, user_order, user_starts, item_order, item_starts, options };
        let arrays = generator.borrow(py);
        generator.expansion(&arrays)?.base().check()?;
        drop(arrays);
        Ok(generator)
    }

    /// Interactions of the expanded users `first` to `last` (not included): `(user_id, item_id)` of one split.
    fn rows<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        last: u64,
        test: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
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
        let format = Format::new(EncodingChoice::from_str(encoding)?, parse_compression(compression)?, row_group_size);
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
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (users, items) = watch(py, None, |progress| {
        let (mut of_train, mut of_test) = (Interactions::<I>::default(), Interactions::<I>::default());
        Tiler::new(expansion).expand(first..last, &mut of_train, &mut of_test, |of_train, of_test| {
            let unwanted = if test { of_train } else { of_test };
            unwanted.clear();
            if progress.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
        })?;
        let wanted = if test { of_test } else { of_train };
        let mut users = Vec::with_capacity(wanted.items.len());
        for (user, count) in wanted.users {
            users.extend(std::iter::repeat_n(U::at(user, 0), count as usize));
        }
        Ok((users, wanted.items))
    })?;
    Ok((users.into_pyarray(py).into_any(), items.into_pyarray(py).into_any()))
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
