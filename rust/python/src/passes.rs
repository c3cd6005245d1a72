//! Rows to be measured.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use fractalrs_core::base::Base;
use fractalrs_core::error::Error;
use fractalrs_core::passes::{self, BaseRows, ExpandedRows, FileRows, Matrix, Real, VIOLATIONS};
use fractalrs_core::threads::Progress;
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raised;
use crate::generator::Generator;
use crate::watch::watch;

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
        job: impl FnOnce(&dyn passes::Rows, &Progress) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let pieces = self.pieces.as_slice();
        match &self.source {
            Source::Base { indptr, entries, items } => {
                let (indptr, entries) = (indptr.bind(py).readonly(), entries.bind(py).readonly());
                let base = Base::new(indptr.as_slice()?, entries.as_slice()?, *items).map_err(raised)?;
                watch(py, progress.as_ref(), |state| job(&BaseRows { base, pieces }, state))
            }
            Source::Expansion(generator) => {
                let rows = ExpandedRows { expansion: &generator.get().expansion, pieces };
                watch(py, progress.as_ref(), |state| job(&rows, state))
            }
            Source::Files { users, items, files } => {
                let rows = FileRows { users: *users, items: *items, pieces, files };
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
            Product::Gram => passes::gram(rows, x, width, &mut sums, state),
            Product::Plain => passes::product(rows, x, width, sums[0], threads, state),
            Product::Transposed => passes::transposed_product(rows, x, width, &mut sums, state),
        })?;
        drop(borrowed);
        Ok(arrays[0].clone().into_any())
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
        Base::new(indptr.bind(py).readonly().as_slice()?, entries.bind(py).readonly().as_slice()?, items)
            .and_then(|base| base.check())
            .map_err(raised)?;
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
        let matrix = Matrix { base_users, base_items, order_by_item, bins, each_item };
        let sums = self.pass(py, &progress, |rows, state| passes::sums(rows, &matrix, threads, state))?;
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
            return Err(raised(Error::Invalid("the chosen items must be items of the matrix, each once".to_owned())));
        }
        let counts = self.pass(py, &progress, |rows, state| passes::cooccurrence(rows, chosen, threads, state))?;
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
            self.pass(py, &progress, |rows, state| passes::collect(rows, chosen, test, threads, state))?;
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
            return Err(raised(Error::Invalid("the given rows are not rows of the matrix, one a user".to_owned())));
        }
        let (users, cosines) =
            self.pass(py, &progress, |rows, state| passes::nearest(rows, given, starts, items, group, threads, state))?;
        Ok((users.into_pyarray(py), cosines.into_pyarray(py)))
    }
}
