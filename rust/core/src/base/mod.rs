//! The base: how it comes from interactions, its signed matrix, its cells, and its layout for blocks.

mod base;
mod cells;
mod energies;
mod layout;
mod mixing;
mod pairs;
mod partition;
mod train;

pub use base::{Base, ITEM, Split, TEST};
pub use cells::{Cells, Place};
pub use energies::{Energies, SomeCells};
pub(crate) use layout::refuse_times;
pub use layout::{Code, Codes, Layout, Times};
pub use mixing::Mixing;
pub use pairs::{HoldOut, Pairs, Rule, Ties};
pub use partition::Points;
pub use train::{Degrees, Ordered, degrees, neighbour_sums, ordered};
