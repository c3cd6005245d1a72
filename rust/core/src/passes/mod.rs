//! Passes over all rows of a matrix, to measure it.

mod ahead;
mod cache;
mod cursor;
mod degrees;
mod far;
mod files;
mod gram;
mod histories;
mod lookups;
mod neighbours;
mod overlaps;
mod rows;
mod stack;
mod started;
mod stream;

pub(crate) use ahead::{Ahead, Queue};
pub use cache::RowCache;
pub use degrees::{Blocks, Degrees, VIOLATIONS, degrees};
pub use far::{Opener, Stretches};
pub use gram::{Groups, Real, gram, product, transposed_product};
pub use histories::histories;
pub use lookups::{IdSample, Lookups, lookups};
pub use neighbours::{Asked, NearItems, collect, cooccurrence, nearest, nearest_items};
pub use rows::{Source, StreamedMatrix, Workers};
pub use stack::stack_distances;
pub(crate) use started::Started;
pub use stream::{Piece, Request, Stream, interactions, spelt_out};
