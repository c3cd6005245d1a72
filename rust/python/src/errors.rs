//! Errors of the core as exceptions.

use fractalrs_core::error::Error;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

/// The exception for an error of the core.
pub fn raised(error: Error) -> PyErr {
    match error {
        Error::Invalid(_) | Error::Damaged { .. } => ours("InputError", error.to_string()),
        Error::Unwritable { .. } => ours("WriteError", error.to_string()),
        Error::Cancelled => PyKeyboardInterrupt::new_err(()),
        Error::NoThread(_) | Error::Panicked => PyRuntimeError::new_err(error.to_string()),
    }
}

/// An exception of `fractalrs.errors`.
fn ours(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let class = py.import("fractalrs.errors").and_then(|module| module.getattr(class));
        class.and_then(|class| class.call1((message,))).map_or_else(|failure| failure, PyErr::from_value)
    })
}
