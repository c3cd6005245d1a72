//! Parquet pages of our own, for columns of which more is known than the Parquet library can: standard encodings, made
//! straight from runs, codes and integers.

mod chunk;
mod delta;
mod hybrid;
mod pack;

pub use chunk::Chunk;
pub use delta::{Integer, encode_deltas};
pub use hybrid::{begin_codes, put_levels, put_packed, put_run};
