//! The extension module `fractalrs._core`: arrays in, arrays and summaries out, and long calls that answer Ctrl-C.

mod algebra;
mod base;
mod columns;
mod digest;
mod errors;
mod generator;
mod loading;
mod lookups;
mod passes;
mod reading;
mod stream;
mod text;
mod watch;
mod worlds;

use std::str::FromStr;

use fractalrs_core::chance::Keys;
use fractalrs_core::expansion::Existence;
use fractalrs_core::parts::{EncodingChoice, parse_compression};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;

use crate::errors::raised;

/// Names of the extension module.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::{
        algebra::{
            best_likelihoods, nearest_rows, product_of_sparse, sparse_product, sparse_transpose, standings,
            sums_of_likelihoods,
        },
        base::{
            cell_energies, collapse, degrees, group_spreads, mixed_degrees, neighbour_sums, ordered, peel_groups,
            sort_groups,
        },
        check_parquet_options,
        digest::{Blake3, digest_file},
        existing_blocks,
        generator::Generator,
        loading::shuffled,
        lookups::stack_distances,
        passes::StreamedMatrix,
        reading::read_plain,
        stream::Stream,
        text::text_lines,
        worlds::{ExposureLog, World},
    };

    /// Whether the extension was built without optimisation.
    #[pymodule_export]
    const DEBUG_BUILD: bool = cfg!(debug_assertions);

    /// The number of the algorithm in `docs/generator.md`.
    #[pymodule_export]
    const GENERATOR: u32 = fractalrs_core::expansion::GENERATOR;

    /// The version of this package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}

/// Refuses an encoding or a compression that does not exist.
#[pyfunction]
fn check_parquet_options(encoding: &str, compression: &str) -> PyResult<()> {
    EncodingChoice::from_str(encoding).map_err(raised)?;
    parse_compression(compression).map_err(raised)?;
    Ok(())
}

/// Which blocks of an expansion of (m, n) blocks exist, where their keep rates are above 0.
#[pyfunction]
fn existing_blocks(py: Python<'_>, seed: u64, block_keep: f64, shape: (u32, u32)) -> Bound<'_, PyArray2<bool>> {
    let existence = Existence::new(&Keys::new(seed), block_keep);
    let shape = (shape.0 as usize, shape.1 as usize);
    Array2::from_shape_fn(shape, |(i, j)| existence.has(i as u32, j as u32)).into_pyarray(py)
}
