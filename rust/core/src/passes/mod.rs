//! Passes over all rows of a matrix, to measure it.

mod cache;
mod cursor;
mod degrees;
mod files;
mod gram;
mod neighbours;
mod rows;

pub use cache::RowCache;
pub use degrees::{Blocks, Degrees, VIOLATIONS, degrees};
pub use gram::{Groups, Real, gram, product, transposed_product};
pub use neighbours::{Asked, NearItems, collect, cooccurrence, nearest, nearest_items};
pub use rows::{Source, StreamedMatrix, Workers};
