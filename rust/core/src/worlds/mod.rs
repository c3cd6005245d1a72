//! Worlds of known truth, as `docs/simulation.md` defines them: who likes what, what is shown to whom, and what is logged.

mod axis;
mod batch;
mod curve;
mod exposures;
mod feedback;
mod preference;
mod stream;
mod world;

pub use axis::{Axis, Shown};
pub use batch::{Pair, chances, expose, preferences, propensities, rows};
pub use curve::Curve;
pub use exposures::Exposures;
pub use feedback::{Answers, Chances, Rules, Seen, answer, first_of_orders, leaves, top};
pub use stream::{Asked, Log};
pub use world::{Spec, World};
