//! Percentiles so low that plain chips hardly ever reach them.
//!
//! Every distribution is a quantile function of one uniform draw, u = Φ(x), x standard normal. So chips live in the space
//! of x, whatever the distribution: [`SubsetSimulation`] walks in it to ever worse chips, [`ImportanceSampling`] draws
//! shifted along a [`Direction`] and weighs what it finds.

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
