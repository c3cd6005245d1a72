//! Tiles: expanded users made some at a time, kept block by block and stitched user by user.

mod kept;
mod membership;
mod sources;
mod stitch;
mod tables;
mod tile;

pub use membership::{Pair, find, negatives};
pub use sources::{Holders, sources, unobserved};
pub use tile::{Ranges, Tiler, Wanted};
