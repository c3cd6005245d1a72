//! Algebra, on threads: a sparse matrix times dense vectors, turned on its side, the nearest of its rows, and where items
//! stand by a factorisation.

mod nearest;
mod sparse;
mod standing;

pub use nearest::{Csr, nearest};
pub use sparse::Sparse;
pub use standing::{Factorised, Standing};
