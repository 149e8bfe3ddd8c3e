//! How weights deviate, how good a population of chips is, and how bad a chip can be.
//!
//! An analog chip computes with weights that differ from the trained ones. A [`Variation`] is the law of these deviations. A [`ChipSeed`] names
//! one manufactured chip: the same name gives the same deviations on any machine and any number of threads. [`manufacture`] makes that
//! chip of any Burn module, and a [`Population`] summarizes the metric of many chips:
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::{Device, Tensor};
//! use crossburn_noise::{ChipSeed, Distribution, Population, Variation, manufacture};
//!
//! let device = Device::flex();
//! let layer = LinearConfig::new(4, 2).init(&device);
//! // The standard deviation is 10 % of the layer's largest absolute weight.
//! let variation = Variation::from(Distribution::gaussian(0.1));
//! // Here the metric of a chip is its first output; usually it is an accuracy.
//! let metric = |index| {
//!     let chip = manufacture(&layer, &variation, ChipSeed::new(7, index));
//!     let output = chip.forward(Tensor::<2>::ones([1, 4], &device));
//!     f64::from(output.slice([0..1, 0..1]).into_scalar::<f32>())
//! };
//! let population = Population::new(7, 0, (0..200).map(metric).collect());
//! // 99 of 100 chips are at least this good, known to within the interval.
//! let (kpp, interval) = (population.kpp(1.0)?, population.kpp_interval(1.0, 0.95)?);
//! assert!(interval.contains(kpp) && population.worst_of_n() <= kpp);
//! # Ok::<(), crossburn_noise::NoiseError>(())
//! ```
//!
//! # What is here
//!
//! - Laws: [`Distribution`] has the published ones, and [`Deviate`] takes a law of your own.
//! - Which weights deviate: [`Placement`]. By default these are the matrix weights; biases, norms and embeddings do not deviate.
//! - Chips: [`manufacture`] gives a plain module to evaluate; [`inject`] attaches the deviation to a module that is being trained.
//! - Populations: [`draw_population`] works on all cores; [`Population`] gives mean, spread, percentiles with exact intervals, and the worst of n.
//! - Faster percentiles: a [`Race`] stops evaluating a chip once its rank is settled, and [`Looks`] say when enough chips are drawn.
//! - Rare percentiles: [`SubsetSimulation`] and [`ImportanceSampling`] reach percentiles that plain chips hardly reach.
//! - The worst case: [`worst_case`] searches for the most harmful deviation within a bound on every weight.
//!
//! # Limits
//!
//! An interval covers the choice of chips. It does not cover the seed of training, the test items, or a law that describes the hardware badly.
//! A worst-case search finds a bad chip, not provably the worst one. Weights deviate here as numbers; `crossburn-hardware` derives their deviations from memory
//! cells instead.
//!
//! **Architecture invariant.** This crate knows Burn and `crossburn-kernels`: no hardware, no model, no data.
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
mod rank_correlation;
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
pub use rank_correlation::{kendall, spearman};
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
