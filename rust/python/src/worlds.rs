//! Worlds of known truth.

use std::sync::{Arc, Mutex, PoisonError};

use fractalrs_core::error::Error;
use fractalrs_core::worlds::{self, Answers, Asked, Chances, Exposures, Log, Pair, Rules, Seen, Spec};
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

/// Items, propensities, responses and the rounds in which they are heard of.
type Answered<'py> = (Bound<'py, PyArray1<i32>>, Floats<'py>, Bound<'py, PyArray1<bool>>, Bound<'py, PyArray1<i32>>);

/// Where the items of each user begin that are not shown again, and the items.
type Rows<'py> = (PyReadonlyArray1<'py, u64>, Codes<'py>);

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

    /// The items of the highest scores for some users: a slate each.
    fn top<'py>(
        &self,
        py: Python<'py>,
        scores: PyReadonlyArray1<'py, f64>,
        slate: usize,
        seen: Rows<'py>,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let (scores, items) = (scores.as_slice()?, self.0.items() as usize);
        let seen = Seen { starts: seen.0.as_slice()?, items: seen.1.as_slice()? };
        if slate == 0 || scores.len() % items != 0 {
            return Err(PyValueError::new_err("there must be a slate, and a score for each user and item"));
        }
        let made = py.detach(|| {
            seen.check(scores.len() / items, self.0.items())?;
            worlds::top(scores, items, slate, &seen)
        });
        Ok(made.map_err(raised)?.into_pyarray(py))
    }

    /// Slates by orders of items, of which each user gets any, and the share of orders that show each item.
    #[pyo3(signature = (users, orders, length, *, slate, seed, round, seen))]
    #[allow(clippy::too_many_arguments, clippy::similar_names)]
    fn first_of_orders<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        orders: Codes<'py>,
        length: usize,
        slate: usize,
        seed: u64,
        round: u64,
        seen: Rows<'py>,
    ) -> PyResult<(Bound<'py, PyArray1<u32>>, Floats<'py>)> {
        let (users, orders) = (self.users(&users)?, orders.as_slice()?);
        let seen = Seen { starts: seen.0.as_slice()?, items: seen.1.as_slice()? };
        let fits = length > 0 && !orders.is_empty() && orders.len().is_multiple_of(length);
        if !fits || orders.iter().any(|&item| item >= self.0.items()) {
            return Err(PyValueError::new_err("orders are not of items of the world"));
        }
        let rules = Rules { seed, round, slate, epsilon: 0, missing: 0, late: 0, examination: Vec::new() };
        let made = py.detach(|| {
            seen.check(users.len(), self.0.items())?;
            worlds::first_of_orders(&self.0, &users, orders, length, &rules, &seen)
        });
        let (slates, chances) = made.map_err(raised)?;
        Ok((slates.into_pyarray(py), chances.into_pyarray(py)))
    }

    /// Shows users slates, tries other items in some places, and lets users respond.
    #[pyo3(signature = (users, slates, own, chances, seen, *, seed, round, epsilon, missing, late, examination))]
    #[allow(clippy::too_many_arguments, clippy::similar_names)]
    fn answer<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        slates: Codes<'py>,
        own: Option<PyReadonlyArray1<'py, f64>>,
        chances: (PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>),
        seen: Rows<'py>,
        seed: u64,
        round: u64,
        epsilon: u64,
        missing: u64,
        late: u64,
        examination: Vec<u64>,
    ) -> PyResult<Answered<'py>> {
        let (users, slates) = (self.users(&users)?, slates.to_vec()?);
        let seen = Seen { starts: seen.0.as_slice()?, items: seen.1.as_slice()? };
        let chances = Chances { kept: chances.0.as_slice()?, tried: chances.1.as_slice()? };
        let own = own.as_ref().map(|own| own.as_slice()).transpose()?;
        let rules = Rules { seed, round, slate: examination.len(), epsilon, missing, late, examination };
        let most = seen.starts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0);
        let known = chances.kept.len().min(chances.tried.len()) as u64;
        if rules.slate == 0
            || slates.len() != users.len() * rules.slate
            || slates.iter().any(|&item| item >= self.0.items())
            || own.is_some_and(|own| own.len() != slates.len())
            || most >= known
            || round >= 1 << 30
        {
            return Err(PyValueError::new_err("slates, or their chances, do not fit the users or the world"));
        }
        let made = py.detach(|| {
            seen.check(users.len(), self.0.items())?;
            worlds::answer(&self.0, &users, slates, own, &chances, &seen, &rules)
        });
        let Answers { items, propensities, responses, arrivals } = made.map_err(raised)?;
        let (items, propensities) = (items.into_pyarray(py), propensities.into_pyarray(py));
        Ok((items, propensities, responses.into_pyarray(py), arrivals.into_pyarray(py)))
    }

    /// Whether each user leaves for good, having responded to nothing.
    fn leaves<'py>(
        &self,
        py: Python<'py>,
        users: Codes<'py>,
        seed: u64,
        round: u64,
        probability: u64,
    ) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let users = self.users(&users)?;
        Ok(py.detach(|| worlds::leaves(&self.0, &users, seed, round, probability)).into_pyarray(py))
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
