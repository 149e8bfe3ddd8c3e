//! Worst admissible deviations: a search that knows no data and no network.
//!
//! [`DeviationBounds`] says how far every weight may deviate, an [`Objective`] says what a deviation does, a [`Search`]
//! says how to look for the worst one, and [`worst_case`] looks. What it finds is an upper bound on the true worst case: a
//! search that fails proves nothing. A minimum over random chips is another number, see
//! [`Population::worst_of_n`](crate::Population::worst_of_n).

mod bounds;
mod corners;
mod deviate;
mod lagrangian;
mod monte_carlo;
mod objective;
mod outcome;
mod search;
mod sign_gradient;
mod single_step;
mod state;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;

pub use bounds::{DeviationBounds, EntryBounds};
pub use corners::Corners;
pub use deviate::{Deviations, deviate};
pub use lagrangian::Lagrangian;
pub use monte_carlo::MonteCarlo;
pub use objective::{Judged, Objective};
pub use outcome::{LayerSensitivity, WorstCase};
pub use search::{Search, worst_case};
pub use sign_gradient::SignGradient;
pub use single_step::SingleStep;
pub use state::{PathPoint, SearchState};
