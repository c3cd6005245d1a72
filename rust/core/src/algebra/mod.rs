//! Algebra, on threads: a sparse matrix times dense vectors or another one, turned on its side, the nearest of its rows, who
//! its rows most likely are, and where items stand by a factorisation.

mod dense;
mod likelihoods;
mod nearest;
mod sparse;
mod standing;

pub use dense::dense_product;
pub use likelihoods::{Best, Likelihoods};
pub use nearest::{Csr, nearest};
pub use sparse::Sparse;
pub use standing::{Factorised, Standing};
