//! A matrix to be measured.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fractalrs_core::base::Base;
use fractalrs_core::error::Error;
use fractalrs_core::passes::{self, Asked, Blocks, Groups, IdSample, Real, RowCache, Stretches, VIOLATIONS, Workers};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::raised;
use crate::generator::{Generator, SPLITS, split_named};
use crate::watch::watch;

/// The rows of a base, of an expansion or of files, to be measured in passes over all of them.
///
/// `interactions` says about how many there are. Passes run on `threads` threads, fewer where dense sums of all of them
/// would take more than `memory` bytes. Rows that were generated or read stay in memory where all of them take less than
/// `rows_memory` bytes. `progress` is called about ten times a second with the interactions and the pieces
/// done.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct StreamedMatrix {
    source: Source,
    pieces: Vec<Range<u64>>,
    interactions: u64,
    threads: usize,
    memory: usize,
    cache: Option<RowCache>,
}

/// What a row that is kept takes besides 4 bytes an interaction, at most.
const CACHED_ROW: u64 = 24;

enum Source {
    Base { indptr: Py<PyArray1<i64>>, entries: Py<PyArray1<u32>>, items: u32 },
    Expansion(Py<Generator>),
    Files { users: u64, items: u64, files: Vec<[Vec<PathBuf>; 3]>, open: Option<Py<PyAny>> },
}

/// A file object of Python's.
struct FileObject(Py<PyAny>);

impl Stretches for FileObject {
    fn length(&self) -> io::Result<u64> {
        Python::attach(|py| self.0.call_method1(py, "seek", (0, 2))?.extract(py)).map_err(told)
    }

    fn stretch(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let read = |py: Python<'_>| -> PyResult<Vec<u8>> {
            self.0.call_method1(py, "seek", (start,))?;
            let read = self.0.call_method1(py, "read", (length,))?;
            Ok(read.bind(py).cast::<PyBytes>()?.as_bytes().to_vec())
        };
        Python::attach(read).map_err(told)
    }
}

fn opened(open: &Py<PyAny>, path: &Path) -> io::Result<Box<dyn Stretches>> {
    let open = |py: Python<'_>| open.call1(py, (path.display().to_string(),));
    Ok(Box::new(FileObject(Python::attach(open).map_err(told)?)))
}

/// What an exception says, the system's without the number and the name of the file.
fn told(error: PyErr) -> io::Error {
    Python::attach(|py| {
        let value = error.value(py);
        let words = value.getattr("strerror").ok().and_then(|words| words.extract::<String>().ok());
        io::Error::other(words.unwrap_or_else(|| value.to_string()))
    })
}

type Pieces = Vec<(u64, u64)>;
type Pair<'py, A, B> = (Bound<'py, PyArray1<A>>, Bound<'py, PyArray1<B>>);
type Callback<'py> = Option<Bound<'py, PyAny>>;

impl StreamedMatrix {
    fn new(source: Source, pieces: Pieces, interactions: u64, threads: usize, memory: usize) -> Self {
        let pieces = pieces.into_iter().map(|(first, last)| first..last).collect();
        Self { source, pieces, interactions, threads, memory, cache: None }
    }

    /// Keeps rows, if all of them fit.
    fn keeping(mut self, users: u64, bytes: usize) -> Self {
        let count = self.pieces.len();
        let needed = self.interactions.saturating_mul(4).saturating_add(users.saturating_mul(CACHED_ROW));
        self.cache = (needed <= bytes as u64).then(|| RowCache::new(count, bytes));
        self
    }

    /// Does a job on the rows, and meanwhile answers signals and reports progress.
    fn pass<T: Send>(
        &self,
        py: Python<'_>,
        progress: &Callback<'_>,
        job: impl FnOnce(&passes::StreamedMatrix, &Workers) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        match &self.source {
            Source::Base { indptr, entries, items } => {
                let (indptr, entries) = (indptr.bind(py).readonly(), entries.bind(py).readonly());
                let base = Base::new(indptr.as_slice()?, entries.as_slice()?, *items).map_err(raised)?;
                self.pass_over(py, passes::Source::Base(base), progress, job)
            }
            Source::Expansion(generator) => {
                self.pass_over(py, passes::Source::Expansion(&generator.get().expansion), progress, job)
            }
            Source::Files { files, open: None, .. } => {
                self.pass_over(py, passes::Source::Files(files, None), progress, job)
            }
            Source::Files { files, open: Some(open), .. } => {
                let opener = |path: &Path| opened(open, path);
                self.pass_over(py, passes::Source::Files(files, Some(&opener)), progress, job)
            }
        }
    }

    fn pass_over<T: Send>(
        &self,
        py: Python<'_>,
        source: passes::Source,
        progress: &Callback<'_>,
        job: impl FnOnce(&passes::StreamedMatrix, &Workers) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let Self { pieces, interactions, threads, memory, .. } = self;
        let (users, items) = self.shape(py);
        let matrix = passes::StreamedMatrix {
            users: users as u64,
            items: items as u64,
            interactions: *interactions,
            pieces,
            source,
            cache: self.cache.as_ref(),
        };
        let job = |progress: &_| job(&matrix, &Workers { threads: *threads, memory: *memory, progress });
        watch(py, progress.as_ref(), job)
    }

    fn multiply_real<'py, T: Real + numpy::Element>(
        &self,
        py: Python<'py>,
        product: &str,
        x: &PyReadonlyArray2<'py, T>,
        progress: &Callback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (length, width) = x.as_array().dim();
        let x = x.as_slice()?;
        let (users, items) = self.shape(py);
        let (needed, height) = match product {
            "gram" => (items, items),
            "plain" => (items, users),
            "transposed" => (users, items),
            _ => return Err(PyValueError::new_err(format!("unknown product {product:?}"))),
        };
        if length != needed {
            let message = format!("the vectors have {length} entries, the matrix needs {needed}");
            return Err(PyValueError::new_err(message));
        }
        if width == 0 {
            return Err(PyValueError::new_err("there must be at least one vector"));
        }
        let groups = Groups::new(self.interactions, items as u64, self.pieces.len());
        let bytes = height * width * size_of::<T>();
        let count = if product == "plain" { 1 } else { groups.sums_needed(self.threads, self.memory, bytes) };
        // NumPy asks the system for large pages, which such scattered access gains much from.
        let arrays: Vec<_> = (0..count).map(|_| PyArray2::<T>::zeros(py, [height, width], false)).collect();
        let mut borrowed: Vec<_> = arrays.iter().map(PyArrayMethods::readwrite).collect();
        let mut sums = borrowed.iter_mut().map(|array| array.as_slice_mut()).collect::<Result<Vec<_>, _>>()?;
        self.pass(py, progress, |matrix, workers| match product {
            "gram" => passes::gram(matrix, x, width, &mut sums, workers),
            "plain" => passes::product(matrix, x, width, sums[0], workers),
            _ => passes::transposed_product(matrix, x, width, &mut sums, workers),
        })?;
        drop(borrowed);
        Ok(arrays[0].clone().into_any())
    }

    /// Chosen items, which must be different items of the matrix.
    fn items_of<'c>(&self, py: Python<'_>, chosen: &'c PyReadonlyArray1<'_, u32>) -> PyResult<&'c [u32]> {
        let (chosen, items) = (chosen.as_slice()?, self.shape(py).1);
        let distinct: HashSet<_> = chosen.iter().collect();
        if distinct.len() < chosen.len() || chosen.iter().any(|&item| item as usize >= items) {
            return Err(raised(Error::Invalid("the chosen items must be items of the matrix, each once".to_owned())));
        }
        Ok(chosen)
    }

    /// Users and items.
    fn shape(&self, py: Python<'_>) -> (usize, usize) {
        match &self.source {
            Source::Base { indptr, items, .. } => (indptr.bind(py).len().unwrap_or(1) - 1, *items as usize),
            Source::Expansion(generator) => {
                let expansion = &generator.get().expansion;
                (expansion.users() as usize, expansion.items() as usize)
            }
            Source::Files { users, items, .. } => (*users as usize, *items as usize),
        }
    }
}

#[pymethods]
impl StreamedMatrix {
    /// The rows of a base itself.
    #[staticmethod]
    #[pyo3(signature = (indptr, entries, items, pieces, *, interactions, threads, memory))]
    #[allow(clippy::too_many_arguments)]
    fn of_base(
        py: Python<'_>,
        indptr: Py<PyArray1<i64>>,
        entries: Py<PyArray1<u32>>,
        items: u32,
        pieces: Pieces,
        interactions: u64,
        threads: usize,
        memory: usize,
    ) -> PyResult<Self> {
        let base = Base::new(indptr.bind(py).readonly().as_slice()?, entries.bind(py).readonly().as_slice()?, items)
            .and_then(|base| base.check());
        base.map_err(raised)?;
        Ok(Self::new(Source::Base { indptr, entries, items }, pieces, interactions, threads, memory))
    }

    /// The rows of an expansion, generated in every pass.
    #[staticmethod]
    #[pyo3(signature = (generator, pieces, *, interactions, threads, memory, rows_memory))]
    fn of_expansion(
        generator: Py<Generator>,
        pieces: Pieces,
        interactions: u64,
        threads: usize,
        memory: usize,
        rows_memory: usize,
    ) -> Self {
        let users = generator.get().expansion.users();
        Self::new(Source::Expansion(generator), pieces, interactions, threads, memory).keeping(users, rows_memory)
    }

    /// The rows of files: for each piece its files of each split. What `open` returns for a path is read in place of a
    /// file of this machine.
    #[staticmethod]
    #[pyo3(signature = (users, items, pieces, files, *, interactions, threads, memory, rows_memory, open=None))]
    #[allow(clippy::too_many_arguments)]
    fn of_files(
        users: u64,
        items: u64,
        pieces: Pieces,
        files: Vec<[Vec<PathBuf>; 3]>,
        interactions: u64,
        threads: usize,
        memory: usize,
        rows_memory: usize,
        open: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        if pieces.len() != files.len() {
            return Err(PyValueError::new_err("there must be as many pieces as pairs of files"));
        }
        let matrix = Self::new(Source::Files { users, items, files, open }, pieces, interactions, threads, memory);
        Ok(matrix.keeping(users, rows_memory))
    }

    /// Whether rows are in memory, or will be after the first pass.
    #[getter]
    fn keeps_rows(&self) -> bool {
        self.cache.is_some() || matches!(self.source, Source::Base { .. })
    }

    /// Degrees of users, items and blocks, and violations of what must hold exactly, as a dict.
    #[pyo3(signature = (*, base_users, base_items, order_by_item, bins, each_item, numbered_by=None, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn degrees<'py>(
        &self,
        py: Python<'py>,
        base_users: u64,
        base_items: u64,
        order_by_item: bool,
        bins: (u64, u64),
        each_item: bool,
        numbered_by: Option<Py<Generator>>,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let numbered_by = numbered_by.as_ref().map(|generator| &generator.get().expansion);
        if numbered_by.is_some_and(|expansion| expansion.items() as usize != self.shape(py).1) {
            return Err(PyValueError::new_err("the expansion that numbers the items has others"));
        }
        let numbering = numbered_by.and_then(|expansion| expansion.numbering());
        let blocks = Blocks { base_users, base_items, numbering, order_by_item, bins, each_item };
        let degrees = self.pass(py, &progress, |matrix, workers| passes::degrees(matrix, &blocks, workers))?;
        let dict = PyDict::new(py);
        for (kind, of_splits) in [("user", degrees.users), ("item", degrees.items)] {
            for (split, counts) in SPLITS.iter().zip(of_splits) {
                dict.set_item(format!("{kind}_{split}"), counts.into_pyarray(py))?;
            }
        }
        for (split, counts) in SPLITS.iter().zip(degrees.blocks) {
            dict.set_item(format!("block_{split}"), counts.into_pyarray(py))?;
        }
        dict.set_item("item_user_degree", degrees.item_user_degree.into_pyarray(py))?;
        dict.set_item("density", degrees.density.into_pyarray(py))?;
        let violations = PyDict::new(py);
        for (name, found) in VIOLATIONS.iter().zip(degrees.violations) {
            violations.set_item(name, (found.count, found.first))?;
        }
        dict.set_item("violations", violations)?;
        Ok(dict)
    }

    /// A product of the train part A with x of shape (items or users, width), float32 or float64, C order: "gram" `AᵀA x`,
    /// "plain" `A x`, "transposed" `Aᵀ x`. The same type comes back, and the same numbers on any number of threads.
    #[pyo3(signature = (product, x, *, progress=None))]
    fn multiply<'py>(
        &self,
        py: Python<'py>,
        product: &str,
        x: Bound<'py, PyAny>,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(x) = x.extract::<PyReadonlyArray2<'py, f32>>() {
            return self.multiply_real(py, product, &x, &progress);
        }
        self.multiply_real(py, product, &x.extract::<PyReadonlyArray2<'py, f64>>()?, &progress)
    }

    /// The users of a keyed sample that have train interactions, and how many each has, then the items of another: those
    /// whose words are below a number, or all.
    #[pyo3(signature = (*, seed, users_below, items_below, progress=None))]
    #[allow(clippy::type_complexity)]
    fn lookups<'py>(
        &self,
        py: Python<'py>,
        seed: u64,
        users_below: Option<u64>,
        items_below: Option<u64>,
        progress: Callback<'py>,
    ) -> PyResult<(Pair<'py, u64, u32>, Pair<'py, u64, u32>)> {
        let samples = [users_below, items_below].map(|below| IdSample::new(seed, below));
        let found = self.pass(py, &progress, |matrix, workers| passes::lookups(matrix, samples, workers))?;
        let [users, items] = found.map(|found| (found.ids.into_pyarray(py), found.counts.into_pyarray(py)));
        Ok((users, items))
    }

    /// For each of the chosen items and every item, the train users of both: shape (chosen, items).
    #[pyo3(signature = (chosen, *, progress=None))]
    fn cooccurrence<'py>(
        &self,
        py: Python<'py>,
        chosen: PyReadonlyArray1<'py, u32>,
        progress: Callback<'py>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let chosen = self.items_of(py, &chosen)?;
        let counts = self.pass(py, &progress, |matrix, workers| passes::cooccurrence(matrix, chosen, workers))?;
        let counts = Array2::from_shape_vec((chosen.len(), self.shape(py).1), counts);
        Ok(counts.map_err(|error| PyValueError::new_err(error.to_string()))?.into_pyarray(py))
    }

    /// The `count` nearest items of each chosen one in each group of `group` consecutive items of `least` train
    /// interactions, which `degrees` are: ids (−1 where there are no more) and the train users of both, one after the
    /// other; and the closed paths and all paths through each chosen item.
    #[pyo3(signature = (chosen, degrees, *, least, count, group, progress=None))]
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn nearest_items<'py>(
        &self,
        py: Python<'py>,
        chosen: PyReadonlyArray1<'py, u32>,
        degrees: PyReadonlyArray1<'py, u32>,
        least: u32,
        count: usize,
        group: usize,
        progress: Callback<'py>,
    ) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f64>>)> {
        let (chosen, degrees) = (self.items_of(py, &chosen)?, degrees.as_slice()?);
        if degrees.len() != self.shape(py).1 || count == 0 || group == 0 {
            return Err(PyValueError::new_err("there must be a degree for each item, and something must be asked for"));
        }
        let asked = Asked { degrees, least, count, group };
        let found =
            self.pass(py, &progress, |matrix, workers| passes::nearest_items(matrix, chosen, asked, workers))?;
        let paths = found.paths.into_flattened();
        Ok((found.ids.into_pyarray(py), found.shared.into_pyarray(py), paths.into_pyarray(py)))
    }

    /// The rows of one split of the chosen users, which rise: where each begins, and their items.
    #[pyo3(signature = (chosen, *, split, progress=None))]
    fn collect<'py>(
        &self,
        py: Python<'py>,
        chosen: PyReadonlyArray1<'py, u64>,
        split: &str,
        progress: Callback<'py>,
    ) -> PyResult<Pair<'py, u64, i64>> {
        let (chosen, split) = (chosen.as_slice()?, split_named(split)?);
        let (starts, items) =
            self.pass(py, &progress, |matrix, workers| passes::collect(matrix, chosen, split, workers))?;
        Ok((starts.into_pyarray(py), items.into_pyarray(py)))
    }

    /// The nearest user of each given train row (as `collect` gives them) in each group of `group` consecutive users,
    /// or −1, and the squared cosine: one after the other, groups within rows.
    #[pyo3(signature = (given, starts, items, *, group, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn nearest<'py>(
        &self,
        py: Python<'py>,
        given: PyReadonlyArray1<'py, u64>,
        starts: PyReadonlyArray1<'py, u64>,
        items: PyReadonlyArray1<'py, i64>,
        group: u64,
        progress: Callback<'py>,
    ) -> PyResult<Pair<'py, i64, f64>> {
        let (given, starts, items) = (given.as_slice()?, starts.as_slice()?, items.as_slice()?);
        let all_items = self.shape(py).1;
        let in_range = |&item: &i64| usize::try_from(item).is_ok_and(|item| item < all_items);
        let fits = starts.len() == given.len() + 1
            && starts.last() == Some(&(items.len() as u64))
            && starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if group == 0 || !fits || !items.iter().all(in_range) {
            return Err(raised(Error::Invalid("the given rows are not rows of the matrix, one a user".to_owned())));
        }
        let (users, cosines) =
            self.pass(py, &progress, |matrix, workers| passes::nearest(matrix, given, starts, items, group, workers))?;
        Ok((users.into_pyarray(py), cosines.into_pyarray(py)))
    }
}
