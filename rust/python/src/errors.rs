//! Errors of the core as exceptions.

use fractalrs_core::error::Error;
use pyo3::exceptions::{PyBlockingIOError, PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

/// EAGAIN on Linux.
const NO_MORE: i32 = 11;

/// The exception for an error of the core.
pub fn raised(error: Error) -> PyErr {
    match error {
        Error::Invalid(_) | Error::Damaged { .. } => ours("InputError", error.to_string()),
        Error::Unwritable { .. } => ours("WriteError", error.to_string()),
        Error::Cancelled => PyKeyboardInterrupt::new_err(()),
        // As the system says it of whatever else it has no more of.
        Error::NoThread(_) => PyBlockingIOError::new_err((NO_MORE, error.to_string())),
        Error::Panicked => PyRuntimeError::new_err(error.to_string()),
    }
}

/// An exception of `fractalrs.errors`.
fn ours(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let class = py.import("fractalrs.errors").and_then(|module| module.getattr(class));
        class.and_then(|class| class.call1((message,))).map_or_else(|failure| failure, PyErr::from_value)
    })
}
