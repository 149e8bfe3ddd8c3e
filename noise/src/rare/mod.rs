//! Percentiles that plain chips hardly ever reach.
//!
//! Every distribution is a quantile function of one uniform draw, u = Φ(x), x standard normal. Chips are therefore points in
//! the space of x, whatever the distribution. [`SubsetSimulation`] walks in this space to ever worse chips.
//! [`ImportanceSampling`] draws chips that are shifted along a [`Direction`], and weights them.

mod direction;
mod importance;
mod normal_draws;
mod rare_chip;
mod subset_simulation;

pub use direction::{Direction, ShiftedChip};
pub use importance::{ImportanceConfig, ImportanceQuantile, ImportanceSampling, Pilot};
pub use rare_chip::{Move, RareChip};
pub use subset_simulation::{
    RareConfig, RareLevel, RareObserver, RareQuantile, RareResult, SubsetSimulation,
};
