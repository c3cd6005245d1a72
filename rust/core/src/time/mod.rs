//! Time: when the interactions of expanded users happen.

mod clock;
mod schedule;
mod timeline;

pub(crate) use schedule::{Schedule, shares};
pub use timeline::{RowTimeline, Timeline};
