//! Energy, time, area and programming cost of a network on an accelerator, and the share of the converters in them.
//!
//! ```text
//! layer        K inputs, M outputs, g groups, P output positions; arrays of R × C cells; S slices and d devices per weight
//! arrays       A = g ceil(K / R) ceil(M S d / C)              utilisation = g K M S d / (A R C)
//! energy       E = Σ events × energy of one + leakage per array × A × time
//! position     t = n_in max(t_array, columns per converter × t_adc)
//! layer        T = ceil(P / copies) t
//! network      sequential Σ T; pipelined one image every max T, and max T + Σ t of the other layers for one image
//! area         A (cells + converters + periphery + share of the tile)
//! programming  cells × pulses × (pulse + verifying read)
//! ```
//!
//! [`Events`] counts the events. If pairs are subtracted before conversion, each converter serves half as many columns. The
//! choice of the estimator for converters changes a result by more than an order of magnitude, so a [`CostReport`] names its
//! [`AdcEstimator`] and also carries the [`AdcEstimates`] of all others.
//!
//! ```
//! use crossburn_hardware::cost::{Accelerator, ArrayShape, CostConfig, LayerShape};
//!
//! let array = ArrayShape { slice_bits: Some(2), ..ArrayShape::default() };
//! let accelerator = Accelerator::new(CostConfig::preset("papers")?, array)?;
//! let report = accelerator.cost(&[
//!     LayerShape::convolution("conv1", [1, 6], [3, 3], 1, [28, 28]),
//!     LayerShape::linear("fc", 784, 10),
//! ])?;
//! assert_eq!(report.total.macs, 9 * 6 * 784 + 7840);
//! assert_eq!(report.adc_estimator.name(), "isaac");
//! assert!(report.layers.iter().all(|layer| layer.utilisation <= 1.0));
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```
//!
//! # Left out
//! Contention on bus and routers and the distance between tiles, memory outside the chip and links between chips, digital
//! units after the arrays (activation, pooling, normalisation: in ISAAC 0.3 % of a tile's power), control, clock and
//! supply losses, the time to fill a pipeline inside a layer, and layers in parallel branches, which count as if one
//! followed the other.
//!
//! # Published numbers
//! | preset | from | what it reproduces |
//! |---|---|---|
//! | `isaac` | Shafiee et al., ISCA 2016, table 3 | IMA, tile and chip: 289 mW and 0.157 mm² per 12 IMAs, 330 mW and 0.372 mm² per tile, 55.4 W and 62.5 mm² of tiles, 65.8 W and 85.4 mm² per chip; the energy of a fully used IMA over 100 ns |
//! | `prime` | Chi et al., ISCA 2016 | geometry only: the paper lists no energy per component |
//! | `neurosim-22nm` | Peng et al., IEDM 2019 | converter, geometry and cell; digital circuits are those of `isaac` |
//! | `papers` | Yan et al., ICCAD 2022 and 2023 | cells and weights; costs are those of `isaac` |
//!
//! Which figures of a preset are published and which assumed stands beside each in its file.

mod accelerator;
mod array_shape;
mod component_table;
mod cost_config;
mod estimator;
mod events;
mod floor_plan;
mod layer_shape;
mod layer_tiling;
pub(crate) mod limit;
mod preset;
mod programming;
mod replication;
mod report;

pub use accelerator::Accelerator;
pub use array_shape::{Accumulation, ArrayShape, Layout, Subtraction};
pub use component_table::{ChipTotals, Component, ComponentKind, ComponentTable, LevelTotal};
pub use cost_config::{AdcConfig, ArrayRead, CostConfig, EventEnergies, Schedule};
pub use estimator::{
    AdcEstimate, AdcEstimates, AdcEstimator, Column, Converter, NamedEstimate, Refusal,
};
pub use events::Events;
pub use floor_plan::{FloorPlan, Placement};
pub use layer_shape::LayerShape;
pub use preset::{accelerator_text, accelerators};
pub use programming::{ProgrammingConfig, ProgrammingCost, VerifyCost};
pub use replication::Replication;
pub use report::{AreaBreakdown, CostReport, EnergyBreakdown, LayerCost, TotalCost};
