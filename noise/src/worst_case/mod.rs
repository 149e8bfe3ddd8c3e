//! Worst admissible deviations: a search that knows no data and no network.
//!
//! [`DeviationBounds`] says how far every weight may deviate, an [`Objective`] says what a deviation does, a [`Search`]
//! says how to look for the worst one, and [`worst_case`] looks. What it finds is an upper bound on the true worst case: a
//! search that fails proves nothing. A minimum over random chips is another number, see
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
//! What is not: that gradients find more than as many random draws. A gradient lowers the loss, a surrogate. The score of
//! a few weights on a few items can be met by chance, and a network can hide its gradient from one loss: search with two.
//! Of 300 linear networks of 16 to 300 weights on 40 items, as many random draws as the search had evaluations found a
//! lower score for 9, all of them of less than 150 weights; the loss of the search was the lower one in all.

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
