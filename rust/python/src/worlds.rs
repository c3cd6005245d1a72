//! Worlds of known truth.

use std::sync::{Arc, Mutex, PoisonError};

use fractalrs_core::error::Error;
use fractalrs_core::worlds::{self, Asked, Exposures, Log, Pair, Spec};
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pythonize::depythonize;

use crate::errors::raised;
use crate::watch::{wait, watch};

type Floats<'py> = Bound<'py, PyArray1<f64>>;
type Codes<'py> = PyReadonlyArray1<'py, u32>;

/// Users, items, times, positions, propensities, responses and ratings of exposures.
type Columns<'py> = (
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    Floats<'py>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<i8>>,
);

/// Who likes what, what is shown to whom, and what is logged.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct World(Arc<worlds::World>);

#[pymethods]
impl World {
    #[new]
    fn new(py: Python<'_>, spec: Bound<'_, PyAny>) -> PyResult<Self> {
        let spec: Spec = depythonize(&spec).map_err(|error| raised(Error::Invalid(error.to_string())))?;
        Ok(Self(Arc::new(py.detach(|| worlds::World::new(spec)).map_err(raised)?)))
    }

    /// How many exposures each user has in a round.
    fn exposures<'py>(&self, py: Python<'py>, users: Codes<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let users = self.users(&users)?;
        Ok(py.detach(|| users.iter().map(|&user| self.0.exposures(user)).collect::<Vec<_>>()).into_pyarray(py))
    }

    /// How likely each user likes the item when shown it.
    fn preferences<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        items: Codes<'py>,
        threads: usize,
    ) -> PyResult<Floats<'py>> {
        let pairs = self.pairs(&users, &items)?;
        let values = watch(py, None, |progress| worlds::preferences(&self.0, &pairs, threads, progress))?;
        Ok(values.into_pyarray(py))
    }

    /// The probability that the policy of the world shows each user the item in a round.
    fn propensities<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        items: Codes<'py>,
        threads: usize,
    ) -> PyResult<Floats<'py>> {
        let pairs = self.pairs(&users, &items)?;
        let values = watch(py, None, |progress| worlds::propensities(&self.0, &pairs, threads, progress))?;
        Ok(values.into_pyarray(py))
    }

    /// How likely users like each item, user by user.
    fn rows<'py>(&self, py: Python<'py>, users: Codes<'py>, threads: usize) -> PyResult<Floats<'py>> {
        let users = self.users(&users)?;
        Ok(watch(py, None, |progress| worlds::rows(&self.0, &users, threads, progress))?.into_pyarray(py))
    }

    /// The probability that each item is shown by weights of all items, user by user.
    fn chances<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        weights: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Floats<'py>> {
        let users = self.users(&users)?;
        let weights = self.fitting(&users, weights.as_slice()?)?;
        Ok(py.detach(|| worlds::chances(&self.0, &users, weights)).map_err(raised)?.into_pyarray(py))
    }

    /// What users are shown in a round, and respond to: by the policy of the world, or by weights of all items.
    #[pyo3(signature = (users, weights, *, round, only_responses))]
    fn expose<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        weights: Option<PyReadonlyArray1<'py, u64>>,
        round: u64,
        only_responses: bool,
    ) -> PyResult<Columns<'py>> {
        let users = self.users(&users)?;
        let weights = weights.as_ref().map(|weights| self.fitting(&users, weights.as_slice()?)).transpose()?;
        let make = |progress: &fractalrs_core::threads::Progress| {
            worlds::expose(&self.0, &users, weights, round, only_responses, || progress.advance(0))
        };
        Ok(columns(py, watch(py, None, make)?))
    }
}

impl World {
    /// Users of the world.
    fn users(&self, users: &Codes) -> PyResult<Vec<u32>> {
        let users = users.to_vec()?;
        if users.iter().any(|&user| user >= self.0.users()) {
            return Err(PyValueError::new_err("users are not within the world's"));
        }
        Ok(users)
    }

    fn pairs(&self, users: &Codes, items: &Codes) -> PyResult<Vec<Pair>> {
        let pairs: Vec<Pair> = users.as_slice()?.iter().copied().zip(items.as_slice()?.iter().copied()).collect();
        if pairs.iter().any(|&(user, item)| user >= self.0.users() || item >= self.0.items()) {
            return Err(PyValueError::new_err("users or items are not within the world's"));
        }
        Ok(pairs)
    }

    /// Weights of all items for each user.
    fn fitting<'w>(&self, users: &[u32], weights: &'w [u64]) -> PyResult<&'w [u64]> {
        if weights.len() != users.len() * self.0.items() as usize {
            return Err(PyValueError::new_err("there must be a weight for each user and item"));
        }
        Ok(weights)
    }
}

/// The log of a round, piece by piece: an iterator over columns. Threads start with the first.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct ExposureLog(Mutex<Log>);

#[pymethods]
impl ExposureLog {
    /// The exposures of the users `first` to `last` (not included), `at_once` users in a piece.
    #[new]
    #[pyo3(signature = (world, first, last, *, round, only_responses, at_once, threads))]
    fn new(
        world: &World,
        first: u32,
        last: u32,
        round: u64,
        only_responses: bool,
        at_once: u32,
        threads: usize,
    ) -> PyResult<Self> {
        if first > last || last > world.0.users() || threads == 0 || at_once == 0 {
            return Err(PyValueError::new_err("users are not within the world's, or threads or at_once are 0"));
        }
        let asked = Asked { users: first..last, round, only_responses, at_once, threads };
        Ok(Self(Mutex::new(Log::new(Arc::clone(&world.0), asked))))
    }

    fn __iter__(log: PyRef<'_, Self>) -> PyRef<'_, Self> {
        log
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Columns<'py>>> {
        let made = wait(py, |patience| self.0.lock().unwrap_or_else(PoisonError::into_inner).take(patience))?;
        Ok(made.map(|made| columns(py, made)))
    }
}

fn columns(py: Python<'_>, made: Exposures) -> Columns<'_> {
    (
        made.users.into_pyarray(py),
        made.items.into_pyarray(py),
        made.times.into_pyarray(py),
        made.positions.into_pyarray(py),
        made.propensities.into_pyarray(py),
        made.responses.into_pyarray(py),
        made.ratings.into_pyarray(py),
    )
}
