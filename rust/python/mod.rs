//! The extension module: arrays in, arrays and reports out, and long runs that answer Ctrl-C.

mod columns;
mod generator;
mod rows;

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use crate::error::Error;
use crate::expansion::Existence;
use crate::parquet::{EncodingChoice, parse_compression};
use crate::random::Keys;
use crate::threads::Progress;

pub use generator::Generator;
pub use rows::Rows;

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
