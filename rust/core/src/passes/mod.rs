//! Passes over all rows of a matrix, to measure it.

mod cursor;
mod degrees;
mod files;
mod gram;
mod neighbours;
mod rows;

pub use degrees::{Blocks, Degrees, VIOLATIONS, degrees};
pub use gram::{Groups, Real, gram, product, transposed_product};
pub use neighbours::{collect, cooccurrence, nearest};
pub use rows::{Source, StreamedMatrix, Workers};
