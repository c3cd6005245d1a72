//! Tiles: expanded users made some at a time, kept block by block and stitched user by user.

mod kept;
mod stitch;
mod tables;
mod tile;

pub use tile::{Tiler, ranges};
