//! The core of `fractalrs`: expands a base into an industrial-size data set, as `docs/generator.md` defines it.
//!
//! Read in the order of the modules: randomness is keyed, a permutation can be evaluated at one point, the base is laid out
//! for its blocks, dropout walks the kept entries of a row, a shuffle places them, a timeline and its schedule say when, an
//! expansion is made in tiles of users (kept block by block, stitched user by user), a part of them becomes two Parquet
//! files, and a run makes parts on threads. Validation goes over rows, of a base, of an expansion or of files, and measures
//! sums, Gram products and neighbours. Only `python` knows that Python exists.

#![deny(unsafe_code)]
#![warn(clippy::pedantic)]
#![allow(
    // Ids, codes and counts change width all the time here; each place that could lose bits is checked on input.
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    // `# Errors` sections would repeat what `error.rs` says once.
    clippy::missing_errors_doc,
    clippy::module_name_repetitions,
    // The options of an expansion are independent of each other.
    clippy::struct_excessive_bools,
    // pyo3 hands arguments over by value.
    clippy::needless_pass_by_value
)]

pub mod base;
mod clock;
pub mod dropout;
pub mod error;
pub mod expansion;
pub mod files;
pub mod gram;
mod kept;
pub mod layout;
pub mod neighbours;
pub mod parquet;
pub mod payload;
pub mod permutation;
mod prefetch;
pub mod random;
pub mod rows;
pub mod run;
mod schedule;
mod scratch;
mod shuffle;
pub mod sketch;
mod stitch;
pub mod sums;
pub mod threads;
pub mod tile;
pub mod timeline;

mod python;

/// Names of the extension module `fractalrs._core`.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::python::{Generator, Rows, check_format, existing_blocks};

    /// Whether the extension was built without optimisation.
    #[pymodule_export]
    const DEBUG_BUILD: bool = cfg!(debug_assertions);

    /// The number of the algorithm in `docs/generator.md`.
    #[pymodule_export]
    const GENERATOR: u32 = crate::expansion::GENERATOR;

    /// The version of this package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
