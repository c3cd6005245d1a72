//! Memory: what is written before it is read, and what is asked for before it is needed.

mod prefetch;
mod scratch;

pub(crate) use prefetch::{prefetch, prefetch_all, prefetch_lines};
pub(crate) use scratch::Scratch;
