//! Memory: what is written before it is read, what is asked for before it is needed, and more of it at a time.

mod processor;
mod scratch;

pub(crate) use processor::{Ahead, Loop, prefetch, prefetch_all, prefetch_lines, widened};
pub(crate) use scratch::Scratch;
