//! The base: its signed matrix, its cells, and its layout for blocks.

mod base;
mod cells;
mod layout;

pub use base::{Base, TEST};
pub use cells::{Cells, Place};
pub(crate) use layout::refuse_times;
pub use layout::{Code, Codes, Layout, Times};
