//! The expansion: everything that determines the expanded matrix.

mod dropout;
mod existence;
mod expansion;
mod interactions;
mod numbering;
mod options;
mod shuffle;
mod sketch;

pub use dropout::{Draws, GapTable, RowDraws, SMALLEST_KEEP_RATE};
pub use existence::Existence;
pub use expansion::{Expansion, GENERATOR, Payload};
pub use interactions::{Id, Interactions, Splits, count_all};
pub use numbering::Numbering;
pub use options::*;
pub use shuffle::Columns;
pub(crate) use shuffle::Exchange;
pub(crate) use sketch::expand_sketch;
