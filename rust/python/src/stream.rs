//! Interactions made ahead on threads, handed over piece by piece.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use fractalrs_core::error::Error;
use fractalrs_core::expansion::{Expansion, Id};
use fractalrs_core::for_id_types;
use fractalrs_core::passes::{self, Piece, Request};
use fractalrs_core::tiles::Wanted;
use numpy::IntoPyArray;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::generator::{Arrays, Generator, check_users, split_named};
use crate::watch::wait;

/// Pieces of interactions in their order: an iterator over tuples of users, items, entries of the base, times, and
/// products of ratings and factors. What is not wanted, or not there, is an empty array. Threads start with the first.
#[pyclass(frozen, module = "fractalrs._core")]
pub struct Stream(Mutex<Box<dyn Source>>);

/// A stream of any types of user and item ids.
trait Source: Send {
    fn take(&mut self, patience: Duration) -> Result<Poll<Option<Box<dyn IntoArrays>>>, Error>;
}

/// A piece that will be arrays of Python's, without a copy.
pub trait IntoArrays: Send {
    fn into_arrays(self: Box<Self>, py: Python<'_>) -> Arrays<'_>;
}

impl<U: Id + numpy::Element, I: Id + numpy::Element> IntoArrays for Piece<U, I> {
    fn into_arrays(self: Box<Self>, py: Python<'_>) -> Arrays<'_> {
        let Self { users, made } = *self;
        (
            users.into_pyarray(py).into_any(),
            made.items.into_pyarray(py).into_any(),
            made.sources.into_pyarray(py),
            made.times.into_pyarray(py),
            made.ratings.into_pyarray(py),
        )
    }
}

impl<U: Id + numpy::Element, I: Id + numpy::Element> Source for passes::Stream<U, I> {
    fn take(&mut self, patience: Duration) -> Result<Poll<Option<Box<dyn IntoArrays>>>, Error> {
        let taken = self.take(patience)?;
        Ok(taken.map(|piece| piece.map(|piece| Box::new(piece) as Box<dyn IntoArrays>)))
    }
}

fn boxed<U: Id + numpy::Element, I: Id + numpy::Element>(
    expansion: &Arc<Expansion>,
    request: Request,
) -> Box<dyn Source> {
    Box::new(passes::Stream::<U, I>::new(Arc::clone(expansion), request))
}

#[pymethods]
impl Stream {
    /// The interactions of the expanded users `first` to `last` (not included) of one split.
    ///
    /// `with_users` and `carrying` say whether users, and what the expansion carries, are wanted; a piece has about
    /// `interactions` interactions at the most.
    #[new]
    #[pyo3(signature = (generator, first, last, split, *, with_users, carrying, interactions, threads))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        generator: &Bound<'_, Generator>,
        first: u64,
        last: u64,
        split: &str,
        with_users: bool,
        carrying: bool,
        interactions: usize,
        threads: usize,
    ) -> PyResult<Self> {
        let expansion = &generator.get().expansion;
        check_users(expansion, first, last)?;
        if threads == 0 || interactions == 0 {
            return Err(PyValueError::new_err("threads and interactions must be at least 1"));
        }
        let wanted = if carrying { Wanted::All } else { Wanted::Ids };
        let request =
            Request { users: first..last, split: split_named(split)?, wanted, with_users, interactions, threads };
        Ok(Self(Mutex::new(for_id_types!(expansion, boxed(expansion, request)))))
    }

    fn __iter__(stream: PyRef<'_, Self>) -> PyRef<'_, Self> {
        stream
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Arrays<'py>>> {
        let piece = wait(py, |patience| self.0.lock().unwrap_or_else(PoisonError::into_inner).take(patience))?;
        Ok(piece.map(|piece| piece.into_arrays(py)))
    }
}
