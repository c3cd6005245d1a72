//! Reading: plain text files of numbers, on threads.

mod plain;

pub use plain::{Cell, PlainText, Rows};
