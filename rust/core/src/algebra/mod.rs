//! Algebra: a sparse matrix times dense vectors, and turned on its side, on threads.

mod sparse;

pub use sparse::Sparse;
