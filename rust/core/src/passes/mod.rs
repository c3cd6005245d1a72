//! Passes over all rows of a matrix, to measure it.

mod files;
mod gram;
mod neighbours;
mod rows;
mod sums;

pub use files::FileRows;
pub use gram::{Real, gram, product, transposed_product};
pub use neighbours::{collect, cooccurrence, nearest};
pub use rows::{BaseRows, ExpandedRows, Rows};
pub use sums::{Matrix, Sums, VIOLATIONS, sums};
