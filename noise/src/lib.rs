//! Variation of weights: distributions, chips, populations and their percentiles.
//!
//! A [`Variation`] says how weights deviate, a [`ChipSeed`] names one manufactured chip, [`inject`] gives any Burn
//! module the deviation of a chip, and a [`Population`] says how good many chips are: mean, spread, the k-th percentile
//! KPP(k) with an exact interval, the worst of n.
//!
//! Three ways to a percentile for less: a [`Race`] drops chips whose rank is settled before they have seen every item,
//! [`Looks`] say when enough chips are drawn, and [`SubsetSimulation`] and [`ImportanceSampling`] reach percentiles that
//! plain chips hardly ever do.
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::{Device, Tensor};
//! use crossburn_noise::{ChipSeed, Distribution, Variation, manufacture};
//!
//! let device = Device::flex();
//! let layer = LinearConfig::new(4, 2).init(&device);
//! let chip = manufacture(&layer, &Variation::from(Distribution::gaussian(0.1)), ChipSeed::new(7, 17));
//! assert_eq!(chip.forward(Tensor::<2>::ones([1, 4], &device)).dims(), [1, 2]);
//! ```
//!
//! **Architecture invariant.** This crate knows Burn and nothing else of the project: no hardware, no model, no data.
#![warn(missing_docs)]

mod bootstrap;
mod chip;
mod chip_draws;
mod deviation;
mod distribution;
mod draw;
mod error;
mod finite;
mod fold;
mod granularity;
mod host_weights;
mod inject;
mod looks;
mod mean_interval;
mod metric;
mod normal;
mod order_statistics;
mod over_cores;
mod path_hash;
mod placement;
mod population;
mod racing;
mod rare;
mod select;
mod sigma_convention;
mod variation;
mod weight_shape;
pub mod worst_case;

pub use bootstrap::Bootstrap;
pub use chip::ChipSeed;
pub use chip_draws::{ChipDraws, ParameterDraws};
pub use crossburn_kernels::Philox;
pub use deviation::Deviation;
pub use distribution::{
    Deviate, Distribution, FEFET2, FEFET3, FEFET6, FourLevel, Gaussian, LeftCensored, LogNormal,
    Moments, OwnLaw, PowerLaw, RRAM1, RRAM4, RightCensored, RightCensoredCentred, RightTruncated,
    SaltAndPepper, ShiftedGaussian, TwoSidedCensored, Uniform,
};
pub use draw::draw_population;
pub use error::NoiseError;
pub use finite::{UnfitValue, require_finite, unfit_value};
pub use fold::{fold_mean, fold_mean_at};
pub use granularity::Granularity;
pub use host_weights::{HostWeight, change_host_weights, host_weights, host_weights_at};
pub use inject::{inject, inject_at, manufacture, manufacture_at};
pub use looks::Looks;
pub use mean_interval::{MeanInterval, mean_interval};
pub use metric::{Better, Metric};
pub use order_statistics::{PercentileRanks, order_statistic_ranks};
pub use over_cores::over_cores;
pub use path_hash::path_hash;
pub use placement::{PathPattern, Placement, require_weights};
pub use population::{Interval, Population};
pub use racing::{Bracket, Race, RaceConfig, RaceObserver, RaceResult, RaceRound, race_order};
pub use rare::{
    Direction, ImportanceConfig, ImportanceQuantile, ImportanceSampling, Move, Pilot, RareChip,
    RareConfig, RareLevel, RareObserver, RareQuantile, RareResult, ShiftedChip, SubsetSimulation,
};
pub use select::{
    array_weights, attached, matrix_weights, require_unattached, shared_weights, weight_order,
};
pub use sigma_convention::SigmaConvention;
pub use variation::Variation;
pub use weight_shape::{OutputChannels, WeightLayout, WeightLayouts, WeightShape};
