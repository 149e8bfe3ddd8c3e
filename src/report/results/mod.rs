//! What `demo`, `train` and `evaluate` measured: networks, their populations of chips, and percentiles.

mod document;
mod figures;
mod page;
mod percentiles;
mod plots;
mod summary;
mod table;

pub(crate) use document::CONFIDENCE;
pub use document::{
    AlsoMeasured, CostSummary, DataSummary, EpochRow, KppEntry, MethodResults, OnHardware,
    PopulationSummary, Results, RunCommand, SweepPoint, TriedNoise,
};
pub use figures::Figures;
pub use percentiles::{
    ImportanceQuantileSummary, ImportanceSummary, Known, LooksSummary, Percentiles,
    RaceRoundSummary, RaceSummary, RareLevelSummary, RareQuantileSummary, RareSummary,
};
pub(super) use summary::{percent, spread};
