//! Algebra: a sparse matrix times dense vectors, turned on its side, and the nearest of its rows, on threads.

mod nearest;
mod sparse;

pub use nearest::{Csr, nearest};
pub use sparse::Sparse;
