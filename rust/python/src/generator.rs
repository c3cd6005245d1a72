//! The generator of one expansion.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use fractalrs_core::base::{Base, Cells, Split, Times};
use fractalrs_core::error::Error;
use fractalrs_core::expansion::{Columns, Expansion, Id, Numbering, Options, Payload};
use fractalrs_core::for_id_types;
use fractalrs_core::parts::{
    Column, Dictionary, EncodingChoice, FileSummary, Format, JobSummary, Part, Periods, Stage, Target,
    parse_compression, run,
};
use fractalrs_core::passes::{self, Piece, interactions, spelt_out};
use fractalrs_core::threads::Progress;
use fractalrs_core::tiles::{Holders, Pair, Ranges, Tiler, Wanted, find, negatives, sources, unobserved};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pythonize::depythonize;

use crate::columns::PyColumn;
use crate::errors::raised;
use crate::stream::IntoArrays;
use crate::watch::watch;

/// So few interactions are made at once, without a thread that watches for Ctrl-C.
const AT_ONCE: f64 = 100_000.0;

/// Generates the interactions of one expansion, as `docs/generator.md` defines them.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct Generator {
    pub expansion: Arc<Expansion>,
    columns: Vec<Py<PyAny>>,
    /// Those of the columns, made when files are written.
    dictionaries: OnceLock<Vec<Option<Dictionary>>>,
    /// Who has each item, made when sources are looked up where entries were dealt out.
    holders: OnceLock<Holders>,
}

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (
        indptr, entries, items, keep_rates, user_order, user_starts, item_order, item_starts, *,
        options, threads, times=None, test_is_late=false, hour=None, cuts=None, factors=None, ratings=None, columns=Vec::new(),
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new<'py>(
        py: Python<'py>,
        indptr: PyReadonlyArray1<'py, i64>,
        entries: PyReadonlyArray1<'py, u32>,
        items: u32,
        keep_rates: PyReadonlyArray2<'py, f64>,
        user_order: PyReadonlyArray1<'py, u32>,
        user_starts: PyReadonlyArray1<'py, u32>,
        item_order: PyReadonlyArray1<'py, u32>,
        item_starts: PyReadonlyArray1<'py, u32>,
        options: Bound<'py, PyAny>,
        threads: usize,
        times: Option<PyReadonlyArray1<'py, i64>>,
        test_is_late: bool,
        hour: Option<u64>,
        cuts: Option<(i64, i64)>,
        factors: Option<PyReadonlyArray2<'py, f64>>,
        ratings: Option<PyReadonlyArray1<'py, f64>>,
        columns: Vec<Py<PyAny>>,
    ) -> PyResult<Self> {
        let options: Options = depythonize(&options).map_err(|error| raised(Error::Invalid(error.to_string())))?;
        let base = Base::new(indptr.as_slice()?, entries.as_slice()?, items).map_err(raised)?;
        for column in &columns {
            column.extract::<PyColumn>(py)?.column(base.len())?;
        }
        let column_blocks = keep_rates.as_array().ncols() as u32;
        let keep_rates = keep_rates.as_slice()?.to_vec();
        let (user_order, user_starts) = (user_order.as_slice()?.to_vec(), user_starts.as_slice()?.to_vec());
        let (item_order, item_starts) = (item_order.as_slice()?.to_vec(), item_starts.as_slice()?.to_vec());
        let times = times.as_ref().map(|times| times.as_slice()).transpose()?;
        let ratings = ratings.map(|ratings| ratings.to_vec()).transpose()?;
        let factors = factors.map(|factors| factors.to_vec()).transpose()?.map(|factors| (factors, ratings));
        let sources = !columns.is_empty();
        let expansion = py.detach(|| {
            base.check()?;
            let user_cells = Cells::new(user_order, user_starts, base.users(), "user")?;
            let item_cells = Cells::new(item_order, item_starts, base.items(), "item")?;
            let times = times.map(|times| Times::new(&base, times, test_is_late, hour, cuts)).transpose()?;
            let payload = Payload { sources, times, factors };
            Expansion::new(&base, keep_rates, column_blocks, user_cells, item_cells, options, payload, threads)
        });
        Ok(Self {
            expansion: Arc::new(expansion.map_err(raised)?),
            columns,
            dictionaries: OnceLock::new(),
            holders: OnceLock::new(),
        })
    }

    /// The train, validation and test interactions of each user of the base, users × 3: dealt out, where they are.
    fn degrees<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<u32>> {
        Array2::from(py.detach(|| self.expansion.degrees())).into_pyarray(py)
    }

    /// Interactions of the expanded users `first` to `last` (not included) of one split: user, item, and where the
    /// expansion has them the entry of the base, the time and the product of rating and factor, else empty arrays.
    fn interactions<'py>(&self, py: Python<'py>, first: u64, last: u64, split: &str) -> PyResult<Arrays<'py>> {
        let expansion = &self.expansion;
        check_users(expansion, first, last)?;
        let split = split_named(split)?;
        for_id_types!(expansion, arrays(py, expansion, first, last, split))
    }

    /// The interactions of any users of one split, as `interactions` gives them, user by user as they are asked for: how
    /// many each has comes first, in place of users.
    #[pyo3(signature = (users, split, *, carrying, threads))]
    fn histories<'py>(
        &self,
        py: Python<'py>,
        users: PyReadonlyArray1<'py, u64>,
        split: &str,
        carrying: bool,
        threads: usize,
    ) -> PyResult<Arrays<'py>> {
        let (expansion, users) = (&self.expansion, users.to_vec()?);
        users.iter().try_for_each(|&user| check_users(expansion, user, user.saturating_add(1)))?;
        let (split, wanted) = (split_named(split)?, if carrying { Wanted::All } else { Wanted::Ids });
        let narrow = expansion.items() <= 1 << 31;
        if narrow {
            histories::<i32>(py, expansion, users, split, wanted, threads)
        } else {
            histories::<i64>(py, expansion, users, split, wanted, threads)
        }
    }

    /// What each user and item have to do with each other: 0 nothing, else an
    /// interaction: 1 of train, 2 of validation, 3 of test.
    fn memberships<'py>(
        &self,
        py: Python<'py>,
        users: PyReadonlyArray1<'py, u64>,
        items: PyReadonlyArray1<'py, u64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        let expansion = &self.expansion;
        let pairs = self.pairs(&users, &items)?;
        let found = watch(py, None, |progress| find(expansion, &pairs, threads, progress))?;
        Ok(found.into_iter().map(|split| split.map_or(0, |split| 1 + split as u8)).collect::<Vec<_>>().into_pyarray(py))
    }

    /// So many different items for each user that it has nothing to do with: user by user.
    fn negatives<'py>(
        &self,
        py: Python<'py>,
        users: PyReadonlyArray1<'py, u64>,
        count: usize,
        seed: u64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let (expansion, users) = (&self.expansion, users.to_vec()?);
        users.iter().try_for_each(|&user| check_users(expansion, user, user.saturating_add(1)))?;
        let chosen = watch(py, None, |progress| negatives(expansion, &users, count, seed, threads, progress))?;
        Ok(chosen.into_pyarray(py))
    }

    /// The source user and the source item, by code, that each pair of expanded ids stands for; `indptr` and `entries` are
    /// those of the base.
    fn sources<'py>(
        &self,
        py: Python<'py>,
        indptr: PyReadonlyArray1<'py, i64>,
        entries: PyReadonlyArray1<'py, u32>,
        users: PyReadonlyArray1<'py, u64>,
        items: PyReadonlyArray1<'py, u64>,
        threads: usize,
    ) -> PyResult<Both<'py, u32>> {
        let (_, found) = self.found(py, &indptr, &entries, &users, &items, threads)?;
        let (users, items): (Vec<u32>, Vec<u32>) = found.into_iter().unzip();
        Ok((users.into_pyarray(py), items.into_pyarray(py)))
    }

    /// Whether the base has an entry of the source user with the source item of each pair; else as `sources`.
    fn observed<'py>(
        &self,
        py: Python<'py>,
        indptr: PyReadonlyArray1<'py, i64>,
        entries: PyReadonlyArray1<'py, u32>,
        users: PyReadonlyArray1<'py, u64>,
        items: PyReadonlyArray1<'py, u64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let (base, found) = self.found(py, &indptr, &entries, &users, &items, threads)?;
        let observed: Vec<bool> = found.iter().map(|&(user, item)| base.has(user, item)).collect();
        Ok(observed.into_pyarray(py))
    }

    /// How many interactions of each user were left out, and their items, user by user.
    fn unobserved<'py>(
        &self,
        py: Python<'py>,
        users: PyReadonlyArray1<'py, u64>,
        threads: usize,
    ) -> PyResult<Both<'py, i64>> {
        let (expansion, users) = (&self.expansion, users.to_vec()?);
        users.iter().try_for_each(|&user| check_users(expansion, user, user.saturating_add(1)))?;
        let (counts, items) = watch(py, None, |progress| unobserved(expansion, &users, threads, progress))?;
        Ok((counts.into_pyarray(py), items.into_pyarray(py)))
    }

    /// Of items, their places: column block times items of the base, and column.
    fn places<'py>(&self, py: Python<'py>, items: PyReadonlyArray1<'py, i64>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        self.renumbered(py, &items, Numbering::place)
    }

    /// The items of places.
    fn items_at<'py>(
        &self,
        py: Python<'py>,
        places: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        self.renumbered(py, &places, Numbering::number)
    }

    /// The column that each source item takes in block (i, j).
    fn columns<'py>(&self, py: Python<'py>, i: u32, j: u32) -> Bound<'py, PyArray1<u32>> {
        let mut table = Vec::new();
        if self.expansion.options().shuffled {
            Columns::new(&self.expansion, i, j).fill(None, &mut table);
        } else {
            table.extend(0..self.expansion.base_items());
        }
        table.into_pyarray(py)
    }

    /// The source user of each row of row block i, where every expanded user has one: user cells of size 1.
    fn source_users<'py>(&self, py: Python<'py>, i: u32) -> Bound<'py, PyArray1<u32>> {
        self.expansion.source_users(i).collect::<Vec<_>>().into_pyarray(py)
    }

    /// The source user of each row of block (i, j).
    fn block_users<'py>(&self, py: Python<'py>, i: u32, j: u32) -> Bound<'py, PyArray1<u32>> {
        self.expansion.block_users(i, j).collect::<Vec<_>>().into_pyarray(py)
    }

    /// Makes parts on `threads` threads, up to a stage: "generate", "encode", "write" or "flush".
    ///
    /// A part is `(index, first user, last user, train target, validation target, test target)`, a target `(path, labels)`
    /// or None.
    /// `progress` is called about ten times a second with the interactions made and the parts finished.
    /// With `periods`, their starts and the names of their folders, a file is one of each period that occurs, in a folder
    /// beside its target.
    #[pyo3(signature = (parts, *, encoding, compression, row_group_size, stage, threads, progress=None, periods=None))]
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
        periods: Option<(Vec<i64>, Vec<String>)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let expansion = &self.expansion;
        let borrowed = self.columns.iter().map(|column| column.extract(py)).collect::<PyResult<Vec<PyColumn>>>()?;
        let columns = borrowed.iter().map(|column| column.column(expansion.base_interactions()));
        let columns = columns.collect::<PyResult<Vec<_>>>()?;
        let dictionaries = self.dictionaries.get_or_init(|| columns.iter().map(Column::dictionary).collect());
        let columns = columns.into_iter().zip(dictionaries);
        let columns: Vec<_> = columns.map(|(column, dictionary)| column.with(dictionary.as_ref())).collect();
        let (encoding, compression) =
            (EncodingChoice::from_str(encoding).map_err(raised)?, parse_compression(compression).map_err(raised)?);
        if periods.is_some() && !expansion.has_times() {
            return Err(PyValueError::new_err("periods need times"));
        }
        let periods = periods.map(|(starts, folders)| Periods::new(starts, folders)).transpose().map_err(raised)?;
        let format = Format::new(encoding, compression, row_group_size, &columns, periods.as_ref());
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
        for (index, first, last, train, valid, test) in parts {
            check_users(expansion, first, last)?;
            made.push(Part { index, users: first..last, targets: [train, valid, test].map(target) });
        }
        let job = |state: &Progress| run(expansion, &made, &format, stage, threads, state);
        summary(py, &watch(py, progress.as_ref(), job)?)
    }
}

impl Generator {
    /// The base, and the codes of the sources of pairs in it.
    fn found<'b>(
        &self,
        py: Python,
        indptr: &'b PyReadonlyArray1<i64>,
        entries: &'b PyReadonlyArray1<u32>,
        users: &PyReadonlyArray1<u64>,
        items: &PyReadonlyArray1<u64>,
        threads: usize,
    ) -> PyResult<(Base<'b>, Vec<(u32, u32)>)> {
        let expansion = &self.expansion;
        let base = Base::new(indptr.as_slice()?, entries.as_slice()?, expansion.base_items()).map_err(raised)?;
        let pairs = self.pairs(users, items)?;
        let found = watch(py, None, |progress| {
            let holders = expansion.is_dealt().then(|| self.holders.get_or_init(|| Holders::new(expansion, &base)));
            sources(expansion, holders, &pairs, threads, progress)
        })?;
        Ok((base, found))
    }

    /// Items, or places, made the other.
    fn renumbered<'py>(
        &self,
        py: Python<'py>,
        numbers: &PyReadonlyArray1<'py, i64>,
        replace: fn(&Numbering, &mut [i64]),
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let mut numbers = numbers.to_vec()?;
        if numbers.iter().any(|&number| number < 0 || number as u64 >= self.expansion.items()) {
            return Err(PyValueError::new_err("items are not within the expansion's"));
        }
        if let Some(numbering) = self.expansion.numbering() {
            py.detach(|| replace(numbering, &mut numbers));
        }
        Ok(numbers.into_pyarray(py))
    }

    /// Pairs of expanded ids.
    fn pairs(&self, users: &PyReadonlyArray1<'_, u64>, items: &PyReadonlyArray1<'_, u64>) -> PyResult<Vec<Pair>> {
        let pairs: Vec<Pair> = users.as_slice()?.iter().copied().zip(items.as_slice()?.iter().copied()).collect();
        if pairs.iter().any(|&(user, item)| user >= self.expansion.users() || item >= self.expansion.items()) {
            return Err(PyValueError::new_err("users or items are not within the expansion's"));
        }
        Ok(pairs)
    }
}

type Both<'py, T> = (Bound<'py, PyArray1<T>>, Bound<'py, PyArray1<T>>);
pub type Arrays<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f64>>,
);
type PyPart = (u64, u64, u64, Option<PyTarget>, Option<PyTarget>, Option<PyTarget>);
type PyTarget = (PathBuf, Vec<(String, String)>);

/// The split of a name.
pub fn split_named(name: &str) -> PyResult<Split> {
    let named = SPLITS.iter().position(|&other| other == name).map(|number| Split::ALL[number]);
    named.ok_or_else(|| PyValueError::new_err(format!("unknown split {name:?}")))
}

/// What splits are called, in their order.
pub const SPLITS: [&str; 3] = ["train", "valid", "test"];

fn target(target: Option<PyTarget>) -> Option<Target> {
    target.map(|(path, labels)| Target { path, labels })
}

pub fn check_users(expansion: &Expansion, first: u64, last: u64) -> PyResult<()> {
    let users = expansion.users();
    if first > last || last > users {
        let message = format!("users {first} to {last} are not within the expansion's users 0 to {users}");
        return Err(PyValueError::new_err(message));
    }
    Ok(())
}

fn arrays<'py, U: Id + numpy::Element, I: Id + numpy::Element>(
    py: Python<'py>,
    expansion: &Expansion,
    first: u64,
    last: u64,
    split: Split,
) -> PyResult<Arrays<'py>> {
    let wanted = Wanted::All;
    let make = |progress: &Progress| {
        let mut tiler = Tiler::new(expansion, wanted);
        let made = interactions(&mut tiler, first..last, &(first..last), split, || progress.advance(0))?;
        Ok(Piece { users: spelt_out(&made), made })
    };
    let mut ranges = Ranges::new(expansion, first..last, AT_ONCE);
    let piece: Piece<U, I> = if ranges.nth(1).is_none() {
        py.detach(|| make(&Progress::default())).map_err(raised)?
    } else {
        watch(py, None, make)?
    };
    Ok(Box::new(piece).into_arrays(py))
}

fn histories<'py, I: Id + numpy::Element>(
    py: Python<'py>,
    expansion: &Expansion,
    users: Vec<u64>,
    split: Split,
    wanted: Wanted,
    threads: usize,
) -> PyResult<Arrays<'py>> {
    let job = |progress: &Progress| passes::histories::<I>(expansion, &users, split, wanted, threads, progress);
    let (lengths, made) = watch(py, None, job)?;
    Ok(Box::new(Piece { users: lengths.into_iter().map(|length| length as i64).collect(), made }).into_arrays(py))
}

fn summary<'py>(py: Python<'py>, summary: &JobSummary) -> PyResult<Bound<'py, PyDict>> {
    let file = |file: &FileSummary| -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("rows", file.rows)?;
        dict.set_item("bytes", file.bytes)?;
        dict.set_item("blake3", &file.blake3)?;
        Ok(dict)
    };
    // By their folders, where files are divided by periods.
    let files = |files: &[FileSummary]| -> PyResult<Option<Bound<'py, PyDict>>> {
        let [first, ..] = files else { return Ok(None) };
        if first.folder.is_none() {
            return file(first).map(Some);
        }
        let dict = PyDict::new(py);
        for one in files {
            dict.set_item(&one.folder, file(one)?)?;
        }
        Ok(Some(dict))
    };
    let parts = PyList::empty(py);
    for part in &summary.parts {
        let dict = PyDict::new(py);
        dict.set_item("index", part.index)?;
        for (name, summary) in SPLITS.iter().zip(&part.files) {
            dict.set_item(name, files(summary)?)?;
        }
        parts.append(dict)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("parts", parts)?;
    dict.set_item("generating_seconds", summary.generating.as_secs_f64())?;
    dict.set_item("encoding_seconds", summary.encoding.as_secs_f64())?;
    Ok(dict)
}
