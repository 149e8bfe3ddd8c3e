//! Searches for the worst admissible deviation. They know no data and no network.
//!
//! [`DeviationBounds`] says how far every weight may deviate, an [`Objective`] judges a deviation, and a [`Search`] says how
//! to look for the worst one. [`worst_case`] runs the search. Its result is an upper bound on the true worst case: a search
//! that finds nothing proves nothing. The minimum over random chips is another number, see
//! [`Population::worst_of_n`](crate::Population::worst_of_n).
//!
//! What is guaranteed:
//!
//! - The deviation is admissible, and its score at most the clean one.
//! - A search whose budget contains that of another, with the same seed, never reports a higher score. Budgets nest in
//!   `restarts` and `draws`, and in `expand` with one restart. They do not nest in `steps`, which also sets the step.
//! - [`SignGradient`] with `random = n` contains `n` draws of [`Corners`] and `n` of [`MonteCarlo`]: with the same seed it is
//!   never weaker than either.
//!
//! It is not guaranteed that gradients find more than equally many random draws. A gradient lowers the loss, which is only a
//! surrogate of the score. With few weights and few items, a random draw may reach a low score by chance. A network can also
//! hide its gradient from one loss, so search with two. In a test on 300 linear networks of 16 to 300 weights and 40 items,
//! as many random draws as the search had evaluations found a lower score for 9 networks, all with fewer than 150 weights.
//! The search had the lower loss in all 300.

mod apgd;
mod auto;
mod bounds;
mod corners;
mod deviate;
mod lagrangian;
mod momentum;
mod monte_carlo;
mod objective;
mod outcome;
mod polish;
mod raw_gradient;
mod search;
mod sign_gradient;
mod single_step;
mod state;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
mod walk;

pub use apgd::Apgd;
pub use auto::{Auto, Leg, LegKind};
pub use bounds::{DeviationBounds, EntryBounds};
pub use corners::Corners;
pub use deviate::{Deviations, deviate};
pub use lagrangian::Lagrangian;
pub use momentum::Momentum;
pub use monte_carlo::MonteCarlo;
pub use objective::{Judged, Objective, Surrogates};
pub use outcome::{LayerSensitivity, WorstCase};
pub use raw_gradient::RawGradient;
pub use search::{Search, worst_case};
pub use sign_gradient::SignGradient;
pub use single_step::SingleStep;
pub use state::{PathPoint, SearchState};
